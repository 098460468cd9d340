// One IDE's DAP session over many Delves: messages in, messages out. Pure: the sockets are relay.ts's.
//
// The IDE holds one connection to us from its attach to its disconnect. Behind it, each swap ends one Delve and starts
// another. To each new one we say what the IDE said first, `initialize` and `attach`, and keep the answers for ourselves; its
// `initialized` event goes on to the IDE, which sends its breakpoints again, at the lines where they are now, and
// `configurationDone`, as after any attach. Between two Delves the IDE is told that the program runs, and each request
// gets an honest answer from us.
import { type Event, type Message, type Request, type Response } from './dap.ts'
import { at, isRecord, items, text } from '../frame/json.ts'
import { type LinkOf, moved, type PathRule } from './paths.ts'
import type { ProgramState } from './rpc.ts'

/** What is to be done after a step, in this order. */
export interface Step {
  readonly toDelve: readonly Message[]
  readonly toClient: readonly Message[]
  /** The connection that is to be closed then: the IDE has left, or this Delve cannot be attached to. */
  readonly close?: 'client' | 'delve'
  /** Delve has been asked what it halts the program for, and has not answered. */
  readonly awaitsHalt?: boolean
  /** `initialized` of a later Delve went to the IDE: unless it begins to configure soon, call `unconfigured`. */
  readonly awaitsConfiguration?: boolean
  /** The attach has halted the program, and the IDE is armed: call `stands` with the state of the program. */
  readonly asksState?: boolean
}

export interface DapSession {
  readonly fromClient: (message: Message) => Step
  readonly fromDelve: (message: Message) => Step
  /** A Delve has been connected, whose program is in that state. */
  readonly delveUp: (state: ProgramState) => Step
  /** How the program stands since the attach has halted it: it is shown so, or goes on. */
  readonly stands: (state: ProgramState) => Step
  readonly delveGone: () => Step
  /** A line for the IDE's debug console. */
  readonly note: (line: string) => Step
  /** No Delve came in time for an IDE that has just connected: says so and ends the session. */
  readonly refuse: (why: string) => Step
  /** The IDE has ignored `initialized`: what it last set is set again, and the program goes on. */
  readonly unconfigured: () => Step
  /** debug-dev ends. */
  readonly finish: () => Step
}

/**
 * away: no Delve; greeting: `initialize` and `attach` are on their way; configuring: from `initialized` to
 * `configurationDone`; live: the IDE debugs.
 */
type Phase = 'away' | 'greeting' | 'configuring' | 'live'

/** The requests that Delve halts a running program for, before it answers. */
const needsHalt = /^(attach|pause|set(Function|Instruction)?Breakpoints)$/
const retry = 'the program is being replaced - try again in a moment'

/**
 * A session for an IDE that has just connected. `rules` are the path mapping of one that brings none, and `linkOf` says
 * through which symbolic link such a one has opened the sources.
 */
