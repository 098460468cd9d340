// Waits for a cluster, within a limit: until workloads are up, or objects are gone; and says what is awaited, and why in vain.
import { inTheWay } from '../manifest/rollout-warnings.ts'
import { onEnd } from '../frame/ending.ts'
import { items, nameOf, text } from '../frame/json.ts'
import { pause } from '../frame/pause.ts'
import { say, UserError } from '../frame/talk.ts'
import type { Cluster } from '../pods/target.ts'
import { named, type Workload } from '../yaml/workloads.ts'
import { awaited, hopeless, isNoticed, trouble } from './workload-state.ts'
import { live } from './production.ts'

const limit = 180_000 // ms: pulling an image takes most of it
const step = 500 // ms
// ms that a fault must stand: what the run before has left (a pod with the old image, a quota that has just gone) may still show
const stands = 10_000

/**
 * Waits until every workload is up, says what is awaited when that changes; returns them as they are then. Throws UserError
 * where they will not come up by themselves, and at the limit, with the reason from the pods' own state.
 * @param stuck is asked now and then why waiting is in vain, with the pods of SELECTOR.
 */
export async function settled(
  cluster: Cluster,
  mine: readonly Workload[],
  selector: string,
  stuck: (pods: readonly unknown[]) => Promise<string | undefined> = async () => undefined,
): Promise<readonly unknown[]> {
  const names = mine.filter(({ kind }) => kind !== 'Pod').map(({ object }) => named(object))
  if (names.length === 0) return []
  const said = new Set<string>() // a pull that fails says two things in turn
  let [going, hopeful, asked] = [true, Date.now(), Date.now()]
  onEnd(() => void (going = false))
  for (const end = Date.now() + limit; going; await pause(step)) {
    const [answer, found]: unknown[] = (
      await Promise.all([
        cluster.read(['get', ...names, '-o', 'json']),
        cluster.read(['get', 'pods', '-l', selector, '-o', 'json']),
      ])
    ).map((json) => JSON.parse(json))
    const list = text(answer, 'kind') === 'List' ? items(answer) : [answer]
    const pods = items(found)
    const states = list.map((object) => ({ object, what: awaited(object, pods) }))
    const open = states.map(({ what }) => what).filter((what) => what !== undefined)
    if (open.length === 0) return list
    const way = states
      .filter(({ what }) => what !== undefined && isNoticed(what))
      .map(({ object }) => inTheWay(object, selector, pods))
      .find((what) => what !== undefined)
    if (way !== undefined) throw new UserError(way)
    const why = pods.map(trouble).filter((what) => what !== undefined)
    const now = [...open, ...why].join('; ')
    if (!said.has(now)) say(`waiting: ${now}`)
    said.add(now)
    if (!hopeless(now)) hopeful = Date.now()
    if (Date.now() - asked > stands) {
      const fault = await stuck(pods)
      if (fault !== undefined) throw new UserError(fault)
      asked = Date.now()
    }
    if (Date.now() > end || Date.now() - hopeful > stands)
      throw new UserError(`the pods did not come up: ${now} - correct that, then run the command again`)
  }
  return []
}

/** Waits until objects are gone, with their pods. Throws UserError at the limit. */
export async function gone(cluster: Cluster, objects: readonly unknown[]): Promise<void> {
  let going = true
  onEnd(() => void (going = false))
  for (const end = Date.now() + limit; going; await pause(step)) {
    const left = await live(cluster, objects)
    if (left.length === 0) return
    if (Date.now() > end)
      throw new UserError(`${left.map(nameOf).join(', ')}: deleted, and still there - see kubectl describe pod`)
  }
}
