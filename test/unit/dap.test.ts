import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decoder, encode, type Message, opening } from '../../tasks/lib/debug/dap.ts'
import { type DapSession, dapSession, type Step } from '../../tasks/lib/debug/dap-session.ts'
import type { Link } from '../../tasks/lib/debug/link.ts'
import { debuggerFault } from '../../tasks/lib/protocol/debugger-fault.ts'
import { merged } from '../../tasks/lib/debug/editor.ts'
import { rpcPaths } from '../../tasks/lib/debug/paths.ts'
import { plot, story } from '../../tasks/lib/debug/story.ts'
import { UserError } from '../../tasks/lib/frame/talk.ts'

// --- what a connection speaks, and how messages are framed ---

const framing = suite('dap framing')

framing('the first bytes decide', () => {
  const cases: [string, string][] = [
    ['Content-Length: 12\r\n', 'dap'],
    ['Content-Length:', 'dap'],
    ['Content-', 'more'],
    ['', 'more'],
    ['{"method":"RPCServer.State"', 'rpc'],
    ['GET / HTTP/1.1\r\n', 'refuse'],
    ['POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n{', 'refuse'],
    ['Content-Type: text/plain\r\n', 'refuse'],
    ['\x16\x03\x01', 'refuse'],
    [' {', 'refuse'],
  ]
  for (const [bytes, speaks] of cases) assert.is(opening(Buffer.from(bytes)), speaks, bytes)
})

framing('messages survive any cut, and letters of several bytes', () => {
  const messages: Message[] = [
    { seq: 1, type: 'request', command: 'evaluate', arguments: { expression: 'grüße → 🙂' } },
    { seq: 2, type: 'event', event: 'output', body: { output: 'x'.repeat(5000) } },
    { seq: 3, type: 'response', request_seq: 1, command: 'evaluate', success: true },
  ]
  const bytes = Buffer.concat(messages.map(encode))
  for (const size of [1, 7, 64, bytes.length]) {
    const decode = decoder()
    const found: Message[] = []
    for (let at = 0; at < bytes.length; at += size) found.push(...decode(bytes.subarray(at, at + size)))
    assert.equal(found, messages)
  }
})

framing('what is no DAP is thrown out', () => {
  for (const text of [
    'Content-Length: x\r\n\r\n{}',
    'Host: a\r\n\r\n',
    'Content-Length: 2\r\n\r\n[]',
    'Content-Length: 2\r\n\r\n{}',
    'Content-Length: 5\r\n\r\nhello',
    'Content-Length: 99999999999\r\n\r\n',
    `Content-Length: 1${' '.repeat(5000)}`,
  ])
    assert.throws(() => decoder()(Buffer.from(text)), undefined, text)
})

framing.run()

// --- the session ---

type State = Parameters<DapSession['delveUp']>[0]
const running = { kind: 'running' } as const
const session = suite('dap session', { ide: undefined as unknown as Ide })

/** Both ends of a session, with what went to each, in short: `initialize#1`, `<initialize#1`, `!stopped`. */
class Ide {
  readonly session: DapSession
  constructor(...paths: Parameters<typeof dapSession>) {
    this.session = dapSession(...paths)
  }
  toDelve: Message[] = []
  toClient: Message[] = []
  last: Step = { toDelve: [], toClient: [] }
  private seq = 100

  take(step: Step): void {
    this.last = step
    this.toDelve = [...step.toDelve]
    this.toClient = [...step.toClient]
  }
  asks(command: string, argument?: unknown): number {
    this.seq += 1
    this.take(this.session.fromClient({ seq: this.seq, type: 'request', command, arguments: argument }))
    return this.seq
  }
  answers(request: Message | undefined, more: object = {}): void {
    assert.ok(request?.type === 'request', 'a request went to Delve')
    const { seq, command } = request as { seq: number; command: string }
    this.take(
      this.session.fromDelve({
        seq: 9,
        type: 'response',
        request_seq: seq,
        command,
        success: true,
        ...more,
      } as Message),
    )
  }
  event(event: string, body: unknown = {}): void {
    this.take(this.session.fromDelve({ seq: 9, type: 'event', event, body }))
  }
  up = (state: State = running) => this.take(this.session.delveUp(state))
  gone = () => this.take(this.session.delveGone())

