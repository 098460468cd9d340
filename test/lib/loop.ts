// The whole loop on the local target, in a copy of the checkout: what the tests of its tasks share.
import { spawn, spawnSync, type SpawnOptions } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { size } from '../../tasks/lib/frame/words.ts'
import { sha256 } from '../agent/fixtures.ts'
import * as proc from '../agent/proc.ts'
import { checkout, ended, equip, type Ended, type Options } from './checkout.ts'
import { here, type Needs } from './needs.ts'
import { clock, patience, within } from './pace.ts'

const atOnce = 3 // a case mostly waits
const limit = 120 // seconds for one case
const only = process.argv[2] ?? '' // by hand: node --import tsx test/tasks/NAME.test.ts PART-OF-A-TITLE

type Body = (loop: Loop) => Promise<void>

/** A suite whose cases run ahead of uvu, some at once, each in a copy of its own: uvu only awaits their outcome. */
export function cases(name: string) {
  const test = suite(name)
  const waiting: (() => Promise<void>)[] = []
  const add = (title: string, body: Body, needs: Needs = {}) => {
    if (!title.includes(only)) return
    if (!here(`${name}: ${title}`, needs)) return
    let settle = (_: Promise<void>) => {}
    const outcome = new Promise<void>((resolve) => (settle = resolve))
    outcome.catch(() => {}) // uvu looks at it later
    waiting.push(() => {
      const running = inLoop(`${name}: ${title}`, body)
      settle(running)
      return running.catch(() => {})
    })
    test(title, () => outcome)
  }
  /** As the suite itself, for cases that need these tools too. */
  add.needing =
    (...tools: string[]) =>
    (title: string, body: Body) =>
      add(title, body, { tools })
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await next()
  }
  add.run = () => {
    for (let i = 0; i < atOnce; i++) void work()
    test.run()
  }
  return add
}

async function inLoop(title: string, body: Body): Promise<void> {
  const loop = new Loop()
  try {
    await equip(loop.dir)
    await within(limit, body(loop), () => 'the whole case')
    await loop.close()
  } catch (error) {
    process.stderr.write(`\n--- ${title}\n${loop.story()}\n---\n`)
    throw error
  } finally {
    loop.remove()
  }
}

export const pause = (seconds: number) => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000))

/** Polls for a fact; at the limit it says what was awaited. */
export async function until<T>(what: string, fact: () => T | Promise<T>, seconds = 30): Promise<NonNullable<T>> {
  for (const limit = patience(seconds); ; await pause(0.02)) {
    const late = await limit.over() // before the last look
    const value = await fact()
    if (value) return value
    if (late) throw new Error(`waited ${limit} for: ${what}`)
  }
}

/** What a task said, pids, times and the folder replaced: see masked(). */
export interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Another developer. */
export const colleague = 'bob@elsewhere'

/** The first line of stderr of every task on local. */
export const where = 'local · .hotswap/local\n'

/** A module that makes the timers of a task run 20 times as fast: 30 s are 1.5 s. For NODE_OPTIONS=--import=FILE. */
export const hurry = 'const wait = setTimeout\nglobalThis.setTimeout = (f, ms, ...args) => wait(f, ms / 20, ...args)\n'

/** Eight digits of the hash, as the tasks show a binary. */
export const short = (bytes: Buffer) => sha256(bytes).slice(0, 8)

/** deploy-dev that has sent the whole of this binary; the version ends in a space. */
export const delivered = (bytes: Buffer, version = ''): Said => ({
  code: 0,
  stdout: `local: ${size(bytes.length)} of ${size(bytes.length)}  pid N  ${version}${short(bytes)}  N.N s\n`,
  stderr: where,
})

/** A task on local that has failed with this message. */
export const failed = (message: string, before = ''): Said => ({
  code: 1,
  stdout: '',
  stderr: `${where}${before}error: ${message}\n`,
})

export class Loop {
  readonly copy = checkout()
  readonly dir = this.copy.dir
  /** The sandbox. */
  readonly folder = join(this.dir, '.hotswap/local')
  /** What the tasks are given in the environment, which wins over .env. */
  readonly env: Record<string, string> = { SETTLE: '0.2', LIMIT: clock(3), HOTSWAP_TEST_DIR: this.dir }
  binaryPath = '/usr/local/bin/hello'
  private readonly said: string[] = []
  private readonly mounts: string[] = []

  /** Where the sandbox has the binary. */
  get bin(): string {
    return this.folder + this.binaryPath
  }

