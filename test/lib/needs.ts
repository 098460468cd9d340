// What cases need beyond the tools that README.md names. Where it is missing they are left out, and that is said: a line
// that begins with `not run`, which test/run.ts shows, and which fails a run with --complete.
import { accessSync, constants, realpathSync } from 'node:fs'
import { basename, join } from 'node:path'
import { UserError } from '../../tasks/lib/frame/talk.ts'

/** Where a tool is on PATH, and on no other: nothing is started to find out. */
export function which(tool: string): string | undefined {
  const paths = (process.env.PATH ?? '').split(':').map((folder) => join(folder, tool))
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export interface Needs {
  /** Mounts, other users and namespaces: root, and the tools for that, which Debian has in util-linux and mount. */
  readonly root?: boolean
  /** Other tools on PATH. */
  readonly tools?: readonly string[]
}

const ofRoot = ['mount', 'umount', 'setpriv', 'unshare', 'nsenter']

/** Is all of it here? Else says which case is not run, and why. */
export function here(title: string, { root = false, tools = [] }: Needs): boolean {
  const missing = [
    ...(root && process.getuid?.() !== 0 ? ['root'] : []),
    ...[...(root ? ofRoot : []), ...tools].filter((tool) => which(tool) === undefined),
  ]
  if (missing.length > 0) leftOut(title, missing.join(', '))
  return missing.length === 0
}

export const leftOut = (title: string, missing: string) =>
  void process.stderr.write(`not run, needs ${missing}: ${title}\n`)

// --- shells ---

/** How a shell is called here, and as words. */
export interface Shell {
  readonly name: string
  readonly words: readonly string[]
}

const known: readonly Shell[] = [
  { name: 'dash', words: ['dash'] },
  { name: 'ash', words: ['busybox', 'sh'] },
  { name: 'bash', words: ['bash'] },
]

/** The variable that chooses the shells of the agent's cases. */
export const SHELLS = 'HOTSWAP_TEST_SHELLS'

/** The shells that are meant: `all`, or names divided by commas; none: what sh is on this machine. Throws UserError (2). */
export function shells(names = process.env[SHELLS]): readonly Shell[] {
  if (!names) {
    const name = basename(realpathSync(which('sh') ?? '/bin/sh'))
    return [{ name: name === 'busybox' ? 'ash' : name, words: ['sh'] }]
  }
  if (names === 'all') return known
  return names.split(',').map((name) => {
    const shell = known.find((one) => one.name === name)
    if (!shell)
      throw new UserError(`shells are all, or some of ${known.map((one) => one.name).join(',')}, not '${names}'`, 2)
    return shell
  })
}
