// The Debug Adapter Protocol: messages and how they are framed on a socket. Pure.
// https://microsoft.github.io/debug-adapter-protocol/specification
import { isRecord } from '../frame/json.ts'

export interface Request {
  readonly seq: number
  readonly type: 'request'
  readonly command: string
  readonly arguments?: unknown
}

export interface Response {
  readonly seq: number
  readonly type: 'response'
  readonly request_seq: number
  readonly command: string
  readonly success: boolean
  readonly message?: string
  readonly body?: unknown
}

export interface Event {
  readonly seq: number
  readonly type: 'event'
  readonly event: string
  readonly body?: unknown
}

export type Message = Request | Response | Event

const prefix = 'Content-Length:'
const longestHeader = 4096
const longestBody = 256 * 1024 * 1024

/** What a connection speaks, by its first bytes: anything that is neither DAP nor JSON-RPC is refused. */
export function opening(bytes: Buffer): 'dap' | 'rpc' | 'more' | 'refuse' {
  const start = bytes.subarray(0, prefix.length).toString('latin1')
  if (start.startsWith('{')) return 'rpc'
  if (start === prefix) return 'dap'
  return prefix.startsWith(start) ? 'more' : 'refuse'
}

/** A message as it goes over a socket. */
export function encode(message: Message): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  return Buffer.concat([Buffer.from(`${prefix} ${body.length}\r\n\r\n`), body])
}

/** Takes what a socket brings, in whatever pieces, and gives the messages that are whole. Throws Error if it is no DAP. */
export function decoder(): (chunk: Buffer) => Message[] {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const messages: Message[] = []
    for (;;) {
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0 && rest.length > longestHeader) throw new Error('a DAP header without an end')
      if (end < 0) return messages
      const length = Number(/^Content-Length: *(\d+) *$/im.exec(rest.subarray(0, end).toString('latin1'))?.[1])
      if (!(length <= longestBody)) throw new Error('a DAP header without a length')
      const from = end + 4
      if (rest.length < from + length) return messages
      messages.push(message(JSON.parse(rest.subarray(from, from + length).toString('utf8'))))
      rest = rest.subarray(from + length)
    }
  }
}

function message(value: unknown): Message {
  if (isRequest(value) || isResponse(value) || isEvent(value)) return value
  throw new Error('neither a request nor a response nor an event')
}

function isRequest(value: unknown): value is Request {
  return has(value, { seq: 'number', command: 'string' }) && value.type === 'request'
}

function isResponse(value: unknown): value is Response {
  return (
    has(value, { seq: 'number', request_seq: 'number', command: 'string', success: 'boolean' }) &&
    value.type === 'response'
  )
}

function isEvent(value: unknown): value is Event {
  return has(value, { seq: 'number', event: 'string' }) && value.type === 'event'
}

function has(value: unknown, kinds: Readonly<Record<string, string>>): value is Readonly<Record<string, unknown>> {
  if (!isRecord(value)) return false
  return Object.entries(kinds).every(([key, kind]) => typeof value[key] === kind)
}
