// Panics: what several pods print alike as they die is told once, with all their names.
import { isCrash } from './crash.ts'

const rest = 500 // ms without a line, after which the traces are whole
const longest = 2_000 // ms for which a line is kept back
const remembered = 60_000 // ms in which the same trace of another pod is told in a line

interface Trace {
  readonly pods: string[]
  readonly lines: readonly string[]
  readonly at: number
}

/** Tells lines, those of a trace once all pods that die of the same may have printed it. `alone`: there is one pod only. */
export function panics(told: (pods: readonly string[], line: string) => void, alone: () => boolean) {
  const held = new Map<string, string[]>()
  const before = new Map<string, Trace>()
  let since = 0
  let timer: NodeJS.Timeout | undefined
  return (pod: string, line: string) => {
    const lines = held.get(pod)
    if (lines === undefined && (alone() || !isCrash(line))) return told([pod], line)
    const now = performance.now()
    if (held.size === 0) since = now
    held.set(pod, [...(lines ?? []), line])
    clearTimeout(timer)
    timer = setTimeout(tell, Math.max(0, Math.min(rest, since + longest - now)))
  }

  function tell(): void {
    const at = performance.now()
    const traces = new Map<string, Trace>()
    const after: [string, string][] = []
    for (const [pod, lines] of held) {
      const end = lines.findIndex((line) => !isTrace(line))
      const trace = end < 0 ? lines : lines.slice(0, end)
      const key = trace.map(alike).join('\n')
      const same = traces.get(key) ?? { pods: [], lines: trace, at }
      same.pods.push(pod)
      traces.set(key, same)
      for (const line of lines.slice(trace.length)) after.push([pod, line])
    }
    held.clear()
    for (const [key, trace] of traces) {
      const { pods, lines } = trace
      const first = before.get(key)
      if (first !== undefined && at - first.at < remembered && !pods.some((pod) => first.pods.includes(pod))) {
        told(pods, `${lines[0] ?? ''} - as ${first.pods.join(', ')} above`)
        first.pods.push(...pods)
        continue
      }
      before.set(key, trace)
      for (const line of lines) told(pods, line)
    }
    for (const [pod, line] of after) told([pod], line)
  }
}

/** Whether a line can be one of a trace of Go. */
function isTrace(line: string): boolean {
  return isCrash(line) || /^(?:$|\t|goroutine \d|\[|created by |exit status |runtime\b|\S+\(.*\)$)/.test(line)
}

/** Without what differs from process to process. */
function alike(line: string): string {
  return line.replace(/0x[0-9a-f]+/g, '0x').replace(/^goroutine \d+|\bm=\d+|in goroutine \d+$/g, '')
}
