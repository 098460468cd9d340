// debug-dev against a real Delve and a real program, on the local target.
import { mkdirSync, readFileSync, symlinkSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import { halting, rpc } from '../../tasks/lib/debug/rpc.ts'
import { text } from '../../tasks/lib/frame/json.ts'
import { checkout } from '../lib/checkout.ts'
import * as proc from '../agent/proc.ts'
import {
  answerOf,
  breakLine,
  DapClient,
  type Edit,
  type Mark,
  source,
  stopsAt,
  stopsInTheEnd,
} from '../lib/debugged.ts'
import { freePort } from '../../tasks/lib/frame/free-port.ts'
import { cases, type Loop, until } from '../lib/loop.ts'
import { pace, tookLess } from '../lib/pace.ts'

const debug = cases('debug-dev')

// Delve is built once, and kept in this checkout for the next run
const tools = fileURLToPath(new URL('../../.hotswap/tools', import.meta.url))
mkdirSync(tools, { recursive: true })
const first = checkout()
mkdirSync(join(first.dir, '.hotswap'))
symlinkSync(tools, join(first.dir, '.hotswap/tools'))
const delveIsThere = first
  .run('build-debug', [], { limit: 200_000, env: { VERSION_VAR: '' } })
  .finally(() => first.remove())

/** A copy with the service, its agent and debug-dev. */
class Session {
  port = 0
  service = 0
  private debugger: ReturnType<Loop['launch']> | undefined
  talk = ''
  readonly loop: Loop
  readonly file: string
  readonly mark: Mark
  constructor(loop: Loop) {
    this.loop = loop
    this.file = join(loop.dir, 'svc/main.go')
    this.mark = { path: this.file, line: this.line }
  }

  async begin(edit: Edit = { value: 'v1' }, folder = 'svc'): Promise<void> {
    assert.is((await delveIsThere).code, 0)
    const { loop } = this
    this.port = await freePort()
    this.service = await freePort()
    Object.assign(loop.env, {
      GO_DIR: folder,
      GO_MAIN: '.',
      DEBUG_PORT: String(await freePort()),
      DEBUG_LOCAL_PORT: String(this.port),
      SVC_ADDR: `127.0.0.1:${this.service}`,
    })
    loop.copy.file('svc/go.mod', 'module example.com/svc\n\ngo 1.21\n')
    rmSync(join(loop.dir, '.hotswap/tools'), { recursive: true })
    symlinkSync(tools, join(loop.dir, '.hotswap/tools'), 'dir')
    await this.build(edit)
    await loop.up()
    await this.deploy()
    await this.launch()
  }

  async launch(args: readonly string[] = []): Promise<void> {
    this.debugger = this.loop.launch('debug-dev', args, { limit: 130_000 })
    this.talk = ''
    const hear = (chunk: Buffer) => void (this.talk += chunk.toString())
    this.debugger.child.stdout?.on('data', hear)
    this.debugger.child.stderr?.on('data', hear)
    await until('debug-dev is ready', () => this.talk.includes('connect to'), 30)
  }

  get pid(): number {
    return this.debugger?.pid ?? 0
  }

  async build(edit: Edit, task = 'build-debug'): Promise<void> {
    this.loop.copy.file('svc/main.go', source(edit))
    const { code, stderr } = await this.loop.task(task)
    assert.is(code, 0, stderr)
  }

  async deploy(code = 0): Promise<string> {
    const said = await this.loop.task('deploy-dev')
    assert.is(said.code, code, said.stderr)
    return said.stderr
  }

  async swap(edit: Edit): Promise<void> {
    await this.build(edit)
    await this.deploy()
  }

  line = () => breakLine(readFileSync(this.file, 'utf8'))
  attach = (options: Parameters<typeof DapClient.attach>[2] = {}) => DapClient.attach(this.port, [this.mark], options)
  ask = (seconds?: number) => answerOf('127.0.0.1', this.service, seconds)
  note = (client: DapClient, part: string | RegExp) =>
    client.until(`a note with ${part}`, () => client.notes.find((line) => line.match(part)), 20)
  says = (part: string, seconds = 20) => until(`debug-dev says ${part}`, () => this.talk.includes(part), seconds)

  async end(): Promise<void> {
    this.debugger?.child.kill('SIGINT')
    const said = await this.debugger?.said
    assert.is(said?.code, 130, said?.stderr)
  }
}

function session(title: string, body: (session: Session) => Promise<void>): void {
  debug(title, async (loop) => {
    mkdirSync(join(loop.dir, '.hotswap'), { recursive: true })
    const own = new Session(loop)
    try {
      await body(own)
    } catch (error) {
      process.stderr.write(`--- debug-dev said\n${own.talk}---\n`)
      throw error
    }
  })
}

session('one DAP session over swaps, also from a breakpoint, over Restart, and its end', async (session) => {
  await session.begin()
  const client = await session.attach()
  const expect = (value: string) => ({ reason: 'breakpoint', line: session.line(), value: `"${value}"`, answer: value })
  assert.equal(await stopsAt(client, session.ask), expect('v1'))

  // a swap while the program runs: at the receipt, or soon after, the breakpoint is set where the edit has moved it
  await session.swap({ value: 'v2', moved: 3 })
  await client.until('set again', () => client.configurations === 2, 5)
  assert.equal(client.verified.length, 1)
  assert.equal(await stopsAt(client, session.ask), expect('v2'))
  await session.note(client, /^local: swapped: unknown [0-9a-f]{8} → unknown [0-9a-f]{8}$/)

  // a swap while it is stopped at a breakpoint: the request that hangs in it is lost, the session is not
  const lost = session.ask()
  assert.is((await client.stop('value')).value, '"v2"')
  await session.swap({ value: 'v3', moved: 1 })
  await client.until('told that it runs', () => client.events.filter(({ event }) => event === 'continued').length === 2)
  await client.until('set again', () => client.configurations === 3, 5)
  await lost
  assert.equal(await stopsAt(client, session.ask), expect('v3'))

  const swaps = () => client.notes.filter((line) => line.includes('swapped:')).length
  await client.until('one line for each swap', () => swaps() === 2)

  // the Restart button, with what VS Code sends
  const before = session.loop.pid()
  const { success } = await client.request('restart', { arguments: { request: 'attach', mode: 'remote', name: 'x' } })
  assert.ok(success)
  await client.until('set again', () => client.configurations === 4)
  await until('another process', () => session.loop.pid() !== before && proc.alive(session.loop.pid()))
  assert.equal(await stopsAt(client, session.ask), expect('v3'))
  const status = session.loop.receipt()
  assert.equal([status.result, status.restarts], ['running', '0'], 'no crash for the agent')

  // the IDE leaves while the program is stopped: it runs on, without the breakpoint
  const hangs = session.ask()
  await client.stop('value')
  const left = await client.request('disconnect', { restart: false, terminateDebuggee: true })
  assert.ok(left.success)
  assert.is(await hangs, 'v3')
  assert.is(await session.ask(3), 'v3')
  assert.is(proc.alive(session.loop.pid()), true)
  for (const event of ['exited', 'terminated'])
    assert.is(client.events.filter((each) => each.event === event).length, event === 'terminated' ? 1 : 0)
  assert.is(swaps(), 2)
  await session.end()
})

session('a crash with rollback, a panic that Delve halts, and a plain build, all on one socket', async (session) => {
  await session.begin()
  const client = await session.attach()
  assert.is((await stopsAt(client, session.ask)).value, '"v1"')

  await session.build({ value: 'v2', start: 'exit' })
  assert.match(await session.deploy(1), /it crashed \(ended under its wrapper\); the previous binary .* is back/)
  await session.note(client, /^local: the new binary crashed \(ended under its wrapper\), unknown [0-9a-f]{8} is back$/)
  session.loop.copy.file('svc/main.go', source({ value: 'v1' }))
  assert.is((await stopsInTheEnd(client, session.ask)).value, '"v1"', 'the old code, and its breakpoint')

  await session.build({ value: 'v3', start: 'panic' })
  await session.deploy()
  const panic = await client.event('stopped')
  assert.match(JSON.stringify(panic.body), /"reason":"exception"/)
  await session.note(client, /swapped/)

  await session.build({ value: 'v4' }, 'build')
  await session.deploy()
  await session.note(client, /this build has no debugger: npm run build-debug && npm run deploy-dev$/)
  assert.is(await session.ask(), 'v4')
  const { success, message } = await client.request('evaluate', { expression: '1' })
  assert.equal([success, message], [false, 'the program is being replaced - try again in a moment'])

  const before = client.configurations
  await session.swap({ value: 'v5', moved: 2 })
  await client.until('set again', () => client.configurations > before, 10)
  const { line, value } = await stopsAt(client, session.ask)
  assert.equal([line, value], [session.line(), '"v5"'])
  client.kill()
  await session.end()
})

session('an IDE that is killed at a breakpoint, and a debug-dev that is: the service answers', async (session) => {
  await session.begin()
  const client = await session.attach()
  let hangs = session.ask()
  await client.stop('value')
  let begin = Date.now()
  client.kill()
  assert.is(await hangs, 'v1')
  assert.ok(await tookLess((Date.now() - begin) / 1000 / pace, 3), `${Date.now() - begin} ms`)
  assert.is(await session.ask(3), 'v1')

  const second = await session.attach()
  hangs = session.ask()
  await second.stop('value')
  begin = Date.now()
  process.kill(session.pid, 'SIGKILL')
  assert.is(await hangs, 'v1', 'the guard in the pod lets it go')
  assert.ok(await tookLess((Date.now() - begin) / 1000 / pace, 5), `${Date.now() - begin} ms`)
  assert.is(await session.ask(3), 'v1')
  await until(
    'the guard has gone',
    () => !session.loop.carriers().some((pid) => /debug-guard/.test(proc.commandLine(pid))),
  )

  // the port is free again
  await session.launch()
  const third = await session.attach()
  assert.is((await stopsAt(third, session.ask)).value, '"v1"')
  hangs = session.ask()
  await third.stop('value')
  await session.end()
  assert.is(await hangs, 'v1', 'Ctrl-C lets it go too')
  assert.match(third.notes.at(-1) ?? '', /debug-dev has ended/)
})

session('dlv connect before and after a swap; what is no debugger, and what comes second', async (session) => {
  await session.begin()
  const dlv = (...commands: string[]) => {
    const init = session.loop.copy.file('init', [...commands, ''].join('\n'))
    const words = [join(tools, 'bin/dlv'), 'connect', `127.0.0.1:${session.port}`, '--init', init]
    return session.loop.spawn(words, { stdio: ['ignore', 'pipe', 'pipe'] }).said
  }
  assert.match((await dlv('print main.version', 'exit -c')).stdout, /"unknown"/)
  await session.swap({ value: 'v2' })
  assert.match((await dlv('break main.answer', 'breakpoints', 'exit -c')).stdout, /Breakpoint 1 .*main\.answer/)
  await until('its breakpoint has left with it', async () => (await session.ask(1)) === 'v2')

  // a web page
  const page = await fetch(`http://127.0.0.1:${session.port}/`, { method: 'POST', body: '{"method":"x"}' }).catch(
    (error: Error) => error.message,
  )
  assert.is(page, 'fetch failed')
  await session.says('refused a connection that speaks neither DAP nor JSON-RPC')
  assert.equal(await raw(session.port, 'Content-Type: x\r\n\r\n'), '')

  // a second debug-dev
  const timed = async (...args: string[]) => {
    const begin = Date.now()
    return { said: await session.loop.task('debug-dev', args), ms: Date.now() - begin }
  }
  const start = await timed('--help')
  const { said: second, ms } = await timed()
  assert.ok(await tookLess((ms - start.ms) / 1000 / pace, 3), `${ms} ms, of which ${start.ms} ms are the start`)
  const command = `${process.execPath} DIR/.hotswap/tasks/debug-dev.js`
  const next = `end that, or choose another: DEBUG_LOCAL_PORT=${session.port + 1} in .env`
  assert.equal(second, {
    code: 1,
    stdout: '',
    stderr: `error: port ${session.port} of this machine is taken by pid N: ${command} - ${next}\n`,
  })

  // a second IDE
  const client = await session.attach()
  const other = await DapClient.connect(session.port)
  const refused = await other.request('initialize', { pathFormat: 'path' })
  assert.equal([refused.success, refused.message], [false, 'another IDE debugs here already: end its session first'])
  await until('it is closed', () => other.closed)
  assert.is((await stopsAt(client, session.ask)).value, '"v2"')

  // an IDE that does not send its breakpoints again (Zed)
  client.deaf = true
  await session.swap({ value: 'v3' })
  await session.note(client, /those that it sent last are set/)
  assert.is((await stopsAt(client, session.ask)).value, '"v3"')
  client.kill()
  await session.end()
})

session('without a debugger it says how to get one, and waits; under -trimpath paths are mapped', async (session) => {
  const { loop } = session
  assert.equal(await loop.task('debug-dev', ['--setup', 'emacs']), {
    code: 2,
    stdout: '',
    stderr: 'error: --setup knows vscode, not emacs\n',
  })
  await session.begin()
  await session.end()
  await session.build({ value: 'plain' }, 'build')
  await session.deploy()
  await session.launch()
  const none = 'this build has no debugger: npm run build-debug && npm run deploy-dev'
  await session.says(`local: ${none}`)
  const early = await DapClient.connect(session.port)
  const { success, message } = await early.request('initialize', { pathFormat: 'path' })
  assert.equal([success, message], [false, none])

  loop.env.GO_FLAGS = '-trimpath'
  await session.end()
  await session.launch()
  await session.swap({ value: 'v2', moved: 4 })
  await session.says('swapped')
  const client = await session.attach()
  const { line, value } = await stopsAt(client, session.ask)
  assert.equal([line, value], [session.line(), '"v2"'])
  client.kill()

  const { code, stdout } = await loop.task('debug-dev', ['--setup', 'vscode'])
  assert.equal({ code, stdout }, { code: 0, stdout: 'svc/.vscode/launch.json\n' })
  const [configuration] = JSON.parse(loop.copy.read('svc/.vscode/launch.json')).configurations
  assert.is(configuration.port, session.port)
  assert.equal(configuration.substitutePath[0], { from: '${workspaceFolder}', to: 'example.com/svc' })
  await session.end()
})

session('a GO_DIR that is a symbolic link, which the IDE has opened', async (session) => {
  const { loop } = session
  mkdirSync(join(loop.dir, 'svc'))
  symlinkSync('svc', join(loop.dir, 'link'))
  symlinkSync('svc', join(loop.dir, 'other'))
  await session.begin({ value: 'v1' }, 'link')
  for (const folder of ['link', 'other', 'svc']) {
    const mark = { path: join(loop.dir, folder, 'main.go'), line: session.line }
    const client = await DapClient.attach(session.port, [mark])
    assert.is((await stopsAt(client, session.ask)).value, '"v1"', folder)
    client.kill()
    // GoLand and dlv connect
    const other = rpc(connect(session.port, '127.0.0.1'))
    await other.call('Command', halting, 20_000 * pace)
    const breakpoint = { file: mark.path, line: session.line() }
    const made = await other.call('CreateBreakpoint', { Breakpoint: breakpoint }, 20_000 * pace)
    assert.is(text(made, 'Breakpoint', 'file'), mark.path)
    other.close()
  }
  const { code } = await loop.task('debug-dev', ['--setup', 'vscode'])
  assert.is(code, 0)
  const [configuration] = JSON.parse(loop.copy.read('svc/.vscode/launch.json')).configurations
  assert.equal(configuration.substitutePath, [{ from: '${workspaceFolder}', to: join(loop.dir, 'svc') }])
  await session.end()
})

/** What comes back for these bytes until the connection is closed. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.on('error', () => undefined)
    socket.once('close', () => resolve(text))
  })
}

debug.run()
