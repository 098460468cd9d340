// The cache: the last binaries that pods had, by their sha256, so that a later delivery can build on them.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Binary } from '../binary/read.ts'
import { root } from '../frame/root.ts'
import { replaceFile } from '../frame/text-file.ts'

const kept = 3 // binaries of one name
const folder = join(root, '.hotswap', 'cache')

/** Keeps a copy of a binary; the oldest of that name go. A disk that is full makes no copy: it is only a memory. */
export function remember(file: string, { bytes, sha256 }: Binary): void {
  const path = pathOf(file, sha256)
  try {
    if (!has(file, sha256)) replaceFile(path, bytes)
    utimesSync(path, new Date(), new Date())
    forget(basename(file))
  } catch {
    // as it was
  }
}

const pathOf = (file: string, sha256: string) => join(folder, `${basename(file)}-${sha256}`)
const indexPath = (file: string, sha256: string) => `${pathOf(file, sha256)}.anchors`

/** Whether the binary with that hash was delivered from here, not long ago. */
export function has(file: string, sha256: string): boolean {
  return existsSync(pathOf(file, sha256))
}

/** The binary with that hash; undefined if there is none. Not checked: who gets a patch on it checks what comes out. */
export function recall(file: string, sha256: string): Buffer | undefined {
  return read(pathOf(file, sha256))
}

/** Keeps the index of a binary that is kept: the next task need not make it. */
export function rememberIndex(file: string, sha256: string, index: Uint8Array): void {
  try {
    replaceFile(indexPath(file, sha256), index)
  } catch {
    // the next task makes it
  }
}

export function hasIndex(file: string, sha256: string): boolean {
  return existsSync(indexPath(file, sha256))
}

/** The index of that binary; undefined if none is kept. */
export function recallIndex(file: string, sha256: string): Buffer | undefined {
  return read(indexPath(file, sha256))
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined // not there
  }
}

/** The sha256 of the binary that was remembered last; undefined if there is none. */
export function newest(file: string): string | undefined {
  try {
    return all(basename(file))[0]?.file.slice(-64)
  } catch {
    return undefined // there is no cache yet
  }
}

/** Removes what belongs to no binary of that name that is kept: index, and what a task that was killed left half written. */
function forget(name: string): void {
  const stay = new Set(
    all(name)
      .slice(0, kept)
      .map(({ file }) => basename(file)),
  )
  for (const entry of entries(name))
    if (!stay.has(entry.slice(0, name.length + 65))) rmSync(join(folder, entry), { force: true })
}

/** Newest first. */
function all(name: string): { readonly file: string; readonly time: number }[] {
  return entries(name)
    .filter((entry) => entry.length === name.length + 65)
    .map((entry) => join(folder, entry))
    .map((file) => ({ file, time: statSync(file).mtimeMs }))
    .sort((a, b) => b.time - a.time)
}

/** The binaries of that name, NAME-SHA256, and what has more to its name. */
function entries(name: string): string[] {
  return readdirSync(folder).filter(
    (entry) => entry.startsWith(`${name}-`) && /^[0-9a-f]{64}(?:\.|$)/.test(entry.slice(name.length + 1)),
  )
}