  /** VS Code's attach, up to a running program. */
  attached(state: State = running): void {
    this.up(state)
    this.asks('initialize', { clientID: 'vscode' })
    this.answers(this.toDelve[0], { body: { supportsConfigurationDoneRequest: true } })
    this.asks('attach', { mode: 'remote', request: 'attach', substitutePath: [{ from: 'a', to: 'b' }], args: ['x'] })
    const attach = this.toDelve[0]
    this.event('initialized')
    this.answers(attach)
    this.configured()
  }
  configured(): void {
    this.asks('setBreakpoints', { source: { path: '/a.go' }, breakpoints: [{ line: 3 }] })
    this.answers(this.toDelve[0], { body: { breakpoints: [{ verified: true, line: 3 }] } })
    this.asks('configurationDone')
    this.answers(this.toDelve[0])
  }
  /** Answers our own initialize and attach; returns what the IDE saw of it. */
  restored(state: State = running): Message[] {
    const seen: Message[] = []
    this.up(state)
    seen.push(...this.toClient)
    this.answers(this.toDelve[0])
    seen.push(...this.toClient)
    const attach = this.toDelve[0]
    this.event('output', { category: 'important', output: 'Warning: debugging executable built with trimpath' })
    seen.push(...this.toClient)
    this.event('initialized')
    seen.push(...this.toClient)
    this.answers(attach)
    seen.push(...this.toClient)
    return seen
  }
}

const short = (messages: readonly Message[]) =>
  messages.map((message) =>
    message.type === 'event'
      ? `!${message.event}`
      : message.type === 'request'
        ? `${message.command}#${message.seq}`
        : `<${message.command}#${message.request_seq}${message.success ? '' : ' failed'}`,
  )

session.before.each((context) => void (context.ide = new Ide()))

session('an attach passes through, with numbers of our own', ({ ide }) => {
  ide.up()
  const first = ide.asks('initialize', { clientID: 'vscode' })
  assert.equal(short(ide.toDelve), ['initialize#1'])
  ide.answers(ide.toDelve[0], { body: { supportsConfigurationDoneRequest: true } })
  assert.equal(ide.toClient, [
    {
      seq: 1,
      type: 'response',
      request_seq: first,
      command: 'initialize',
      success: true,
      body: { supportsConfigurationDoneRequest: true },
    },
  ])
  const second = ide.asks('attach', { mode: 'remote' })
  assert.equal(ide.toDelve, [
    { seq: 2, type: 'request', command: 'attach', arguments: { mode: 'remote', stopOnEntry: true } },
  ])
  const attach = ide.toDelve[0]
  ide.event('capabilities', { capabilities: { supportTerminateDebuggee: true } })
  assert.equal(ide.toClient, [
    { seq: 2, type: 'event', event: 'capabilities', body: { capabilities: { supportTerminateDebuggee: false } } },
  ])
  ide.event('initialized')
  assert.equal(short(ide.toClient), ['!initialized'])
  ide.answers(attach)
  assert.equal(short(ide.toClient), [`<attach#${second}`])
  ide.asks('setBreakpoints', { source: { path: '/a.go' }, breakpoints: [] })
  assert.equal(short(ide.toDelve), ['setBreakpoints#3'])
  const done = ide.asks('configurationDone')
  ide.answers(ide.toDelve[0])
  assert.equal(short(ide.toClient), [`<configurationDone#${done}`])
})

session('an IDE that comes before Delve is answered when Delve comes', ({ ide }) => {
  const first = ide.asks('initialize')
  assert.equal([ide.toDelve, ide.toClient], [[], []])
  ide.up()
  assert.equal(short(ide.toDelve), ['initialize#1'])
  ide.answers(ide.toDelve[0])
  assert.equal(short(ide.toClient), [`<initialize#${first}`])
})

session('a Delve that goes during the attach is replaced without a word to the IDE', ({ ide }) => {
  ide.up()
  ide.asks('initialize')
  ide.answers(ide.toDelve[0])
  const second = ide.asks('attach')
  ide.gone()
  assert.equal(ide.toClient, [])
  ide.up()
  ide.answers(ide.toDelve[0])
  assert.equal(short(ide.toClient), [], 'initialize has been answered')
  assert.equal(short(ide.toDelve), ['attach#2'])
  const attach = ide.toDelve[0]
  ide.event('initialized')
  ide.answers(attach)
  assert.equal(short(ide.toClient), [`<attach#${second}`])
})

