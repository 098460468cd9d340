// The workloads of a manifest: which objects make pods, where, and how far a cluster has come with them.
import { isDeepStrictEqual } from 'node:util'
import { at, isRecord, items, nameOf, text } from './json.ts'
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

/** How kubectl names it: `deployment.apps/hello`. With its group, as several groups have a StatefulSet or a Service. */
export function named(object: unknown): string {
  const group = groupOf(object)
  return `${text(object, 'kind').toLowerCase()}${group === '' ? '' : `.${group}`}/${text(object, 'metadata', 'name')}`
}

/** The group of its kind; empty: the core one. */
export function groupOf(object: unknown): string {
  return /^(.+)\//.exec(text(object, 'apiVersion'))?.[1] ?? ''
}

/** Whether two objects are of one kind and name. */
export function isSame(a: unknown, b: unknown): boolean {
  return named(a) === named(b)
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

/** Whether a workload has pods that are not as its template has them, among some pods. */
export function hasOldPods(workload: unknown, pods: readonly unknown[]): boolean {
  const isOwn = (pod: unknown) =>
    items(at(pod, 'metadata'), 'ownerReferences').some(
      (owner) => text(owner, 'uid') === text(workload, 'metadata', 'uid'),
    )
  return pods.some(
    (pod) =>
      isOwn(pod) &&
      at(pod, 'metadata', 'deletionTimestamp') === undefined &&
      !isNew(pod, at(workload, 'spec', 'template')),
  )
}

/** Whether a pod is as a template has it: its annotations, and what its containers run. */
function isNew(pod: unknown, template: unknown): boolean {
  const annotations = at(template, 'metadata', 'annotations')
  const labelled = Object.entries(isRecord(annotations) ? annotations : {})
  const same = (each: unknown, other: unknown) =>
    ['image', 'command', 'args'].every((key) => isDeepStrictEqual(at(each, key), at(other, key)))
  return (
    labelled.every(([key, value]) => at(pod, 'metadata', 'annotations', key) === value) &&
    ['containers', 'initContainers'].every((list) => {
      const there = items(at(pod, 'spec'), list)
      return items(at(template, 'spec'), list).every((each) => there.some((other) => same(each, other)))
    })
  )
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
