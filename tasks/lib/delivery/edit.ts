// One edit: from the save to what each pod acknowledged, as the line and the JSON object that the daily loop prints.
import { crashOf } from './crash.ts'
import type { Parcel } from './parcel.ts'
import type { Order, Outcome } from './fleet.ts'
import { NOTHING_RUNS } from './failure.ts'
import { binaryWords, waited, waitWords } from '../protocol/receipt.ts'
import type { Pod } from '../pods/target.ts'
import type { Tone } from '../frame/screen.ts'
import { size } from '../frame/words.ts'

export interface Edit {
  readonly order: Order
  /** Every pod has an outcome. */
  readonly over: () => boolean
  /**
   * `12:00:03 v1.2-dirty 3f9c01ab 1.1 MB of 27.0 MB 3/3 pods 1.36 s (build 0.95, send 0.21, swap 0.20)`, at its end with how it
   * went. Without the parts of the time, the sizes and the hash, in this order, if it is longer than `room`.
   */
  readonly line: (room: number) => string
  /** How many connections waited, over all pods, and how long one did at most; empty if none did, or nobody knows. */
  readonly waits: () => string
  readonly tone: () => Tone
  /** What went wrong, a line each; pods with the same trouble share one. */
  readonly troubles: () => string[]
  readonly record: () => Record<string, unknown>
}

export interface Saved {
  /** When the change was seen, and when its build was done; performance.now(). */
  readonly begin: number
  readonly built: number
  readonly parcel: Parcel
  /** The pods that are to run it. */
  readonly pods: readonly Pod[]
  /** The folder of the developer's code, absolute. */
  readonly own: string
  /** The last lines of a pod's output, where its receipt has too few. */
  readonly tail: (pod: string) => readonly string[]
}

export interface EditTold {
  /** Something of the line has changed. */
  readonly changed: () => void
  readonly up: (pod: Pod) => void
  /** A pod's outcome that is none of this edit: it came later. */
  readonly late: (pod: Pod, outcome: Outcome) => void
}

interface Progress {
  sent: number
  total: number
  sentAt: number | undefined
  upAt: number | undefined
  outcome: Outcome | undefined
}

