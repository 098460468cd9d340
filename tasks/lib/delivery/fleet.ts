// The fleet: brings every pod, also one that comes later, to the newest binary, and keeps an exec open for it.
import { claimOf, deliver, isUnreached } from './retry.ts'
import { open, type Opening } from './opening.ts'
import type { Delivery } from './put.ts'
import type { Parcel } from './parcel.ts'
import type { Claim } from './owner.ts'
import type { Encoding, Receipt } from '../protocol/receipt.ts'
import { slots } from '../frame/slots.ts'
import { onEnd } from '../frame/ending.ts'
import { inWords, say } from '../frame/talk.ts'
import type { Pod, Target } from '../pods/target.ts'

/** How a delivery went. */
export interface Outcome {
  readonly result: 'running' | 'already' | 'rolled-back' | 'crashed' | 'failed' | 'overtaken' | 'taken' | 'gone'
  readonly delivery?: Delivery
  /** Of a program that crashed. */
  readonly receipt?: Receipt
  readonly error?: string
  /** Of a pod that was left to another developer: `taken`. */
  readonly claim?: Claim
}

/** A binary that all pods are to run, and who is told how it gets there. */
export interface Order {
  readonly parcel: Parcel
  readonly sent: (pod: Pod, count: number, total: number) => void
  readonly up: (pod: Pod) => void
  /** Once for each pod; again where it comes back, or can be reached at last. */
  readonly done: (pod: Pod, outcome: Outcome) => void
}

export interface Fleet {
  readonly add: (pod: Pod) => void
  readonly remove: (pod: Pod) => void
  readonly pods: () => readonly Pod[]
  /** Opens an exec to each pod that has none, or an old one; each new greeting is told: it names what the pod runs. */
  readonly open: (greeted: (pod: Pod, greeting: Receipt) => void) => void
  /** Closes them: there is nothing to send. */
  readonly close: () => void
  /** All pods get this, and those that come. What is still on its way to one is given up. */
  readonly deploy: (order: Order) => void
  /** No pod gets anything any more, until the next deploy. What is still on its way to one is given up. */
  readonly halt: () => void
}

interface Member {
  readonly pod: Pod
  present: boolean
  busy: boolean
  opening: Promise<Opening | undefined> | undefined
  /** What it has to run next, or to try again. */
  due: Order | undefined
  /** The order whose failure has been told: it is tried on without more words. */
  told: Order | undefined
  sending: AbortController
  failures: number
}

/** So many pods are served at a time. */
export const atOnce = 8
const fresh = 180_000 // ms: load balancers forget a silent connection after 4 minutes and more
const retries = [500, 1_000, 2_000, 5_000] // ms before the next try to reach a pod; the last one again and again
const patience = 4 // tries to reach a pod before anybody is told

