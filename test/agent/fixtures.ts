// Real Go binaries for the agent's tests: one build per source and Go version, every variant a trailer behind it.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const cache = path.join(here, '../../node_modules/.cache/hotswap-dev-test')
const paths = new Map<string, string>()

/** What the program does; program/main.go says what each field means. */
export interface Plan {
  readonly version?: string
  readonly show?: boolean
  readonly lines?: number
  readonly width?: number
  readonly flood?: number
  readonly grandchild?: 'sleeps' | 'ignores TERM'
  readonly orphans?: number
  readonly diesIf?: string
  readonly dies?: number
  readonly code?: number
  readonly panics?: boolean
  readonly term?: 'ignore' | 'default'
  readonly delay?: number
  readonly termCode?: number
  readonly starts?: number
  readonly serves?: string
  readonly listens?: string
  readonly owns?: string
}

/** The program as a file's bytes, `size` bytes long where that is more than it needs. */
export function program(plan: Plan, size = 0): Buffer {
  const trailer = Buffer.from(`\nHOTSWAP-TRAILER ${JSON.stringify(plan)}\n`)
  const plain = fs.readFileSync(built('program'))
  const padding = Buffer.alloc(Math.max(0, size - plain.length - trailer.length), 'x')
  return Buffer.concat([plain, padding, trailer])
}

/** The path of the stand-in for a debugger; wrapper/main.go says what its modes are. */
export const wrapperPath = () => built('wrapper')

/** The agent's helper. */
export const helperPath = () => built('hotswap-helper', '../../agent/hotswap-helper')

/** A folder for PATH that has the helper alone, as a dev image has it. */
export function helperFolder(): string {
  const file = helperPath()
  const folder = `${file}.folder`
  const link = path.join(folder, 'hotswap-helper')
  fs.mkdirSync(folder, { recursive: true })
  if (fs.existsSync(link)) return folder
  fs.symlinkSync(file, `${link}.${process.pid}`) // another test process may make it too: the rename decides
  fs.renameSync(`${link}.${process.pid}`, link)
  return folder
}

/** The program's bytes for a machine other than this one. */
export function foreign(): Buffer {
  const bytes = program({ version: 'foreign' })
  bytes.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18) // e_machine: EM_AARCH64, EM_X86_64
  return bytes
}

export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** The program built as position-independent, to be started through this loader; with symbols. */
export function loaded(plan: Plan, loader: string): Buffer {
  const flags = ['-buildmode=pie', `-ldflags=-I ${loader}`]
  const pie = fs.readFileSync(built(`pie${loader.replaceAll('/', '-')}`, 'program', flags))
  return Buffer.concat([pie, Buffer.from(`\nHOTSWAP-TRAILER ${JSON.stringify(plan)}\n`)])
}

/** The program with symbols, as make builds one. */
export function symbolic(plan: Plan, flags: readonly string[] = []): Buffer {
  const plain = fs.readFileSync(
    built(`symbolic${flags.join('')}`.replaceAll(/[^a-z]/g, '-'), 'program', ['-ldflags=', ...flags]),
  )
  return Buffer.concat([plain, Buffer.from(`\nHOTSWAP-TRAILER ${JSON.stringify(plan)}\n`)])
}

function built(name: string, folder = name, flags = ['-ldflags=-s -w']): string {
  const known = paths.get(name)
  if (known) return known
  const source = path.join(here, folder)
  const files = fs.readdirSync(source).filter((file) => /^[^_]+\.go$/.test(file))
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off', GOOS: 'linux', GOARCH: '' }
  const version = execFileSync('go', ['env', 'GOVERSION', 'GOARCH'], { env })
  const key = sha256(Buffer.concat([...files.map((file) => fs.readFileSync(path.join(source, file))), version])).slice(
    0,
    16,
  )
  const file = path.join(cache, `${name}-${key}`)
  if (!fs.existsSync(file)) {
    fs.mkdirSync(cache, { recursive: true })
    const unfinished = `${file}.${process.pid}` // another test process may build the same file: the rename decides
    execFileSync('go', ['build', '-buildvcs=false', ...flags, '-o', unfinished, '.'], { env, cwd: source })
    fs.renameSync(unfinished, file)
  }
  paths.set(name, file)
  return file
}

// Before the first case's time runs: on a fresh clone the builds take longer than a case may.
built('program')
built('wrapper')
helperPath()
