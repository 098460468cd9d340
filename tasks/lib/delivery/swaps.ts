// Which swaps in a pod's log are one's own: a row for each receipt, whichever of the two comes first.

export interface Swaps {
  /** A delivery has begun: it may lead to a swap. */
  readonly begun: (pod: string, delivery: object) => void
  /** It has ended, with a swap or without; true: another swap than that was heard of meanwhile. */
  readonly ended: (pod: string, delivery: object, swapped: boolean) => boolean
  /** A row tells of a swap. */
  readonly heard: (pod: string) => void
  /** Whether the next row is one's own, or may be so: a delivery that is under way will tell. */
  readonly expected: (pod: string) => boolean
  readonly forget: (pod: string) => void
}

interface Account {
  readonly underway: Set<object>
  /** Rows that came before the receipt. */
  early: number
  /** Receipts that came before the row: when. */
  due: number[]
}

const lag = 60_000 // ms: the agent prints the row first, so one that is later still was lost with its connection

export function swaps(): Swaps {
  const accounts = new Map<string, Account>()
  const of = (pod: string): Account => {
    const account = accounts.get(pod) ?? { underway: new Set(), early: 0, due: [] }
    accounts.set(pod, account)
    account.due = account.due.filter((time) => performance.now() - time < lag)
    return account
  }
  return {
    begun: (pod, delivery) => void of(pod).underway.add(delivery),
    ended: (pod, delivery, swapped) => {
      const account = of(pod)
      account.underway.delete(delivery)
      if (swapped && account.early > 0) account.early -= 1
      else if (swapped) account.due.push(performance.now())
      if (account.underway.size > 0) return false
      const others = account.early > 0
      account.early = 0
      return others
    },
    heard: (pod) => {
      const account = of(pod)
      if (account.due.shift() === undefined) account.early += 1
    },
    expected: (pod) => of(pod).due.length > 0 || of(pod).underway.size > 0,
    forget: (pod) => void accounts.delete(pod),
  }
}
