// The cache: the last binaries that pods had, by their sha256, so that a later delivery can build on them.
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { basename, join } from 'node:path'
import { root } from './task.ts'

const kept = 3 // binaries of one name
const folder = join(root, '.hotswap', 'cache')

/** Keeps a copy of a binary; the oldest of that name go. A disk that is full makes no copy: it is only a memory. */
export function remember(file: string, sha256: string): void {
  const path = pathOf(file, sha256)
  try {
    mkdirSync(folder, { recursive: true })
    if (statSync(path, { throwIfNoEntry: false }) === undefined) copyFileSync(file, path)
    utimesSync(path, new Date(), new Date())
    for (const { file: old } of all(basename(file)).slice(kept)) rmSync(old, { force: true })
  } catch {
    rmSync(path, { force: true })
  }
}

const pathOf = (file: string, sha256: string) => join(folder, `${basename(file)}-${sha256}`)

/** Whether the binary with that hash was delivered from here, not long ago; whether it is kept whole, recall() finds. */
export function has(file: string, sha256: string): boolean {
  return statSync(pathOf(file, sha256), { throwIfNoEntry: false }) !== undefined
}

/** The binary with that hash, read and checked; undefined where there is none. */
export function recall(file: string, sha256: string): Buffer | undefined {
  const path = pathOf(file, sha256)
  try {
    const bytes = readFileSync(path)
    if (createHash('sha256').update(bytes).digest('hex') === sha256) return bytes
    rmSync(path, { force: true })
  } catch {
    // not there
  }
  return undefined
}

/** The sha256 of the binary that was remembered last; undefined where there is none. */
export function newest(file: string): string | undefined {
  try {
    return all(basename(file))[0]?.file.slice(-64)
  } catch {
    return undefined // there is no cache yet
  }
}

/** Newest first. */
function all(name: string): { readonly file: string; readonly time: number }[] {
  return readdirSync(folder)
    .filter((entry) => entry.startsWith(`${name}-`) && /^[0-9a-f]{64}$/.test(entry.slice(name.length + 1)))
    .map((entry) => join(folder, entry))
    .map((file) => ({ file, time: statSync(file).mtimeMs }))
    .sort((a, b) => b.time - a.time)
}