session('a swap: the IDE learns that the program runs, and is asked for its breakpoints again', ({ ide }) => {
  ide.attached()
  const pending = ide.asks('stackTrace', { threadId: 1 })
  ide.event('exited', { exitCode: 0 })
  assert.equal(ide.toClient, [])
  ide.event('terminated')
  assert.equal(ide.toClient, [])
  ide.gone()
  assert.equal(short(ide.toClient), [`<stackTrace#${pending} failed`, '!continued'])
  assert.equal(short(ide.restored()), ['!initialized'], 'all else is between us and Delve')
  assert.ok(!ide.last.close)
  ide.configured()
  assert.equal(short(ide.toClient).length, 1)
  ide.event('stopped', { reason: 'breakpoint', threadId: 7 })
  assert.equal(short(ide.toClient), ['!stopped'])
})

session('our own numbers rise through all of it', ({ ide }) => {
  const seen: number[] = []
  const take = ide.take.bind(ide)
  ide.take = (step) => {
    seen.push(...step.toClient.map(({ seq }) => seq))
    take(step)
  }
  ide.attached()
  ide.gone()
  ide.restored()
  ide.configured()
  assert.equal(
    seen,
    seen.map((_, index) => index + 1),
  )
})

session('between two Delves each request gets an honest answer', ({ ide }) => {
  ide.attached()
  ide.gone()
  assert.equal(ide.toClient.at(-1), {
    seq: ide.toClient.at(-1)?.seq,
    type: 'event',
    event: 'continued',
    body: { threadId: 1, allThreadsContinued: true },
  } as unknown as Message)
  const answer = (command: string, argument?: unknown) => {
    ide.asks(command, argument)
    assert.equal(ide.toDelve, [])
    const [only] = ide.toClient
    return only?.type === 'response' ? { success: only.success, message: only.message, body: only.body } : undefined
  }
  const refused = 'the program is being replaced - try again in a moment'
  for (const command of ['evaluate', 'stackTrace', 'pause', 'next', 'variables']) {
    assert.is(answer(command)?.success, false, command)
    assert.is(answer(command)?.message, refused)
  }
  for (const command of ['configurationDone', 'setExceptionBreakpoints', 'continue', 'restart'])
    assert.is(answer(command)?.success, true, command)
  assert.equal(answer('threads')?.body, { threads: [{ id: -1, name: 'Current' }] })
  assert.equal(answer('setBreakpoints', { source: { path: '/a.go' }, breakpoints: [{ line: 5 }] })?.body, {
    breakpoints: [{ verified: false, message: 'set as soon as the new program runs', line: 5 }],
  })
})

session('a configurationDone that a swap has overtaken is not passed on twice', ({ ide }) => {
  ide.attached()
  ide.gone()
  ide.restored()
  ide.configured()
  const late = ide.asks('configurationDone')
  assert.equal([ide.toDelve, short(ide.toClient)], [[], [`<configurationDone#${late}`]])
})

session(
  'an IDE that ignores the second `initialized` gets its last breakpoints set, and the program goes on',
  ({ ide }) => {
    ide.attached()
    ide.asks('setBreakpoints', { source: { path: '/a.go' }, breakpoints: [{ line: 4 }] })
    ide.gone()
    ide.up()
    ide.answers(ide.toDelve[0])
    ide.event('initialized')
    assert.is(ide.last.awaitsConfiguration, true)
    ide.take(ide.session.unconfigured())
    assert.equal(short(ide.toDelve), ['setBreakpoints#3', 'configurationDone#4'])
    assert.equal((ide.toDelve[0] as { arguments?: unknown }).arguments, {
      source: { path: '/a.go' },
      breakpoints: [{ line: 4 }],
    })
    const [first, second] = ide.toDelve
    ide.answers(first)
    assert.equal(ide.toClient, [])
    ide.answers(second)
    assert.equal(ide.toClient, [])
    ide.take(ide.session.unconfigured())
    assert.equal(ide.toDelve, [], 'once')
  },
)