/** A fleet without pods. */
export function fleet(target: Target, encoding: Encoding, machine: () => string): Fleet {
  const members = new Map<string, Member>()
  const busy = slots(atOnce)
  let wanted: Order | undefined
  let going = true
  onEnd(() => void (going = false))

  return {
    add: (pod) => {
      const sending = new AbortController()
      const none = { opening: undefined, told: undefined, busy: false, failures: 0 }
      const member: Member = { pod, present: true, due: wanted, sending, ...none }
      members.set(key(pod), member)
      void serve(member)
    },
    remove: (pod) => {
      const member = members.get(key(pod))
      if (member === undefined) return
      members.delete(key(pod))
      member.present = false
      member.sending.abort()
      drop(member)
      const { due } = member
      if (due !== undefined && due !== member.told) guarded(() => due.done(pod, { result: 'gone' }))
    },
    pods: () => [...members.values()].map(({ pod }) => pod),
    open: (greeted) => {
      // those above are opened in their turn; what a pod says while it swaps is soon not true any more
      for (const member of [...members.values()].slice(0, atOnce))
        if (!member.busy) member.opening = renewed(member, greeted)
    },
    close: () => {
      for (const member of members.values()) if (!member.busy) drop(member)
    },
    deploy: (order) => {
      wanted = order
      for (const member of members.values()) {
        const { due } = member
        member.due = order
        member.failures = 0
        member.sending.abort()
        if (due !== undefined && due !== member.told) guarded(() => due.done(member.pod, { result: 'overtaken' }))
        void serve(member)
      }
    },
    halt: () => {
      wanted = undefined
      for (const member of members.values()) {
        const { due } = member
        member.due = undefined
        member.sending.abort()
        if (due !== undefined && due !== member.told) guarded(() => due.done(member.pod, { result: 'overtaken' }))
      }
    },
  }

  async function renewed({ pod, opening }: Member, greeted: (pod: Pod, greeting: Receipt) => void) {
    const present = await opening
    if (present?.alive() === true && performance.now() - present.at < fresh) return present
    present?.close()
    return opened(pod, greeted)
  }

  async function opened(pod: Pod, greeted: (pod: Pod, greeting: Receipt) => void): Promise<Opening | undefined> {
    try {
      const made = await open(target, pod, machine())
      guarded(() => greeted(pod, made.greeting))
      return made
    } catch {
      return undefined // the delivery will say why
    }
  }

  function drop(member: Member): void {
    const { opening } = member
    member.opening = undefined
    void opening?.then((made) => made?.close())
  }

  /** Brings a pod to what is due, until nothing is. */
  async function serve(member: Member): Promise<void> {
    if (member.busy) return
    member.busy = true
    const done = await busy.take()
    for (let order = member.due; going && member.present && order !== undefined; order = member.due) {
      member.due = undefined
      const outcome = await once(member, order)
      if (!going) return
      const again = outcome.unreached === true && member.present && member.due === undefined
      if (again) {
        member.due = order
        member.failures += 1
        const pause = retries[Math.min(member.failures, retries.length) - 1]
        setTimeout(() => void serve(member), pause).unref()
        if (member.told === order || member.failures < patience) break
        member.told = order
      }
      guarded(() => order.done(member.pod, outcome.unreached === true && !again ? { result: 'overtaken' } : outcome))
      if (again) break
    }
    member.busy = false
    done()
  }

  async function once(member: Member, order: Order): Promise<Outcome & { readonly unreached?: boolean }> {
    const { pod } = member
    const sending = new AbortController()
    member.sending = sending
    const opening = await member.opening
    member.opening = undefined
    let crash: Receipt | undefined
    const refused = (receipt: Receipt) => {
      if (['rolled-back', 'crashed'].includes(receipt.values.get('result') ?? '')) crash = receipt
    }
    try {
      const delivery = await deliver(target, pod, order.parcel, encoding, {
        sent: (count, total) => guarded(() => order.sent(pod, count, total)),
        up: () => guarded(() => order.up(pod)),
        refused,
        opening: opening?.alive() === true ? opening : undefined,
        signal: sending.signal,
      })
      member.failures = 0
      return { result: delivery.sent === 0 ? 'already' : 'running', delivery }
    } catch (error) {
      const { message } = inWords(error)
      if (crash !== undefined)
        return {
          result: crash.values.get('result') === 'crashed' ? 'crashed' : 'rolled-back',
          receipt: crash,
          error: message,
        }
      const claim = claimOf(error)
      if (claim !== undefined) return { result: 'taken', claim, error: message }
      if (!member.present) return { result: 'gone' }
      if (sending.signal.aborted) return { result: 'overtaken' }
      return { result: 'failed', error: message, unreached: isUnreached(error) }
    }
  }
}

/** Who is told may fail to show it: that keeps nothing from any pod. */
function guarded(tell: () => void): void {
  try {
    tell()
  } catch (error) {
    say(`error: ${inWords(error).message}`)
  }
}

function key({ name, life }: Pod): string {
  return `${name} ${life}`
}