/** An edit whose build is done. */
export function edit({ begin, built, parcel, pods, own, tail }: Saved, { changed, up, late }: EditTold): Edit {
  const time = clock(momentOf(begin))
  const states = new Map<string, Progress>(
    pods.map(({ name, life }) => [
      `${name} ${life}`,
      { sent: 0, total: 0, sentAt: undefined, upAt: undefined, outcome: undefined },
    ]),
  )
  const stateOf = ({ name, life }: Pod) => states.get(`${name} ${life}`)
  const named = () => pods.map((pod) => ({ pod: pod.name, state: stateOf(pod) }))
  const counted = () => [...states.values()].filter(({ outcome }) => outcome?.result !== 'gone')
  const over = () => [...states.values()].every(({ outcome }) => outcome !== undefined)

  return {
    order: {
      parcel,
      sent: (pod, count, total) => {
        const state = stateOf(pod)
        if (state === undefined) return
        Object.assign(state, { sent: count, total })
        if (count === total) state.sentAt = performance.now()
        changed()
      },
      up: (pod) => {
        const state = stateOf(pod)
        if (state !== undefined) state.upAt = performance.now()
        up(pod)
        changed()
      },
      done: (pod, outcome) => {
        const state = stateOf(pod)
        if (state === undefined || state.outcome !== undefined) return late(pod, outcome)
        state.outcome = outcome
        if (outcome.result === 'running' || outcome.result === 'already') state.upAt ??= performance.now()
        changed()
      },
    },
    over,
    line: (room) => {
      const { total, build, send, swap, up: there, sent } = figures()
      const parts = `(build ${seconds(build)}, send ${seconds(send)}, swap ${seconds(swap)})`
      const bytes = sent === 0 && over() ? 'nothing sent' : `${size(sent)} of ${size(parcel.bytes.length)}`
      const how = over() ? verdict() : ''
      const hash = parcel.sha256.slice(0, 8)
      const of = [`${there}/${counted().length} pods`, `${seconds(total)} s`]
      const lines = [
        [time, parcel.version, hash, bytes, ...of, parts, how],
        [time, parcel.version, hash, bytes, ...of, how],
        [time, parcel.version, hash, ...of, how],
        [time, parcel.version, ...of, how],
      ].map((words) => words.filter((word) => word !== '').join(' '))
      return lines.find((line) => line.length <= room) ?? lines.at(-1) ?? ''
    },
    waits: () => {
      const known = counted().flatMap(({ outcome }) => waitsOf(outcome) ?? [])
      const connections = known.reduce((sum, each) => sum + each.connections, 0)
      return connections === 0
        ? ''
        : waitWords({ connections, seconds: Math.max(...known.map((each) => each.seconds)) })
    },
    tone: () => {
      const how = result()
      return how === 'ok' ? 'good' : how === 'gone' || how === 'overtaken' ? 'plain' : 'bad'
    },
    troubles: () => {
      const same = new Map<string, string[]>()
      for (const { pod, state } of named()) {
        const text = state?.outcome === undefined ? '' : trouble(pod, state.outcome)
        if (text !== '') same.set(text, [...(same.get(text) ?? []), pod])
      }
      return [...same].map(([text, names]) => `${names.join(', ')}: ${text}`)
    },
    record: () => {
      const { total, build, send, swap, sent } = figures()
      return {
        event: 'edit',
        time: new Date().toISOString(),
        result: result(),
        version: parcel.version,
        sha256: parcel.sha256,
        size: parcel.bytes.length,
        sent,
        seconds: round(total),
        build: round(build),
        send: round(send),
        swap: round(swap),
        pods: named().map(({ pod, state }) => ({ pod, ...told(pod, state) })),
      }
    },
  }

  function figures() {
    const all = counted()
    const latest = (times: readonly (number | undefined)[], otherwise: number) =>
      Math.max(otherwise, ...times.filter((time) => time !== undefined))
    const isUp = all.filter(({ upAt, outcome }) => upAt !== undefined && !isBad(outcome))
    const sentAt = latest(
      all.map((state) => state.sentAt),
      built,
    )
    const upAt = latest(
      all.map((state) => state.upAt),
      sentAt,
    )
    return {
      build: built - begin,
      send: sentAt - built,
      swap: upAt - sentAt,
      total: upAt - begin,
      up: isUp.length,
      sent: Math.max(0, ...all.map((state) => state.sent)),
    }
  }

  /** The worst that happened to a pod. */
  function result(): 'ok' | Outcome['result'] {
    const results = counted().map(({ outcome }) => outcome?.result)
    const bad = (['crashed', 'rolled-back', 'failed', 'taken', 'overtaken'] as const).find((word) =>
      results.includes(word),
    )
    return bad ?? (results.length === 0 ? 'gone' : 'ok')
  }

  function verdict(): string {
    const how = result()
    const [many, all] = [counted().filter(({ outcome }) => outcome?.result === how).length, counted().length]
    const word = how === 'rolled-back' ? 'rolled back' : how === 'taken' ? 'taken over' : how
    return how === 'ok' || many === all ? word : `${word} on ${many} of ${all}`
  }

  function trouble(pod: string, outcome: Outcome): string {
    if (outcome.receipt === undefined)
      return outcome.result === 'failed' ? (outcome.error ?? '').replace(`${pod}: `, '') : ''
    const { what, where } = crash(pod, outcome)
    if (what === '') return (outcome.error ?? '').replace(`${pod}: `, '')
    const back = outcome.result === 'rolled-back' ? `${binaryWords(outcome.receipt)} is back` : NOTHING_RUNS
    return `${what}${where === '' ? '' : ` at ${where}`}; ${back}`
  }

  function crash(pod: string, { receipt }: Outcome) {
    const found = crashOf(receipt?.log ?? [], own)
    return found.what === '' ? crashOf(tail(pod), own) : found
  }

  function told(pod: string, state: Progress | undefined): Record<string, unknown> {
    const { outcome } = state ?? {}
    if (outcome === undefined) return {}
    const found = outcome.receipt === undefined ? undefined : crash(pod, outcome)
    const waits = waitsOf(outcome)
    return {
      result: outcome.result,
      ...(outcome.delivery === undefined
        ? {}
        : { sent: outcome.delivery.sent, pid: Number(outcome.delivery.receipt.values.get('pid')) }),
      ...(waits === undefined ? {} : { waited: waits.connections, longestWait: waits.seconds }),
      ...(outcome.error === undefined ? {} : { error: outcome.error }),
      ...(found === undefined || found.what === '' ? {} : { crash: found.what, at: found.where }),
    }
  }
}

/** Who waited for what was sent. */
function waitsOf(outcome: Outcome | undefined) {
  const { sent, receipt } = outcome?.delivery ?? {}
  return receipt === undefined || sent === 0 ? undefined : waited(receipt)
}

function isBad(outcome: Outcome | undefined): boolean {
  return outcome !== undefined && outcome.result !== 'running' && outcome.result !== 'already'
}

/** When that was, as performance.now() told it: that clock stands still while the machine sleeps. */
export function momentOf(then: number): Date {
  return new Date(Date.now() - (performance.now() - then))
}

/** The time of day. */
export function clock(date: Date): string {
  return date.toTimeString().slice(0, 8)
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(2)
}

function round(ms: number): number {
  return Math.round(ms) / 1000
}