session(
  'Restart becomes a launch without a rebuild, with the settings of the attach and without its halt',
  ({ ide }) => {
    ide.attached()
    const restart = ide.asks('restart', { arguments: { request: 'attach', mode: 'remote' } })
    assert.equal((ide.toDelve[0] as { arguments?: unknown }).arguments, {
      arguments: { mode: 'remote', request: 'launch', rebuild: false, substitutePath: [{ from: 'a', to: 'b' }] },
    })
    const request = ide.toDelve[0]
    ide.answers(request)
    assert.equal(short(ide.toClient), [`<restart#${restart}`])
    ide.event('initialized')
    assert.equal(short(ide.toClient), ['!initialized'])
    ide.event('stopped', { reason: 'pause' })
    assert.equal(ide.toClient, [], 'the halt that Delve began with')
    ide.configured()
    ide.event('stopped', { reason: 'pause' })
    assert.equal(short(ide.toClient), ['!stopped'], 'a pause of the user')
  },
)

session('a restart that Delve refuses afterwards is told', ({ ide }) => {
  ide.attached()
  ide.asks('restart')
  const request = ide.toDelve[0]
  ide.answers(request)
  ide.answers(request, {
    success: false,
    message: 'Failed to restart',
    body: { error: { format: 'could not launch' } },
  })
  assert.equal(
    ide.toClient.map((message) => 'body' in message && message.body),
    [{ category: 'console', output: 'hotswap-dev: the restart failed: could not launch\n' }],
  )
})

const panic = { kind: 'halted', goroutine: 7, panic: 'unrecovered-panic' } as const
const elsewhere = { kind: 'halted', goroutine: 9, panic: '' } as const

session(
  'after an attach the program goes on, or is shown where it stood before, or has panicked meanwhile',
  ({ ide }) => {
    ide.attached()
    const cases: [title: string, before: State, now: State, IDE: object[], Delve: string[]][] = [
      ['it ran', running, elsewhere, [], ['continue#5']],
      ['it waited for a client', { kind: 'entry' }, { kind: 'entry' }, [], ['continue#5']],
      ['it has panicked in the moment of the attach', running, panic, [{ reason: 'exception', threadId: 7 }], []],
      ['it had panicked', panic, panic, [{ reason: 'exception', threadId: 7 }], []],
      ['another client had halted it', elsewhere, elsewhere, [{ reason: 'breakpoint', threadId: 9 }], []],
    ]
    for (const [title, before, now, shown, passed] of cases) {
      ide.gone()
      ide.restored(before)
      ide.configured()
      ide.event('stopped', { reason: 'entry', threadId: 1, allThreadsStopped: true })
      assert.equal([ide.last.asksState, ide.toClient], [true, []], title)
      ide.take(ide.session.stands(now))
      assert.equal(
        ide.toClient.map((message) => {
          const { reason, threadId } = (message as { body: { reason: string; threadId: number } }).body
          return { reason, threadId }
        }),
        shown,
        title,
      )
      assert.equal(short(ide.toDelve), passed, title)
      ide.answers({ seq: 5, type: 'request', command: 'continue' })
      assert.equal(ide.toClient, [], 'the answer is ours')
    }
  },
)

session('stopOnEntry of the IDE is kept', ({ ide }) => {
  ide.up()
  ide.asks('initialize')
  ide.answers(ide.toDelve[0])
  ide.asks('attach', { mode: 'remote', stopOnEntry: true })
  ide.event('initialized')
  ide.configured()
  ide.event('stopped', { reason: 'entry', threadId: 1, allThreadsStopped: true })
  ide.take(ide.session.stands(elsewhere))
  assert.equal(
    [ide.toDelve, ide.toClient.map((message) => 'body' in message && message.body)],
    [[], [{ reason: 'entry', threadId: 1, allThreadsStopped: true }]],
  )
})

session('an attach that the new Delve refuses is tried with the next one', ({ ide }) => {
  ide.attached()
  ide.gone()
  ide.up()
  ide.answers(ide.toDelve[0])
  ide.answers(ide.toDelve[0], { success: false, message: 'Failed to attach' })
  assert.equal([ide.last.close, ide.toClient], ['delve', []])
})

session('a first attach that Delve refuses is the IDE\u2019s to see', ({ ide }) => {
  ide.up()
  ide.asks('initialize')
  ide.answers(ide.toDelve[0])
  const attach = ide.asks('attach', { mode: 'other' })
  ide.answers(ide.toDelve[0], { success: false, message: 'Failed to attach' })
  assert.equal([ide.last.close, short(ide.toClient)], [undefined, [`<attach#${attach} failed`]])
})

