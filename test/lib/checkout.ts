// A throw-away copy of this repository, in which a test has its own .env, .hotswap and bin, and fakes on PATH.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { spawn, type ChildProcess } from 'node:child_process'
import { buildSync } from 'esbuild'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compile, COMPILED } from './compile.ts'
import { hostArch } from '../../tasks/lib/binary/elf.ts'
import { helper, type Helper } from '../../tasks/lib/go/helper.ts'
import { pace, patience } from './pace.ts'

const top = fileURLToPath(new URL('../..', import.meta.url))

/** What a process said and how it ended. */
export interface Ended {
  /** null where a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Checkout {
  readonly dir: string
  /** Writes a file below the folder, and the folders above it. Returns its path. */
  file(path: string, content: string, mode?: number): string
  read(path: string): string
  /** Puts a tool on the PATH of run() and launch(): a script that first appends its arguments, one a line, to TOOL.log. */
  fake(tool: string, script: string): void
  /** The arguments that a fake was called with, one list for each call. */
  calls(tool: string): string[][]
  /** Copies the sources of the tasks too, once: for tasks/run, and for another file of the copy that imports them. */
  sources(): Checkout
  /** Runs tasks/NAME.ts, or another file of the copy, in at most `limit` ms, times pace (default 60 s, then KILL). */
  run(name: string, args?: readonly string[], options?: Options): Promise<Ended>
  launch(name: string, args?: readonly string[], options?: Options): { child: ChildProcess; ended: Promise<Ended> }
  /** The file that node runs as a task, or for another file of the copy: for who needs another command line than launch()'s. */
  compiled(name: string): string
  remove(): void
}

export interface Options {
  /** Added to a clean environment: PATH, HOME and Go's caches alone. undefined takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly limit?: number
  /** What the task reads; default: nothing. */
  readonly input?: string
}

/**
 * Copies what compiled tasks need. Their sources, three quarters of the files, come with sources() alone. node_modules is a
 * link to the real one. equip() brings the agent's helper.
 */
export function checkout(): Checkout {
  const dir = mkdtempSync(join(tmpdir(), 'hotswap-test-'))
  const copied = ['agent', 'examples', 'manifests', 'go.mod', 'package.json', 'package-lock.json']
  const take = (name: string, filter = (_: string) => true) =>
    cpSync(join(top, name), join(dir, name), { recursive: true, preserveTimestamps: true, filter })
  for (const name of copied) take(name)
  take('tasks', (path) => !path.endsWith('.ts')) // what tasks read while they run
  symlinkSync(join(top, 'node_modules'), join(dir, 'node_modules'))
  const fakes = join(dir, 'fakes')
  mkdirSync(fakes)

  const copy: Checkout = {
    dir,
    file(path, content, mode = 0o644) {
      const full = join(dir, path)
      mkdirSync(dirname(full), { recursive: true })
      writeFileSync(full, content, { mode })
      return full
    },
    read: (path) => readFileSync(join(dir, path), 'utf8'),
    fake(tool, script) {
      const log = join(fakes, `${tool}.log`)
      copy.file(`fakes/${tool}`, `#!/bin/sh\nprintf '%s\\n' "$@" '--end--' >>'${log}'\n${script}\n`, 0o755)
    },
    calls(tool) {
      const calls = copy.read(`fakes/${tool}.log`).split('--end--\n').slice(0, -1)
      return calls.map((call) => call.replace(/\n$/, '').split('\n'))
    },
    sources() {
      if (existsSync(join(dir, 'tsconfig.json'))) return copy
      for (const name of ['tasks', 'tsconfig.json']) take(name)
      return copy
    },
    run: (name, args, options) => copy.launch(name, args, options).ended,
    launch(name, args = [], { env = {}, limit = 60_000, input } = {}) {
      const maps = name.includes('/') ? ['--enable-source-maps'] : [] // a task starts as npm run starts it
      const child = spawn(process.execPath, [...maps, copy.compiled(name), ...args], {
        cwd: dir,
        env: cleanEnv({ PATH: `${fakes}:${process.env.PATH}`, ...env }),
        stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      })
      child.stdin?.on('error', () => undefined).end(input)
      return { child, ended: ended(child, limit) }
    },
    compiled: (name) => (name.includes('/') ? bundled(copy.sources().dir, name) : compiled(dir, name)),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  }
  return copy
}

/** Puts the agent's helper into a copy: it need not be built in each. */
export async function equip(dir: string): Promise<Helper> {
  const made = await helper(hostArch())
  cpSync(made.path, join(dir, '.hotswap/tools', basename(made.path)), { recursive: true })
  return made
}

const upToDate = new Set<string>()

/** The task as npm run has it: one compiled file, made once and copied, since a start through tsx costs four times as much. */
function compiled(dir: string, task: string): string {
  const file = `.hotswap/tasks/${task}.js`
  if (process.env[COMPILED] === undefined && !upToDate.has(task)) compile(task)
  upToDate.add(task)
  for (const each of [file, '.hotswap/tasks/patches-thread.js'])
    // once: another process of the same copy may be reading it
    if (!existsSync(join(dir, each))) cpSync(join(top, each), join(dir, each))
  return join(dir, file)
}

let bundles = 0

/** Another file of the copy with what it imports, in a file as deep as the compiled tasks: a start through tsx costs more. */
function bundled(dir: string, name: string): string {
  const outfile = join(dir, `.hotswap/tasks/bundle-${++bundles}.js`)
  const how = { bundle: true, packages: 'external', platform: 'node', format: 'esm', sourcemap: 'inline' } as const
  buildSync({ entryPoints: [join(dir, name)], outfile, ...how })
  return outfile
}

/** Waits for a process and collects what it says; kills it after limit ms, times pace. */
export function ended(child: ChildProcess, limit: number): Promise<Ended> {
  const bound = patience(limit / 1000)
  const look = async () => {
    if (await bound.over()) child.kill('SIGKILL')
    else timer = setTimeout(look, 100)
  }
  let timer = setTimeout(look, limit * pace)
  let stdout = ''
  let stderr = ''
  child.stdout?.on('data', (chunk: Buffer) => void (stdout += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout, stderr })
    })
  })
}

function cleanEnv(more: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const env: Record<string, string> = {}
  for (const key of [
    'HOME',
    'GOCACHE',
    'GOMODCACHE',
    'GOPATH',
    'GOPROXY',
    'GOFLAGS',
    'GOTOOLCHAIN',
    'TMPDIR',
    'GONOSUMDB',
  ])
    if (process.env[key] !== undefined) env[key] = process.env[key]
  for (const [key, value] of Object.entries(more))
    if (value === undefined) delete env[key]
    else env[key] = value
  return env
}
