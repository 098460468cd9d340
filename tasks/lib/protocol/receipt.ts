// What the agent says: blocks of key=value lines, each ended by an empty line. Nothing in it is trusted to be well-formed.
import type { Readable } from 'node:stream'
import { clean, UserError } from '../frame/talk.ts'

/** The protocol number of the agent that these tasks know. */
export const protocol = 2

/** One block: a greeting or a receipt. */
export interface Receipt {
  /**
   * The first value of each key, without control characters. `reported` is the reason in the agent's report where one of this
   * moment stands before it: a binary that is back after a crash can be halted.
   */
  readonly values: ReadonlyMap<string, string>
  /** The last output of a program that crashed. */
  readonly log: readonly string[]
}

const longest = 64 * 1024 // characters of one block: a receipt has 8 KiB of log at most

/**
 * The blocks that an agent prints, as they come; `wait` is told of each wait= line. Ends with the stream. Throws UserError
 * where what comes can be no agent's: a block without an end.
 */
export async function* receipts(
  stream: Readable,
  wait: (what: string) => void = () => undefined,
): AsyncGenerator<Receipt> {
  let rest = ''
  let length = 0
  let values = new Map<string, string>()
  let log: string[] = []
  stream.setEncoding('utf8')
  for await (const chunk of stream) {
    rest += String(chunk)
    length += String(chunk).length
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end)
      rest = rest.slice(end + 1)
      if (line === '') {
        yield { values, log }
        values = new Map()
        log = []
        length = rest.length
        continue
      }
      // s: a carriage return in a value is no end of it
      const [, key = '', value = ''] = /^([a-z0-9-]+)=(.*)$/s.exec(line) ?? []
      if (key === 'wait') {
        length -= line.length + 1 // it may say so for as long as it likes
        wait(clean(value))
      } else if (key === 'log') log.push(clean(value))
      else if (key !== '' && !values.has(key)) values.set(key, clean(value))
      else if (key === 'reason') values.set('reported', clean(value))
    }
    if (length > longest) throw new UserError('its answer has no end: is that the agent?')
  }
}

/** Why the result is what it is; empty where nothing is to be said. */
export function reasonOf({ values }: Receipt): string {
  return (values.get('result') === 'rolled-back' && values.get('reported')) || (values.get('reason') ?? '')
}

/** Version and 8 digits of the hash, as every task shows a binary. */
export function binaryWords({ values }: Receipt): string {
  return [values.get('version') ?? '', (values.get('sha256') ?? '').slice(0, 8)].filter((word) => word !== '').join(' ')
}

/** How many connections have waited for the new program, and for how many seconds at most; undefined if it is not known. */
export function waited({ values }: Receipt): { readonly connections: number; readonly seconds: number } | undefined {
  const [, connections, seconds] = /^(\d+) (\d+\.\d\d)$/.exec(values.get('waited') ?? '') ?? []
  return connections === undefined ? undefined : { connections: Number(connections), seconds: Number(seconds) }
}

/** `3 connections waited, 0.41 s at most` */
export function waitWords({
  connections,
  seconds,
}: {
  readonly connections: number
  readonly seconds: number
}): string {
  return `${connections} connection${connections === 1 ? '' : 's'} waited, ${seconds.toFixed(2)} s at most`
}

/** The version of an agent and the number of its protocol, as it says them: `0.1.0 1`; empty and NaN if it does not. */
export function agentVersion({ values }: Receipt): { readonly version: string; readonly protocol: number } {
  const [version = '', number] = (values.get('agent') ?? '').split(' ')
  return { version, protocol: Number(number) }
}

/** How a binary is sent. */
export type Encoding = 'raw' | 'gzip' | 'delta'
/** How all of a file goes. */
export type Whole = 'raw' | 'gzip'
