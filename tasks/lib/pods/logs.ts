// Logs: what a pod's program and agent print, line by line, taken up again where a connection ends.
import { pause } from '../frame/pause.ts'
import type { ChildProcess } from 'node:child_process'
import { basename } from 'node:path'
import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import type { Receipt } from '../protocol/receipt.ts'
import { hasForm, HEAD } from '../protocol/rows.ts'
import { isColoured } from '../frame/screen.ts'
import { inWords, say } from '../frame/talk.ts'
import type { From, Pod, Target } from './target.ts'

const firstPause = 200 // ms after a connection that ended; doubled each time
const longestPause = 5_000
const lastWords = 2_000 // ms
const patience = 5_000 // ms for the agent to say its rows
const longest = 64 * 1024 // characters of a line; a longer one is told in parts

export interface Followed {
  /**
   * Follows this pod too, also one that was dropped and is back: from where it was. The logs of local are files, which outlive
   * an agent: they are followed once.
   */
  readonly add: (pod: Pod, from: From | Promise<From>) => void
  /** It is gone: its last words may still be on their way. */
  readonly drop: (pod: Pod) => void
}

/** A line, and whether it is a row of the agent's table. */
export type LineTold = (pod: string, line: string, row: boolean) => void

/** What was heard of a container, over all the times that it is followed. */
interface Heard {
  /** When the last line was printed, as the cluster says it. */
  last: string
  from: From | Promise<From>
  close: (() => void) | undefined
}

/** Follows the output of pods and tells each line, until the task ends. `expected` says of what has the form of a row that it is one. */
export function followed(
  target: Target,
  told: LineTold,
  expected: (pod: string, line: string) => boolean = () => false,
) {
  const known = new Map<string, Heard>()
  const key = ({ name, life }: Pod) => (target.kind === 'local' ? name : `${name} ${life}`)
  const logs: Followed = {
    add: (pod, from) => {
      const heard = known.get(key(pod)) ?? { last: '', from, close: undefined }
      known.set(key(pod), heard)
      heard.close ??= follow(target, pod, heard, apart(target, pod, told, expected))
    },
    drop: (pod) => {
      const heard = target.kind === 'local' ? undefined : known.get(key(pod))
      if (heard?.close === undefined) return
      heard.close()
      heard.close = undefined
      // of one that was silent: what it says until it is back is news too
      if (heard.from === 'now') heard.from = { time: new Date().toISOString(), byte: 0 }
    },
  }
  return logs
}

function follow(target: Target, pod: Pod, heard: Heard, told: (line: string) => void): () => void {
  let going = true
  let child: ChildProcess | undefined
  void keep()
  return () => {
    going = false
    setTimeout(end, lastWords).unref()
  }

  async function keep(): Promise<void> {
    const from = await heard.from
    for (let wait = firstPause; going; wait = Math.min(2 * wait, longestPause)) {
      const begin = heard.last
      // what comes twice is passed over by its time
      child = target.logs(pod, begin === '' ? from : { time: begin, byte: 0 })
      child.once('error', () => undefined)
      child.stderr?.resume()
      if (child.stdout !== null) for await (const line of lines(child.stdout)) take(line)
      if (heard.last !== begin) wait = firstPause
      if (going) await pause(wait, true)
    }
  }

  function take(line: string): void {
    const [, time = '', text = line] = (target.kind === 'kubernetes' && /^(\d{4}-\S+Z) (.*)$/s.exec(line)) || []
    if (time !== '' && time <= heard.last) return
    if (time !== '') heard.last = time
    told(text)
  }

  function end(): void {
    child?.stdout?.destroy()
    child?.kill()
  }
}

/**
 * Tells a pod's lines, each with whether it is a row. A program may print what looks like one: a row is what the agent's table
 * has, and the agent is asked. All lines wait for its answer, so that they stay in order; without one the form decides.
 */
function apart(target: Target, pod: Pod, told: LineTold, expected: (pod: string, line: string) => boolean) {
  const waiting: string[] = []
  const looksSo = (line: string) => hasForm(line, basename(pod.binary))
  return (line: string) => {
    waiting.push(line)
    if (waiting.length === 1) void tell()
  }

  function show(line: string, row: boolean): void {
    try {
      told(pod.name, line, row)
    } catch (error) {
      say(`error: ${inWords(error).message}`) // a line that cannot be shown ends none of the others
    }
  }

  async function tell(): Promise<void> {
    for (let [line] = waiting; line !== undefined; [line] = waiting) {
      if (!looksSo(line) || expected(pod.name, line)) {
        show(line, looksSo(line))
        waiting.shift()
        continue
      }
      const count = waiting.length // what comes later is in no answer yet
      const rows = await rowsOf(target, pod)
      for (const each of waiting.slice(0, count)) show(each, looksSo(each) && rows?.has(each) !== false)
      waiting.splice(0, count)
    }
  }
}

/** The rows of the agent's table; undefined if it does not say: it is gone, or an older one. */
async function rowsOf(target: Target, pod: Pod): Promise<ReadonlySet<string> | undefined> {
  const child = target.exec(pod, [...pod.agent, 'rows', pod.binary])
  child.once('error', () => undefined)
  child.stdin?.on('error', () => undefined).end()
  child.stderr?.resume()
  const timer = setTimeout(() => {
    child.stdout?.destroy()
    child.kill()
  }, patience)
  const rows = new Set<string>()
  if (child.stdout !== null) for await (const line of lines(child.stdout)) rows.add(line)
  clearTimeout(timer)
  return rows.has(HEAD) ? rows : undefined
}

/** The lines of a stream; ends with it, also where it breaks. */
async function* lines(stream: Readable): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  try {
    for await (const chunk of stream) {
      rest += decoder.write(Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk)))
      const whole = rest.split('\n')
      rest = whole.pop() ?? ''
      yield* whole
      if (rest.length > longest) {
        yield rest
        rest = ''
      }
    }
  } catch {
    // closed from here
  }
  if (rest !== '') yield rest
}

/** Where the output of the last swap begins. */
export function sinceSwap({ values }: Receipt): From {
  const time = values.get('deployed') ?? ''
  return time === '' ? 'start' : { time, byte: Number(values.get('logfrom') ?? 0) }
}

const colours = [36, 33, 35, 32, 34, 31] // cyan, yellow, magenta, green, blue, red

/**
 * Names in front of lines: as wide as the longest so far, on a terminal each in a colour of its own, the table dim. What several
 * pods say has all their names.
 */
export function prefixes(stream: { readonly isTTY?: boolean }) {
  const coloured = isColoured(stream)
  const seen = new Map<string, number>()
  return (pods: readonly string[], line: string, row = false) => {
    const [pod = ''] = pods
    if (pods.length > 1) return `${pods.join(', ')} | ${line}`
    if (!seen.has(pod)) seen.set(pod, seen.size)
    const name = pod.padEnd(Math.max(...[...seen.keys()].map(({ length }) => length)))
    if (!coloured) return `${name} | ${line}`
    const colour = colours[(seen.get(pod) ?? 0) % colours.length]
    return `\x1b[${colour}m${name} |\x1b[0m ${row ? `\x1b[2m${line}\x1b[0m` : line}`
  }
}