export function dapSession(rules: readonly PathRule[] = [], linkOf: LinkOf = () => undefined): DapSession {
  let opened = linkOf()
  let phase: Phase = 'away'
  let state: ProgramState = { kind: 'running' }
  let initialize: Request | undefined
  let attach: Request | undefined
  /** The requests that Delve has not answered, by the number that it knows them by. `ours`: the IDE is not told. */
  const open = new Map<number, { readonly request: Request; readonly ours: boolean }>()
  /** The first two requests, until the IDE has their answers. */
  const owed = new Set<Request>()
  /** What the IDE set last, in case it does not do so again by itself. */
  const settings = new Map<string, Request>()
  /** This Delve has answered `initialize`. */
  let introduced = false
  /** How often `initialized` went to the IDE. */
  let attaches = 0
  /** The IDE has begun to configure this Delve. */
  let begun = false
  /** Why there is no session; empty if there is one. */
  let refusal = ''
  /** From the Restart button until the new program goes on. */
  let restarting = false
  let stoppedThread = 1
  let toClientSeq = 0
  let toDelveSeq = 0

  let toDelve: Message[] = []
  let toClient: Message[] = []
  let close: Step['close']
  let awaitsConfiguration = false
  let asksState = false

  function step(body: () => void): Step {
    toDelve = []
    toClient = []
    close = undefined
    awaitsConfiguration = false
    asksState = false
    body()
    const awaitsHalt = [...open.values()].some(({ request }) => needsHalt.test(request.command))
    return { toDelve, toClient, ...(close === undefined ? {} : { close }), awaitsHalt, awaitsConfiguration, asksState }
  }

  // --- what goes out ---

  function event(name: string, body: unknown): void {
    toClient.push({ seq: (toClientSeq += 1), type: 'event', event: name, body: forClient(body) })
  }

  function respond(request: Request, answer: Pick<Response, 'success' | 'message' | 'body'>): void {
    const { seq, command } = request
    const { body, ...rest } = answer
    const shown = body === undefined ? {} : { body: forClient(body) }
    toClient.push({ seq: (toClientSeq += 1), type: 'response', request_seq: seq, command, ...rest, ...shown })
    owed.delete(request)
  }

  function fail(request: Request, why: string, showUser = false): void {
    respond(request, { success: false, message: why, body: { error: { id: 1, format: why, showUser } } })
  }

  /** The link through which the IDE has opened the sources; undefined if there is none, or it maps its paths itself. */
  function link(): PathRule | undefined {
    return opened === undefined || opened.from === opened.to || mapsItself() ? undefined : opened
  }

  function mapsItself(): boolean {
    return items(attach?.arguments, 'substitutePath').length > 0
  }

  function forClient(body: unknown): unknown {
    const rule = link()
    return rule === undefined ? body : movedIn(body, /^path$/, { from: rule.to, to: rule.from })
  }

  function forDelve(argument: unknown): unknown {
    const rule = link()
    // a function breakpoint may be named FILE:LINE
    return rule === undefined ? argument : movedIn(argument, /^(path|name)$/, rule)
  }

  function ask(request: Request, { ours = false, ...changed }: { ours?: boolean; arguments?: unknown } = {}): void {
    const seq = (toDelveSeq += 1)
    open.set(seq, { request, ours })
    const asked = { ...request, ...changed }
    toDelve.push({ ...asked, ...('arguments' in asked ? { arguments: forDelve(asked.arguments) } : {}), seq })
  }

  function say(line: string): void {
    event('output', { category: 'console', output: `hotswap-dev: ${line}\n` })
  }

  // --- the IDE's requests ---

  function fromClient(message: Message): void {
    if (message.type !== 'request') return
    const path = text(message.arguments, 'source', 'path')
    if (path !== '') opened = linkOf(path) ?? opened
    if (refusal !== '') return reject(message)
    if (message.command === 'initialize') initialize = message
    if (message.command === 'attach') attach = message
    if ((message === initialize || message === attach) && (phase === 'away' || phase === 'greeting')) {
      owed.add(message)
      if (phase === 'greeting' && (message === initialize || introduced || initialize === undefined)) greet(message)
      return
    }
    const key = settingKey(message)
    if (key !== undefined) settings.set(key, message)
    if (phase === 'configuring') begun = true
    if (message.command === 'disconnect' || message.command === 'terminate') return leave(message)
    if (phase === 'away' || phase === 'greeting') return answerAway(message)
    if (message.command === 'restart') return restart(message)
    if (message.command === 'configurationDone') return configured(message)
    ask(message)
  }

  /**
   * The IDE leaves: the answer is ours, since Delve's would leave the program as it is, and `terminateDebuggee` would end it
   * for the whole team. The relay clears the breakpoints once the connections are closed.
   */
  function leave(request: Request): void {
    if (request.command === 'disconnect') say('the breakpoints leave with this session, the program runs on')
    respond(request, { success: true })
    event('terminated', {})
    close = 'client'
  }

  /** Between two Delves: what can be promised is, anything else is refused. */
  function answerAway(request: Request): void {
    const { command, arguments: argument } = request
    switch (command) {
      case 'configurationDone': // an IDE ends its session where this one fails
      case 'setExceptionBreakpoints':
      case 'restart':
        return respond(request, { success: true })
      case 'continue':
        return respond(request, { success: true, body: { allThreadsContinued: true } })
      case 'threads': // as Delve answers while the program runs
        return respond(request, { success: true, body: { threads: [{ id: -1, name: 'Current' }] } })
      case 'setBreakpoints':
      case 'setFunctionBreakpoints':
      case 'setInstructionBreakpoints':
      case 'setDataBreakpoints':
        return respond(request, {
          success: true,
          body: {
            breakpoints: items(argument, 'breakpoints').map((breakpoint) => ({
              verified: false,
              message: 'set as soon as the new program runs',
              ...(typeof at(breakpoint, 'line') === 'number' ? { line: at(breakpoint, 'line') } : {}),
            })),
          },
        })
      default:
        return fail(request, retry)
    }
  }

  /**
   * The Restart button. An IDE sends its attach arguments with it, for which Delve tries a rebuild, after it has killed the
   * program. As a launch without a rebuild, Delve starts the same file again, on the same connection and with the
   * breakpoints kept. The agent has no such verb: a program that ends behind Delve's back counts as crashed there.
   */
  function restart(request: Request): void {
    const { args: _, ...kept } = attachArguments()
    restarting = true
    state = { kind: 'running' }
    ask(request, { arguments: { arguments: { ...kept, request: 'launch', rebuild: false } } })
  }

  /** A second one, from a configuration that a swap has overtaken, would be refused, and the IDE would end the session. */
  function configured(request: Request): void {
    if (phase === 'live') return respond(request, { success: true })
    phase = 'live'
    ask(request)
  }

  // --- Delve's answers and events ---

  function fromDelve(message: Message): void {
    if (message.type === 'response') answered(message)
    if (message.type === 'event') happened(message)
  }

  function answered(response: Response): void {
    const { request_seq, command, success, message, body } = response
    const asked = open.get(request_seq)
    open.delete(request_seq)
    if (asked === undefined) {
      // Delve acknowledges a restart first and refuses it afterwards
      if (command !== 'restart' || success) return
      restarting = false
      return say(`the restart failed: ${reasonOf(response)}`)
    }
    if (asked.request === initialize || asked.request === attach) return greeted(asked.request, response)
    if (command === 'configurationDone') {
      restarting = false
      if (!success) {
        // an IDE ends its session where this one fails; the next attach meets another state
        close = 'delve'
        return respond(asked.request, { success: true })
      }
    }
    if (asked.ours) return
    respond(asked.request, {
      success,
      ...(message === undefined ? {} : { message }),
      ...(body === undefined ? {} : { body }),
    })
  }

  /** An answer to `initialize` or `attach`: the IDE's the first time, ours ever after. */
  function greeted(request: Request, response: Response): void {
    const { success, message, body } = response
    const first = owed.has(request)
    if (!success && (!first || /has exited|no such process/.test(reasonOf(response)))) {
      close = 'delve' // its program has just ended: there will be another
      return
    }
    if (first)
      respond(request, {
        success,
        ...(message === undefined ? {} : { message }),
        ...(body === undefined ? {} : { body }),
      })
    if (request !== initialize || !success) return
    introduced = true
    if (attach !== undefined) greet(attach)
  }

  function greet(request: Request): void {
    if (request !== attach) return ask(request)
    // Delve would let any program go on, also one that another client has halted, or that has panicked in this moment
    ask(request, { arguments: { ...attachArguments(), stopOnEntry: true } })
  }

  function attachArguments(): Readonly<Record<string, unknown>> {
    const given = record(attach?.arguments)
    return rules.length === 0 || mapsItself() ? given : { ...given, substitutePath: rules }
  }

  function happened({ event: name, body }: Event): void {
    switch (name) {
      case 'initialized':
        phase = 'configuring'
        begun = false
        attaches += 1
        awaitsConfiguration = attaches > 1
        return event(name, body)
      case 'exited':
      case 'terminated': // a swap has ended it, or the agent starts it again: the session goes on
        return
      case 'stopped':
        return stopped(body)
      case 'output':
        return isGreeting(body) ? undefined : event(name, body)
      case 'capabilities':
        return event(name, {
          ...record(body),
          capabilities: { ...record(at(body, 'capabilities')), supportTerminateDebuggee: false },
        })
      default:
        return event(name, body)
    }
  }

  /** What Delve says at each attach, and has said at the first. */
  function isGreeting(body: unknown): boolean {
    const again = attaches > (phase === 'greeting' ? 0 : 1)
    return again && /^Type 'dlv help'|^Warning: debugging executable built with trimpath/.test(text(body, 'output'))
  }

  function stopped(body: unknown): void {
    // the halt that a restart begins with, which Delve tells when the new program is there already
    if (restarting && text(body, 'reason') === 'pause') return
    if (text(body, 'reason') === 'entry') asksState = true
    else show(record(body))
  }

  function show(body: Readonly<Record<string, unknown>>): void {
    stoppedThread = Number(at(body, 'threadId')) || stoppedThread
    event('stopped', body)
  }

  function stands(now: ProgramState): void {
    // undefined if nothing but the attach has halted it
    const halted = state.kind === 'halted' ? state : now.kind === 'halted' && now.panic !== '' ? now : undefined
    const body = { threadId: halted?.goroutine ?? 1, allThreadsStopped: true }
    if (halted?.panic) show({ ...body, reason: 'exception', description: halted.panic })
    else if (halted !== undefined) show({ ...body, reason: 'breakpoint' })
    else if (at(attach?.arguments, 'stopOnEntry') === true) show({ ...body, reason: 'entry' })
    else ask({ seq: 0, type: 'request', command: 'continue', arguments: { threadId: body.threadId } }, { ours: true })
  }

  // --- Delves come and go ---

  function delveUp(found: ProgramState): void {
    phase = 'greeting'
    state = found
    restarting = false
    introduced = false
    open.clear()
    toDelveSeq = 0
    if (initialize !== undefined) greet(initialize)
  }

  function delveGone(): void {
    const attached = attaches > 0
    const unanswered = [...open.values()].filter(
      ({ ours, request }) => !ours && request !== initialize && request !== attach,
    )
    const before = phase
    phase = 'away'
    restarting = false
    open.clear()
    for (const { request } of unanswered) answerAway(request)
    if (attached && before !== 'away' && before !== 'greeting')
      event('continued', { threadId: stoppedThread, allThreadsContinued: true })
  }

  function refuse(why: string): void {
    refusal = why
    const [first] = owed
    if (first !== undefined) reject(first)
  }

  function reject(request: Request): void {
    fail(request, refusal, true)
    event('terminated', {})
    close = 'client'
  }

  function unconfigured(): void {
    if (phase !== 'configuring' || begun) return
    for (const request of settings.values()) ask(request, { ours: true })
    phase = 'live'
    ask({ seq: 0, type: 'request', command: 'configurationDone' }, { ours: true })
    say('this IDE does not send its breakpoints again by itself: those that it sent last are set')
  }

  function finish(): void {
    if (attaches > 0) say('debug-dev has ended: the breakpoints are gone, the program runs on')
    event('terminated', {})
    close = 'client'
  }

  return {
    fromClient: (message) => step(() => fromClient(message)),
    fromDelve: (message) => step(() => fromDelve(message)),
    delveUp: (found) => step(() => delveUp(found)),
    stands: (found) => step(() => stands(found)),
    delveGone: () => step(delveGone),
    note: (line) => step(() => void (attaches > 0 && say(line))),
    refuse: (why) => step(() => refuse(why)),
    unconfigured: () => step(unconfigured),
    finish: () => step(finish),
  }
}

/** Which of the IDE's settings a request replaces; undefined if it is none. */
function settingKey({ command, arguments: argument }: Request): string | undefined {
  if (!/^set(Function|Instruction|Exception|Data)?Breakpoints$/.test(command)) return undefined
  return `${command} ${text(argument, 'source', 'path')}`
}

function reasonOf({ message, body }: Response): string {
  return text(body, 'error', 'format') || (message ?? 'Delve gave no reason')
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {}
}

/** A message's body, with the paths under these keys moved from one folder to another. */
function movedIn(value: unknown, keys: RegExp, rule: PathRule): unknown {
  if (Array.isArray(value)) return value.map((each: unknown) => movedIn(each, keys, rule))
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      typeof each === 'string' && keys.test(key) ? moved(each, rule) : movedIn(each, keys, rule),
    ]),
  )
}
