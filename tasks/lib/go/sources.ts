// Sources: which files a build reads, as `go list` names them.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { valuesOf } from './go.ts'
import { goSays, homeless, physical } from './go-env.ts'
import { at, items, jsonOf, strings, text } from '../frame/json.ts'
import type { Settings } from '../settings/table.ts'
import { run } from '../frame/tools.ts'

export interface Sources {
  /** Absolute paths: Go sources and what else a package is made of, embedded files, go.mod, go.sum, go.work. */
  readonly files: readonly string[]
  /** Folders in which a new file may belong to the build: of packages, and of what they embed. */
  readonly folders: readonly string[]
  /** Those of the folders in which each name may belong to the build: an embed pattern may take it. */
  readonly embeds: readonly string[]
  /** What would change the build if it came, such as a go.work above, and is mostly not there. */
  readonly aside: readonly string[]
  /** What is wrong with a package, empty if nothing is: a list of a broken tree is too short. */
  readonly why: string
  /** Why Go names no source at all, with the next step; empty if it names some. */
  readonly fault: string
}

const kinds =
  'GoFiles CgoFiles CFiles CXXFiles MFiles HFiles FFiles SFiles SwigFiles SwigCXXFiles SysoFiles EmbedFiles IgnoredGoFiles IgnoredOtherFiles'
const fields = `Dir,ImportPath,Name,Standard,Module,Error,EmbedPatterns,${kinds.replaceAll(' ', ',')}`

/** What `go build` of GO_MAIN reads, without the standard library and the module cache. */
export async function sources(settings: Settings): Promise<Sources> {
  const { goDir, goFlags, goMain } = settings
  const { env, goflags, variables } = await goSays(settings)
  const { GOMODCACHE = '', GOMOD = '', GOWORK = '', GOENV = '' } = variables
  const args = ['list', '-e', '-deps', `-json=${fields}`, ...goFlags, goMain]
  const { exitCode, stdout, stderr } = await run('go', args, { cwd: goDir, env, output: 'read' })
  const refusal = [stderr.trim() || `go list ended with ${exitCode}`, homeless(env)].filter((line) => line !== '')

  const home = physical(goDir)
  const roots = [GOMOD, GOWORK].filter((file) => !/^(?:off|\/dev\/null)?$/.test(file))
  const flags = flagFiles(home, [...goflags, ...goFlags])
  const modules = neighbours([...flags.mods, ...roots])
  const found = named(exitCode === 0 ? stdout : '', GOMODCACHE, modules)
  const none = `go list names no source of GO_MAIN=${goMain} in ${resolve(goDir)}${found.why} - correct it in .env`
  const isNone = found.files.every((file) => /\/go\.(?:mod|sum)$/.test(file))
  const fault = exitCode !== 0 ? refusal.join('\n') : isNone ? none : ''

  const places = found.patterns.flatMap(([dir, pattern]) => placesOf(dir, pattern))
  // without modules a package is sought below GOPATH, and in the vendor folder
  const paths = variables.GO111MODULE === 'off' ? (variables.GOPATH ?? '').split(':') : []
  const above = paths.flatMap((root) => [join(root, 'src'), join(home, 'vendor')])
  const unwritten = found.unwritten.flatMap((path) => above.map((root) => join(root, path)))
  const link = home === resolve(goDir) ? [] : [resolve(goDir)]
  const unique = (list: readonly string[]) => [...new Set(list)].sort()
  const files = unique([...found.files, ...roots, ...roots.map(sumOf)])
  const known = new Set(files)
  const mods = [...modules.values()].map((folder) => join(folder, 'go.mod'))
  const vendors = [...roots.map(dirname), ...found.vendors].map((folder) => join(folder, 'vendor'))
  const aside = [
    ...found.aside,
    ...withFolders(home).flatMap((folder) => [join(folder, 'go.mod'), join(folder, 'go.work')]),
    ...mods,
    ...mods.map(sumOf),
    ...vendors.flatMap((folder) => [folder, join(folder, 'modules.txt')]),
    ...flags.files,
    GOENV,
  ]
  return {
    files,
    // a folder that is not there is watched by the nearest above it too, in which it would appear
    folders: unique([
      ...link,
      ...[...found.folders, ...unwritten, ...places].flatMap((folder) => [resolve(folder), nearest(folder)]),
    ]),
    embeds: unique(places),
    aside: unique(aside.filter((file) => file.startsWith('/') && !known.has(file))),
    why: fault === '' ? found.why : fault,
    fault,
  }
}

