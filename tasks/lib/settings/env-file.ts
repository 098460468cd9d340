// The .env file: where its lines are, and what dotenv passes over in silence. Pure.

/** One thing that is wrong with the settings. */
export interface Fault {
  /** `.env:3` or `environment`. */
  readonly where: string
  /** Empty if a line has none. */
  readonly key: string
  readonly value: string
  /** What is wrong, or what is allowed. */
  readonly problem: string
  readonly example: string
}

export interface Scan {
  /** The line of each key, from 1. */
  readonly lines: ReadonlyMap<string, number>
  /** Keys whose line is at fault. */
  readonly bad: ReadonlySet<string>
  readonly faults: readonly Fault[]
}

/** The text of a .env, or why its bytes are none: completes "is ...". */
export function decoded(bytes: Buffer): { readonly text: string } | { readonly problem: string } {
  // with its mark, or without: ASCII has a NUL in every other byte there
  const marked = bytes.length > 1 && /^(fffe|feff)/.test(bytes.toString('hex', 0, 2))
  const [even, odd] = [0, 1].map((from) => bytes.filter((byte, at) => at % 2 === from && byte === 0).length)
  const half = bytes.length / 2
  if (marked || (bytes.length > 1 && Math.max(even ?? 0, odd ?? 0) > half * 0.8))
    return { problem: 'UTF-16: save it as UTF-8 (PowerShell: Out-File -Encoding utf8)' }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    return { problem: 'not UTF-8: save it as UTF-8' }
  }
}

// `go help environment`, and what Go's runtime reads; without GOOS and GOARCH, which each build sets
const goVariable =
  /^(GO(111MODULE|AUTH|BIN|CACHE|CACHEPROG|COVERDIR|DEBUG|ENV|EXPERIMENT|FIPS140|FLAGS|INSECURE|MODCACHE|NOPROXY|NOSUMDB|PATH|PRIVATE|PROXY|ROOT|SUMDB|TELEMETRY|TMPDIR|TOOLCHAIN|TOOLDIR|VCS|WORK|386|AMD64|ARM|ARM64|MIPS|MIPS64|PPC64|RISCV64|WASM|GC|MEMLIMIT|MAXPROCS|TRACEBACK)|GO_EXTLINK_ENABLED|CGO_[A-Z_]+|AR|CC|CXX|FC|GCCGO|PKG_CONFIG)$/

/** Whether Go itself reads a variable of that name. */
export function isGoVariable(key: string): boolean {
  return goVariable.test(key)
}

/** Line ends as \n, without a byte order mark: what dotenv makes of the text itself. */
export function normal(text: string): string {
  return text.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n')
}

/**
 * Walks over the lines as dotenv's own expression does (motdotla/dotenv, lib/main.js, LINE) and finds what dotenv passes
 * over in silence: lines that say nothing, open quotes, values cut at a #, duplicates, and keys that look like one of ours.
 */
export function scan(envFile: string, names: readonly string[]): Scan {
  const text = normal(envFile)
  const lines = new Map<string, number>()
  const bad = new Set<string>()
  const faults: Fault[] = []
  let line = 1
  for (let at = 0; at < text.length;) {
    const end = text.indexOf('\n', at) < 0 ? text.length : text.indexOf('\n', at)
    const whole = text.slice(at, end)
    const where = `.env:${line}`
    line += 1
    const [start = '', key = ''] = /^\s*(?:export\s+)?([\w.-]+)(?:[^\S\n]*=|:(?=[^\S\n]))/.exec(whole) ?? []
    const from = at + start.length
    at = end + 1
    if (/[\0\u2028\u2029]/.test(whole)) {
      faults.push({
        where,
        key: '',
        value: whole.trim(),
        problem: 'must not hold NUL or a Unicode line end',
        example: 'KEY=value',
      })
      if (key !== '') bad.add(key)
      continue
    }
    if (/^\s*(#|$)/.test(whole)) continue
    if (start === '') {
      faults.push({
        where,
        key: '',
        value: whole.trim(),
        problem: 'is no line of the form KEY=value',
        example: 'KEY=value',
      })
      continue
    }
    const fault = (value: string, problem: string, example: string) => {
      bad.add(key)
      faults.push({ where, key, value, problem, example })
    }
    const known = names.includes(key) || isGoVariable(key)
    const near = known ? undefined : nearest(key, names)
    const first = lines.get(key)
    const rest = text.slice(from, end)
    const value = rest.trim()

    if (near !== undefined) fault(value, `is not a setting: did you mean ${near}?`, `${near}=${value}`)
    if (first !== undefined) fault(value, `is set twice: line ${first} has it already`, 'one line for each key')
    else lines.set(key, line - 1)

    const quote = /^['"`]/.exec(value)?.[0]
    if (quote !== undefined) {
      const quoted = new RegExp(`[^\\S\\n]*${quote}(?:\\\\${quote}|[^${quote}])*${quote}[^\\S\\n]*(?:#.*)?$`, 'my')
      quoted.lastIndex = from
      const match = quoted.exec(text)?.[0]
      if (match !== undefined) {
        const after = from + match.length
        line += text.slice(end, after).split('\n').length - 1
        at = Math.max(at, after + 1)
      } else if (value.indexOf(quote, 1) < 0)
        fault(value, `has a quote ${quote} that is never closed`, `${key}=${value}${quote}`)
      else fault(value, 'goes on after its closing quote', `${key}=${value.slice(0, value.indexOf(quote, 1) + 1)}`)
      continue
    }
    const hash = rest.indexOf('#')
    if (hash >= 0 && !/\s/.test(rest[hash - 1] ?? ''))
      fault(value, 'would be cut at its #: quote the value, or put a space before a comment', `${key}='${value}'`)
  }
  return { lines, bad, faults }
}

/** The setting that a key looks like, if any: one edit away, two where the key is long. */
function nearest(key: string, names: readonly string[]): string | undefined {
  const limit = key.length < 8 ? 1 : 2
  const upper = key.toUpperCase().replace(/[.-]/g, '_')
  const [best] = names
    .map((name) => ({ key: name, edits: edits(upper, name) }))
    .filter((row) => row.edits <= limit)
    .sort((a, b) => a.edits - b.edits)
  return best?.key
}

/** How many letters to insert, drop, change or swap with their neighbour make b of a. */
function edits(a: string, b: string): number {
  let before: number[] = []
  let above = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? Infinity) + 1 : Infinity
      row.push(Math.min(change, swap, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
    before = above
    above = row
  }
  return above[b.length] ?? 0
}

/** KEY=value as .env takes it: quoted where it has to be. */
export function assignment(key: string, value: string): string {
  if (!/[\s#'"`]/.test(value)) return `${key}=${value}`
  return value.includes("'") ? `${key}="${value}"` : `${key}='${value}'`
}
