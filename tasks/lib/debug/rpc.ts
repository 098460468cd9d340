// Delve's JSON-RPC, as much of it as the relay needs: whether the program runs, and letting it go when the IDE has left.
import { pause } from '../frame/pause.ts'
import type { Socket } from 'node:net'
import { at, items, text } from '../frame/json.ts'

/** A connection of our own to Delve. */
export interface Rpc {
  /** Calls one method. Throws Error with Delve's words, or where no answer comes within `limit` ms. */
  readonly call: (method: string, argument: unknown, limit?: number) => Promise<unknown>
  readonly close: () => void
}

const patience = 5_000 // ms
/** The argument of `Command` that halts the program. */
export const halting = { name: 'halt' }
const insistence = 300 // ms
const underway = 200 // ms from Delve's word that the program runs until it does: a halt in between is lost

/** Speaks JSON-RPC over a socket. */
export function rpc(socket: Socket): Rpc {
  const waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  let count = 0
  let rest = ''
  const fail = (error: Error) => {
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }
  socket.setEncoding('utf8')
  socket.on('data', (part) => {
    const lines = (rest + String(part)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const answer = parsed(line)
      const call = waiting.get(Number(text(answer, 'id')))
      waiting.delete(Number(text(answer, 'id')))
      const error = at(answer, 'error')
      if (error === undefined || error === null) call?.resolve(at(answer, 'result'))
      else call?.reject(new Error(String(error)))
    }
  })
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('Delve closed the connection')))
  return {
    call: (method, argument, limit = patience) =>
      new Promise((resolve, reject) => {
        const id = (count += 1)
        const timer = setTimeout(() => {
          waiting.delete(id)
          reject(new Error(`Delve does not answer ${method}`))
        }, limit)
        waiting.set(id, {
          resolve: (result) => (clearTimeout(timer), resolve(result)),
          reject: (error) => (clearTimeout(timer), reject(error)),
        })
        socket.write(`${JSON.stringify({ method: `RPCServer.${method}`, params: [argument], id })}\n`)
      }),
    close: () => void socket.destroy(),
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** What Delve has under it, as far as an IDE that attaches needs to know. */
export type ProgramState =
  | { readonly kind: 'running' }
  /** At its entry: it waits for a client (DEBUG_WAIT), or --continue has not taken effect yet. */
  | { readonly kind: 'entry' }
  /** `panic` is the name of the breakpoint of Delve's own that it stands at, at the end of a panic; empty elsewhere. */
  | { readonly kind: 'halted'; readonly goroutine: number; readonly panic: string }
  | { readonly kind: 'gone' }

/** Asks Delve for the state of the program, without waiting for it to halt. */
export async function programState({ call }: Rpc): Promise<ProgramState> {
  let state: unknown
  try {
    state = at(await call('State', { NonBlocking: true }), 'State')
  } catch (error) {
    if (error instanceof Error && /has exited|detached/.test(error.message)) return { kind: 'gone' }
    throw error
  }
  if (at(state, 'Running') === true) return { kind: 'running' }
  if (at(state, 'exited') === true) return { kind: 'gone' }
  if (text(state, 'stopReason') === 'launched') return { kind: 'entry' }
  // where a halt comes together with a panic, another thread may be the current one
  const thread = [at(state, 'currentThread'), ...items(state, 'Threads')].find((each) => panicOf(each) !== '')
  const goroutine = Number(text(thread, 'goroutineID') || text(state, 'currentGoroutine', 'id') || 1)
  return { kind: 'halted', goroutine, panic: panicOf(thread) }
}

function panicOf(thread: unknown): string {
  const name = text(thread, 'breakPoint', 'name')
  return name === 'unrecovered-panic' || name === 'runtime-fatal-throw' ? name : ''
}

/** Makes connections that are closed together: a halt that meets a client which is just leaving waits for ever. */
export function connections(connect: () => Promise<Rpc>): {
  readonly another: () => Promise<Rpc>
  readonly close: () => void
} {
  const opened: Rpc[] = []
  return {
    another: async () => {
      const one = await connect()
      opened.push(one)
      return one
    },
    close: () => opened.forEach((one) => one.close()),
  }
}

/**
 * Halts the program again and again, each time over another connection, until something is answered. Delve answers nothing
 * while the program runs, and a halt that meets it in a bad moment is lost. Whoever calls closes the connections, afterwards.
 * Throws what `another` throws.
 */
export async function insist(another: () => Promise<Rpc>, answered: Promise<unknown>, every: number): Promise<void> {
  const over = answered.then(
    () => true,
    () => true,
  )
  while (!(await Promise.race([over, pause(every).then(() => false)])))
    void (await another()).call('Command', halting).catch(() => undefined)
}

/**
 * Clears every breakpoint that a client has set and lets the program run. `connect` makes a connection of its own each
 * time: a halt that meets a client which is just leaving waits for ever, and a second one releases it. Throws Error.
 */
export async function letGo(connect: () => Promise<Rpc>): Promise<void> {
  const { another, close } = connections(connect)
  try {
    const own = await another()
    const insisted = async (method: string, argument: unknown): Promise<unknown> => {
      const answer = own.call(method, argument)
      await insist(another, answer, insistence)
      return answer
    }
    if ((await programState(own)).kind === 'gone') return
    await insisted('Command', halting)
    for (const breakpoint of items(await insisted('ListBreakpoints', { All: false }), 'Breakpoints'))
      // those below 1 are Delve's own: panics and fatal errors
      if (Number(at(breakpoint, 'id')) > 0) await insisted('ClearBreakpoint', { Id: at(breakpoint, 'id') })
    // the answer comes when the program halts again: nobody waits for it
    own.call('Command', { name: 'continue' }, 60_000).catch(() => undefined)
    // whoever comes next must not meet it halted
    const witness = await another()
    for (const end = Date.now() + patience; Date.now() < end; await pause(20)) {
      const { kind } = await programState(witness)
      if (kind === 'gone') return
      if (kind === 'running') return await pause(underway)
    }
  } finally {
    close()
  }
}