interface Named {
  readonly files: readonly string[]
  readonly folders: readonly string[]
  /** Each embed pattern, with the folder of its package. */
  readonly patterns: readonly (readonly [folder: string, pattern: string])[]
  /** What would take a package out of its module, or into another build of it. */
  readonly aside: readonly string[]
  /** The folders of the modules that may have a vendor folder. */
  readonly vendors: readonly string[]
  /** The packages that are imported and not there. */
  readonly unwritten: readonly string[]
  readonly why: string
}

/**
 * What is in what `go list -json` prints: objects one after the other, each ended by a } of its own line. `neighbours` are the
 * modules of this machine, by path, that the list may not name. Pure.
 */
export function named(list: string, cache: string, neighbours: ReadonlyMap<string, string> = new Map()): Named {
  const files: string[] = []
  const folders = new Set<string>()
  const patterns: [string, string][] = []
  const aside = new Set<string>()
  const unwritten: string[] = []
  const vendors = new Set<string>()
  let why = ''
  const packages = list
    .split(/^}$/m)
    .filter((part) => part.trim() !== '')
    .map((part): unknown => JSON.parse(`${part}}`))
  const own = packages.map((each) => [text(each, 'Module', 'Path'), text(each, 'Module', 'Dir')] as const)
  const modules = new Map([...neighbours, ...own].filter(([path, dir]) => path !== '' && dir !== ''))
  for (const each of packages) {
    const error = text(each, 'Error', 'Err')
    if (error !== '') why = ` (${error})`
    const dir = text(each, 'Dir')
    const path = text(each, 'ImportPath')
    if (dir === '') {
      if (at(each, 'Standard') === true) continue
      unwritten.push(path)
      for (const [module, root] of modules)
        if (`${path}/`.startsWith(`${module}/`)) folders.add(join(root, path.slice(module.length)))
      continue
    }
    if (at(each, 'Standard') === true || dir.startsWith(`${cache}/`)) continue
    const embedded = new Set(strings(items(each, 'EmbedFiles')))
    const names = kinds
      .split(' ')
      .flatMap((kind) => strings(items(each, kind)))
      .filter((name) => !/^[._]/.test(name) || embedded.has(name))
    files.push(...names.map((name) => join(dir, name)))
    folders.add(dir)
    for (const pattern of strings(items(each, 'EmbedPatterns'))) patterns.push([dir, pattern])
    if (text(each, 'Name') === 'main') aside.add(join(dir, 'default.pgo'))
    const root = text(each, 'Module', 'Dir')
    // a go.mod between makes a package part of another module
    for (const folder of withFolders(dir))
      if (root !== '' && folder.startsWith(`${root}/`)) aside.add(join(folder, 'go.mod'))
    if (at(each, 'Module', 'Main') === true && root !== '') vendors.add(root)
    const mod = text(each, 'Module', 'GoMod')
    if (mod !== '' && !mod.startsWith(`${cache}/`)) files.push(mod, sumOf(mod))
  }
  return { files, folders: [...folders], patterns, aside: [...aside], vendors: [...vendors], unwritten, why }
}

