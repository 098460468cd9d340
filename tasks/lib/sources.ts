// Sources: which files a build reads, as `go list` names them.
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { goSays } from './go.ts'
import { at, items, strings, text } from './json.ts'
import type { Settings } from './settings.ts'
import { UserError } from './task.ts'
import { run } from './tools.ts'

export interface Sources {
  /** Absolute paths: Go sources and what else a package is made of, embedded files, go.mod, go.sum, go.work. */
  readonly files: readonly string[]
  /** Folders in which a new file may belong to the build: of packages, and of what they embed. */
  readonly folders: readonly string[]
}

const kinds = 'GoFiles CgoFiles CFiles CXXFiles MFiles HFiles FFiles SFiles SwigFiles SwigCXXFiles SysoFiles EmbedFiles'
const fields = `Dir,ImportPath,Standard,Module,Error,${kinds.replaceAll(' ', ',')}`

/** What `go build` of GO_MAIN reads, without the standard library and the module cache. Throws UserError with Go's words. */
export async function sources(settings: Settings): Promise<Sources> {
  const { goDir, goFlags, goMain } = settings
  const { env } = await goSays(settings)
  const go = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await run('go', args, { cwd: goDir, env, output: 'read' })
    if (exitCode !== 0) throw new UserError(stderr.trim() || `go ${args[0]} ended with ${exitCode}`)
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
  return { files: [...new Set(files)].sort(), folders: [...new Set(found.folders.map(nearest))].sort() }
}

/** The files and folders, and what is wrong, in what `go list -json` prints: objects one after the other, each ended by a } of its own line. Pure. */
export function named(list: string, cache: string): Sources & { readonly why: string } {
  const files: string[] = []
  let why = ''
  const folders: string[] = []
  for (const part of list.split(/^}$/m)) {
    if (part.trim() === '') continue
    const each: unknown = JSON.parse(`${part}}`)
    const error = text(each, 'Error', 'Err')
    if (error !== '') why = ` (${error})`
    const dir = text(each, 'Dir') || unwritten(each)
    if (dir === '' || at(each, 'Standard') === true || dir.startsWith(`${cache}/`)) continue
    const own = kinds.split(' ').flatMap((kind) => strings(items(each, kind)))
    files.push(...own.map((name) => join(dir, name)))
    folders.push(dir, ...strings(items(each, 'EmbedFiles')).map((name) => dirname(join(dir, name))))
    const mod = text(each, 'Module', 'GoMod')
    if (mod !== '' && !mod.startsWith(`${cache}/`)) files.push(mod, sumOf(mod))
  }
  return { files, folders, why }
}

/** Where a package would be that a source imports and nobody has written yet; empty where it is no package of the module. */
function unwritten(each: unknown): string {
  const [path, module, root] = [text(each, 'ImportPath'), text(each, 'Module', 'Path'), text(each, 'Module', 'Dir')]
  return module !== '' && path.startsWith(`${module}/`) ? join(root, path.slice(module.length + 1)) : ''
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
