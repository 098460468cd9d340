// Patches on the binaries in the cache, each made in a thread of its own, so that progress and Ctrl-C stay alive.
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { newest, recall } from './cache.ts'
import { largest } from './delta.ts'
import { root } from './task.ts'

const kept = 2 // indexes: of what runs, and of the binary before
const bases: string[] = [] // what the thread has indexed, the latest last

/** Makes the index of a binary of that name ahead of its patch; without a sha256, of the one that was delivered last. */
export function warm(file: string, sha256 = newest(file)): void {
  if (sha256 !== undefined) base(file, sha256)
}

/** The patch that makes `bytes` of the binary with the sha256 `from`; undefined where that is not in the cache. Rejects where the thread fails. */
export async function patch(file: string, from: string, bytes: Buffer, sha256: string): Promise<Buffer | undefined> {
  if (bytes.length > largest || !base(file, from)) return undefined
  return thread().patch({ from, bytes, sha256 })
}

/** Has the thread index a binary; whether it has it now. */
function base(file: string, sha256: string): boolean {
  const known = bases.indexOf(sha256)
  const bytes = known < 0 ? recall(file, sha256) : undefined
  if (known < 0 && (bytes === undefined || bytes.length > largest)) return false
  if (known >= 0) bases.splice(known, 1)
  bases.push(sha256)
  if (bytes !== undefined) thread().index({ sha256, bytes })
  for (const old of bases.splice(0, Math.max(0, bases.length - kept))) thread().forget(old)
  return true
}

interface Thread {
  readonly index: (base: { readonly sha256: string; readonly bytes: Buffer }) => void
  readonly forget: (sha256: string) => void
  readonly patch: (to: { readonly from: string; readonly bytes: Buffer; readonly sha256: string }) => Promise<Buffer>
}

let present: Thread | undefined

/** One thread for all of them: its code is compiled once, and fast from the second patch on. */
function thread(): Thread {
  return (present ??= started())
}

function started(): Thread {
  const worker = new Worker(join(root, 'tasks/lib/patches-thread.mjs'))
  worker.unref() // a task that ends does not wait for it
  const turned = new Map<number, { resolve: (patch: Buffer) => void; reject: (error: Error) => void }>()
  let count = 0
  worker.on('message', ({ turn, patch: made }: { turn: number; patch: Uint8Array }) => {
    turned.get(turn)?.resolve(Buffer.from(made.buffer, made.byteOffset, made.length))
    turned.delete(turn)
    if (turned.size === 0) worker.unref()
  })
  const fail = (error: Error) => {
    present = undefined
    bases.length = 0
    for (const { reject } of turned.values()) reject(error)
    turned.clear()
  }
  worker.on('error', fail)
  worker.on('exit', () => fail(new Error('the thread has ended')))
  return {
    index: (what) => worker.postMessage({ index: what }),
    forget: (sha256) => worker.postMessage({ forget: sha256 }),
    patch: (to) =>
      new Promise((resolve, reject) => {
        turned.set((count += 1), { resolve, reject })
        worker.ref()
        worker.postMessage({ patch: { turn: count, ...to } })
      }),
  }
}
