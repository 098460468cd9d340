// The frame of every task: its arguments, its exit code, and the signals that end it.
import { parseArgs } from 'node:util'
import { beginEnding, cleanUp, isCleaningUp, isEnding } from './ending.ts'
import { environment } from './environment.ts'
import { root } from './root.ts'
import { clean, close, hush, inWords, print, say, UserError } from './talk.ts'

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
const glance = 500 // ms between two looks whether npm is still there

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
    if (isEnding()) return // npm passes a Ctrl-C on that the terminal has sent already: the second one changes nothing
    beginEnding()
    close(isCleaningUp)
    setTimeout(() => exit(code), patience).unref()
    // a second time for what the body has started in the meantime
    void cleanUp()
      .then(cleanUp)
      .then(() => exit(code))
  }
  const hungUp = (code: number) => {
    hush()
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
    if (isEnding()) return
    code = failed(error)
  }
  if (isEnding()) return
  close(isCleaningUp)
  await cleanUp()
  if (!isEnding()) exit(code)
}

/** Says what failed; returns the exit code. */
function failed(error: unknown): number {
  const { message: words, exitCode } = inWords(error)
  if (words !== '') say(`error: ${words}`)
  return exitCode
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