  /** Runs a task to its end. */
  async task(name: string, args: readonly string[] = [], options: Options = {}): Promise<Said> {
    return this.launch(name, args, options).said
  }

  /** Starts a task. */
  launch(name: string, args: readonly string[] = [], { env, ...options }: Options = {}) {
    const { child, ended: end } = this.copy.launch(name, args, {
      limit: 100_000,
      ...options,
      env: { ...this.env, ...env },
    })
    return { pid: child.pid ?? 0, child, said: end.then((result) => this.heard(`${name} ${args.join(' ')}`, result)) }
  }

  /** Any command in the copy, with the same environment. */
  spawn(words: readonly string[], options: SpawnOptions = {}) {
    this.copy.sources() // of tasks/run
    const [command = '', ...args] = words
    const env = { PATH: `${this.dir}/fakes:${process.env.PATH}`, HOME: process.env.HOME, ...this.env }
    const child = spawn(command, args, { cwd: this.dir, env, stdio: 'pipe', ...options })
    child.stdin?.on('error', () => {}) // a refusal ends the reader: EPIPE is no failure of the test
    return { pid: child.pid ?? 0, child, said: ended(child, 60_000).then((result) => this.heard(command, result)) }
  }

  private heard(command: string, { code, stdout, stderr }: Ended): Said {
    const said = { code, stdout: this.masked(stdout), stderr: this.masked(stderr) }
    this.said.push(`$ ${command.trim()} → ${code}\n${said.stdout}${said.stderr}`)
    return said
  }

