// The frame of the agent's tests: each case runs under each shell that was chosen, in a box of its own, several at a time.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { helperFolder, program as fixture, sha256, wrapperPath, type Plan } from './fixtures.ts'
import { here, leftOut, shells as wanted, which, type Needs, type Shell } from '../lib/needs.ts'
import { clock, pace, patience, within } from '../lib/pace.ts'
import * as proc from './proc.ts'

export const agentScript = fileURLToPath(new URL('../../agent/hotswap-dev', import.meta.url))
const atOnce = pace < 3 ? 5 : 3
const helpers = helperFolder()

// --- shells and cases ---

const shells = wanted().filter(({ name, words: [command = ''] }) => {
  const found = which(command) !== undefined
  if (!found) leftOut(`anything under ${name}`, command)
  return found
})

type Body = (box: Box) => Promise<void>

interface Options extends Needs {
  /** The tests' seconds after which the case has failed. */
  readonly limit?: number
  /** No shell has a part in it but to hand over to the helper: one of them will do. */
  readonly once?: boolean
}

/** A suite whose cases run ahead of uvu, some at once: uvu, which takes one after the other, only awaits their outcome. None if not wanted. */
export function cases(name: string, wanted = true) {
  const test = suite(name)
  const waiting: (() => Promise<void>)[] = []
  const add = (title: string, body: Body, { limit = 60, once = false, ...needs }: Options = {}) => {
    for (const shell of !wanted ? [] : once ? shells.slice(0, 1) : shells) {
      const full = `${shell.name}: ${title}`
      if (!here(`${name}: ${full}`, needs)) continue
      let settle = (_: Promise<void>) => {}
      const outcome = new Promise<void>((resolve) => (settle = resolve))
      waiting.push(() => {
        const running = inBox(shell, `${name}: ${full}`, body, limit)
        settle(running)
        return running.catch(() => {})
      })
      outcome.catch(() => {}) // uvu looks at it later
      test(full, () => outcome)
    }
  }
  /** As the suite itself, for cases that need these tools too. */
  add.needing =
    (...tools: string[]) =>
    (title: string, body: Body, options: Options = {}) =>
      add(title, body, { tools, ...options })
  /** As the suite itself, for cases of the protocol alone. */
  add.once = (title: string, body: Body, options: Options = {}) => add(title, body, { once: true, ...options })
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await next()
  }
  add.run = () => {
    for (let i = 0; i < atOnce; i++) void work()
    test.run()
  }
  return add
}

const boxes = new Set<Box>()

// An interrupted run takes its processes, mounts and folders along.
process.on('exit', () => boxes.forEach((box) => (box.sweep(), box.remove())))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))

async function inBox(shell: Shell, title: string, body: Body, limit: number): Promise<void> {
  const box = new Box(shell)
  boxes.add(box)
  try {
    await within(limit, body(box), () => 'the whole case')
    await box.close()
  } catch (error) {
    process.stderr.write(`\n--- ${title}\n${box.story()}\n---\n`)
    throw error
  } finally {
    box.sweep()
    box.remove()
    boxes.delete(box)
  }
}

// --- waiting: in the tests' seconds, see pace.ts ---

export const pause = (seconds: number) => new Promise<void>((resolve) => setTimeout(resolve, seconds * second))

const second = 1000 * pace
const poll = 0.02 / pace

/** Polls for a fact; at the limit it says what was awaited. */
export async function until<T>(fact: () => T | Promise<T>, seconds: number, what: string): Promise<NonNullable<T>> {
  for (const limit = patience(seconds); ; await pause(poll)) {
    const late = await limit.over() // before the last look
    const value = await fact()
    if (value) return value
    if (late) throw new Error(`waited ${limit} for: ${what}`)
  }
}

/** Watches for a while that a fact stays true. */
export async function throughout(seconds: number, fact: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + seconds * second; Date.now() < end; await pause(poll))
    if (!fact()) throw new Error(`no longer true: ${what}`)
}

