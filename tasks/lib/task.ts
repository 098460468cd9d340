// The frame of every task: arguments, messages, exit codes, signals, and the end of whatever was started.
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { environment } from './environment.ts'

/** The top folder of this repository, without a slash at its end. task() makes it the working directory. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

/**
 * What went wrong and the next step, said to the user as one `error:` line. exitCode 1: the job failed; 2: wrong use or
 * settings. An empty message says nothing: the tool that failed has already spoken.
 */
export class UserError extends Error {
  readonly exitCode: 1 | 2
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

export interface About {
  /** As the npm script. */
  readonly name: string
  /** Completes "This task ...". */
  readonly summary: string
  /** For example '[PROD_IMAGE DEV_IMAGE]'; absent: none allowed. */
  readonly operands?: string
  readonly options?: Readonly<
    Record<
      string,
      { readonly type: 'boolean' | 'string'; readonly short?: string; readonly value?: string; readonly help: string }
    >
  >
  /** A paragraph below the options in --help. */
  readonly more?: string
}

export interface Args {
  readonly flags: Readonly<Record<string, string | boolean | undefined>>
  readonly operands: readonly string[]
}

const signals = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const
const brokenPipe = 141 // 128 + SIGPIPE: what a shell reports for a tool whose reader has left
const patience = 10_000 // ms that clean-up may take after a signal
const grace = 2_000 // ms between TERM and KILL
const glance = 500 // ms between two looks whether npm is still there

let interrupted = false
let ending = false // before its time: the body, which nothing stops, is waited for no more
let closed = false // it ends before its time, or the body has ended
const inCleanUp = new AsyncLocalStorage<boolean>()
let makeWay = (write: () => void) => write()

/** Has each line written through a function: by one who keeps a line below all others, and takes it away meanwhile. */
export function writeThrough(how: typeof makeWay): void {
  makeWay = how
}

/** Prints a line of talk: stderr. Nothing after Ctrl-C: that what was ended has ended is no news. */
export function say(line: string): void {
  if (!interrupted) makeWay(() => process.stderr.write(`${line}\n`))
}

/** Prints the last line of talk, also after Ctrl-C: how things were left. */
export function sayLast(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Prints a line of the result: stdout. Once the task ends only a clean-up does: what the body has late is no result. */
export function print(line: string): void {
  if (!closed || inCleanUp.getStore() === true) makeWay(() => process.stdout.write(`${line}\n`))
}

/** Text without control characters (ANSI sequences, CR, OSC ...), for what a pod says. Tab and newline stay. */
export function clean(text: string): string {
  // an OSC, DCS, SOS, PM or APC string goes with its content, whether or not it is ended
  const withoutStrings = text.replace(
    /(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?/g,
    '',
  )
  return stripVTControlCharacters(withoutStrings).replace(
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    '',
  )
}

const cleanups: (() => void | Promise<void>)[] = []

/**
 * Registers something to undo or end when the task ends in any way (a child to kill, a temp file); returns a function
 * that takes it back. Run once, newest first, on normal end, on error and on a signal.
 */
export function onEnd(cleanup: () => void | Promise<void>): () => void {
  const entry = () => cleanup() // an object of its own, also where one function is registered twice
  cleanups.push(entry)
  return () => {
    const at = cleanups.indexOf(entry)
    if (at >= 0) cleanups.splice(at, 1)
  }
}

/**
 * Spawns a tool without a shell, registered so that it is ended (TERM, KILL after 2 s) when the task ends. With
 * `detached` its whole process group is. Fails as spawn does: with an 'error' event, for which the caller listens.
 */
export function start(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const child = spawn(command, [...args], options)
  if (child.pid === undefined) return child
  const target = options.detached === true ? -child.pid : child.pid
  const takeBack = onEnd(() => ended(child, target))
  child.once('exit', takeBack)
  return child
}

/** Throws, with nothing to say, once the task is being ended: for a body that would begin another piece of work. */
export function unlessEnding(): void {
  if (ending) throw new UserError('')
}

function ended(child: ChildProcess, target: number): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    const timer = setTimeout(() => kill(target, 'SIGKILL'), grace)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.stdin?.destroy() // what reads there sees its end and cleans up, such as an upload
    kill(target, 'SIGTERM')
  })
}

function kill(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal)
  } catch {
    // it has just ended
  }
}

/**
 * Runs a task: parses its arguments (--help prints to stdout, exit 0; anything unknown is exit 2), turns failures into
 * one error line and an exit code, ends what was started on INT, TERM and HUP (130, 143, 129), and where the npm that runs
 * it is gone (129). The body may return an exit code. The process ends once its output is written: a timer that the body has
 * left behind holds nothing up.
 */
