// What a task says: the result on stdout, talk and errors on stderr, each a line.
import { stripVTControlCharacters } from 'node:util'

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

let makeWay = (write: () => void) => write()

let quiet = false // after Ctrl-C
let closed = false // the task is about to end
let isLate: () => boolean = () => false

/** From now on no talk is printed. */
export function hush(): void {
  quiet = true
}

/** From now on results are printed while `late` says so. */
export function close(late: () => boolean): void {
  closed = true
  isLate = late
}

/** Has each line written through a function: by one who keeps a line below all others, and takes it away meanwhile. */
export function writeThrough(how: typeof makeWay): void {
  makeWay = how
}

/** Prints a line of talk: stderr. Nothing after Ctrl-C: that what was ended has ended is no news. */
export function say(line: string): void {
  if (!quiet) makeWay(() => process.stderr.write(`${line}\n`))
}

/** Prints the last line of talk, also after Ctrl-C: how things were left. */
export function sayLast(line: string): void {
  process.stderr.write(`${line}\n`)
}

/** Prints a line of the result: stdout. Once the task ends only a clean-up does: what the body has late is no result. */
export function print(line: string): void {
  if (!closed || isLate()) makeWay(() => process.stdout.write(`${line}\n`))
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

/** Whatever was thrown, as what the user is told: one pod or one save that fails is no end of the others. */
export function inWords(error: unknown): UserError {
  if (error instanceof UserError) return error
  // what the system refused (no space, no permission) is no bug of ours: its sentence is enough
  if (error instanceof Error && 'syscall' in error && 'code' in error) return new UserError(error.message)
  const trace = error instanceof Error ? (error.stack ?? message(error)) : message(error)
  return new UserError(`this is a bug of hotswap-dev\n${trace}`)
}

/** The words of whatever was thrown. */
export function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
