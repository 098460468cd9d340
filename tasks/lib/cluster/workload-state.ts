// How far a cluster has come with the pods of a workload, from their JSON. Pure.
import { at, items, nameOf, text } from '../frame/json.ts'
import { whyWaiting } from '../pods/pod-list.ts'
import { isNew } from '../yaml/workloads.ts'

/** The kinds that count their new pods, as far as they say nothing yet. */
const counting = /^(?:Deployment|StatefulSet|DaemonSet|Rollout|CloneSet)$/
/** What is awaited of a change that its controller has not seen yet. */
const unnoticed = 'not yet noticed'

/** Whether a workload's controller has seen the change that is awaited. */
export function isNoticed(open: string): boolean {
  return !open.endsWith(unnoticed)
}

/**
 * How far a workload is, from its JSON: what is still awaited, or undefined when it is up. One that does not count its new pods
 * is judged by the `pods` of SELECTOR.
 */
export function awaited(workload: unknown, pods: readonly unknown[] = []): string | undefined {
  const status = at(workload, 'status')
  const number = (key: string) => Number(text(status, key) || '0')
  const what = nameOf(workload)
  const failure = items(status, 'conditions').find(
    (each) => text(each, 'type') === 'ReplicaFailure' && text(each, 'status') === 'True',
  )
  if (failure !== undefined) return `${what}: ${text(failure, 'message')}${userRange(text(failure, 'message'))}`
  if (text(workload, 'metadata', 'generation') !== text(status, 'observedGeneration')) return `${what}: ${unnoticed}`
  const kind = text(workload, 'kind')
  const replicas = Number(text(workload, 'spec', 'replicas') || '1')
  const counts = counting.test(kind) || at(status, 'updatedReplicas') !== undefined
  const [wanted, updated, ready, present] =
    kind === 'DaemonSet'
      ? [number('desiredNumberScheduled'), number('updatedNumberScheduled'), number('numberAvailable'), 0]
      : counts
        ? [replicas, number('updatedReplicas'), number('availableReplicas'), number('replicas')]
        : [replicas, ...counted(workload, pods)]
  if (updated < wanted) return `${what}: ${updated} of ${wanted} pods are new`
  if (ready < wanted) return `${what}: ${ready} of ${wanted} pods are ready`
  if (present > wanted) return `${what}: ${present - wanted} old pods are still there`
  return undefined
}

/** How many pods are as a workload's template has them, are ready as well, and are there at all. */
function counted(workload: unknown, pods: readonly unknown[]): [updated: number, ready: number, present: number] {
  const there = pods.filter((pod) => at(pod, 'metadata', 'deletionTimestamp') === undefined)
  const updated = there.filter((pod) => isNew(pod, at(workload, 'spec', 'template')))
  const isReady = (pod: unknown) =>
    items(at(pod, 'status'), 'conditions').some(
      (each) => text(each, 'type') === 'Ready' && text(each, 'status') === 'True',
    )
  return [updated.length, updated.filter(isReady).length, there.length]
}

/** What to do where a cluster gives each namespace a range of users: the message is that of OpenShift. */
function userRange(message: string): string {
  const [, first] = /runAsUser: .* must be in the ranges?: \[(\d+)/.exec(message) ?? []
  if (first === undefined) return ''
  const field = `runAsUser: ${first} into the securityContext of its container in MANIFEST`
  return ` - put ${field}, then npm run generate-deployment-dev && npm run switch-dev`
}

/** Why a pod is not up, from its JSON; undefined if it is. */
export function trouble(pod: unknown): string | undefined {
  const name = text(pod, 'metadata', 'name')
  if (at(pod, 'metadata', 'deletionTimestamp') !== undefined) return `${name} is terminating`
  for (const key of ['initContainers', 'containers'])
    for (const container of items(at(pod, 'spec'), key)) {
      const statuses = ['containerStatuses', 'initContainerStatuses'].flatMap((each) => items(at(pod, 'status'), each))
      const status = statuses.find((entry) => text(entry, 'name') === text(container, 'name'))
      if (at(status, 'state', 'terminated') !== undefined && text(status, 'state', 'terminated', 'exitCode') === '0')
        continue
      const why = whyWaiting(pod, text(container, 'name'))
      if (why !== undefined) return `${name}, container ${text(container, 'name')}: ${why}`
    }
  return undefined
}

/** Whether what is awaited, or in the way, has a reason of Kubernetes or of the agent that no more waiting will mend. */
export function hopeless(now: string): boolean {
  return /ErrImageNeverPull|InvalidImageName|exceeded quota|CreateContainerConfigError|RunContainerError|is forbidden|\(hotswap-dev: /.test(
    now,
  )
}

/** The images of a pod that its node does not get, each with the reason. */
export function withoutImage(pod: unknown): { readonly image: string; readonly why: string }[] {
  return ['initContainers', 'containers'].flatMap((list) =>
    items(at(pod, 'spec'), list).flatMap((container) => {
      const why = whyWaiting(pod, text(container, 'name')) ?? ''
      const isPull = /^waiting \((?:ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName)\b/.test(why)
      return isPull ? [{ image: text(container, 'image'), why: why.replace(/^waiting \((.*)\)$/, '$1') }] : []
    }),
  )
}
