// What a Go program says as it dies. Pure.

export interface Crash {
  /** `panic: a bug`, `fatal error: all goroutines are asleep - deadlock!`; empty if it said no such thing. */
  readonly what: string
  /** file:line of the developer's own code, where the trace names one. */
  readonly where: string
}

/** Whether a line begins what a Go program says as it dies. */
export function isCrash(line: string): boolean {
  return /^(?:panic|fatal error|runtime error|SIG[A-Z]+): /.test(line)
}

/** What a Go program's last output says of its end. `own` is the folder of the developer's code, absolute. */
export function crashOf(lines: readonly string[], own: string): Crash {
  const at = lines.findIndex(isCrash)
  if (at < 0) return { what: '', where: '' }
  const frames = lines
    .slice(at)
    .map((line) => /^\t(\S.*?:\d+)(?: \+0x[0-9a-f]+)?$/.exec(line)?.[1] ?? '')
    .filter((place) => place !== '')
  const mine = frames.find((place) => place.startsWith(`${own}/`))
  // built with -trimpath, or elsewhere: the first that is neither Go's own nor a module of the cache
  const other = frames.find((place) => !/(?:^|\/)(?:src\/)?runtime\/|\/pkg\/mod\/|@v\d/.test(place))
  return { what: lines[at] ?? '', where: mine?.slice(own.length + 1) ?? other ?? '' }
}
