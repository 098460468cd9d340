// What a workload's own settings do to the change of its pods, and what to do then: in a manifest and in the cluster. Pure.
import type { PodTemplate } from './template.ts'
import { at, items, nameOf, text } from '../frame/json.ts'
import { hasOldPods, named } from '../yaml/workloads.ts'
import { type Path, type Source, positionOf, valueAt } from '../yaml/text.ts'

/** Where a field stands, whether its value keeps new pods from coming, why, and what to do before and after switch-dev. */
interface Obstacle {
  readonly below: Path
  readonly holds: (value: unknown) => boolean
  readonly why: (value: unknown) => string
  readonly before: (selector: string) => string
  readonly after: (object: unknown, selector: string) => string
}

const isOnDelete = (value: unknown): boolean => value === 'OnDelete'
const isTrue = (value: unknown): boolean => value === true
const isPart = (value: unknown): boolean => value !== undefined && value !== null && !/^0%?$/.test(String(value))

const again = 'then run the command again'
const anew = 'npm run generate-deployment-dev && npm run switch-dev'
const deleting = (selector: string): string => `kubectl delete pod -l '${selector}'`

const onDelete = {
  holds: isOnDelete,
  why: () => 'OnDelete: a pod becomes a dev pod when the old one is deleted',
  before: (selector: string) => `after npm run switch-dev: ${deleting(selector)}`,
  after: (_: unknown, selector: string) => `${deleting(selector)}, ${again}`,
}
const partition = {
  holds: isPart,
  why: (value: unknown) => `partition ${String(value)}: pods below it stay as they are`,
  before: () => 'set it to 0 in MANIFEST for development',
  after: () => `set it to 0 in MANIFEST for development, then ${anew}`,
}
const paused = {
  holds: isTrue,
  why: () => 'paused: no new pod comes',
  before: () => 'take paused out of MANIFEST for development',
  after: () => `take paused out of MANIFEST for development, then ${anew}`,
}
const replicas = {
  holds: (value: unknown) => value === 0,
  why: () => 'replicas 0: there is no pod to change',
  before: () => 'scale it up, or let its autoscaler, before npm run deploy-dev',
  after: (object: unknown) => `kubectl scale ${named(object)} --replicas=1, or let its autoscaler, ${again}`,
}
const canary = {
  holds: (value: unknown) => Array.isArray(value) && value.length > 0,
  why: () => 'canary steps: new pods come step by step',
  before: () => 'promote it to the end, or take the steps out of MANIFEST',
  after: (object: unknown) => `${promote(object)}, or take the steps out of MANIFEST, then ${anew}`,
}
const blueGreen = {
  holds: (value: unknown) => value === false,
  why: () => 'autoPromotionEnabled false: the new pods serve after a promotion by hand',
  before: () => '',
  after: (object: unknown) => promote(object),
}

const promote = (object: unknown): string => `kubectl argo rollouts promote ${text(object, 'metadata', 'name')} --full`

// The form of Kubernetes' own kinds, of OpenKruise's and of Argo's: a group is no matter here.
const obstacles: readonly Obstacle[] = [
  { below: ['updateStrategy', 'type'], ...onDelete },
  { below: ['updateStrategy', 'rollingUpdate', 'partition'], ...partition },
  { below: ['updateStrategy', 'partition'], ...partition },
  { below: ['updateStrategy', 'rollingUpdate', 'paused'], ...paused },
  { below: ['updateStrategy', 'paused'], ...paused },
  { below: ['paused'], ...paused },
  { below: ['replicas'], ...replicas },
  { below: ['strategy', 'canary', 'steps'], ...canary },
  { below: ['strategy', 'blueGreen', 'autoPromotionEnabled'], ...blueGreen },
]

/** Of these the pods stay as they are when the template changes. */
const keepsPods = (kind: unknown): boolean => /^(?:ReplicaSet|ReplicationController)$/.test(String(kind))

/** @returns one line per thing to know, each with file and line. */
export function rolloutWarnings(source: Source, { name, object }: PodTemplate, selector: string): string[] {
  const line = (below: Path, why: string) => `${positionOf(source, [...object.path, ...below])}: ${name}: ${why}`
  const found = obstacles.flatMap(({ below, holds, why, before }) => {
    const path = ['spec', ...below]
    const value = valueAt(object.fields, path)
    return holds(value) ? [line(path, [why(value), before(selector)].filter(Boolean).join(' - '))] : []
  })
  const why = `its pods stay as they are when it changes - ${onDelete.before(selector)}`
  return keepsPods(object.fields.kind) ? [line(['kind'], why), ...found] : found
}

/** A workload without a pod, which is as it should be; undefined if it has some. */
export function withoutPods(object: unknown): string | undefined {
  if (at(object, 'spec', 'replicas') === 0) return `${nameOf(object)} has ${replicas.why()} - ${replicas.after(object)}`
  if (at(object, 'status', 'desiredNumberScheduled') !== 0) return undefined
  return `${nameOf(object)} has no pod: no node fits it - look at its nodeSelector, affinity and tolerations`
}

/**
 * Why a workload of the cluster whose new pods are awaited will not come up by itself, and what to do; undefined if nothing
 * stands in the way. `pods` are those of SELECTOR. Pure.
 */
export function inTheWay(object: unknown, selector: string, pods: readonly unknown[]): string | undefined {
  const says = (why: string, way: string) => `${nameOf(object)}: ${why} - ${way}`
  const state = items(at(object, 'status'), 'pauseConditions').map((each) => text(each, 'reason'))
  // a Rollout goes through its steps by itself, until one of them is a pause
  const isPaused = state.length > 0 || text(object, 'status', 'phase') === 'Paused'
  const isDegraded = text(object, 'status', 'phase') === 'Degraded'
  if (isDegraded) {
    const retry = `kubectl argo rollouts retry rollout ${text(object, 'metadata', 'name')}`
    return says(`degraded: ${text(object, 'status', 'message')}`, `${retry}, or npm run switch-prod`)
  }
  if (keepsPods(text(object, 'kind')) && hasOldPods(object, pods))
    return says('its pods stay as they are when it changes', onDelete.after(object, selector))
  for (const obstacle of obstacles) {
    const { below, holds, why, after } = obstacle
    const value = at(object, 'spec', ...below)
    const isStep = below[0] === 'strategy'
    // pods that come for the first time are new, whatever the strategy
    const isInVain = isStep ? isPaused : holds === isTrue || hasOldPods(object, pods)
    if (!holds(value) || below[0] === 'replicas' || !isInVain) continue
    const reason = isStep && state.length > 0 ? `${why(value)}, and it is paused (${state.join(', ')})` : why(value)
    return says(reason, after(object, selector))
  }
  return undefined
}