session('a disconnect is ours to answer, with or without Delve, and ends nothing but the session', ({ ide }) => {
  ide.attached()
  for (const away of [false, true]) {
    if (away) ide.gone()
    const leave = ide.asks('disconnect', { terminateDebuggee: true })
    assert.equal(
      [ide.toDelve, short(ide.toClient), ide.last.close],
      [[], ['!output', `<disconnect#${leave}`, '!terminated'], 'client'],
    )
  }
})

session('without a Delve in time, the reason is the answer', ({ ide }) => {
  const first = ide.asks('initialize')
  ide.take(ide.session.refuse('this build has no debugger'))
  assert.equal([short(ide.toClient), ide.last.close], [[`<initialize#${first} failed`, '!terminated'], 'client'])
  const [answer] = ide.toClient
  assert.is(answer?.type === 'response' && answer.message, 'this build has no debugger')

  const later = new Ide()
  later.take(later.session.refuse('busy'))
  assert.equal(later.toClient, [])
  later.asks('initialize')
  assert.is(later.last.close, 'client')
})

session('a note reaches the console of an IDE that is attached', ({ ide }) => {
  ide.take(ide.session.note('early'))
  assert.equal(ide.toClient, [])
  ide.attached()
  ide.take(ide.session.note('swapped: a → b'))
  assert.equal(
    ide.toClient.map((message) => 'body' in message && message.body),
    [{ category: 'console', output: 'hotswap-dev: swapped: a → b\n' }],
  )
})

session('an IDE that has opened a symbolic link names its files so, and gets them back so', () => {
  const opened = (path = '/link/none') => {
    const from = ['/link', '/other', '/real'].find((folder) => path.startsWith(`${folder}/`))
    return from === undefined ? undefined : { from, to: '/real' }
  }
  const attached = (more: object = {}) => {
    const ide = new Ide([], opened)
    ide.up()
    ide.asks('initialize', {})
    ide.answers(ide.toDelve[0])
    ide.asks('attach', { mode: 'remote', ...more })
    ide.event('initialized')
    return ide
  }
  const through = (ide: Ide, path: string) => {
    ide.asks('setBreakpoints', { source: { path, name: 'main.go' }, breakpoints: [{ line: 3 }] })
    const [asked] = ide.toDelve as { arguments?: { source: { path: string } } }[]
    ide.answers(ide.toDelve[0], { body: { breakpoints: [{ source: { path: '/real/main.go' } }] } })
    const [answer] = ide.toClient as { body?: { breakpoints: { source: { path: string } }[] } }[]
    return [asked?.arguments?.source.path, answer?.body?.breakpoints[0]?.source.path]
  }
  const ide = attached()
  assert.equal(through(ide, '/link/main.go'), ['/real/main.go', '/link/main.go'])
  ide.asks('setFunctionBreakpoints', { breakpoints: [{ name: '/link/main.go:3' }, { name: 'main.main' }] })
  assert.equal((ide.toDelve[0] as { arguments?: unknown }).arguments, {
    breakpoints: [{ name: '/real/main.go:3' }, { name: 'main.main' }],
  })
  ide.event('breakpoint', { breakpoint: { source: { path: '/real/lib/x.go' } } })
  assert.equal((ide.toClient[0] as { body?: unknown }).body, { breakpoint: { source: { path: '/link/lib/x.go' } } })
  // another link than GO_DIR's, and none at all
  assert.equal(through(ide, '/other/main.go'), ['/real/main.go', '/other/main.go'])
  assert.equal(through(ide, '/elsewhere/x.go'), ['/elsewhere/x.go', '/other/main.go'])
  assert.equal(through(attached(), '/real/main.go'), ['/real/main.go', '/real/main.go'])
  // its own mapping is Delve's to keep
  const own = attached({ substitutePath: [{ from: '/link', to: '/real' }] })
  assert.equal(through(own, '/link/main.go'), ['/link/main.go', '/real/main.go'])
})

session.run()

const jsonRpc = suite('json-rpc paths')

