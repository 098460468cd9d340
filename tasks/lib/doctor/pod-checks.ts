// The checks of one pod: what its agent's greeting and the probe say, judged by the rules that a deploy goes by. Pure.
import { debuggerFault } from '../protocol/debugger-fault.ts'
import { delveFault } from '../go/delve-versions.ts'
import { archOfUname } from '../binary/elf.ts'
import { finding, type Finding } from './finding.ts'
import { memoryFault } from '../pods/memory.ts'
import { obstacles } from '../delivery/obstacles.ts'
import { agentVersion, type Receipt } from '../protocol/receipt.ts'
import { delveRoom, sample, type Probe } from './probe.ts'
import { programState } from './program.ts'
import type { Pod } from '../pods/target.ts'
import { seconds, size } from '../frame/words.ts'

/** What is to be deployed, and by which tools. */
export interface CheckPlan {
  /** Bytes; 0 where nothing is built. */
  readonly size: number
  readonly machine: string
  /** Those that the pods have, as far as they are known. */
  readonly machines?: readonly string[]
  readonly debug: boolean
  /** The loader that the binary needs there; absent or empty: none. */
  readonly interpreter?: string
  /** `go1.26.8`; empty where there is none. */
  readonly goVersion: string
  /** The one that is sent where the pod has none. */
  readonly dlvVersion: string
}

const clockLimit = 10 // seconds: the time of a log line tells since when to show the output
const slow = { exec: 3_000, trip: 500 } // ms

/** What the agent's answer says. Without a helper it does not speak of the folder: there the probe's answer is asked too. */
export function greetingChecks(pod: Pod, plan: CheckPlan, { values, log }: Receipt, probe?: Probe): Finding[] {
  const receipt = { values: new Map([...(probe?.values ?? []), ...values]), log }
  const value = (key: string) => receipt.values.get(key) ?? ''
  const wrapped = plan.debug && value('wrapper') !== ''
  const bare = value('helper') === 'missing'
  const found = obstacles(pod, { ...plan, wrapped }, receipt)
  const fine: Readonly<Record<(typeof found)[number]['check'], string>> = {
    agent: agentVersion(receipt).version,
    architecture: archOfUname(value('machine')) ?? value('machine'),
    folder: 'the binary can be replaced',
    disk: `${size(Number(value('free')))} are free for a binary`,
    memory: pod.memory === undefined || pod.memory.limit === Infinity ? 'no limit' : `limit ${size(pod.memory.limit)}`,
  }
  const judged = (['agent', 'architecture', 'folder', 'disk', 'memory'] as const).map((check) => {
    const obstacle = found.find((each) => each.check === check)
    if (obstacle !== undefined) return finding(check, 'fault', obstacle.why, pod.name)
    const looked = { folder: 'writable', disk: 'free' }
    if (bare && (check === 'folder' || check === 'disk') && !receipt.values.has(looked[check]))
      return finding(check, 'skipped', 'it could not be looked at', pod.name)
    // a debug build is twice as large
    const later =
      check !== 'memory' || wrapped || value('wrapper') === '' || pod.memory === undefined
        ? undefined
        : memoryFault(pod.memory, 2 * plan.size, true)
    return later === undefined
      ? finding(check, 'ok', fine[check], pod.name)
      : finding(check, 'note', `for a debug build: ${later}`, pod.name)
  })
  const decoders = bare
    ? finding('decoders', 'note', 'none yet - the helper, which receives uploads, is sent when it is needed', pod.name)
    : finding('decoders', 'ok', value('decodes'), pod.name)
  const { result, found: how, remedy } = programState(receipt)
  const program = finding('program', result, `${how}${remedy === '' ? '' : ` - ${remedy}`}`, pod.name)
  return [...judged, program, decoders, portsCheck(pod, value('holds'))]
}

/** What stays open over a swap; that nothing does is no fault. */
function portsCheck(pod: Pod, holds: string): Finding {
  const [, why] = /^no \((.*)\)$/.exec(holds) ?? []
  if (holds === '') return finding('ports', 'skipped', 'its agent does not say what stays open over a swap', pod.name)
  if (why === undefined) return finding('ports', 'ok', `${holds} stays open over a swap`, pod.name)
  const asMeant = why === 'HOLD=0' || why.startsWith('the program listens')
  const none = `none stays open over a swap: ${why}`
  return asMeant
    ? finding('ports', 'ok', none, pod.name)
    : finding('ports', 'note', `${none} - see docs/ports.md`, pod.name)
}

