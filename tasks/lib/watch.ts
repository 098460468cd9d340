// The watch: tells when a file that the build reads has changed. Events of the file system make it look at once; since no
// kind of event is told reliably, it looks by the clock too.
import { type BigIntStats, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { watch as chokidar } from 'chokidar'
import type { Settings } from './settings.ts'
import { listing, sources, type Sources } from './sources.ts'
import { inWords, onEnd, UserError } from './task.ts'

export interface Watched {
  /** How many files are watched. */
  readonly count: () => number
  /** Ends the watch before the task ends. */
  readonly close: () => Promise<void>
}

const clock = 1_000 // ms between two looks
const rest = 10 // ms in which what is being saved comes to rest
const saving = 200 // ms that a file may be away while it is saved

/**
 * Tells of each change of what the build of the settings reads, by the time at which it was seen (performance.now), until
 * the task ends. `trouble` is told what Go says where it cannot list the files: those known are watched on. Throws UserError
 * where they cannot be listed at the start.
 */
export async function watch(
  settings: Settings,
  changed: (when: number) => void,
  trouble: (words: string) => void,
): Promise<Watched> {
  let list = await sources(settings)
  let seen = look(list)
  let listings = new Map(list.files.map((file) => [file, listingOf(file)]))
  let looking = false
  let again = false
  let told = ''
  const place = (path: string) => list.folders.includes(path) || list.files.includes(path)
  const watcher = chokidar([...list.folders, ...list.files], {
    ignoreInitial: true,
    depth: 0,
    // what else lies in a folder is seen by its name alone
    ignored: (path, stats) => stats?.isFile() === true && !list.files.includes(path) && !isSource(path),
  })
  watcher.on('all', () => void glance())
  watcher.on('raw', () => void glance())
  watcher.on('error', () => undefined) // out of watches, say: the clock is left
  const timer = setInterval(() => void glance(), clock)
  const close = async () => {
    clearInterval(timer)
    await watcher.close()
  }
  onEnd(close)
  return { count: () => list.files.length, close }

  async function glance(): Promise<void> {
    if (looking) {
      again = true
      return
    }
    looking = true
    try {
      do {
        again = false
        await take()
      } while (again)
    } catch (error) {
      // whatever it was, the next look may do better
      const { message } = inWords(error)
      if (message !== told) trouble(`error: ${message}`)
      told = message
    } finally {
      looking = false
    }
  }

  async function take(): Promise<void> {
    const when = performance.now()
    let now = look(list)
    if (same(seen, now)) return
    for (const end = when + saving; ;) {
      await new Promise((resolve) => setTimeout(resolve, rest))
      const next = look(list)
      const away = [...next].some(([path, state]) => state === '' && seen.get(path) !== '')
      const still = same(now, next)
      now = next
      if ((still && !away) || performance.now() > end) break
    }
    const files = list.files.filter((file) => seen.get(file) !== now.get(file))
    const names = list.folders.some((folder) => seen.get(folder) !== now.get(folder))
    seen = now
    if (files.length > 0) changed(when)
    const listed = files.some((file) => isListed(file) || listings.get(file) !== listingOf(file))
    if (names || listed || (list.why !== '' && files.length > 0)) await relist(when, files.length > 0)
  }

  /** Asks Go again; what has joined or left is a change of its own, what has joined while a build ran too. */
  async function relist(when: number, told: boolean): Promise<void> {
    let next: Sources
    const begin = Date.now() - (performance.now() - when)
    try {
      next = await sources(settings)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      list = { ...list, why: error.message }
      return trouble(error.message)
    }
    // a broken tree names less than the build will read when it is whole again: what was known stays watched
    if (next.why !== '') next = joint(list, next)
    const before = new Set(list.files)
    const joined = next.files.filter((file) => !before.has(file))
    const left = list.files.length + joined.length !== next.files.length
    const old = [...list.folders, ...list.files]
    list = next
    const now = look(list)
    // what was there before keeps the state that the last build has seen, and a folder the one that Go was asked about: a
    // file may have come since; a new folder is asked about once more
    for (const path of now.keys()) {
      const state = seen.get(path)
      if (list.folders.includes(path)) now.set(path, state ?? '')
      else if (state !== undefined && before.has(path)) now.set(path, state)
    }
    seen = now
    listings = new Map(list.files.map((file) => [file, listingOf(file)]))
    watcher.add([...list.folders, ...list.files])
    watcher.unwatch(old.filter((path) => !place(path) && !list.folders.includes(dirname(path))))
    const late = joined.some((file) => Number(stats(file)?.mtimeMs ?? 0) > begin)
    if ((!told && (joined.length > 0 || left)) || late) changed(when)
    again = true // for what has changed since
  }
}

type States = Map<string, string>

/** The state of each file, and the names in each folder. */
function look({ files, folders, embeds }: Sources): States {
  const states: States = new Map()
  for (const file of files) {
    const found = stats(file)
    states.set(file, found === undefined ? '' : `${found.mtimeNs} ${found.size} ${found.ino}`)
  }
  const embedded = new Set(embeds)
  for (const folder of folders) if (!states.has(folder)) states.set(folder, names(folder, embedded.has(folder)))
  return states
}

function joint(a: Sources, b: Sources): Sources {
  const both = (x: readonly string[], y: readonly string[]) => [...new Set([...x, ...y])].sort()
  return { ...b, files: both(a.files, b.files), folders: both(a.folders, b.folders), embeds: both(a.embeds, b.embeds) }
}

function same(a: States, b: States): boolean {
  return a.size === b.size && [...a].every(([path, state]) => b.get(path) === state)
}

function stats(file: string): BigIntStats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false, bigint: true })
  } catch {
    return undefined // its folder cannot be entered: Go will say so
  }
}

/** What may be part of a build: Go leaves out names of sources that begin with . or _, and editors give theirs to what they save. */
function names(folder: string, embedded: boolean): string {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(({ name }) => !/~$|\.(?:swp|swx|tmp)$|^4913$/.test(name) && (embedded || !/^[._]/.test(name)))
      .map((entry) => `${entry.name}${entry.isDirectory() ? '/' : ''}`)
      .join('\n')
  } catch {
    return ''
  }
}

function isSource(path: string): boolean {
  return /\.(?:go|c|cc|cpp|cxx|m|h|hh|hpp|hxx|f|F|for|f90|s|S|sx|swig|swigcxx|syso)$/.test(path)
}

/** go.mod and its kin: whatever changes in them may change the list. */
function isListed(file: string): boolean {
  return /\/go\.(?:mod|sum|work|work\.sum)$/.test(file)
}

function listingOf(file: string): string {
  if (!file.endsWith('.go')) return ''
  try {
    return listing(readFileSync(file, 'utf8'))
  } catch {
    return ''
  }
}
