// The thread of patches.ts: indexes binaries of the cache, and makes patches on them.
import { parentPort } from 'node:worker_threads'
import { recall } from './cache.ts'
import { encode, indexed, largest, type Index } from './delta.ts'
import type { Answer, Order } from './patches.ts'

const bases = new Map<string, { readonly sha256: string; readonly bytes: Buffer; readonly index: Index }>()

parentPort?.on('message', (order: Order) => {
  if ('index' in order) {
    const bytes = recall(order.file, order.index)
    if (bytes !== undefined && bytes.length <= largest)
      bases.set(order.index, { sha256: order.index, bytes, index: indexed(bytes) })
  } else if ('forget' in order) {
    bases.delete(order.forget)
  } else {
    const base = bases.get(order.from)
    const patch = base && new Uint8Array(encode(base, base.index, order))
    parentPort?.postMessage({ turn: order.turn, patch } satisfies Answer)
  }
})
