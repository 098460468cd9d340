// What a workload's own settings do to the change of its pods, and what to do then. Pure.
import type { Pod } from './dev-pod.ts'
import { type Path, type Source, positionOf, valueAt } from './yaml-text.ts'

/** Where a field stands, whether its value keeps new pods from coming, and why. */
interface Obstacle {
  readonly below: Path
  readonly holds: (value: unknown) => boolean
  readonly why: (value: unknown, selector: string) => string
}

const isOnDelete = (value: unknown): boolean => value === 'OnDelete'
const isTrue = (value: unknown): boolean => value === true
const isPart = (value: unknown): boolean => value !== undefined && value !== null && !/^0%?$/.test(String(value))

const onDelete = (_: unknown, selector: string): string =>
  `OnDelete: a pod becomes a dev pod when the old one is deleted - after npm run switch-dev: kubectl delete pod -l '${selector}'`
const partition = (value: unknown): string =>
  `partition ${String(value)}: pods below it stay as they are - set it to 0 in MANIFEST for development`
const paused = (): string => 'paused: no new pod comes - take paused out of MANIFEST for development'

// The form of Kubernetes' own kinds, of OpenKruise's and of Argo's: a group is no matter here.
const obstacles: readonly Obstacle[] = [
  { below: ['updateStrategy', 'type'], holds: isOnDelete, why: onDelete },
  { below: ['updateStrategy', 'rollingUpdate', 'partition'], holds: isPart, why: partition },
  { below: ['updateStrategy', 'partition'], holds: isPart, why: partition },
  { below: ['updateStrategy', 'rollingUpdate', 'paused'], holds: isTrue, why: paused },
  { below: ['updateStrategy', 'paused'], holds: isTrue, why: paused },
  { below: ['paused'], holds: isTrue, why: paused },
  {
    below: ['replicas'],
    holds: (value) => value === 0,
    why: () => 'replicas 0: there is no pod to change - scale it up, or let its autoscaler, before npm run deploy-dev',
  },
  {
    below: ['strategy', 'canary', 'steps'],
    holds: (value) => Array.isArray(value) && value.length > 0,
    why: () => 'canary steps: new pods come step by step - promote it to the end, or take the steps out of MANIFEST',
  },
  {
    below: ['strategy', 'blueGreen', 'autoPromotionEnabled'],
    holds: (value) => value === false,
    why: () => 'autoPromotionEnabled false: the new pods serve after a promotion by hand',
  },
]

/** @returns one line per thing to know, each with file and line. */
export function rolloutWarnings(source: Source, { name, object }: Pod, selector: string): string[] {
  const line = (below: Path, why: string) => `${positionOf(source, [...object.path, ...below])}: ${name}: ${why}`
  const found = obstacles.flatMap(({ below, holds, why }) => {
    const path = ['spec', ...below]
    const value = valueAt(object.fields, path)
    return holds(value) ? [line(path, why(value, selector))] : []
  })
  const keeps = /^(?:ReplicaSet|ReplicationController)$/.test(String(object.fields.kind))
  const why = `its pods stay as they are when it changes - after npm run switch-dev: kubectl delete pod -l '${selector}'`
  return keeps ? [line(['kind'], why), ...found] : found
}