jsonRpc('are moved in whole messages, from the first file on that the client names', () => {
  const { toDelve, toClient } = rpcPaths((path = '') =>
    path.startsWith('/link/') ? { from: '/link', to: '/real' } : undefined,
  )
  const sent = (text: string, way = toDelve) => way(Buffer.from(text)).toString()
  const state = '{"id":1,"result":{"currentThread":{"file":"/real/main.go","value":"/real/x"}}}\n'
  assert.is(sent(state, toClient), state)
  // in two parts, and without a newline, as not every client has one; a name may hold what looks like an end
  assert.is(sent('{"method":"RPCServer.CreateBreakpoint","params":[{"Breakpoint":{"name":"\\"}]}{","file":"/li'), '')
  assert.is(
    sent('nk/main.go","line":3}}],"id":2}'),
    '{"method":"RPCServer.CreateBreakpoint","params":[{"Breakpoint":{"name":"\\"}]}{","file":"/real/main.go","line":3}}],"id":2}',
  )
  assert.is(sent('\n{"params":[{"Loc":"/link/a.go:3"}]}\n'), '\n{"params":[{"Loc":"/real/a.go:3"}]}\n')
  assert.is(sent(state, toClient), state.replace('/real/main.go', '/link/main.go'))
  assert.is(
    sent('{"result":{"Sources":["/real/a.go","/go/b.go"]}}\n', toClient),
    '{"result":{"Sources":["/link/a.go","/go/b.go"]}}\n',
  )
})

jsonRpc.run()

// --- the story ---

const tale = suite('debug story')
const receipt = (line: string, log: string[] = []) => ({
  values: new Map(line.split(',').map((pair) => [pair.split('=')[0] ?? '', pair.split('=')[1] ?? ''])),
  log,
})
const old = receipt('wrapper=dlv exec,result=running,pid=7,sha256=aaaaaaaa11,version=v1,run=wrapped')

tale('one line for what has happened', () => {
  const none = 'this build has no debugger: npm run build-debug && npm run deploy-dev'
  const cases: [string, string][] = [
    ['wrapper=dlv exec,result=running,pid=7,sha256=aaaaaaaa11,version=v1,run=wrapped', ''],
    [
      'wrapper=dlv exec,result=running,pid=8,sha256=bbbbbbbb22,version=v2,run=wrapped',
      'swapped: v1 aaaaaaaa → v2 bbbbbbbb',
    ],
    [
      'wrapper=dlv exec,result=running,pid=8,sha256=bbbbbbbb22,version=v2,run=wrapped,by=bob@elsewhere',
      'swapped by bob@elsewhere: v1 aaaaaaaa → v2 bbbbbbbb',
    ],
    ['wrapper=dlv exec,result=running,pid=8,sha256=aaaaaaaa11,version=v1,run=wrapped', 'v1 aaaaaaaa was started again'],
    [
      'wrapper=dlv exec,result=running,pid=8,sha256=bbbbbbbb22,version=v2,run=plain',
      `swapped: v1 aaaaaaaa → v2 bbbbbbbb - ${none}`,
    ],
    [
      'wrapper=dlv exec,result=rolled-back,pid=8,sha256=aaaaaaaa11,version=v1,run=wrapped,reason=exit status 3',
      'the new binary crashed (exit status 3), v1 aaaaaaaa is back',
    ],
    [
      'wrapper=dlv exec,reason=halted,result=rolled-back,pid=8,sha256=aaaaaaaa11,run=wrapped,reported=exit status 3',
      'the new binary crashed (exit status 3), aaaaaaaa is back',
    ],
    ['wrapper=dlv exec,result=crashed,reason=exit status 3', 'nothing runs now (exit status 3)'],
  ]
  for (const [now, line] of cases) assert.is(plot(old, receipt(now)), line)
})

/** The lines that are told, up to that many, while the agent gives these answers one after the other; a Delve goes after the first. */
async function lines(count: number, answers: (string | UserError)[]): Promise<string[]> {
  const told: string[] = []
  let late: NodeJS.Timeout | undefined
  await new Promise<void>((resolve) => {
    late = setTimeout(resolve, 10_000)
    const { begin, changed } = story((line) => {
      if (told.push(line) === count) resolve()
    })
    const all = answers.length
    const next = async () => {
      const answer = answers.shift() ?? new UserError('there is no more')
      if (answer instanceof UserError) throw answer
      if (answers.length === all - 1) setTimeout(changed, 50)
      return { pod: 'p', receipt: receipt(answer) }
    }
    begin({ receipt: next } as unknown as Link)
  })
  clearTimeout(late)
  return told
}

tale('an agent that does not answer once costs no line', async () => {
  const told = await lines(1, [
    'wrapper=dlv exec,result=running,pid=7,sha256=aaaaaaaa11,version=v1,run=wrapped',
    new UserError('p: no agent answers (exit code 1) - run npm run switch-dev'),
    'wrapper=dlv exec,result=running,pid=8,sha256=bbbbbbbb22,version=v2,run=wrapped',
  ])
  assert.equal(told, ['p: swapped: v1 aaaaaaaa → v2 bbbbbbbb'])
})

