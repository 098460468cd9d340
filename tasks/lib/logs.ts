// Logs: what a pod's program and agent print, line by line, taken up again where a connection ends.
import type { Readable } from 'node:stream'
import { StringDecoder } from 'node:string_decoder'
import type { Receipt } from './receipt.ts'
import { environment } from './settings.ts'
import { inWords, say } from './task.ts'
import type { From, Pod, Target } from './target.ts'

const firstPause = 200 // ms after a connection that ended; doubled each time
const longestPause = 5_000
const lastWords = 2_000 // ms
const longest = 64 * 1024 // characters of a line; a longer one is told in parts

export interface Followed {
  /** Follows this pod too. The logs of local are files, which outlive an agent: they are followed once. */
  readonly add: (pod: Pod, from: From) => void
  /** It is gone: its last words may still be on their way. */
  readonly drop: (pod: Pod) => void
}

/** Follows the output of pods and tells each line, until the task ends. */
export function followed(target: Target, told: (pod: string, line: string) => void): Followed {
  const present = new Map<string, { readonly close: () => void }>()
  const key = ({ name, life }: Pod) => (target.kind === 'local' ? name : `${name} ${life}`)
  return {
    add: (pod, from) => {
      if (!present.has(key(pod)))
        present.set(
          key(pod),
          follow(target, pod, from, (line) => told(pod.name, line)),
        )
    },
    drop: (pod) => {
      if (target.kind !== 'local') present.get(key(pod))?.close()
    },
  }
}

function follow(target: Target, pod: Pod, from: From, told: (line: string) => void): { readonly close: () => void } {
  let going = true
  let last = '' // when the last line was printed, as the cluster says it
  let child = target.logs(pod, from)
  void keep()
  return {
    close: () => {
      going = false
      setTimeout(end, lastWords).unref()
    },
  }

  async function keep(): Promise<void> {
    for (let pause = firstPause; going; pause = Math.min(2 * pause, longestPause)) {
      child.once('error', () => undefined)
      child.stderr?.resume()
      const begin = last
      if (child.stdout) for await (const line of lines(child.stdout)) take(line)
      if (last !== begin) pause = firstPause
      if (going) await new Promise((resolve) => setTimeout(resolve, pause).unref())
      // what comes twice is passed over by its time
      if (going) child = target.logs(pod, last === '' ? from : { time: last, byte: 0 })
    }
  }

  function take(line: string): void {
    const [, time = '', text = line] = (target.kind === 'kubernetes' && /^(\d{4}-\S+Z) (.*)$/s.exec(line)) || []
    if (time !== '' && time <= last) return
    if (time !== '') last = time
    try {
      told(text)
    } catch (error) {
      say(`error: ${inWords(error).message}`) // a line that cannot be shown ends none of the others
    }
  }

  function end(): void {
    child.stdout?.destroy()
    child.kill()
  }
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

/** Whether a line is one of the agent's table. */
export function isTable(line: string): boolean {
  return /^(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\t[A-Z]+|DATE\tTYPE)\t/.test(line)
}

const colours = [36, 33, 35, 32, 34, 31] // cyan, yellow, magenta, green, blue, red

/** Names in front of lines: as wide as the longest so far, on a terminal each in a colour of its own, the table dim. */
export function prefixes(stream: { readonly isTTY?: boolean }): (pod: string, line: string) => string {
  const { NO_COLOR = '' } = environment()
  const coloured = stream.isTTY === true && NO_COLOR === ''
  const seen = new Map<string, number>()
  return (pod, line) => {
    if (!seen.has(pod)) seen.set(pod, seen.size)
    const name = pod.padEnd(Math.max(...[...seen.keys()].map(({ length }) => length)))
    if (!coloured) return `${name} | ${line}`
    const colour = colours[(seen.get(pod) ?? 0) % colours.length]
    return `\x1b[${colour}m${name} |\x1b[0m ${isTable(line) ? `\x1b[2m${line}\x1b[0m` : line}`
  }
}
