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

/** The names of its containers that run the agent. */
export function agentContainers(object: unknown): string[] {
  return podsOf(object)
    .filter(runsAgent)
    .map((container) => text(container, 'name'))
}

/** The labels of its pods. */
export function podLabels(workload: unknown): unknown {
  return text(workload, 'kind') === 'Pod'
    ? at(workload, 'metadata', 'labels')
    : at(workload, 'spec', 'template', 'metadata', 'labels')
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

function podsOf(object: unknown): readonly unknown[] {
  const spec = text(object, 'kind') === 'Pod' ? at(object, 'spec') : at(object, 'spec', 'template', 'spec')
  return ['containers', 'initContainers'].flatMap((list) => items(spec, list))
}
