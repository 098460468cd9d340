// Slots: so many works at a time, the others in the order in which they came.

export interface Slots {
  /** Settles when there is a slot for one more; returns what gives it back. */
  readonly take: () => Promise<() => void>
}

/** @param count how many works at a time. */
export function slots(count: number): Slots {
  const waiting: (() => void)[] = []
  let free = count
  const back = () => {
    const next = waiting.shift()
    if (next === undefined) free += 1
    else next()
  }
  return {
    take: async () => {
      if (free > 0) free -= 1
      else await new Promise<void>((resolve) => waiting.push(resolve))
      return back
    },
  }
}
