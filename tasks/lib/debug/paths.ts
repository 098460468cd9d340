// Paths: an IDE names a file by the folder that it has opened, a binary by the folder without symbolic links, or by the module
// if it was built with -trimpath.
import { dirname, resolve } from 'node:path'
import { isOn } from '../go/go.ts'
import { goSays, physical } from '../go/go-env.ts'
import type { Settings } from '../settings/table.ts'
import { find, run } from '../frame/tools.ts'

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

/** Which link leads to a file that an IDE names: `from` as it says, `to` as Go does; the same if it is none. */
export type LinkOf = (path?: string) => PathRule | undefined

/**
 * Finds the link through which an IDE has opened the module, or the workspace, from a file that it names; without one, that
 * of GO_DIR. Undefined for a file of neither.
 */
export async function linkOf(settings: Pick<Settings, 'goDir' | 'goArch' | 'target'>): Promise<LinkOf> {
  const { GOMOD = '', GOWORK = '' } = find('go') === undefined ? {} : (await goSays(settings)).variables
  const files = [GOWORK, GOMOD].filter((file) => file !== '' && file !== 'off' && file !== '/dev/null')
  const roots = [...files.map((file) => physical(dirname(file))), physical(settings.goDir)]
  return (path = resolve(settings.goDir)) => {
    for (let from = path; from !== dirname(from); from = dirname(from)) {
      const to = physical(from)
      if (roots.includes(to)) return { from, to }
    }
    return undefined
  }
}

/** A folder at the beginning of a path, replaced. */
export function moved(path: string, { from, to }: PathRule): string {
  return path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path
}

/** The paths in the JSON-RPC of one client, as bytes come: whole messages, each way. */
export interface RpcPaths {
  readonly toDelve: (chunk: Buffer) => Buffer
  readonly toClient: (chunk: Buffer) => Buffer
}

/** Moves them as `linkOf` says of the last file that the client has named; until it names one, nothing is changed. */
export function rpcPaths(linkOf: LinkOf): RpcPaths {
  let opened: PathRule | undefined
  const [asked, answered] = [wholeMessages(), wholeMessages()]
  const named = /"(?:file|File|Loc)":\s*("(?:[^"\\]|\\.)*")/g
  const rule = (back: boolean): PathRule | undefined => {
    if (opened === undefined || opened.from === opened.to) return undefined
    return back ? { from: opened.to, to: opened.from } : opened
  }
  const change = (bytes: Buffer, by: PathRule | undefined): Buffer => {
    if (by === undefined || bytes.length === 0) return bytes
    const inPlace = (text: string) => JSON.stringify(moved(String(JSON.parse(text)), by))
    const words = bytes.toString().replace(named, (all, path: string) => all.slice(0, -path.length) + inPlace(path))
    // a list of files has no keys
    const lists = /"Sources":\s*\[[^\]]*\]/g
    return Buffer.from(words.replace(lists, (list) => list.replace(/"\/(?:[^"\\]|\\.)*"/g, inPlace)))
  }
  return {
    toDelve: (chunk) => {
      const whole = asked(chunk)
      for (const [, path = '""'] of whole.toString().matchAll(named)) {
        const file = String(JSON.parse(path))
        if (file.startsWith('/')) opened = linkOf(file) ?? opened
      }
      return change(whole, rule(false))
    },
    toClient: (chunk) => change(answered(chunk), rule(true)),
  }
}

/** Keeps back what is not yet a whole JSON value: not every client ends each with a newline. */
function wholeMessages(): (chunk: Buffer) => Buffer {
  let kept: Buffer[] = []
  let depth = 0
  let quoted = false
  let escaped = false
  return (chunk) => {
    let end = 0
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]
      if (escaped) escaped = false
      else if (quoted) {
        if (byte === 0x5c) escaped = true
        else if (byte === 0x22) quoted = false
      } else if (byte === 0x22) quoted = true
      else if (byte === 0x7b || byte === 0x5b) depth += 1
      else if (byte === 0x7d || byte === 0x5d) depth -= 1
      if (depth === 0 && !quoted) end = i + 1
    }
    const whole = end === 0 ? [] : [...kept, chunk.subarray(0, end)]
    kept = end === 0 ? [...kept, chunk] : [chunk.subarray(end)]
    return Buffer.concat(whole)
  }
}
