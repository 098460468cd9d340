// Paths under -trimpath: such a binary names its files by module, an IDE by folder.
import { environment, type Settings } from './settings.ts'
import { run } from './tools.ts'

/** One rule of Delve's substitutePath: a folder here, and what stands for it in the binary. */
export interface PathRule {
  readonly from: string
  readonly to: string
}

/** The rules that a build of these settings needs; none without -trimpath. */
export async function pathRules({ goDir, goFlags }: Pick<Settings, 'goDir' | 'goFlags'>): Promise<PathRule[]> {
  const flags = [...goFlags, ...(environment().GOFLAGS ?? '').split(/\s+/)]
  if (!flags.some((word) => /^--?trimpath(=true|=1)?$/.test(word))) return []
  const go = async (...args: string[]) =>
    (await run('go', args, { cwd: goDir, output: 'read' })).stdout.trim().split('\n')
  const modules = await go('list', '-m', '-f', '{{.Path}}\t{{.Dir}}')
  const [cache = '', goroot = ''] = await go('env', 'GOMODCACHE', 'GOROOT')
  const own = modules.flatMap((line) => {
    const [to = '', from = ''] = line.split('\t')
    return from === '' ? [] : [{ from, to }]
  })
  // what is relative and no module of our own lies in the cache, where a file of the library is not found
  return [...own, { from: cache, to: '' }, { from: `${goroot}/src`, to: '' }]
}
