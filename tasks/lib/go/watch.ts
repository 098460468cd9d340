// The watch: tells when a file that the build reads has changed. Events of the file system make it look at once; since no
// kind of event is told reliably, it looks by the clock too.
import { pause } from '../frame/pause.ts'
import { type BigIntStats, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { watch as chokidar } from 'chokidar'
import type { Settings } from '../settings/table.ts'
import { listing, sources, type Sources } from './sources.ts'
import { onEnd } from '../frame/ending.ts'
import { text } from '../frame/json.ts'
import { inWords, UserError } from '../frame/talk.ts'

export interface Watched {
  /** How many files are watched. */
  readonly count: () => number
  /** A build has failed: Go is asked again what it reads, for what the last list may lack. */
  readonly failed: () => void
  /** Ends the watch before the task ends. */
  readonly close: () => Promise<void>
}

const clock = 1_000 // ms between two looks
const rest = 10 // ms in which what is being saved comes to rest
const saving = 200 // ms that a file may be away while it is saved

/**
 * Tells of each change of what the build of the settings reads, by the time at which it was seen (performance.now), until
 * the task ends. `trouble` is told what Go says if it cannot list the files: those known are watched on. Throws UserError
 * if they cannot be listed at the start.
 */
export async function watch(
  settings: Settings,
  changed: (when: number) => void,
  trouble: (words: string) => void,
): Promise<Watched> {
  const start = Date.now()
  let list = await sources(settings)
  if (list.fault !== '') throw new UserError(list.fault)
  let seen = look(list)
  // what has come or changed since may be in no list yet: it is looked at again
  for (const path of seen.keys()) if (changedAt(path) > start) seen.set(path, '')
  /** Of each file, as it was before Go was asked, or longer ago. */
  let listings = listingsOf(new Map(), start)
  let known = new Set([...list.folders, ...list.files])
  let closed = false
  let looking = false
  let again = false
  let asked = false
  let told = ''
  /** The names that events have had since the last look. */
  const named = new Set<string>()
  const watcher = chokidar([...list.folders, ...list.files], {
    ignoreInitial: true,
    depth: 0,
    // what else lies in a folder is seen by its name alone
    ignored: (path, stats) => stats?.isFile() === true && !known.has(path) && !isSource(path),
  })
  watcher.on('all', () => void glance())
  watcher.on('raw', (_event, name: unknown, options) => {
    const folder = text(options, 'watchedPath')
    if (typeof name === 'string' && folder !== '') named.add(join(folder, name))
    void glance()
  })
  watcher.on('error', () => undefined) // out of watches, say: the clock is left
  const timer = setInterval(() => void glance(), clock)
  const close = async () => {
    closed = true
    clearInterval(timer)
    await watcher.close()
  }
  onEnd(close)
  const failed = () => {
    asked = true
    void glance()
  }
  return { count: () => list.files.length, failed, close }

  async function glance(): Promise<void> {
    if (closed) return
    if (looking) {
      again = true
      return
    }
    looking = true
    try {
      do {
        again = false
        await take()
      } while (again && !closed)
    } catch (error) {
      if (closed) return
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
    let begin = Date.now()
    let now = look(list)
    if (same(seen, now)) {
      const passed = cameAndWent()
      if (passed) changed(when)
      if (passed || asked) await relist(when, begin, passed)
      return
    }
    for (const end = when + saving; ;) {
      await pause(rest)
      begin = Date.now()
      const next = look(list)
      const away = [...next].some(([path, state]) => state === '' && seen.get(path) !== '')
      const still = same(now, next)
      now = next
      if ((still && !away) || performance.now() > end) break
    }
    if (closed) return
    const changes = (paths: readonly string[]) => paths.filter((path) => seen.get(path) !== now.get(path))
    const files = changes(list.files)
    const aside = changes(list.aside)
    const names = changes(list.folders)
    const passed = cameAndWent()
    seen = now
    const tells = passed || files.length + aside.length > 0
    if (tells) changed(when)
    const listed = files.filter((file) => {
      const [before, after] = [listings.get(file), listingOf(file)]
      listings.set(file, after)
      return list.why !== '' || isListed(file) || before !== after
    })
    if (passed || names.length + aside.length + listed.length > 0) await relist(when, begin, tells)
  }

  /** Whether an event has named what may count, was not there at the last look, and is not there now: a build may have read it. */
  function cameAndWent(): boolean {
    const embedded = new Set(list.embeds)
    const mayCount = (path: string) =>
      seen.has(path) || (seen.has(dirname(path)) && (isSource(path) || embedded.has(dirname(path))))
    const wasThere = (path: string) =>
      seen.has(path) ? seen.get(path) !== '' : seen.get(dirname(path))?.split('\n').includes(basename(path))
    const passed = [...named].some((path) => mayCount(path) && !wasThere(path) && stats(path) === undefined)
    named.clear()
    return passed
  }

  /** Those of before, and of other files what they say if that has not changed since Go was asked. */
  function listingsOf(before: ReadonlyMap<string, string>, begin: number): Map<string, string> {
    const all = list.files.map((file): [string, string] => [file, before.get(file) ?? listingOf(file)])
    return new Map(all.filter(([file]) => before.has(file) || changedAt(file) <= begin))
  }

  /**
   * Asks Go again, of a tree as it was at `begin` (Date.now) or later; what has joined or left is a change of its own if
   * none was told of, else what has changed while the build ran.
   */
  async function relist(when: number, begin: number, tells: boolean): Promise<void> {
    const wasAsked = asked
    asked = false
    const next = await sources(settings)
    if (closed) return // to add a path would open the watcher again
    if (next.fault !== '' && next.fault !== list.fault) trouble(next.fault)
    const before = list
    // a broken tree names less than the build will read when it is whole again: what was known stays watched
    list = next.why === '' ? next : joint(before, next)
    const old = known
    known = new Set([...list.folders, ...list.files])
    const joined = list.files.filter((file) => !old.has(file))
    const left = before.files.filter((file) => !known.has(file))
    const now = look(list)
    // what the build may have read otherwise: a name that has come or gone since
    const others = (folder: string) => old.has(folder) && known.has(folder) && now.get(folder) !== seen.get(folder)
    const late = [...joined, ...left].map(dirname).some(others)
    // the words of one failure may differ from list to list: a build that was asked after says the same
    const news = joined.length + left.length > 0 || (!wasAsked && before.why !== next.why)
    // what was there before keeps the state that the last build has seen, and a folder the one that Go was asked about; a
    // new folder, and what has changed since, is looked at again
    const folders = new Set(list.folders)
    for (const [path, state] of now) {
      const isNew = () => folders.has(path) || changedAt(path) > begin
      now.set(path, seen.get(path) ?? (isNew() ? '' : state))
    }
    seen = now
    listings = listingsOf(listings, begin)
    watcher.add([...known].filter((path) => !old.has(path)))
    watcher.unwatch([...old].filter((path) => !known.has(path) && !folders.has(dirname(path))))
    if (late || (!tells && news)) changed(when)
    again = true // for what has changed since
  }
}

type States = Map<string, string>

/** The state of each file, and the names in each folder. */
function look({ files, folders, embeds, aside }: Sources): States {
  const states: States = new Map()
  for (const file of files) states.set(file, stateOf(file))
  for (const path of aside) states.set(path, stateOf(path))
  const embedded = new Set(embeds)
  for (const folder of folders) if (!states.has(folder)) states.set(folder, names(folder, embedded.has(folder)))
  return states
}

/** Empty if nothing is there. A folder is the same one whatever is in it. */
function stateOf(path: string): string {
  const found = stats(path)
  if (found === undefined) return ''
  return found.isDirectory() ? `${found.ino}/` : `${found.mtimeNs} ${found.size} ${found.ino} ${found.mode}`
}

/** When a file, or the names in a folder, last changed, or where it is. */
function changedAt(path: string): number {
  const found = stats(path)
  return found === undefined ? 0 : Math.max(Number(found.mtimeMs), Number(found.ctimeMs))
}

function joint(a: Sources, b: Sources): Sources {
  const both = (x: readonly string[], y: readonly string[]) => [...new Set([...x, ...y])].sort()
  return {
    ...b,
    files: both(a.files, b.files),
    folders: both(a.folders, b.folders),
    embeds: both(a.embeds, b.embeds),
    aside: both(a.aside, b.aside),
  }
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

/**
 * Which folder it is, and what in it may be part of a build: an embed pattern takes any name; for sources Go leaves out those
 * that begin with . or _, and editors give theirs to what they save.
 */
function names(folder: string, embedded: boolean): string {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
      .filter(({ name }) => embedded || !/^[._]|~$|\.(?:swp|swx|tmp)$|^4913$/.test(name))
      .map((entry) => `${entry.name}${entry.isDirectory() ? '/' : entry.isFile() ? '' : '@'}`)
    return [`${stats(folder)?.ino}`, ...entries].join('\n')
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