  /** `pid N`, `N.N s`, `HH:MM:SS` and DIR stand for what differs from run to run; that it waited, on a busy machine, goes. */
  masked(text: string): string {
    return text
      .replaceAll(this.dir, 'DIR')
      .replace(/^local: waiting .*\n/gm, '')
      .replace(/\bpid \d+/g, 'pid N')
      .replace(/\b\d+\.\d s\b/g, 'N.N s')
      .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, 'YYYY-MM-DDTHH:MM:SSZ')
      .replace(/\b\d\d:\d\d:\d\d/g, 'HH:MM:SS')
  }

  /** Writes BINARY as a build would. */
  built(bytes: Buffer, file = 'bin/hello'): Buffer {
    mkdirSync(dirname(join(this.dir, file)), { recursive: true })
    writeFileSync(join(this.dir, file), bytes, { mode: 0o755 })
    return bytes
  }

  /** Puts the program where it runs, as an image would. */
  installed(bytes: Buffer): Buffer {
    mkdirSync(dirname(this.bin), { recursive: true })
    writeFileSync(this.bin, bytes, { mode: 0o755 })
    return bytes
  }

  /** switch-dev on this program; returns its pid once it runs. */
  async serving(bytes: Buffer): Promise<number> {
    this.installed(bytes)
    await this.up()
    await until('the program runs', () => this.receipt().result === 'running')
    return this.pid()
  }

  async up(args: readonly string[] = []): Promise<void> {
    const said = await this.task('switch-dev', args)
    assert.equal(said, this.switched('the agent runs, pid N'))
  }

  /** What switch-dev says where all is well. */
  switched(fate: string): Said {
    const log = `what the program prints is in .hotswap/local/hotswap-dev-${basename(this.binaryPath)}.log`
    return { code: 0, stdout: '', stderr: `${where}${fate}\n${log}\nnext: npm run build && npm run deploy-dev\n` }
  }

  /** What the real agent says runs, past the tasks: first value of each key. */
  receipt(): Readonly<Record<string, string | undefined>> {
    const agent = existsSync(this.real) ? this.real : this.agent
    const env = { PATH: process.env.PATH, HOTSWAP_TEST_DIR: this.dir }
    const { stdout } = spawnSync('sh', [agent, 'status', this.bin], { encoding: 'utf8', env })
    const pairs = stdout.split('\n').map((line) => /^([a-z0-9-]+)=(.*)$/.exec(line)?.slice(1, 3) ?? ['', ''])
    return Object.fromEntries(pairs.reverse())
  }

  /** Another developer's upload, through the real agent: what its put says. */
  colleague(bytes: Buffer, version: string, more = ''): string {
    const sent = `size=${bytes.length} encoding=raw run=plain version=${version} by=${colleague} ${more}`
    const input = Buffer.concat([Buffer.from(`sha256=${sha256(bytes)} ${sent}\n`), bytes])
    const env = { PATH: process.env.PATH, HOTSWAP_TEST_DIR: this.dir }
    const agent = existsSync(this.real) ? this.real : this.agent
    return spawnSync('sh', [agent, 'put', this.bin], { input, encoding: 'utf8', env }).stdout
  }

  pid = () => Number(this.receipt().pid)

  agentPid = () => Number(this.copy.read('.hotswap/local/agent.pid').split(' ')[0])

  /** The program with this pid lives, and runs the file at BINARY_PATH, which has these bytes. */
  runs(pid: number, bytes: Buffer): void {
    assert.ok(proc.alive(pid), `the program with pid ${pid} lives`)
    assert.ok(proc.runs(pid, this.bin), 'it runs the very file at BINARY_PATH')
    assert.is(sha256(readFileSync(this.bin)), sha256(bytes), 'the file has the expected content')
  }

  /** Nothing of an upload is left: no partial file, no staged file, nobody holds the lock. The last put may still end. */
  async clean(): Promise<void> {
    const name = basename(this.bin)
    const lock = join(dirname(this.bin), `.hotswap-${name}`, 'lock')
    const left = () => [
      ...readdirSync(dirname(this.bin)).filter((file) => file.includes(`${name}-dev`)),
      ...(existsSync(lock) ? readdirSync(lock) : []),
    ]
    await until('no partial file, no staged file and no holder of the lock', () => left().length === 0, 10)
  }

  readonly agent = join(this.dir, 'agent/hotswap-dev')
  private readonly real = join(this.dir, 'agent/real')

  /** Lets a script answer for one verb of the agent; in it, "$real" is the agent and "$@" its arguments. */
  disguised(verb: 'put' | 'status', script: string): void {
    if (!existsSync(this.real)) copyFileSync(this.agent, this.real)
    const text = `#!/bin/sh\nreal=\${0%/*}/real\ncase $1 in\n${verb}) ${script} ;;\n*) exec sh "$real" "$@" ;;\nesac\n`
    writeFileSync(`${this.agent}.new`, text, { mode: 0o755 })
    renameSync(`${this.agent}.new`, this.agent) // a shell reads its script bit by bit
  }

  /** A small memory file system over a folder of the copy. */
  mount(folder: string, options: string): void {
    mkdirSync(folder, { recursive: true })
    this.mounting(['-t', 'tmpfs', '-o', options, 'tmpfs', folder])
    this.mounts.push(folder)
  }

  mounting(args: readonly string[]): void {
    const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
    if (status !== 0) throw new Error(`mount: ${stderr}`)
  }

  carriers = () => proc.carriers(`HOTSWAP_TEST_DIR=${this.dir}`)

  /** The commands of what runs of the copy, but for the agent with its helper, and its program, which stay. */
  strangers = () =>
    this.carriers()
      .map(proc.commandLine)
      .filter(
        (command) =>
          !/agent\/hotswap-dev|hotswap-helper\S* (?:keep|deputy)\b|\/hello$|^(?:sleep [01.]+|(?:tee|dd)\b.*)$/.test(
            command,
          ),
      )

  private processes = () => this.carriers().map((pid) => `${pid} ${proc.commandLine(pid)}`)

  /** Ends the agent as switch-prod does, and demands that nothing runs on. */
  async close(): Promise<void> {
    const agent = existsSync(join(this.folder, 'agent.pid')) ? this.agentPid() : 0
    if (this.carriers().includes(agent)) proc.kill(agent, 'SIGTERM') // else its number may be another's by now
    await this.quiet(10)
  }

  /** Nothing of the copy runs any more. An agent that ends leaves the second of its sleep behind. */
  async quiet(seconds = 1.5): Promise<void> {
    await until('nothing runs', () => this.carriers().length === 0, seconds).catch((error: Error) => {
      throw new Error(`${error.message}, but: ${this.processes().join('; ')}`)
    })
  }

  /** Kills what is left, thrice for what forked meanwhile, and takes the copy away. */
  remove(): void {
    for (let turn = 0; turn < 3; turn++) this.carriers().forEach((pid) => proc.kill(pid))
    for (const folder of this.mounts.reverse()) spawnSync('umount', ['-l', folder])
    rmSync(`/tmp/.hotswap${this.bin.replaceAll('/', '%')}`, { recursive: true, force: true }) // where the folder is read-only
    this.copy.remove()
  }

  /** What the tasks and the agent said, for a case that failed. */
  story(): string {
    const files = ['agent.pid', 'agent.err', 'hotswap-dev.log'].map((name) => join(this.folder, name))
    const texts = files.filter((file) => existsSync(file)).map((file) => `${file}:\n${readFileSync(file, 'utf8')}`)
    return [...this.said, ...texts, ...this.processes()].join('\n')
  }
}
