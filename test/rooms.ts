// The rooms of tasks/lib: each module imports from rooms below its own alone, and no modules import each other in a circle.
import { dirname, join } from 'node:path'

/** The rooms, the lowest first. Those of one line stand beside each other, and know nothing of each other. */
const levels: readonly (readonly string[])[] = [
  ['frame'],
  ['binary', 'protocol'],
  ['yaml'],
  ['settings'],
  ['go', 'manifest', 'patches'],
  ['pods'],
  ['cluster', 'debug', 'delivery'],
  ['doctor'],
]
const lib = 'tasks/lib/'

/** What is wrong with the imports of these sources, by their paths; a line for each fault. Pure. */
export function faultsOf(sources: ReadonlyMap<string, string>): string[] {
  const imports = new Map([...sources].map(([file, source]) => [file, importsOf(file, source)]))
  const arrows = [...imports].flatMap(([from, files]) => files.flatMap((to) => upward(from, to) ?? []))
  return [...arrows, ...circles(imports)]
}

/** The files of this project that a source imports, also as types alone and in the middle of its run. */
function importsOf(file: string, source: string): string[] {
  return [...source.matchAll(/\b(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path = '']) =>
    join(dirname(file), path),
  )
}

function upward(from: string, to: string): string | undefined {
  const [own, other] = [roomOf(from), roomOf(to)]
  if (own === undefined) return undefined
  if (other === undefined) return `${from} imports ${to}, which is no room of ${lib}`
  const [at, below] = [levelOf(own), levelOf(other)]
  if (at < 0) return `${from} is in no room that test/rooms.ts knows`
  if (below < 0) return `${from} imports ${to}, which is in no room that test/rooms.ts knows`
  return own === other || below < at ? undefined : `${from} imports ${to}: ${other} is not below ${own}`
}

/** The folder of tasks/lib; empty for a file beside the rooms, undefined for one elsewhere. */
function roomOf(file: string): string | undefined {
  if (!file.startsWith(lib)) return undefined
  const room = dirname(file.slice(lib.length))
  return room === '.' ? '' : room
}

function levelOf(room: string): number {
  return levels.findIndex((level) => level.includes(room))
}

/** Each circle once: the path from a file to itself. */
function circles(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>()
  const found: string[] = []
  const walk = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file)
    if (at >= 0) found.push(`a circle: ${[...path.slice(at), file].join(' → ')}`)
    if (at >= 0 || done.has(file)) return
    for (const next of imports.get(file) ?? []) walk(next, [...path, file])
    done.add(file)
  }
  for (const file of imports.keys()) walk(file, [])
  return found
}
