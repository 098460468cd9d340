// Sources: which files a build reads, as `go list` names them.
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { goSays, homeless } from './go.ts'
import { at, items, strings, text } from './json.ts'
import type { Settings } from './settings.ts'
import { UserError } from './task.ts'
import { run } from './tools.ts'

export interface Sources {
  /** Absolute paths: Go sources and what else a package is made of, embedded files, go.mod, go.sum, go.work. */
  readonly files: readonly string[]
  /** Folders in which a new file may belong to the build: of packages, and of what they embed. */
  readonly folders: readonly string[]
  /** Those of the folders in which a name that begins with . or _ may belong to the build: an embed pattern may take it. */
  readonly embeds: readonly string[]
  /** What is wrong with a package, empty where nothing is: a list of a broken tree is too short. */
  readonly why: string
}

const kinds =
  'GoFiles CgoFiles CFiles CXXFiles MFiles HFiles FFiles SFiles SwigFiles SwigCXXFiles SysoFiles EmbedFiles IgnoredGoFiles IgnoredOtherFiles'
const fields = `Dir,ImportPath,Standard,Module,Error,EmbedPatterns,${kinds.replaceAll(' ', ',')}`

/** What `go build` of GO_MAIN reads, without the standard library and the module cache. Throws UserError with Go's words. */
export async function sources(settings: Settings): Promise<Sources> {
  const { goDir, goFlags, goMain } = settings
  const { env } = await goSays(settings)
  const go = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await run('go', args, { cwd: goDir, env, output: 'read' })
    const why = [stderr.trim() || `go ${args[0]} ended with ${exitCode}`, homeless(env)].filter((line) => line !== '')
    if (exitCode !== 0) throw new UserError(why.join('\n'))
    return stdout
  }
  const [list, places] = await Promise.all([
    go('list', '-e', '-deps', `-json=${fields}`, ...goFlags, goMain),
    go('env', 'GOMODCACHE', 'GOMOD', 'GOWORK'),
  ])
  const [cache = '', mod = '', work = ''] = places.split('\n')
  const found = named(list, cache)
  if (found.files.every((file) => /\/go\.(?:mod|sum)$/.test(file)))
    throw new UserError(
      `go list names no source of GO_MAIN=${goMain} in ${resolve(goDir)}${found.why} - correct it in .env`,
    )
  const roots = [mod, work].filter((file) => file !== '' && file !== 'off' && file !== '/dev/null')
  const files = [...found.files, ...roots, ...roots.map(sumOf)]
  const unique = (paths: readonly string[]) => [...new Set(paths)].sort()
  // a folder that is not there is watched by the nearest above it too, in which it would appear
  const embeds = unique(found.embeds.filter((folder) => folder !== resolve(goDir)).flatMap(withInner))
  const folders = unique([...found.folders, ...embeds].flatMap((folder) => [resolve(folder), nearest(folder)]))
  return {
    files: unique(files),
    folders,
    embeds: unique([...embeds, ...found.embeds]),
    why: found.why,
  }
}

/** The files and folders, and what is wrong, in what `go list -json` prints: objects one after the other, each ended by a } of its own line. Pure. */
export function named(list: string, cache: string): Sources {
  const files: string[] = []
  let why = ''
  const folders: string[] = []
  const embeds: string[] = []
  const packages = list
    .split(/^}$/m)
    .filter((part) => part.trim() !== '')
    .map((part): unknown => JSON.parse(`${part}}`))
  const modules = new Map(packages.map((each) => [text(each, 'Module', 'Path'), text(each, 'Module', 'Dir')]))
  for (const each of packages) {
    const error = text(each, 'Error', 'Err')
    if (error !== '') why = ` (${error})`
    const dir = text(each, 'Dir') || unwritten(text(each, 'ImportPath'), modules)
    if (dir === '' || at(each, 'Standard') === true || dir.startsWith(`${cache}/`)) continue
    const embedded = new Set(strings(items(each, 'EmbedFiles')))
    const own = kinds
      .split(' ')
      .flatMap((kind) => strings(items(each, kind)))
      .filter((name) => !/^[._]/.test(name) || embedded.has(name))
    files.push(...own.map((name) => join(dir, name)))
    const parts = [...embedded].map((name) => dirname(join(dir, name))).filter((folder) => folder !== dir)
    const patterns = strings(items(each, 'EmbedPatterns')).filter(
      (pattern) => !embedded.has(pattern.replace(/^all:/, '')),
    )
    const places = [...parts, ...patterns.map((pattern) => patternFolder(dir, pattern))]
    embeds.push(...places)
    folders.push(dir, ...places)
    const mod = text(each, 'Module', 'GoMod')
    if (mod !== '' && !mod.startsWith(`${cache}/`)) files.push(mod, sumOf(mod))
  }
  return { files, folders: [...new Set(folders)], embeds: [...new Set(embeds)], why }
}

/** Where a package would be that a source imports and is not there, of which Go says the path alone; empty where no module has it. */
function unwritten(path: string, modules: ReadonlyMap<string, string>): string {
  const own = [...modules].filter(([module, root]) => module !== '' && root !== '' && path.startsWith(`${module}/`))
  const [module, root] = own.sort(([a], [b]) => b.length - a.length)[0] ?? ['', '']
  return module === '' ? '' : join(root, path.slice(module.length + 1))
}

/** The folder that an embed pattern names, or that in which its first wildcard is. */
function patternFolder(dir: string, pattern: string): string {
  const plain = pattern.replace(/^all:/, '')
  const wild = plain.split('/').findIndex((part) => /[*?[]/.test(part))
  return join(dir, wild < 0 ? plain : plain.split('/').slice(0, wild).join('/'))
}

/** The folder, and all in it: a file may come to one that is empty now. */
function withInner(folder: string): string[] {
  try {
    const inner = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return [folder, ...inner.flatMap(({ name }) => withInner(join(folder, name)))]
  } catch {
    return [folder] // not there, or a file
  }
}

function sumOf(mod: string): string {
  return mod.endsWith('.work') ? `${mod}.sum` : mod.replace(/\.mod$/, '.sum')
}

/** The folder, or the nearest above it that is there. */
function nearest(folder: string): string {
  const full = resolve(folder)
  return existsSync(full) || full === '/' ? full : nearest(dirname(full))
}

/** The lines of a source that decide which files a build reads: another text, another list. Pure. */
export function listing(source: string): string {
  const lines = source.match(/^(?:import\s*\([^)]*\)|import\s.*|package\s.*|\/\/go:(?:embed|build)\s.*)$/gm)
  return (lines ?? []).join('\n')
}
