// Workloads: which objects make pods, where, and of which form. Pure.
import { isDeepStrictEqual } from 'node:util'
import { at, isRecord, items, text } from '../frame/json.ts'
import { runsAgent } from '../protocol/command.ts'

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

/** An object of a document, and where the document has it. */
export interface Placed {
  readonly path: readonly (string | number)[]
  readonly fields: Readonly<Record<string, unknown>>
}

/** The objects of a document: those of a List one by one. */
export function objectsIn(value: unknown, path: readonly (string | number)[] = []): Placed[] {
  if (!isRecord(value)) return []
  if (!/List$/.test(String(value.kind)) || !Array.isArray(value.items)) return [{ path, fields: value }]
  return value.items.flatMap((item: unknown, index) => objectsIn(item, [...path, 'items', index]))
}

/** Where an object has what its pods are made of: labels and spec. */
export function templatePath(object: unknown): readonly string[] {
  return at(object, 'kind') === 'Pod' ? [] : ['spec', 'template']
}

/** Whether its pods end by themselves. */
export function runsOnce(kind: unknown): boolean {
  return /Job$/.test(String(kind))
}

/**
 * Whether an object makes pods that stay. Kinds of others with the same form (an Argo Rollout, a CloneSet) count: their pods are
 * what the developer wants to change. Jobs do not: an agent would run them again and again.
 */
export function isWorkload(object: unknown): boolean {
  return !runsOnce(at(object, 'kind')) && Array.isArray(at(object, ...templatePath(object), 'spec', 'containers'))
}

/** The workloads among some objects. */
export function workloadsIn(objects: readonly unknown[]): Workload[] {
  return objects.filter(isWorkload).map((value) => ({
    kind: text(value, 'kind'),
    name: text(value, 'metadata', 'name'),
    namespace: text(value, 'metadata', 'namespace'),
    object: value,
  }))
}

/** The spec of its pods. */
export function podSpec(workload: unknown): unknown {
  return at(workload, ...templatePath(workload), 'spec')
}

/** The names of its containers that run the agent. */
export function agentContainers(object: unknown): string[] {
  return ['containers', 'initContainers']
    .flatMap((list) => items(podSpec(object), list))
    .filter(runsAgent)
    .map((container) => text(container, 'name'))
}

/** The labels of its pods. */
export function podLabels(workload: unknown): unknown {
  return at(workload, ...templatePath(workload), 'metadata', 'labels')
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
export function isNew(pod: unknown, template: unknown): boolean {
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
