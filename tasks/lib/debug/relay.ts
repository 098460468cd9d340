// The relay: what happens to a connection that comes to debug-dev's port. A DAP session is kept over any number of Delves,
// JSON-RPC is passed through, anything else is closed.
import { pause } from '../frame/pause.ts'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Transform } from 'node:stream'
import { decoder, encode, type Message, opening } from './dap.ts'
import type { Link } from './link.ts'
import { type LinkOf, type PathRule, rpcPaths } from './paths.ts'
import { connections, halting, insist, letGo, type ProgramState, programState, type Rpc, rpc } from './rpc.ts'
import { dapSession, type Step } from './dap-session.ts'
import { say } from '../frame/talk.ts'

export interface Relay {
  /** For each connection to the port. */
  readonly visitor: (socket: Socket) => void
  /** A line for the debug console of the IDE. */
  readonly note: (line: string) => void
  /** Takes the breakpoints of those who are connected away, and lets the program run. */
  readonly close: () => Promise<void>
}

const firstWords = 10_000 // ms for a connection to say what it speaks
const rpcPatience = 20_000 // ms that a JSON-RPC client waits for a Delve
const dapPatience = 6_000 // ms that an IDE waits for its first Delve
const entryPatience = 1_000 // ms for --continue to take effect
const configurePatience = 1_500 // ms for an IDE to answer `initialized`
const goodbye = 5_000 // ms for clearing the breakpoints
const insistence = 1_000 // ms without an answer of Delve, which waits for the program to halt