export const seconds = (since: number) => (Date.now() - since) / second

/** The program as a file's bytes, its times in the tests' seconds; see fixtures.ts. */
export function program({ dies, delay, ...plan }: Plan, size = 0): Buffer {
  const times = { dies: dies && dies * pace, delay: delay && delay * pace }
  return fixture({ ...plan, ...times }, size)
}

// --- spawned processes ---

const kept = 1 << 19

/** Text that a process writes: its beginning and its end are kept, `bytes` counts all of it. */
class Text {
  bytes = 0
  private begin = ''
  private end = ''

  constructor(stream: NodeJS.ReadableStream | null) {
    stream?.on('data', (chunk: Buffer) => {
      this.bytes += chunk.length
      if (this.begin.length < kept) this.begin += chunk.toString('latin1')
      else this.end = (this.end + chunk.toString('latin1')).slice(-kept)
    })
  }

  toString = () => this.begin + this.end
}

class Spawned {
  readonly pid: number
  readonly out: Text
  readonly err: Text
  readonly ended: Promise<number>
  code: number | undefined

  constructor(readonly child: ChildProcess) {
    this.pid = child.pid ?? 0
    this.out = new Text(child.stdout)
    this.err = new Text(child.stderr)
    child.stdin?.on('error', () => {}) // a refused upload ends the reader: EPIPE is no failure of the test
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) =>
        resolve((this.code = code ?? 128 + os.constants.signals[signal ?? 'SIGKILL'])),
      )
    })
    this.ended.catch(() => {})
  }

  /** Does nothing once it has ended: its number may be another's by then. */
  kill = (signal: NodeJS.Signals) => this.child.kill(signal)

  end = (limit = 20) => within(limit, this.ended, () => `the end of ${this.child.spawnargs.join(' ')}`)
}

/** Key → first value; all `log` lines joined by newlines. */
export type Receipt = Readonly<Record<string, string | undefined>>

function receipt(text: string): Receipt {
  const found: Record<string, string | undefined> = {}
  for (const line of text.split('\n').filter(Boolean)) {
    assert.match(line, /^[a-z0-9]+=/, `a line of a receipt is key=value: ${line}`)
    const [key = '', value] = [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]
    if (key === 'log' && found.log !== undefined) found.log += `\n${value}`
    else found[key] ??= value
  }
  return found
}

/** What `put` or `status` said. */
export interface Answer {
  readonly code: number
  readonly greeting: Receipt
  readonly receipt: Receipt
  readonly raw: string
  readonly seconds: number
}

class Upload extends Spawned {
  private readonly began = Date.now()

  send = (data: string | Buffer) => void this.child.stdin?.write(data)
  eof = () => void this.child.stdin?.end()
  greeted = () => until(() => this.out.toString().includes('\n\n'), 10, 'the greeting')
  isOver = () => this.code !== undefined

  /** Its answer once it has ended by itself; the whole of it is bounded in time. */
  async answer(limit = 30): Promise<Answer> {
    const code = await this.end(limit)
    const raw = this.out.toString()
    const middle = raw.indexOf('\n\n')
    const [first, second] = middle < 0 ? [raw, ''] : [raw.slice(0, middle), raw.slice(middle + 2)]
    if (second) assert.match(second, /\n\n$/, 'an empty line ends the receipt')
    assert.not(raw.includes('HOTSWAP_TEST_DIR='), "nobody's environment is in an answer")
    return { code, greeting: receipt(first), receipt: receipt(second), raw, seconds: seconds(this.began) }
  }
}

/** A row of the agent's log: DATE TYPE USER FILE MESSAGE EVENTS, and a reason where there is one. */
export interface Row {
  readonly date: string
  readonly type: string
  readonly user: string
  readonly file: string
  readonly message: string
  readonly events: string
  readonly reason: string
}

