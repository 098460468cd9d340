// The latest: of works that replace each other, such as the builds of two saves, one runs, and the newest counts.

/** Runs the work for each `begin`, one at a time: what runs is told to end first, what has not begun is left out. */
export function latest(work: (begin: number, signal: AbortSignal) => Promise<void>): (begin: number) => Promise<void> {
  let last = { ended: Promise.resolve(), abort: new AbortController() }
  return (begin) => {
    last.abort.abort()
    const abort = new AbortController()
    const ended = last.ended.then(() => (abort.signal.aborted ? undefined : work(begin, abort.signal)))
    last = { ended, abort }
    return ended
  }
}