tale('what comes where nothing ran is told without a Delve', async () => {
  const none = 'this build has no debugger: npm run build-debug && npm run deploy-dev'
  const told = await lines(2, [
    'wrapper=dlv exec,result=running,pid=7,sha256=aaaaaaaa11,version=v1,run=wrapped',
    'wrapper=dlv exec,result=crashed,reason=exit status 3',
    'wrapper=dlv exec,result=running,pid=9,sha256=bbbbbbbb22,version=v2,run=plain',
  ])
  assert.equal(told, ['p: nothing runs now (exit status 3)', `p: swapped: v1 aaaaaaaa → v2 bbbbbbbb - ${none}`])
})

tale('why Delve did not start it, with both sides', () => {
  const gone = 'not started by its wrapper (exit status 1)'
  const old =
    'Version of Delve is too old for Go version go1.26.8 (maximum supported version 1.24, suppress this error with --check-go-version=false)'
  const cases: [string, string, RegExp][] = [
    [gone, old, /knows Go up to 1\.24, .* built by Go go1\.26\.8 - npm run container-dev/],
    [
      gone,
      "couldn't start listener: listen tcp 127.0.0.1:2345: bind: address already in use",
      /port 2345 .* DEBUG_PORT/,
    ],
    ['not started by its wrapper (exit status 127)', '', /no dlv in the pod - npm run debug-dev/],
  ]
  for (const [reason, line, found] of cases) assert.match(debuggerFault(reason, [line]) ?? '', found)
  assert.is(debuggerFault('exit status 3', ['dlv: not found']), undefined)
})

tale.run()

// --- launch.json ---

const launch = suite('launch.json')
const ours = { name: 'hotswap-dev', type: 'go', port: 2345 }
const block = (indent: string, eol = '\n') =>
  JSON.stringify(ours, null, indent.slice(indent.length / 2)).replaceAll('\n', eol + indent)

launch('is written where there is none', () => {
  assert.equal(JSON.parse(merged('', 'f', ours)), { version: '0.2.0', configurations: [ours] })
})

launch('keeps every byte of what is there: comments, tabs, commas, line ends', () => {
  const cases: [before: string, after: (own: string) => string, own: string][] = [
    [
      '{\n\t// mine\n\t"configurations": [\n\t\t{ "name": "a" }, // one\n\t],\n}\n',
      (own) => `{\n\t// mine\n\t"configurations": [\n\t\t{ "name": "a" }, // one\n\t\t${own},\n\t],\n}\n`,
      block('\t\t'),
    ],
    [
      '{\r\n  "configurations": [\r\n    {"name": "a"} /* , */\r\n  ]\r\n}',
      (own) => `{\r\n  "configurations": [\r\n    {"name": "a"}, /* , */\r\n    ${own}\r\n  ]\r\n}`,
      block('    ', '\r\n'),
    ],
    [
      '{\n    "version": "0.2.0", // no list yet\n}\n',
      (own) => `{\n    "version": "0.2.0", // no list yet\n    "configurations": [\n        ${own}\n    ],\n}\n`,
      block('        '),
    ],
    ['{\n  "configurations": []\n}', (own) => `{\n  "configurations": [\n    ${own}\n  ]\n}`, block('    ')],
  ]
  for (const [before, after, own] of cases) {
    const text = merged(before, 'f', ours)
    assert.is(text, after(own))
    assert.is(merged(text, 'f', ours), text, 'again the same')
  }
})

launch('brings its own configuration up to date, and nothing else in it', () => {
  const text = '{ "configurations": [ { "name": "hotswap-dev", "type": "go", /* mine */ "port": 1, "cwd": "x" } ] }'
  assert.is(merged(text, 'f', ours), text.replace('"port": 1', '"port": 2345'))
})

launch('a file that is no launch.json is left alone, and named with its line', () => {
  assert.throws(() => merged('{\n  "configurations": [\n', 'f', ours), /f:3: CloseBracketExpected|f:3: /)
  assert.throws(() => merged('[]', 'f', ours), /f is no launch\.json/)
  assert.throws(() => merged('{"configurations": {}}', 'f', ours), /configurations is no list/)
})

launch.run()