/** What the pod said when it was asked. */
export function probeChecks(pod: Pod, plan: CheckPlan, receipt: Receipt, probe: Probe): Finding[] {
  const { values, ahead, exec, trip, upload } = probe
  const off = Math.abs(ahead)
  const way = `an exec begins after ${seconds(exec)}, a line there and back takes ${trip.toFixed(1)} ms, ${size(sample)} take ${seconds(upload)}`
  return [
    debuggerCheck(pod, plan, receipt, values),
    ptraceCheck(pod, receipt, values),
    ...interpreterCheck(pod, plan, values.get('interpreter')),
    finding('uid', 'ok', values.get('uid') ?? '', pod.name),
    off > clockLimit || Number.isNaN(ahead)
      ? finding(
          'clock',
          'fault',
          `its clock is ${off} s ${ahead > 0 ? 'ahead of' : 'behind'} this machine's - set both by NTP: logs and receipts tell of wrong times`,
          pod.name,
        )
      : finding('clock', 'ok', `${off} s apart from this machine's`, pod.name),
    exec > slow.exec || trip > slow.trip
      ? finding('speed', 'note', `${way} - npm run dev has the exec open before a save needs it`, pod.name)
      : finding('speed', 'ok', way, pod.name),
  ]
}

function debuggerCheck(
  pod: Pod,
  { goVersion, dlvVersion }: CheckPlan,
  receipt: Receipt,
  values: ReadonlyMap<string, string>,
): Finding {
  const judged = (result: Finding['result'], sentence: string) => finding('debugger', result, sentence, pod.name)
  if (!receipt.values.has('wrapper'))
    return judged('note', 'the agent runs without a debugger - npm run build-debug && npm run switch-dev')
  const happened = debuggerFault(receipt.values.get('reason') ?? '', receipt.log)
  if (happened !== undefined) return judged('fault', happened)
  const room = values.get('room')
  if (room !== undefined) return judged('skipped', untried(Number(room)))
  const delve = values.get('delve')
  if (delve === '')
    return judged(
      'fault',
      `Delve is there and does not run (${values.get('ptrace')}) - npm run container-dev && npm run switch-dev`,
    )
  const fault = delveFault(delve ?? dlvVersion, goVersion)
  if (fault !== undefined) return judged('fault', fault)
  if (delve === undefined) return judged('ok', `none there yet: Delve ${dlvVersion} is sent when it is needed`)
  return judged('ok', `Delve ${delve} for ${goVersion}`)
}

function interpreterCheck(pod: Pod, { interpreter = '' }: CheckPlan, said: string | undefined): Finding[] {
  if (interpreter === '') return []
  if (said === 'yes') return [finding('interpreter', 'ok', `${interpreter}, through which the binary starts`, pod.name)]
  return [
    finding(
      'interpreter',
      'fault',
      `the binary needs the ELF interpreter ${interpreter}, which the container does not have - build it with CGO_ENABLED=0 and -buildmode=exe, or take a base image that has it`,
      pod.name,
    ),
  ]
}

function ptraceCheck(pod: Pod, receipt: Receipt, values: ReadonlyMap<string, string>): Finding {
  const judged = (result: Finding['result'], sentence: string) => finding('ptrace', result, sentence, pod.name)
  if (!receipt.values.has('wrapper')) return judged('skipped', 'not needed: the agent runs without a debugger')
  const [said, room] = [values.get('ptrace'), values.get('room')]
  if (room !== undefined) return judged('skipped', untried(Number(room)))
  if (said === undefined) return judged('skipped', 'no Delve is there yet to try it')
  if (values.get('delve') === '') return judged('skipped', 'the Delve that is there does not run')
  // an older Delve has held it before it says that a program which is none of Go's has nothing to read
  if (!/not permitted|denied|not implemented/i.test(said)) return judged('ok', 'Delve may hold a process')
  return judged(
    'fault',
    `Delve may not hold a process (${said}) - allow ptrace in MANIFEST: seccompProfile, or capabilities.add: [SYS_PTRACE]`,
  )
}

/** Delve is there; why nothing more is known of it. */
function untried(room: number): string {
  const left = size(Math.max(0, room))
  return `Delve is there, and was not tried: it may take ${size(delveRoom)}, and the memory limit leaves ${left} - to debug there, set a higher limit in MANIFEST`
}
