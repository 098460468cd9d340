// Patches on the binaries in the cache, each made in a thread of its own, so that progress and Ctrl-C stay alive.
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { newest, recall } from './cache.ts'
import { largest } from './delta.ts'
import { root } from './task.ts'

/** A binary whose index is made in a thread from the start, and kept. */
interface Base {
  /** The patch that makes that binary of this one. Rejects where the thread fails. */
  readonly patch: (bytes: Buffer, sha256: string) => Promise<Buffer>
  readonly close: () => void
}

const kept = 2 // indexes: of what runs, and of the binary before
const bases = new Map<string, Base>()

/** Makes the index of a binary of that name ahead of its patch; without a sha256, of the one that was delivered last. */
export function warm(file: string, sha256 = newest(file)): void {
  if (sha256 !== undefined) base(file, sha256)
}

/** The patch that makes `bytes` of the binary with the sha256 `from`; undefined where that is not in the cache. */
export async function patch(file: string, from: string, bytes: Buffer, sha256: string): Promise<Buffer | undefined> {
  return bytes.length > largest ? undefined : base(file, from)?.patch(bytes, sha256)
}

function base(file: string, sha256: string): Base | undefined {
  const known = bases.get(sha256)
  bases.delete(sha256)
  const bytes = known === undefined ? recall(file, sha256) : undefined
  const found = known ?? (bytes === undefined || bytes.length > largest ? undefined : indexed(bytes, sha256))
  if (found === undefined) return undefined
  bases.set(sha256, found) // the latest is last
  for (const [old, { close }] of [...bases].slice(0, -kept)) {
    bases.delete(old)
    close()
  }
  return found
}

function indexed(bytes: Buffer, sha256: string): Base {
  const worker = new Worker(join(root, 'tasks/lib/patches-thread.mjs'), { workerData: { bytes, sha256 } })
  const turned = new Map<number, { resolve: (patch: Buffer) => void; reject: (error: Error) => void }>()
  let count = 0
  const settle = () => {
    if (turned.size === 0) worker.unref()
  }
  worker.on('message', ({ turn, patch: bytes }: { turn: number; patch: Uint8Array }) => {
    turned.get(turn)?.resolve(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    turned.delete(turn)
    settle()
  })
  const fail = (error: Error) => {
    if (bases.get(sha256) === made) bases.delete(sha256) // another may have taken its place
    for (const { reject } of turned.values()) reject(error)
    turned.clear()
  }
  worker.on('error', fail)
  worker.on('exit', () => fail(new Error('the thread has ended')))
  // a task that ends does not wait for it; after the listeners, which hold the task up
  worker.unref()
  const made: Base = {
    patch: (to, hash) =>
      new Promise((resolve, reject) => {
        turned.set((count += 1), { resolve, reject })
        worker.ref()
        worker.postMessage({ turn: count, bytes: to, sha256: hash })
      }),
    close: () => void worker.terminate(),
  }
  return made
}
