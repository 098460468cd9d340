// The workloads of a manifest: which objects make pods, where, and how far a cluster has come with them.
import { at, items, nameOf, text } from './json.ts'
import { whyWaiting } from './pods.ts'

/** An object that makes pods for as long as it exists. */
export interface Workload {
  readonly kind: string
  readonly name: string
  /** Empty: the one that it is applied to. */
  readonly namespace: string
  /** As the manifest has it. */
  readonly object: unknown
}

/** How kubectl names it: `deployment/hello`. */
export function named(object: unknown): string {
  return `${text(object, 'kind').toLowerCase()}/${text(object, 'metadata', 'name')}`
}

/** Whether two objects are of one kind and name. */
export function isSame(a: unknown, b: unknown): boolean {
  return text(a, 'kind') === text(b, 'kind') && text(a, 'metadata', 'name') === text(b, 'metadata', 'name')
}

/** The workloads among some objects: a Job ends by itself. */
export function workloadsIn(objects: readonly unknown[]): Workload[] {
  return objects
    .filter(
      (value) => text(value, 'kind') === 'Pod' || at(value, 'spec', 'template', 'spec', 'containers') !== undefined,
    )
    .filter((value) => !/Job$/.test(text(value, 'kind')))
    .map((value) => ({
      kind: text(value, 'kind'),
      name: text(value, 'metadata', 'name'),
      namespace: text(value, 'metadata', 'namespace'),
      object: value,
    }))
}

/** The labels of its pods. */
export function podLabels(workload: unknown): unknown {
  return text(workload, 'kind') === 'Pod'
    ? at(workload, 'metadata', 'labels')
    : at(workload, 'spec', 'template', 'metadata', 'labels')
}

/** How far a Deployment, StatefulSet or DaemonSet is, from its JSON: what is still awaited, or undefined when it is up. */
export function awaited(workload: unknown): string | undefined {
  const status = at(workload, 'status')
  const number = (key: string) => Number(text(status, key) || '0')
  const what = nameOf(workload)
  const failure = items(status, 'conditions').find(
    (each) => text(each, 'type') === 'ReplicaFailure' && text(each, 'status') === 'True',
  )
  if (failure !== undefined) return `${what}: ${text(failure, 'message')}${userRange(text(failure, 'message'))}`
  if (text(workload, 'metadata', 'generation') !== text(status, 'observedGeneration')) return `${what}: not yet noticed`
  const [wanted, updated, ready] =
    text(workload, 'kind') === 'DaemonSet'
      ? [number('desiredNumberScheduled'), number('updatedNumberScheduled'), number('numberAvailable')]
      : [Number(text(workload, 'spec', 'replicas') || '1'), number('updatedReplicas'), number('availableReplicas')]
  const present = number('replicas')
  if (updated < wanted) return `${what}: ${updated} of ${wanted} pods are new`
  if (ready < wanted) return `${what}: ${ready} of ${wanted} pods are ready`
  if (present > wanted) return `${what}: ${present - wanted} old pods are still there`
  return undefined
}

/** What to do where a cluster gives each namespace a range of users: the message is that of OpenShift. */
function userRange(message: string): string {
  const [, first] = /runAsUser: .* must be in the ranges?: \[(\d+)/.exec(message) ?? []
  if (first === undefined) return ''
  const field = `runAsUser: ${first} into the securityContext of its container in MANIFEST`
  return ` - put ${field}, then npm run generate-deployment-dev && npm run switch-dev`
}

/** Why a pod is not up, from its JSON; undefined where it is. */
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
