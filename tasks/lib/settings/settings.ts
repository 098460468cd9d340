// Settings: the only reader of .env, and of the environment for them.
import { lstatSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { addToEnvironment } from '../frame/environment.ts'
import { decoded } from './env-file.ts'
import { found } from './found.ts'
import { defaults, faultsText, parse, type Others, type Settings } from './table.ts'
import { root } from '../frame/root.ts'
import { say, UserError } from '../frame/talk.ts'

const largest = 1 << 20 // bytes of a .env: anything larger is another kind of file

let others: Others = { go: {}, program: {} }

/**
 * The settings, from .env in the top folder and the environment; where GO_DIR and MANIFEST lead elsewhere, what still says
 * hello is found there, at once for what the task `uses` (default: all). `tell` gets one line on the keys of .env that nobody
 * reads. Throws UserError (2) with all faults.
 */
export async function settings(
  uses?: readonly (keyof Settings)[],
  tell: (line: string) => void = say,
): Promise<Settings> {
  const result = parse(envText(), process.env)
  if ('faults' in result) throw new UserError(faultsText(result.faults), 2)
  others = result.others
  addToEnvironment(others.go)
  const unread = Object.keys(others.program)
  if (result.settings.target !== 'local' && unread.length > 0)
    tell(
      `.env: ${unread.join(', ')}: ignored, as ${unread.length === 1 ? 'it is' : 'they are'} neither a setting nor a variable of Go - what the program reads belongs into MANIFEST`,
    )
  return found(result.settings, defaults(), uses)
}

/** What .env says for the program itself, which the environment wins over: only a program on `local` can get it. */
export function programVariables(): Readonly<Record<string, string>> {
  return others.program
}

function envText(): string {
  const file = join(root, '.env')
  const refuse = (why: string) => new UserError(`.env ${why}`, 2)
  const entry = lstatSync(file, { throwIfNoEntry: false })
  if (entry === undefined) return ''
  const target = statSync(file, { throwIfNoEntry: false })
  if (target === undefined)
    throw refuse(`is a link to ${readlinkSync(file)}, which is not there - make that file, or remove the link`)
  if (!target.isFile() && !target.isCharacterDevice())
    // to open a pipe would take for ever; /dev/null is an empty file
    throw refuse(`is ${target.isDirectory() ? 'a folder' : 'a pipe or a socket'} - make it a file of lines KEY=value`)
  if (target.size > largest) throw refuse(`has ${target.size} bytes - make it a file of lines KEY=value`)
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    throw refuse(`cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
  const read = decoded(bytes)
  if ('problem' in read) throw refuse(`is ${read.problem}`)
  return read.text
}
