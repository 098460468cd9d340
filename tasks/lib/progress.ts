// One line of progress on a terminal: pods done, per cent, rate. Nothing where stderr is a file or a pipe, or in CI.
import { onEnd } from './task.ts'
import { environment } from './settings.ts'
import { size } from './words.ts'

const step = 100 // ms between two looks

export interface Progress {
  /** So many bytes of a pod's upload have gone. */
  readonly sent: (pod: string, bytes: number, total: number) => void
  readonly done: () => void
  /** Takes the line away, so that another can be printed. */
  readonly clear: () => void
}

/** Shows how far the uploads to so many pods are. */
export function progress(pods: number): Progress {
  const uploads = new Map<string, { readonly bytes: number; readonly total: number }>()
  const begin = performance.now()
  let done = 0
  let drawn = 0
  const clear = () => {
    if (drawn > 0) process.stderr.write('\r\x1b[K')
    drawn = 0
  }
  if (!process.stderr.isTTY || environment().CI !== undefined)
    return { sent: () => undefined, done: () => undefined, clear: () => undefined }
  onEnd(clear)
  const draw = () => {
    if (performance.now() - drawn < step) return
    drawn = performance.now()
    const sum = (key: 'bytes' | 'total') => [...uploads.values()].reduce((all, upload) => all + upload[key], 0)
    const share = Math.floor((100 * sum('bytes')) / Math.max(1, (sum('total') / Math.max(1, uploads.size)) * pods))
    const rate = size(sum('bytes') / Math.max(0.001, (performance.now() - begin) / 1000))
    const text = `${done}/${pods} pods  ${share} %  ${rate}/s`
    process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns ?? 80) - 1)}`)
  }
  return {
    sent: (pod, bytes, total) => {
      uploads.set(pod, { bytes, total })
      draw()
    },
    done: () => void (done += 1),
    clear,
  }
}
