// The thread of patches.ts: indexes binaries of the cache, and makes patches on them. JavaScript, since tsx reaches a thread
// through its API alone.
import { parentPort } from 'node:worker_threads'
import { tsImport } from 'tsx/esm/api'

const { encode, indexed, largest } = await tsImport('./delta.ts', import.meta.url)
const { recall } = await tsImport('./cache.ts', import.meta.url)
const bases = new Map()

parentPort?.on('message', (order) => {
  if ('index' in order) {
    const bytes = recall(order.file, order.index)
    if (bytes !== undefined && bytes.length <= largest)
      bases.set(order.index, { sha256: order.index, bytes, index: indexed(bytes) })
  } else if ('forget' in order) {
    bases.delete(order.forget)
  } else {
    const base = bases.get(order.from)
    const patch = base && new Uint8Array(encode(base, base.index, order))
    parentPort?.postMessage({ turn: order.turn, patch })
  }
})
