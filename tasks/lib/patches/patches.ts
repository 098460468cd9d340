// Patches on the binaries in the cache, made in a thread of their own, so that progress and Ctrl-C stay alive.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { has, hasIndex, newest } from './cache.ts'
import { largest } from '../binary/delta.ts'
import type { Settings } from '../settings/table.ts'
import { root } from '../frame/root.ts'

const kept = 2 // indexes: of what runs, and of the binary before
const bases: string[] = [] // what the thread has indexed, the latest last

/** What the thread is asked. */
export type PatchOrder =
  | { readonly index: string; readonly file: string }
  | { readonly forget: string }
  | { readonly turn: number; readonly from: string; readonly bytes: Uint8Array; readonly sha256: string }

/** What it answers to the last of them; no patch where the cache has no such base, or not whole. */
export interface Answer {
  readonly turn: number
  readonly patch: Uint8Array | undefined
}

/** Has the index of a binary of that name made ahead of its patch; without a sha256, of the one that was delivered last. */
export function warm(file: string, sha256 = newest(file)): void {
  if (sha256 === undefined || !has(file, sha256)) return
  const known = bases.indexOf(sha256)
  if (known >= 0) bases.splice(known, 1)
  else thread().tell({ index: sha256, file })
  bases.push(sha256)
  for (const old of bases.splice(0, Math.max(0, bases.length - kept))) thread().tell({ forget: old })
}

/** While a build runs: has the index made of what was delivered last, for the delta of what comes out, and kept on disk. */
export function foresee({ binary, target, encoding }: Pick<Settings, 'binary' | 'target' | 'encoding'>): void {
  const last = newest(binary)
  const wanted = target === 'kubernetes' && (encoding === 'auto' || encoding === 'delta')
  if (wanted && last !== undefined && !hasIndex(binary, last)) warm(binary, last)
}

/** The patch that makes `bytes` of the binary with the sha256 `from`; undefined if that is not in the cache. Rejects where the thread fails. */
export async function patch(file: string, from: string, bytes: Buffer, sha256: string): Promise<Buffer | undefined> {
  if (bytes.length > largest) return undefined
  warm(file, from)
  return bases.includes(from) ? thread().patch({ from, bytes, sha256 }) : undefined
}

/** Ends the thread: nobody waits for a patch any more. */
export function close(): void {
  present?.close()
}

interface Thread {
  readonly close: () => void
  readonly tell: (order: PatchOrder) => void
  readonly patch: (of: {
    readonly from: string
    readonly bytes: Buffer
    readonly sha256: string
  }) => Promise<Buffer | undefined>
}

let present: Thread | undefined

/** One thread for all of them: its code is compiled once, and fast from the second patch on. */
function thread(): Thread {
  return (present ??= started())
}

function started(): Thread {
  const compiled = fileURLToPath(new URL('patches-thread.js', import.meta.url)) // by tasks/run, beside the task
  const worker = new Worker(existsSync(compiled) ? compiled : join(root, 'tasks/lib/patches/thread.mjs'))
  const turned = new Map<number, { resolve: (patch: Buffer | undefined) => void; reject: (error: Error) => void }>()
  let count = 0
  worker.on('message', ({ turn, patch: made }: Answer) => {
    turned.get(turn)?.resolve(made && Buffer.from(made.buffer, made.byteOffset, made.length))
    turned.delete(turn)
    if (turned.size === 0) worker.unref()
  })
  const fail = (error: Error) => {
    if (present === made) {
      present = undefined // another may have taken its place
      bases.length = 0
    }
    for (const { reject } of turned.values()) reject(error)
    turned.clear()
  }
  worker.on('error', fail)
  worker.on('exit', () => fail(new Error('the thread has ended')))
  // a task that ends does not wait for it; after the listeners, which hold the task up
  worker.unref()
  const tell = (order: PatchOrder) => worker.postMessage(order)
  const made: Thread = {
    close: () => void worker.terminate(),
    tell,
    patch: (of) =>
      new Promise((resolve, reject) => {
        turned.set((count += 1), { resolve, reject })
        worker.ref()
        tell({ turn: count, ...of })
      }),
  }
  return made
}
