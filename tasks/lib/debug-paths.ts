// Paths under -trimpath: such a binary names its files by module, an IDE by folder.
import { goSays, isOn } from './go.ts'
import type { Settings } from './settings.ts'
import { find, run } from './tools.ts'

/** One rule of Delve's substitutePath: a folder here, and what stands for it in the binary. */
export interface PathRule {
  readonly from: string
  readonly to: string
}

/** The rules that a build of these settings needs; none without -trimpath. */
export async function pathRules(
  settings: Pick<Settings, 'goDir' | 'goFlags' | 'goArch' | 'target'>,
): Promise<PathRule[]> {
  if (find('go') === undefined) return [] // then nothing is built here either
  const { env, goflags, variables } = await goSays(settings)
  if (!isOn('trimpath', [...goflags, ...settings.goFlags])) return []
  const list = ['list', '-m', '-f', '{{.Path}}\t{{.Dir}}']
  const modules = (await run('go', list, { cwd: settings.goDir, env, output: 'read' })).stdout.trim().split('\n')
  const { GOMODCACHE: cache = '', GOROOT: goroot = '' } = variables
  const own = modules.flatMap((line) => {
    const [to = '', from = ''] = line.split('\t')
    return from === '' ? [] : [{ from, to }]
  })
  // what is relative and no module of our own lies in the cache, where a file of the library is not found
  return [...own, { from: cache, to: '' }, { from: `${goroot}/src`, to: '' }]
}