export function rows(text: string): Row[] {
  const [header, ...lines] = text.split('\n').filter(Boolean)
  if (header !== undefined) assert.is(header, 'DATE\tTYPE\tUSER\tFILE\tMESSAGE\tEVENTS')
  return lines.map((line) => {
    const [date = '', type = '', user = '', file = '', message = '', events = '', reason = '', ...more] =
      line.split('\t')
    assert.match(date, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/)
    assert.match(type, /^(INFO|ERR)$/)
    assert.equal(more, [], `a row has at most seven columns: ${line}`)
    return { date, type, user, file, message, events, reason }
  })
}

class Agent extends Spawned {
  constructor(
    child: ChildProcess,
    private readonly box: Box,
  ) {
    super(child)
  }

  /** Waits until the program of that version has printed that it is ready, for the nth time; its pid. */
  async ready(version: string, { nth = 1, limit = 20 } = {}): Promise<number> {
    const lines = () => [...this.out.toString().matchAll(new RegExp(`^ready ${version} pid (\\d+)$`, 'gm'))]
    await until(() => lines().length >= nth, limit, `ready ${version}, ${nth} times`)
    return Number(lines()[nth - 1]?.[1])
  }

  prints = (text: string, limit = 20) => until(() => this.out.toString().includes(text), limit, `output: ${text}`)

  /** All rows of the log file. */
  rows = (): Row[] => (fs.existsSync(this.box.table) ? rows(fs.readFileSync(this.box.table, 'latin1')) : [])

  logged = (message: string, nth = 1, limit = 20) =>
    until(() => this.rows().filter((row) => row.message === message)[nth - 1], limit, `${nth} rows: ${message}`)

  messages = () => this.rows().map((row) => row.message)
}

const bodies = new WeakMap<Buffer, Buffer>()

/** The bytes in gzip, made once. */
function squeezed(bytes: Buffer): Buffer {
  const body = bodies.get(bytes) ?? gzipSync(bytes, { level: 1 })
  bodies.set(bytes, body)
  return body
}

// --- a box: one folder, one shell, the processes in it ---

export interface Start {
  readonly flags?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly bin?: string
  readonly cwd?: string
  /** Words before the shell: unshare, setpriv, nsenter. */
  readonly through?: readonly string[]
}

export interface Sent {
  readonly encoding?: string
  readonly run?: string
  readonly version?: string
  readonly by?: string
  readonly sha256?: string
  readonly size?: number
  /** false: the header does not say how large the whole is. */
  readonly whole?: boolean
  readonly more?: string
  /** Leaves stdin open: the answer must come all the same. */
  readonly open?: boolean
  readonly bin?: string
  /** What is sent is a tool of that name. */
  readonly tool?: string
  readonly through?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly limit?: number
}

