// The thread of patches.ts: indexes binaries of the cache, and makes patches on them.
import { parentPort } from 'node:worker_threads'
import { recall, recallIndex, rememberIndex } from './cache.ts'
import { encode, indexBytes, indexed, indexFrom, largest, type Index } from '../binary/delta.ts'
import type { Answer, PatchOrder } from './patches.ts'

const bases = new Map<string, { readonly sha256: string; readonly bytes: Buffer; readonly index: Index }>()

parentPort?.on('message', (order: PatchOrder) => {
  if ('index' in order) {
    const { file, index: sha256 } = order
    const bytes = recall(file, sha256)
    if (bytes !== undefined && bytes.length <= largest)
      bases.set(sha256, { sha256, bytes, index: indexOf(file, sha256, bytes) })
  } else if ('forget' in order) {
    bases.delete(order.forget)
  } else {
    const base = bases.get(order.from)
    const patch = base && new Uint8Array(encode(base, base.index, order))
    parentPort?.postMessage({ turn: order.turn, patch } satisfies Answer)
  }
})

/** As an earlier task left it, or made now and left for the next. */
function indexOf(file: string, sha256: string, bytes: Buffer): Index {
  const kept = recallIndex(file, sha256)
  const index = kept && indexFrom(kept)
  if (index !== undefined) return index
  const made = indexed(bytes)
  rememberIndex(file, sha256, indexBytes(made))
  return made
}