/** `rules` and `linkOf` are the path mapping of an IDE that brings none; `why` says why there is no Delve. */
export function relay(
  link: Link,
  rules: readonly PathRule[],
  why: () => string,
  linkOf: LinkOf = () => undefined,
): Relay {
  const clients = new Set<Socket>()
  /** The DAP session that there is. */
  let current: { readonly note: (line: string) => void; readonly finish: () => void } | undefined
  /** The IDE that is just leaving has gone: a halt that meets it waits for ever. */
  let ending: Promise<unknown> = Promise.resolve()
  let leaving: Promise<void> = Promise.resolve()

  function visitor(socket: Socket): void {
    let head = Buffer.alloc(0)
    const timer = setTimeout(() => socket.destroy(), firstWords)
    socket.on('error', () => undefined) // its close says as much
    socket.on('close', () => clearTimeout(timer))
    socket.setNoDelay(true)
    const listen = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk])
      const speaks = opening(head)
      if (speaks === 'more') return
      clearTimeout(timer)
      socket.off('data', listen)
      if (speaks === 'refuse') {
        say('refused a connection that speaks neither DAP nor JSON-RPC')
        socket.destroy()
        return
      }
      socket.pause()
      socket.unshift(head)
      if (speaks === 'dap') serve(socket, speaks)
      else void ending.then(() => serve(socket, speaks))
    }
    socket.on('data', listen)
  }

  function serve(socket: Socket, speaks: 'dap' | 'rpc'): void {
    clients.add(socket)
    link.busy(true)
    const gone = new AbortController()
    socket.once('close', () => {
      gone.abort()
      clients.delete(socket)
      if (clients.size === 0) leaving = goodBye()
    })
    const work = speaks === 'rpc' ? passThrough(socket, gone.signal) : dap(socket, gone.signal)
    void work.catch((error: unknown) => {
      if (!gone.signal.aborted)
        say(`a connection was given up: ${error instanceof Error ? error.message : String(error)}`)
      socket.destroy()
    })
  }

  /** JSON-RPC: GoLand, dlv connect. */
  async function passThrough(socket: Socket, gone: AbortSignal): Promise<void> {
    await leaving
    const late = AbortSignal.timeout(rpcPatience)
    const delve = await link.connect(AbortSignal.any([gone, late])).catch((error: unknown) => {
      throw late.aborted ? new Error(why()) : error
    })
    delve.once('close', () => socket.destroy())
    socket.once('close', () => delve.destroy())
    let halted = false // as the client believes
    socket.on('data', (chunk) => {
      const words = String(chunk)
      if (words.includes('"RPCServer.Command"')) halted = words.includes('"name":"halt"')
      if (halted) void insistFor(delve, gone)
    })
    const paths = rpcPaths(linkOf)
    socket.pipe(changed(paths.toDelve)).pipe(delve)
    delve.pipe(changed(paths.toClient)).pipe(socket)
  }

  /**
   * A client's halt that meets a program which is just being let go is lost, or undone: the client would wait for ever for
   * the answer, or for that to what it asks next of a program that stands still, as it believes.
   */
  async function insistFor(delve: Socket, gone: AbortSignal): Promise<void> {
    const { another, close } = connections(async () => rpc(await link.connect(gone)))
    // without a Delve nobody is left to wait
    await insist(another, once(delve, 'data', { signal: gone }), insistence).catch(() => undefined)
    close()
  }

  /**
   * Delve halts the program for an attach or a breakpoint, and waits for ever where that halt meets a program which is just
   * being let go: it clears the request as it continues (TargetGroup.Continue in its pkg/proc; measured: 19 of 400 attaches
   * right after a continue). Halts it again, until there is an answer, which waits until Delve has done with that halt: it
   * refuses requests as long.
   */
  async function haltFor(delve: Socket, answered: AbortSignal): Promise<void> {
    for (await pause(insistence); !answered.aborted; await pause(insistence)) {
      const another = await link.connect(answered).then(rpc, () => undefined)
      if (!answered.aborted) {
        delve.pause()
        await another?.call('Command', halting).catch(() => undefined) // lost too, or Delve has ended
        delve.resume()
      }
      another?.close()
    }
  }

  /** DAP: VS Code, nvim-dap, Zed, Helix. Ends with the connection of the IDE. */
  async function dap(socket: Socket, gone: AbortSignal): Promise<void> {
    const session = dapSession(rules, linkOf)
    const decode = decoder()
    let delve: Socket | undefined
    let probe: Rpc | undefined
    let answered: AbortController | undefined
    let unconfigured: NodeJS.Timeout | undefined
    const left = new Promise((resolve) => gone.addEventListener('abort', resolve))
    const take = ({ toDelve, toClient, close, awaitsHalt, awaitsConfiguration, asksState }: Step) => {
      for (const message of toDelve) delve?.write(encode(message))
      for (const message of toClient) socket.write(encode(message))
      if (awaitsHalt !== true) {
        answered?.abort()
        answered = undefined
      } else if (answered === undefined && delve !== undefined) {
        answered = new AbortController()
        void haltFor(delve, answered.signal)
      }
      if (awaitsConfiguration === true) {
        clearTimeout(unconfigured)
        unconfigured = setTimeout(() => take(session.unconfigured()), configurePatience)
      }
      if (asksState === true && probe !== undefined) void stands(probe)
      if (close === 'client') {
        ending = left
        socket.destroySoon()
      }
      if (close !== undefined) delve?.destroy()
    }
    const stands = async (asked: Rpc) => {
      const state = await programState(asked).catch((): ProgramState => ({ kind: 'running' }))
      if (asked === probe) take(session.stands(state)) // else another Delve has come meanwhile
    }
    const each = (decoded: (chunk: Buffer) => Message[], step: (message: Message) => Step, from: Socket) =>
      from.on('data', (chunk: Buffer) => {
        try {
          for (const message of decoded(chunk)) take(step(message))
        } catch (error) {
          from.destroy(error instanceof Error ? error : undefined)
        }
      })

    socket.once('close', () => delve?.destroy())
    each(decode, session.fromClient, socket)
    socket.resume()
    if (current !== undefined) return take(session.refuse('another IDE debugs here already: end its session first'))
    current = { note: (line) => take(session.note(line)), finish: () => take(session.finish()) }
    const late = setTimeout(() => take(session.refuse(why())), dapPatience)
    gone.addEventListener('abort', () => {
      clearTimeout(unconfigured)
      clearTimeout(late)
      current = undefined
    })
    while (!gone.aborted) {
      const found = await ready(gone)
      clearTimeout(late)
      if (gone.aborted) {
        found.probe.close()
        return void found.delve.destroy()
      }
      ;({ delve, probe } = found)
      const closed = new Promise((resolve) => found.delve.once('close', resolve))
      each(decoder(), session.fromDelve, delve)
      take(session.delveUp(found.state))
      await closed
      probe.close()
      probe = undefined
      clearTimeout(unconfigured)
      take(session.delveGone())
      await pause(50)
    }
  }

  /**
   * A DAP connection to a Delve whose program can be attached to, and the one that has asked for its state. Throws where the
   * signal is aborted first.
   */
  async function ready(gone: AbortSignal): Promise<{ delve: Socket; probe: Rpc; state: ProgramState }> {
    for (;;) {
      await leaving
      const probe = rpc(await link.connect(gone))
      try {
        const state = await settledState(probe)
        if (state.kind !== 'gone') return { delve: await link.connect(gone), probe, state }
      } catch {
        // it has ended meanwhile: the next one will do
      }
      probe.close()
      gone.throwIfAborted()
      await pause(100)
    }
  }

  /** An attach before --continue has taken effect is never told of a breakpoint: waits until the program runs. */
  async function settledState(probe: Rpc): Promise<ProgramState> {
    for (const end = Date.now() + entryPatience; ; await pause(20)) {
      const state = await programState(probe)
      if (state.kind !== 'entry' || Date.now() > end) return state
    }
  }

  /** The last client has left: its breakpoints leave with it. */
  async function goodBye(): Promise<void> {
    if (await cleared()) link.busy(clients.size > 0)
  }

  async function cleared(): Promise<boolean> {
    const signal = AbortSignal.timeout(goodbye)
    try {
      // without a Delve there is no breakpoint either
      if (await link.open()) await letGo(async () => rpc(await link.connect(signal)))
      return true
    } catch (error) {
      say(`the breakpoints could not be cleared: ${error instanceof Error ? error.message : error}`)
      return false
    }
  }

  return {
    visitor,
    note: (line) => current?.note(line),
    close: async () => {
      current?.finish()
      const closed = [...clients].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
      for (const socket of clients) socket.destroySoon()
      const late = setTimeout(() => [...clients].forEach((socket) => socket.destroy()), 200)
      await Promise.all(closed)
      clearTimeout(late)
      await leaving
    },
  }
}

/** A stream whose bytes are changed on their way. */
function changed(change: (chunk: Buffer) => Buffer): Transform {
  return new Transform({ transform: (chunk: Buffer, _, done) => done(null, change(chunk)) })
}
