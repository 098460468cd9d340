// The thread of patches.ts: indexes the binaries that it is given, and makes patches on them. JavaScript, since tsx reaches a
// thread through its API alone.
import { parentPort } from 'node:worker_threads'
import { tsImport } from 'tsx/esm/api'

const { encode, indexed } = await tsImport('./delta.ts', import.meta.url)
const bases = new Map()
parentPort?.on('message', ({ index, forget, patch }) => {
  if (index) bases.set(index.sha256, { ...index, index: indexed(index.bytes) })
  if (forget) bases.delete(forget)
  if (!patch) return
  const base = bases.get(patch.from)
  parentPort?.postMessage({ turn: patch.turn, patch: new Uint8Array(encode(base, base.index, patch)) })
})
