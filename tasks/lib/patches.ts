// Patches of one binary on those in the cache, each made in a thread of its own, so that progress and Ctrl-C stay alive.
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { newest, recall } from './cache.ts'
import { largest } from './delta.ts'
import { root } from './task.ts'

/** The patches of one binary. */
export interface Patches {
  /** The patch on the binary with that sha256, made once; undefined where that is not in the cache. Throws Error. */
  readonly patch: (base: string) => Promise<Buffer | undefined>
  /** Indexes the binary that a pod had last, ahead of its patch. */
  readonly warm: () => void
  /** Ends the threads. */
  readonly close: () => void
}

/** The patches of the binary `bytes`, which stands at `file`. */
export function patches({ file, bytes, sha256 }: { file: string; bytes: Buffer; sha256: string }): Patches {
  const made = new Map<string, Promise<Buffer | undefined>>()
  const indexes = new Map<string, Indexed>()
  const index = (base: string): Indexed | undefined => {
    const known = indexes.get(base)
    if (known !== undefined) return known
    const old = recall(file, base)
    if (old === undefined || Math.max(old.length, bytes.length) > largest) return undefined
    const fresh = indexed(old, base)
    indexes.set(base, fresh)
    return fresh
  }
  return {
    patch: (base) => {
      const present = made.get(base) ?? Promise.resolve(index(base)?.patch(bytes, sha256))
      made.set(base, present)
      return present
    },
    warm: () => {
      const last = newest(file)
      if (last !== undefined) index(last)
    },
    close: () => {
      for (const { close } of indexes.values()) close()
    },
  }
}

/** A binary whose index is made in a thread from now on, and kept. */
export interface Indexed {
  /** The patch that makes that binary of this one. Throws Error. */
  readonly patch: (bytes: Buffer, sha256: string) => Promise<Buffer>
  readonly close: () => void
}

/** Indexes a binary. */
export function indexed(bytes: Buffer, sha256: string): Indexed {
  const worker = new Worker(join(root, 'tasks/lib/patches-thread.mjs'), { workerData: { bytes, sha256 } })
  worker.unref() // a task that ends does not wait for it
  let last: Promise<unknown> = Promise.resolve()
  return {
    patch: (to, hash) => {
      const answer = last.then(
        () =>
          new Promise<Buffer>((resolve, reject) => {
            worker.ref()
            worker.once('error', reject)
            worker.once('message', (patch: Uint8Array) => {
              worker.off('error', reject)
              worker.unref()
              resolve(Buffer.from(patch.buffer, patch.byteOffset, patch.length))
            })
            worker.postMessage({ bytes: to, sha256: hash })
          }),
      )
      last = answer.catch(() => undefined)
      return answer
    },
    close: () => void worker.terminate(),
  }
}