export class Box {
  readonly dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'hotswap-dev-agent-')))
  readonly app = path.join(this.dir, 'app')
  readonly work = path.join(this.dir, 'work')
  readonly bin = path.join(this.app, 'prog')
  readonly staged = `${this.bin}-dev`
  readonly part = `${this.bin}-dev.part`
  readonly prev = `${this.bin}-prev`
  readonly state = path.join(this.app, '.hotswap-prog')
  readonly table = path.join(this.work, 'hotswap-dev.log')
  readonly wrapper = path.join(this.dir, 'wrapper')
  private readonly mark = `HOTSWAP_TEST_DIR=${this.dir}`
  private readonly agents: Agent[] = []
  private readonly others: Spawned[] = []
  private readonly mounts: string[] = []
  private readonly strays: string[] = []

  constructor(readonly shell: Shell) {
    fs.mkdirSync(this.app)
    fs.mkdirSync(this.work)
    fs.symlinkSync(wrapperPath(), this.wrapper)
  }

  private env = (more: Start['env'] = {}) => ({
    PATH: `${helpers}:${process.env.PATH}`,
    HOME: this.dir,
    LANG: process.env.LANG,
    HOTSWAP_TEST_DIR: this.dir,
    ...more,
  })

  /** Starts any command in the box; it belongs to the box and is gone when the box is. */
  spawn(words: readonly string[], { env, cwd = this.work }: Pick<Start, 'env' | 'cwd'> = {}): Spawned {
    const [command = '', ...args] = words
    const spawned = new Spawned(spawn(command, args, { cwd, env: this.env(env), detached: true }))
    this.others.push(spawned)
    return spawned
  }

  /** Writes the program's variant as BINARY, or elsewhere, at once and executable. */
  install(plan: Plan | Buffer, file = this.bin): Buffer {
    const bytes = Buffer.isBuffer(plan) ? plan : program(plan)
    fs.writeFileSync(file, bytes, { mode: 0o755 })
    return bytes
  }

  agent({ flags = [], args = [], env = {}, bin = this.bin, cwd = this.work, through = [] }: Start = {}): Agent {
    const [command = '', ...rest] = [...through, ...this.shell.words, agentScript, ...flags, '--', bin, ...args]
    const { SETTLE = '0.2', LIMIT = '1', ...more } = env
    const clocks = { SETTLE: clock(SETTLE), LIMIT: clock(LIMIT) }
    const options = { cwd, env: this.env({ ...clocks, ...more }), detached: true }
    const agent = new Agent(spawn(command, rest, { ...options, stdio: ['ignore', 'pipe', 'pipe'] }), this)
    this.agents.push(agent)
    return agent
  }

  /** Installs a serving v1, starts the agent and waits until it serves. */
  async serving(plan: Plan = {}, start: Start = {}) {
    const bytes = this.install({ version: 'v1', ...plan }, start.bin)
    return { bytes, ...(await this.started(start)) }
  }

  /** Starts the agent on the v1 that is installed, and waits until SETTLE is over. */
  async started(start: Start = {}) {
    const agent = this.agent(start)
    const pid = await agent.ready('v1')
    const row = () => agent.out.toString().includes('\tstarted\t')
    // a program that floods pushes the row out of the output that is kept: then status says it
    const running = async () => row() || (await this.status(start)).receipt.result === 'running'
    await until(row, 5, 'the row started').catch(() => until(running, 55, 'the row started, or a status that says so'))
    return { agent, pid }
  }

  call(words: readonly string[], { through = [], env = {} }: Pick<Start, 'through' | 'env'> = {}): Upload {
    const [command = '', ...rest] = [...through, ...this.shell.words, agentScript, ...words]
    const upload = new Upload(spawn(command, rest, { cwd: this.dir, env: this.env(env), detached: true }))
    this.others.push(upload)
    return upload
  }

  /** Opens a `put` and sends nothing yet. */
  opened = ({ bin = this.bin, tool, ...sent }: Sent = {}) =>
    this.call(tool === undefined ? ['put', bin] : ['tool', bin, tool], sent)

  /** A whole `put` of these bytes. A case that fails before it awaits the answer must not end the whole process. */
  put(plan: Plan | Buffer, sent: Sent = {}): Promise<Answer> {
    const answer = this.upload(Buffer.isBuffer(plan) ? plan : program(plan), sent)
    answer.catch(() => {})
    return answer
  }

  private async upload(bytes: Buffer, sent: Sent): Promise<Answer> {
    const body = sent.encoding === 'gzip' ? squeezed(bytes) : bytes
    const upload = this.opened(sent)
    upload.send(header(bytes, { size: body.length, ...sent }))
    upload.send(body)
    if (!sent.open) upload.eof()
    const answer = await upload.answer(sent.limit)
    upload.eof()
    return answer
  }

  async status({ bin = this.bin, through }: Start = {}): Promise<Answer> {
    const status = this.call(['status', bin], { through })
    status.eof()
    const answer = await status.answer()
    return { ...answer, receipt: answer.greeting }
  }

  /** Nothing of an upload is left: no partial file, no staged file, nobody holds the lock. */
  clean(): void {
    assert.not(fs.existsSync(this.part), 'no partial file is left')
    assert.not(fs.existsSync(this.staged), 'no staged file is left')
    assert.equal(this.holders(), [], 'nobody holds the lock')
  }

  holders(): string[] {
    const lock = path.join(this.state, 'lock')
    return fs.existsSync(lock) ? fs.readdirSync(lock) : []
  }

  /** The program with this pid serves on, and is what stands at BINARY. */
  serves(pid: number, bytes: Buffer, bin = this.bin): void {
    assert.ok(proc.alive(pid), `the program with pid ${pid} lives`)
    assert.ok(proc.runs(pid, bin), 'it runs the very file at BINARY')
    assert.is(sha256(fs.readFileSync(bin)), sha256(bytes), 'BINARY has the expected content')
  }

  /** All living processes that were started in the box, and by these. */
  carriers = () => proc.carriers(this.mark)

  /** Nothing of the box runs any more, a moment later at most: what copies the output ends when it has copied. */
  async deserted(): Promise<void> {
    const left = () => this.carriers().map((pid) => `${pid} ${proc.commandLine(pid)}`)
    await until(() => left().length === 0, 3, 'nothing of the box runs any more').catch((error: Error) => {
      throw new Error(`${error.message}, but: ${left().join('; ')}`)
    })
  }

  /** A folder in the box with a memory file system of its own. */
  mount(name: string, options: string): string {
    const at = path.join(this.dir, name)
    fs.mkdirSync(at, { recursive: true })
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', at], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`mount: ${stderr}`)
    this.mounts.push(at)
    return at
  }

  remount(at: string, options: string): void {
    const { status, stderr } = spawnSync('mount', ['-o', `remount,${options}`, at], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`remount: ${stderr}`)
  }

  /** Files outside the box that go when the box goes. */
  also = (...files: string[]) => void this.strays.push(...files)

  /** Ends the agents as a pod does, and demands that they leave nothing running. */
  async close(): Promise<void> {
    for (const other of this.others) other.kill('SIGKILL')
    for (const agent of this.agents) agent.kill('SIGTERM')
    for (const agent of this.agents) await this.ended(agent)
    await this.deserted()
  }

  /** Waits for the agent's end. Bash may lose a TERM that comes in a swap (README, Limits): it gets another one. */
  private async ended(agent: Agent): Promise<void> {
    if (this.shell.name === 'bash') await agent.end(10).catch(() => agent.kill('SIGTERM'))
    await agent.end(10)
  }

  /** Kills all that was started in the box; twice, for what forked meanwhile. */
  sweep(): void {
    for (let turn = 0; turn < 3; turn++) this.carriers().forEach((pid) => proc.kill(pid))
  }

  remove(): void {
    for (const at of this.mounts.reverse()) spawnSync('umount', ['-l', at])
    for (const file of [this.dir, ...this.strays]) fs.rmSync(file, { recursive: true, force: true, maxRetries: 3 })
  }

  /** What the agents and the others said, for a case that failed. */
  story(): string {
    const tail = (text: string) => text.slice(-3000).replaceAll('\0', '')
    const said = (one: Spawned) =>
      `$ ${one.child.spawnargs.slice(-5).join(' ')} → ${one.code ?? 'runs'}\n${tail(`${one.out}`)}${tail(`${one.err}`)}`
    return [...this.agents, ...this.others.slice(-4)].map(said).join('\n')
  }
}

/** The header line of an upload; `more` is put behind it as it is. */
export function header(bytes: Buffer, sent: Sent = {}): string {
  const { encoding = 'raw', size = bytes.length, run, version, by, more } = sent
  const words = [`sha256=${sent.sha256 ?? sha256(bytes)}`, `size=${size}`, `encoding=${encoding}`]
  if (encoding !== 'raw' && sent.whole !== false) words.push(`whole=${bytes.length}`)
  if (run) words.push(`run=${run}`)
  if (version) words.push(`version=${version}`)
  if (by) words.push(`by=${by}`)
  if (more) words.push(more)
  return `${words.join(' ')}\n`
}