export async function task(about: About, body: (args: Args) => Promise<number | void>): Promise<void> {
  process.chdir(root)
  const exit = (code: number) => process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
  const leave = (code: number) => {
    if (ending) return // npm passes a Ctrl-C on that the terminal has sent already: the second one changes nothing
    ending = true
    closed = true
    setTimeout(() => exit(code), patience).unref()
    // a second time for what the body has started in the meantime
    void cleanUp()
      .then(cleanUp)
      .then(() => exit(code))
  }
  const hungUp = (code: number) => {
    interrupted = true
    leave(code)
  }
  for (const [signal, code] of Object.entries(signals)) process.on(signal, () => hungUp(code))
  // npm that is killed, or loses its terminal, passes nothing on
  const parent = process.ppid
  if (environment().npm_lifecycle_event !== undefined)
    setInterval(() => process.ppid === parent || hungUp(signals.SIGHUP), glance).unref()
  process.stdout.on('error', (error) => (isErrno(error, 'EPIPE') ? leave(brokenPipe) : leave(failed(error))))
  process.stderr.on('error', () => undefined) // nobody is left to be told
  process.on('uncaughtException', (error) => leave(failed(error)))

  let code: number
  try {
    const args = parsed(about, process.argv.slice(2))
    if (args.flags.help === true) {
      print(helpText(about))
      code = 0
    } else code = (await body(args)) ?? 0
  } catch (error) {
    if (ending) return
    code = failed(error)
  }
  if (ending) return
  closed = true
  await cleanUp()
  if (!ending) exit(code)
}

async function cleanUp(): Promise<void> {
  for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) {
    try {
      await inCleanUp.run(true, cleanup)
    } catch (error) {
      process.stderr.write(`warning: clean-up failed: ${message(error)}\n`)
    }
  }
}

/** Says what failed; returns the exit code. */
function failed(error: unknown): number {
  const { message: words, exitCode } = inWords(error)
  if (words !== '') say(`error: ${words}`)
  return exitCode
}

/** Whatever was thrown, as what the user is told: one pod or one save that fails is no end of the others. */
export function inWords(error: unknown): UserError {
  if (error instanceof UserError) return error
  // what the system refused (no space, no permission) is no bug of ours: its sentence is enough
  if (error instanceof Error && 'syscall' in error && 'code' in error) return new UserError(error.message)
  const trace = error instanceof Error ? (error.stack ?? message(error)) : message(error)
  return new UserError(`this is a bug of hotswap-dev\n${trace}`)
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function parsed(about: About, argv: readonly string[]): Args {
  const options: Record<string, { type: 'boolean' | 'string'; short?: string }> = {
    help: { type: 'boolean', short: 'h' },
  }
  for (const [name, { type, short }] of Object.entries(about.options ?? {}))
    options[name] = short === undefined ? { type } : { type, short }
  const seeHelp = ` - see npm run ${about.name} -- --help`
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true })
    if (about.operands === undefined && positionals.length > 0 && values.help !== true)
      throw new UserError(`unexpected argument '${oneLine(positionals[0] ?? '')}'${seeHelp}`, 2)
    return {
      flags: Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Array.isArray(v) ? v.at(-1) : v])),
      operands: positionals,
    }
  } catch (error) {
    if (error instanceof UserError || !(error instanceof Error)) throw error
    // Node's own words, without its advice on how to quote a leading dash: "Unknown option '--foo'"
    throw new UserError(
      (oneLine(error.message).split('. ')[0] ?? '').replace(/^U/, 'u').replace(/^O/, 'o') + seeHelp,
      2,
    )
  }
}

function oneLine(text: string): string {
  return clean(text).replace(/[\n\t]/g, ' ')
}

function helpText({ name, summary, operands, options = {}, more }: About): string {
  const rows = Object.entries({
    ...options,
    help: { type: 'boolean', short: 'h', value: undefined, help: 'this text' },
  }).map(([long, { type, short, value, help }]) => {
    const word = type === 'string' ? ` ${value ?? 'VALUE'}` : ''
    return [`  ${short === undefined ? '    ' : `-${short}, `}--${long}${word}`, help] as const
  })
  const width = Math.max(...rows.map(([left]) => left.length)) + 3
  return [
    `Usage: npm run ${name} -- [OPTION...]${operands === undefined ? '' : ` ${operands}`}`,
    `This task ${summary.replace(/\.$/, '')}.`,
    '',
    ...rows.map(([left, right]) => left.padEnd(width) + right),
    ...(more === undefined ? [] : ['', more]),
  ].join('\n')
}
