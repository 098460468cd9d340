// A DAP client that behaves as VS Code does: the requests of its attach in its order, its breakpoints again at each `initialized`.
import { connect, type Socket } from 'node:net'
import { decoder, encode, type Event, type Message, type Response } from '../../tasks/lib/debug/dap.ts'
import { at, items, text } from '../../tasks/lib/frame/json.ts'
import { patience, within } from './pace.ts'

/** A breakpoint of the editor: it follows the text, so its line is asked for each time. */
export interface Mark {
  readonly path: string
  readonly line: () => number
  readonly more?: Readonly<Record<string, unknown>>
}

export class DapClient {
  readonly events: Event[] = []
  readonly log: string[] = []
  /** The breakpoints of the last answer to setBreakpoints. */
  verified: readonly unknown[] = []
  closed = false
  /** Does not answer `initialized` after the first one (Zed). */
  deaf = false
  private seq = 0
  private configured = 0
  private read = 0
  private readonly waiting = new Map<number, (response: Response) => void>()
  private constructor(
    private readonly socket: Socket,
    readonly marks: Mark[],
    private readonly functions: readonly string[],
  ) {}

  /** Connects and attaches; the session is configured when this returns. */
  static async attach(port: number, marks: Mark[], options: { functions?: string[]; arguments?: object } = {}) {
    const client = await DapClient.connect(port, marks, options.functions)
    await client.request('initialize', {
      clientID: 'vscode',
      clientName: 'Visual Studio Code',
      adapterID: 'go',
      pathFormat: 'path',
      linesStartAt1: true,
      columnsStartAt1: true,
      supportsVariableType: true,
      supportsVariablePaging: true,
      supportsRunInTerminalRequest: true,
      locale: 'en',
    })
    const attached = client.request('attach', {
      name: 'hotswap-dev',
      type: 'go',
      request: 'attach',
      mode: 'remote',
      host: '127.0.0.1',
      port,
      debugAdapter: 'dlv-dap',
      ...options.arguments,
    })
    await attached
    await client.until('configured', () => client.configured > 0)
    return client
  }

  static async connect(port: number, marks: Mark[] = [], functions: readonly string[] = []) {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    const client = new DapClient(socket, marks, functions)
    const decode = decoder()
    socket.on('data', (chunk) => decode(chunk).forEach((message) => client.receive(message)))
    socket.on('error', () => {})
    socket.on('close', () => (client.closed = true))
    return client
  }

  private receive(message: Message): void {
    this.log.push(`< ${JSON.stringify(message).slice(0, 400)}`)
    if (message.type === 'response') {
      this.waiting.get(message.request_seq)?.(message)
      this.waiting.delete(message.request_seq)
    }
    if (message.type !== 'event') return
    this.events.push(message)
    if (message.event === 'initialized' && !(this.deaf && this.configured > 0)) void this.configure()
  }

  /** What VS Code does at each `initialized`. */
  private async configure(): Promise<void> {
    const paths = [...new Set(this.marks.map(({ path }) => path))]
    for (const path of paths) await this.setBreakpoints(path)
    await this.request('setFunctionBreakpoints', { breakpoints: this.functions.map((name) => ({ name })) })
    await this.request('setExceptionBreakpoints', { filters: ['unrecovered-panic', 'runtime-fatal-throw'] })
    const { success, message } = await this.request('configurationDone')
    if (!success) return void this.fatal(`configurationDone failed: ${message}`)
    await this.request('threads')
    this.configured += 1
  }

  private fatal(why: string): void {
    this.log.push(`! ${why}`) // VS Code ends its session then
    this.socket.destroy()
  }

  async setBreakpoints(path: string): Promise<void> {
    const breakpoints = this.marks
      .filter((mark) => mark.path === path)
      .map(({ line, more }) => ({ line: line(), ...more }))
    const { body } = await this.request('setBreakpoints', {
      source: { name: path.split('/').at(-1), path },
      lines: breakpoints.map(({ line }) => line),
      breakpoints,
      sourceModified: false,
    })
    this.verified = items(body, 'breakpoints')
  }

  get configurations(): number {
    return this.configured
  }

  request(command: string, argument?: unknown): Promise<Response> {
    const seq = (this.seq += 1)
    const message: Message = { seq, type: 'request', command, arguments: argument }
    this.log.push(`> ${JSON.stringify(message).slice(0, 400)}`)
    this.socket.write(encode(message))
    const answer = new Promise<Response>((resolve) => void this.waiting.set(seq, resolve))
    return within(20, answer, () => `an answer to ${command}\n${this.story()}`)
  }

  /** The next event of that name which nobody has waited for yet; an error once something has come instead. */
  async event(name: string, instead: () => string | undefined = () => undefined): Promise<Event> {
    return this.until(`event ${name}`, () => {
      const index = this.events.findIndex((event, place) => place >= this.read && event.event === name)
      if (index >= 0) {
        this.read = index + 1
        return this.events[index]
      }
      const came = instead()
      if (came !== undefined) throw new Error(`no event ${name}, but: ${came}\n${this.story()}`)
      return undefined
    })
  }

  /** Stopped: where, and the value of a local variable there, asked as VS Code asks. */
  async stop(
    variable: string,
    instead?: () => string | undefined,
  ): Promise<{ reason: string; line: number; value: string }> {
    const stopped = await this.event('stopped', instead)
    const threadId = at(stopped.body, 'threadId')
    await this.request('threads')
    const stack = await this.request('stackTrace', { threadId, startFrame: 0, levels: 1 })
    const frame = at(stack.body, 'stackFrames', 0)
    const scopes = await this.request('scopes', { frameId: at(frame, 'id') })
    const variablesReference = at(scopes.body, 'scopes', 0, 'variablesReference')
    const { body } = await this.request('variables', { variablesReference })
    const found = items(body, 'variables').find((each) => text(each, 'name') === variable)
    return { reason: text(stopped.body, 'reason'), line: Number(at(frame, 'line')), value: text(found, 'value') }
  }

  async continue(): Promise<void> {
    await this.request('continue', { threadId: 1 })
  }

  /** The lines of the debug console that are ours. */
  get notes(): string[] {
    return this.events
      .filter(({ event }) => event === 'output')
      .map(({ body }) => text(body, 'output').trim())
      .filter((line) => line.startsWith('hotswap-dev: '))
      .map((line) => line.slice('hotswap-dev: '.length))
  }

  async until<T>(what: string, fact: () => T | undefined | false, seconds = 15): Promise<T> {
    for (const limit = patience(seconds); ; await new Promise((resolve) => setTimeout(resolve, 10))) {
      const late = await limit.over() // before the last look
      const value = fact()
      if (value) return value
      if (this.closed) throw new Error(`the connection was closed, waiting for: ${what}\n${this.story()}`)
      if (late) throw new Error(`waited ${limit} for: ${what}\n${this.story()}`)
    }
  }

  story(): string {
    return this.log.slice(-60).join('\n')
  }

  /** As an IDE that is killed: its socket closes, without a word. */
  kill(): void {
    this.socket.destroy()
  }
}
