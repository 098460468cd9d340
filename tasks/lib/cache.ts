// The cache: the last binaries that pods had, by their sha256, so that a later delivery can build on them.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Binary } from './binary.ts'
import { root } from './task.ts'

const kept = 3 // binaries of one name
const folder = join(root, '.hotswap', 'cache')

/** Keeps a copy of a binary; the oldest of that name go. A disk that is full makes no copy: it is only a memory. */
export function remember(file: string, { bytes, sha256 }: Binary): void {
  const path = pathOf(file, sha256)
  const part = `${path}.${process.pid}`
  try {
    mkdirSync(folder, { recursive: true })
    if (!has(file, sha256)) {
      writeFileSync(part, bytes)
      renameSync(part, path)
    }
    utimesSync(path, new Date(), new Date())
    for (const { file: old } of all(basename(file)).slice(kept))
      for (const gone of [old, indexPath(old)]) rmSync(gone, { force: true })
  } catch {
    rmSync(part, { force: true })
  }
}

const pathOf = (file: string, sha256: string) => join(folder, `${basename(file)}-${sha256}`)
const indexPath = (path: string) => `${path}.index`

/** Whether the binary with that hash was delivered from here, not long ago. */
export function has(file: string, sha256: string): boolean {
  return statSync(pathOf(file, sha256), { throwIfNoEntry: false }) !== undefined
}

/** The binary with that hash; undefined where there is none. Not checked: who gets a patch on it checks what comes out. */
export function recall(file: string, sha256: string): Buffer | undefined {
  return read(pathOf(file, sha256))
}

/** Keeps the index of a binary that is kept, whole or not at all: the next task need not make it. */
export function rememberIndex(file: string, sha256: string, index: Uint8Array): void {
  const path = indexPath(pathOf(file, sha256))
  const part = `${path}.${process.pid}`
  try {
    writeFileSync(part, index)
    renameSync(part, path)
  } catch {
    rmSync(part, { force: true }) // as above: only a memory
  }
}

export function hasIndex(file: string, sha256: string): boolean {
  return statSync(indexPath(pathOf(file, sha256)), { throwIfNoEntry: false }) !== undefined
}

/** The index of that binary; undefined where none is kept. */
export function recallIndex(file: string, sha256: string): Buffer | undefined {
  return read(indexPath(pathOf(file, sha256)))
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined // not there
  }
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
