// Checks all that a swap needs, from the tools of this machine to the pods, and says how to mend what is wrong.
import { machines } from './lib/go/builds.ts'
import { leftOutWords } from './lib/pods/pod-list.ts'
import { buildArch } from './lib/go/go-env.ts'
import { foreignWord, parcelOf, type Parcel } from './lib/delivery/parcel.ts'
import { interpreterOf } from './lib/binary/elf.ts'
import { finding, findingLine, type Finding } from './lib/doctor/finding.ts'
import type { Cluster, Pod, Target } from './lib/pods/target.ts'
import { allowed, kindsOf, needs } from './lib/doctor/permissions.ts'
import { greetingChecks, probeChecks, type CheckPlan } from './lib/doctor/pod-checks.ts'
import { probe } from './lib/doctor/probe.ts'
import { settings } from './lib/settings/settings.ts'
import type { Settings } from './lib/settings/table.ts'
import { NoAgent, settledStatus } from './lib/pods/status.ts'
import { task } from './lib/frame/task.ts'
import { print, say, UserError } from './lib/frame/talk.ts'
import { target } from './lib/pods/reach.ts'
import { toolsFound } from './lib/doctor/tool-versions.ts'

const about = {
  name: 'doctor-dev',
  summary:
    'checks all that a swap needs, from the tools of this machine to the pods, and says how to mend what is wrong',
  options: { json: { type: 'boolean', help: 'print one JSON object per check' } },
  more:
    'The checks change nothing. Each prints ok, note, fault or - (not made), its name, what it found, and what to do about it.\n' +
    'Exit code 1: there is a fault. Before the first switch-dev nothing runs yet: that is a note.',
} as const

await task(about, async ({ flags }) => {
  let unread = ''
  const chosen = await settings(undefined, (line) => (unread = line))
  let faults = 0
  const tell = (found: Finding) => {
    if (found.result === 'fault') faults += 1
    print(flags.json === true ? JSON.stringify(found) : findingLine(found))
  }
  /** Makes a check; what it throws is the fault, unless it is how things are before the first switch-dev. */
  const made = async <T>(
    check: string,
    work: () => Promise<T>,
    pod = '',
    result: Finding['result'] = 'fault',
  ): Promise<T | undefined> => {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      tell(finding(check, error instanceof NoAgent ? 'note' : result, error.message, pod))
      return undefined
    }
  }

  tell(finding('settings', unread === '' ? 'ok' : 'note', unread || 'no fault in .env and the environment'))
  const { goVersion, findings } = await toolsFound(chosen)
  findings.forEach(tell)
  const parcel = await built(chosen, tell)
  const plan: CheckPlan = {
    size: parcel?.bytes.length ?? 0,
    machine: chosen.goArch || (parcel?.machine ?? buildArch(chosen)),
    machines: machines(),
    debug: parcel?.debug === true,
    interpreter: parcel === undefined ? '' : interpreterOf(parcel.bytes),
    goVersion,
    dlvVersion: chosen.dlvVersion,
  }
  const there = await made('context', () => target(chosen))
  if (there === undefined) return 1
  say(there.where)
  if (there.kind === 'kubernetes') {
    const { cluster } = there
    if ((await made('context', async () => (cluster.guard(), true))) !== undefined)
      tell(finding('context', 'ok', `${cluster.context}, namespace ${cluster.namespace}`))
    if (!(await permitted(cluster, chosen, tell, made))) return 1
  }
  const found = await made('pods', there.anyPods)
  if (found === undefined) return 1
  if (found.pods.length === 0) {
    // what is there without an agent is production's; what cannot be acted on for another reason is a fault
    const before = found.leftOut.every(({ remedy, ending }) => remedy !== undefined || ending === true)
    await made('pods', there.pods, '', before ? 'note' : 'fault')
    return faults === 0 ? 0 : 1
  }
  for (const pod of found.leftOut) tell(finding('pods', 'note', leftOutWords(pod), pod.name))
  tell(finding('pods', 'ok', found.pods.map(({ name }) => name).join(', ')))
  for (const pod of found.pods) await examine(there, pod)
  return faults === 0 ? 0 : 1

  async function examine(where: Target, pod: Pod): Promise<void> {
    const patience = 1000 * (chosen.settle + chosen.limit) // one that crashes again and again is starting now and then
    const receipt = await made('agent', () => settledStatus(where, pod, patience), pod.name)
    if (receipt === undefined) return
    const helper = receipt.values.get('helper')
    const said = await made('speed', () => probe(where, pod, plan.interpreter, helper), pod.name)
    greetingChecks(pod, plan, receipt, said).forEach(tell)
    if (said !== undefined) probeChecks(pod, plan, receipt, said).forEach(tell)
  }
})

async function built({ binary }: Settings, tell: (found: Finding) => void): Promise<Parcel | undefined> {
  try {
    const parcel = await parcelOf(binary)
    tell(finding('binary', 'ok', `${binary} ${parcel.version} ${parcel.sha256.slice(0, 8)}, ${parcel.machine}`))
    const word = foreignWord(binary, parcel)
    if (word !== '') tell(finding('binary', 'note', word))
    return parcel
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    tell(finding('binary', 'note', error.message))
    return undefined
  }
}

/** Says which permissions are missing; false if no pod can be reached without them, or the cluster does not answer. */
async function permitted(
  cluster: Cluster,
  chosen: Settings,
  tell: (found: Finding) => void,
  made: <T>(check: string, work: () => Promise<T>) => Promise<T | undefined>,
): Promise<boolean> {
  const all = needs(await kindsOf(chosen.manifest, chosen))
  const answers = await made('cluster', () => Promise.all(all.map((need) => allowed(cluster, need))))
  if (answers === undefined) return false
  const missing = all.filter((_, index) => answers[index] === false)
  for (const { verbs, resource, use } of missing)
    tell(
      finding(
        `permission ${verbs[0]} ${resource}`,
        'fault',
        `you do not have it, and need it ${use} - ask for the Role of docs/security.md`,
      ),
    )
  if (missing.length === 0) tell(finding('permissions', 'ok', `${all.length} of ${all.length}`))
  const vital = missing.filter(
    ({ resource, verbs }) => resource === 'pods/exec' || (resource === 'pods' && verbs[0] === 'list'),
  )
  if (vital.length > 0) tell(finding('pods', 'skipped', 'they cannot be asked without that permission'))
  return vital.length === 0
}