/** The modules in folders of this machine, by path, that go.mod and go.work files name: their own, what they replace, what they use. */
function neighbours(files: readonly string[]): Map<string, string> {
  const found = new Map<string, string>()
  for (const file of files) {
    const folder = dirname(file)
    for (const line of fileText(file).split('\n')) {
      const words: readonly string[] = line.replace(/\/\/.*/, '').match(/[^\s"`()]+/g) ?? []
      const [first = '', second = ''] = words
      const arrow = words.indexOf('=>')
      const target = words[arrow + 1] ?? ''
      const used = first === 'use' ? second : first
      if (first === 'module') found.set(second, folder)
      else if (arrow > 0 && /^[./]/.test(target))
        found.set(first === 'replace' ? second : first, resolve(folder, target))
      else if (arrow < 0 && file.endsWith('.work') && /^[./]/.test(used)) {
        const root = resolve(folder, used)
        found.set(root, root)
        for (const [path, dir] of neighbours([join(root, 'go.mod')])) found.set(path, dir)
      }
    }
  }
  return found
}

/** The files that flags name: another go.mod, an overlay and what it puts in the place of sources, a profile. */
function flagFiles(home: string, flags: readonly string[]): { readonly mods: string[]; readonly files: string[] } {
  const of = (flag: string) => valuesOf(flag, flags).map((name) => resolve(home, name))
  const mods = of('modfile')
  const overlays = of('overlay')
  const put = overlays.flatMap((file) => Object.values(at(jsonOf(fileText(file)), 'Replace') ?? {}))
  const profiles = of('pgo')
  return { mods, files: [...mods, ...mods.map(sumOf), ...overlays, ...strings(put), ...profiles] }
}

/** The folders from which an embed pattern takes files: where a wildcard of it is, and all below what it matches. */
function placesOf(dir: string, pattern: string): string[] {
  const [part = '', ...rest] = pattern.replace(/^all:/, '').split('/')
  const further = (name: string) => {
    const path = join(dir, name)
    return rest.length > 0 ? placesOf(path, rest.join('/')) : withInner(path)
  }
  if (!/[*?[\\]/.test(part)) return further(part)
  const inner = foldersIn(dir).filter((name) => matchesGlob(name, part))
  return [dir, ...inner.flatMap(further)]
}

/** The folder, and all in it: a file may come to one that is empty now. None if it is a file. */
function withInner(folder: string): string[] {
  if (statSync(folder, { throwIfNoEntry: false })?.isFile()) return []
  return [folder, ...foldersIn(folder).flatMap((name) => withInner(join(folder, name)))]
}

function foldersIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  } catch {
    return [] // not there, or a file
  }
}

/** Whether a name fits a pattern as Go's path.Match has it. Pure. */
export function matchesGlob(name: string, pattern: string): boolean {
  const parts = pattern.match(/\\.|\[\^?(?:\\.|[^\]])*\]|[^]/gs) ?? []
  const expression = parts.map((part) => {
    if (part === '*') return '.*'
    if (part === '?') return '.'
    if (part.length > 1 && part.startsWith('[')) return part
    return part.replace(/^\\/, '').replace(/[^\w]/, '\\$&')
  })
  try {
    return new RegExp(`^${expression.join('')}$`, 's').test(name)
  } catch {
    return true // a pattern that is none: go build says so
  }
}

function fileText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function sumOf(mod: string): string {
  return mod.endsWith('.work') ? `${mod}.sum` : mod.replace(/\.mod$/, '.sum')
}

/** The folder, and all above it. */
function withFolders(folder: string): string[] {
  return folder === dirname(folder) ? [folder] : [folder, ...withFolders(dirname(folder))]
}

/** The folder, or the nearest above it that is there. */
function nearest(folder: string): string {
  return withFolders(resolve(folder)).find((each) => statSync(each, { throwIfNoEntry: false }) !== undefined) ?? '/'
}

/**
 * What of a source decides which files a build reads: all before its first declaration, and the lines that Go takes for
 * orders. Another text, another list. Pure.
 */
export function listing(source: string): string {
  // comments and texts are told apart by the one that begins first
  const token = /\/\/.*|\/\*[^]*?\*\/|`[^`]*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g
  const code = source.replace(token, (part) => (part.startsWith('/*') ? ' ' : part))
  const head = code.slice(0, Math.max(0, code.search(/^(?:func|type|var|const)\b/m)) || code.length)
  const orders = code.match(/^\s*\/\/(?:go:(?:embed|build)| ?\+build)\s.*$/gm) ?? []
  const bare = head.split('\n').filter((line) => !/^\s*(?:\/\/|$)/.test(line))
  return [...bare, ...orders.map((line) => line.trim())].join('\n')
}
