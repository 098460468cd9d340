// The thread of patches.ts: indexes the binary that it is given, and makes patches on it. JavaScript, since tsx reaches a
// thread through its API alone.
import { parentPort, workerData } from 'node:worker_threads'
import { tsImport } from 'tsx/esm/api'

const { encode, indexed } = await tsImport('./delta.ts', import.meta.url)
const index = indexed(workerData.bytes)
parentPort?.on('message', ({ turn, ...to }) =>
  parentPort?.postMessage({ turn, patch: new Uint8Array(encode(workerData, index, to)) }),
)
