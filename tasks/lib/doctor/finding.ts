// Findings: what a check of the doctor has found, as a line and as a JSON object. Pure.

export interface Finding {
  /** `disk`, `permission create pods/exec`, … */
  readonly check: string
  /** `note`: works, with something to know; `skipped`: could not be made, or is not needed. */
  readonly result: 'ok' | 'note' | 'fault' | 'skipped'
  readonly found: string
  /** The next step; empty if there is none. */
  readonly remedy: string
  /** Empty if it is of no pod. */
  readonly pod: string
}

/** A finding from a sentence; what stands behind its last ` - ` is the remedy. */
export function finding(check: string, result: Finding['result'], sentence: string, pod = ''): Finding {
  const plain = pod !== '' && sentence.startsWith(`${pod}: `) ? sentence.slice(pod.length + 2) : sentence
  const at = result === 'ok' ? -1 : plain.lastIndexOf(' - ')
  return {
    check,
    result,
    found: at < 0 ? plain : plain.slice(0, at),
    remedy: at < 0 ? '' : plain.slice(at + 3),
    pod,
  }
}

/** `fault  disk          POD: disk full: … - make room in the pod`. */
export function findingLine({ check, result, found, remedy, pod }: Finding): string {
  const words = [pod === '' ? found : `${pod}: ${found}`, ...(remedy === '' ? [] : [remedy])]
  return `${(result === 'skipped' ? '-' : result).padEnd(5)}  ${check.padEnd(12)}  ${words.join(' - ')}`
}
