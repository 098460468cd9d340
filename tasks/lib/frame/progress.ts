// One line of progress on a terminal: pods done, per cent, rate. Nothing if stderr is a file or a pipe, or in CI.
import { screen } from './screen.ts'
import { environment } from './environment.ts'
import { size } from './words.ts'

const step = 100 // ms between two looks

export interface Progress {
  /** So many bytes of a pod's upload have gone. */
  readonly sent: (pod: string, bytes: number, total: number) => void
  /** A pod is done with. */
  readonly done: () => void
}

/** Shows how far the uploads to so many pods are. */
export function progress(pods: number): Progress {
  const shown = screen(environment().CI !== undefined)
  const uploads = new Map<string, { readonly bytes: number; readonly total: number }>()
  const begin = performance.now()
  let done = 0
  let drawn = -Infinity
  return {
    sent: (pod, bytes, total) => {
      uploads.set(pod, { bytes, total })
      if (performance.now() - drawn < step) return
      drawn = performance.now()
      const sum = (key: 'bytes' | 'total') => [...uploads.values()].reduce((all, upload) => all + upload[key], 0)
      const share = Math.floor((100 * sum('bytes')) / Math.max(1, (sum('total') / Math.max(1, uploads.size)) * pods))
      const rate = size(sum('bytes') / Math.max(0.001, (performance.now() - begin) / 1000))
      shown.open(`${done}/${pods} pods  ${share} %  ${rate}/s`)
    },
    done: () => void (done += 1),
  }
}
