// Git: the version that it knows of a folder.
import type { Settings } from '../settings/table.ts'
import { environment } from '../frame/environment.ts'
import { clean, say } from '../frame/talk.ts'
import { find, run } from '../frame/tools.ts'

/** What goes into a binary where git has no version. */
export const unknownVersion = 'unknown'

/** A version as it may stand in a header and a receipt: letters, digits and ._+-, anything else becomes a -. */
export function versionWord(text: string): string {
  return text.replace(/[^A-Za-z0-9._+-]/g, '-').slice(0, 128)
}

/** The environment of git for the repository of a folder: nothing that a hook, or `git -c`, says of another one. */
export function gitEnvironment(): Record<string, string> {
  const own = Object.entries(environment()).filter(([key]) => !/^GIT_CONFIG_(PARAMETERS|COUNT)$/.test(key))
  return Object.fromEntries(own)
}

let told = '' // a build after each save needs to say it once

/** What git calls the state of GO_DIR; `unknown`, and one line that says why, if it cannot say. */
export async function gitVersion({ goDir }: Pick<Settings, 'goDir'>): Promise<string> {
  const none = (why: string) => {
    if (why !== told) say(`the version is '${unknownVersion}': ${why}`)
    told = why
    return unknownVersion
  }
  if (find('git') === undefined) return none('git is not on PATH')
  const { exitCode, stdout, stderr } = await run('git', ['describe', '--tags', '--always', '--dirty'], {
    cwd: goDir,
    // without optional locks, so that a build changes nothing in the checkout
    env: { ...gitEnvironment(), GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' },
    output: 'read',
  })
  const version = versionWord(stdout.trim())
  if (exitCode === 0 && version !== '') return version
  const why =
    clean(stderr)
      .split('\n')[0]
      ?.replace(/^fatal: /, '') ?? ''
  return none(why === '' ? `git describe ended with ${exitCode}` : `git says: ${why}`)
}

/** Makes a commit of all in a folder, with a tag, in a repository of its own: git then names that version. Without git, nothing. */
export async function tagged(folder: string, tag: string): Promise<void> {
  if (find('git') === undefined) return
  // without anybody's hooks and signatures
  const env = { ...gitEnvironment(), GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' }
  const who = ['-c', 'user.name=demo', '-c', 'user.email=demo@localhost']
  const git = (...args: string[]) => run('git', [...who, ...args], { cwd: folder, env, output: 'read' })
  await git('init', '--quiet')
  await git('add', '.')
  await git('commit', '--quiet', '--message', tag)
  await git('tag', tag)
}
