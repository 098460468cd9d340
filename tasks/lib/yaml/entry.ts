// What a container runs, as far as its manifest says it. Pure.
import { posix } from 'node:path'
import { isLauncher, launched, launchedAt, naming, shellText, wordsOf } from '../protocol/command.ts'
import { isRecord } from '../frame/json.ts'

export type Entry =
  /** The program of BINARY_PATH: a word of command or args names it, by its path or in another way. */
  | {
      readonly runs: 'program'
      readonly list: 'command' | 'args'
      readonly index: number
      readonly how: 'path' | 'name'
    }
  /** What the image says, which is not known here. */
  | { readonly runs: 'image' }
  /** Another program, or one inside a shell's text. */
  | {
      readonly runs: 'other'
      readonly list: 'command' | 'args'
      /** The word that says so; empty if command is no list. */
      readonly word: string
      /** What BINARY_PATH would have to be; undefined if nothing says it. */
      readonly path: string | undefined
      /** A shell's text starts it: no agent can come between. */
      readonly inText: boolean
    }

/** What a container with these fields runs, without the agent. */
export function entryOf(fields: Readonly<Record<string, unknown>>, binaryPath: string): Entry {
  const folder = typeof fields.workingDir === 'string' ? fields.workingDir : undefined
  const { command } = fields
  if (!isEmpty(command) && !Array.isArray(command))
    return { runs: 'other', list: 'command', word: '', path: undefined, inText: false }
  const own = wordsOf(command)
  const all = [...own, ...wordsOf(fields.args)]
  const [first = ''] = all
  const place = (index: number) =>
    index < own.length ? ({ list: 'command', index } as const) : ({ list: 'args', index: index - own.length } as const)

  const how = isLauncher(first) ? undefined : naming(first, binaryPath, folder)
  if (how !== undefined) return { runs: 'program', ...place(0), how }
  const at = isLauncher(first) || own.length > 0 ? launchedAt(all, binaryPath, folder) : undefined
  if (at !== undefined)
    return { runs: 'program', ...place(at), how: naming(all[at] ?? '', binaryPath, folder) ?? 'path' }
  if (own.length === 0 && !(isLauncher(first) && posix.isAbsolute(first)) && !isProgram(first, fields))
    return { runs: 'image' }

  const inText = shellText(all) !== undefined
  const started = isLauncher(first) ? launched(all) : undefined
  const word = started !== undefined && !inText ? started : first
  const path = started ?? (isLauncher(first) ? undefined : likely(first, binaryPath, folder))
  return { runs: 'other', list: own.length > 0 ? 'command' : 'args', word, path, inText }
}

function likely(word: string, binaryPath: string, folder: string | undefined): string {
  if (posix.isAbsolute(word)) return posix.normalize(word)
  return posix.resolve((word.includes('/') ? folder : undefined) ?? posix.dirname(binaryPath), word)
}

/**
 * Whether the first of the arguments is the absolute path of a program: an image whose entrypoint is an init runs it. A file
 * with a suffix, in a folder of data or in a volume is none.
 */
function isProgram(word: string, { volumeMounts }: Readonly<Record<string, unknown>>): boolean {
  if (!posix.isAbsolute(word) || word.endsWith('/') || /\s/.test(word)) return false
  if (/^\/(?:etc|var|data|config|mnt|tmp|run|dev|proc|sys)(?:\/|$)/.test(word)) return false
  if (/\.(?!sh$)[a-z]\w{0,7}$/i.test(posix.basename(word))) return false
  const mounts: unknown[] = Array.isArray(volumeMounts) ? volumeMounts : []
  return !mounts.some(
    (mount) =>
      isRecord(mount) &&
      typeof mount.mountPath === 'string' &&
      `${word}/`.startsWith(posix.join('/', mount.mountPath, '/')),
  )
}

/** Whether a field says nothing. */
export function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)
}
