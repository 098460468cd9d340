// What a pod's own settings take from hot swapping, and what still works. Pure.
import { isRecord } from '../frame/json.ts'
import { posix } from 'node:path'
import type { AgentContainer, Container, DevOptions, PodTemplate } from './template.ts'
import { isInjected } from '../protocol/command.ts'
import { leftover } from '../settings/image.ts'
import { matches, selectorFor } from '../yaml/labels.ts'
import { rolloutWarnings } from './rollout-warnings.ts'
import { type Source, positionOf, valueAt } from '../yaml/text.ts'

/** @returns one line per thing to know, each with file and line. */
export function podWarnings(
  source: Source,
  pod: PodTemplate,
  agents: readonly AgentContainer[],
  options: DevOptions,
): string[] {
  const once = valueAt(pod.fields, ['spec', 'restartPolicy'])
  const path = [...pod.path, 'spec', 'restartPolicy']
  const again = `restartPolicy ${String(once)}: the agent starts the program again whenever it ends`
  return [
    ...(agents.length > 0 ? rolloutWarnings(source, pod, selectorOf(pod, options)) : []),
    ...(agents.length > 0 ? placeholders(source, pod) : []),
    ...(agents.length > 0 && (once === 'Never' || once === 'OnFailure')
      ? [`${positionOf(source, path)}: ${pod.name}: ${again}`]
      : []),
    ...agents.flatMap((agent) => [
      // what is injected lies in a volume that every user may write
      ...(isInjected(agent.agent.agent)
        ? []
        : [
            ...readOnlyRoot(source, agent, options),
            ...otherUser(source, pod, agent, options),
            ...pulled(source, agent, options),
          ]),
      ...declaredPort(source, pod, agent),
      ...keptOpen(source, agent),
    ]),
  ]
}

function selectorOf({ fields }: PodTemplate, { selector }: DevOptions): string {
  const labels = valueAt(fields, ['metadata', 'labels'])
  return selector !== undefined && matches(selector, labels) ? selector : (selectorFor(labels, []) ?? 'app=NAME')
}

/** The image of any container of the pod that no node can pull. */
function placeholders(source: Source, pod: PodTemplate): string[] {
  return ['containers', 'initContainers'].flatMap((list) => {
    const items: unknown = valueAt(pod.fields, ['spec', list])
    return (Array.isArray(items) ? items : []).flatMap((item: unknown, index) => {
      const image = valueAt(item, ['image'])
      const way = typeof image === 'string' ? leftover(image) : undefined
      if (way === undefined) return []
      return [
        `${positionOf(source, [...pod.path, 'spec', list, index, 'image'])}: ${pod.name}: no node can pull ${String(image)} - ${way}`,
      ]
    })
  })
}

/** A shell's child in the background, as the program is one of the agent, has no stdin. */
function keptOpen(source: Source, { container: { name, path, fields } }: AgentContainer): string[] {
  if (fields.stdin !== true) return []
  const why = `${name}: stdin: the agent gives the program an empty stdin, and a program that ends with its stdin ends at once`
  return [`${positionOf(source, [...path, 'stdin'])}: ${why} - let it wait for TERM instead`]
}

function readOnlyRoot(source: Source, { container, agent }: AgentContainer, { binaryPath }: DevOptions): string[] {
  const { path, fields, name } = container
  const binary = agent.binary ?? binaryPath
  const folder = posix.dirname(binary)
  if (valueAt(fields, ['securityContext', 'readOnlyRootFilesystem']) !== true || isMounted(fields, folder)) return []
  const at = positionOf(source, [...path, 'securityContext', 'readOnlyRootFilesystem'])
  const why = `${name}: readOnlyRootFilesystem: the program runs, but no binary can be put beside ${binary}`
  return [`${at}: ${why} - mount an emptyDir over ${folder}; the agent then waits there for the first deploy-dev`]
}

function isMounted(fields: Container['fields'], folder: string): boolean {
  const mounts: unknown[] = Array.isArray(fields.volumeMounts) ? fields.volumeMounts : []
  return mounts.some((mount) => {
    if (!isRecord(mount) || typeof mount.mountPath !== 'string' || mount.readOnly === true) return false
    return `${folder}/`.startsWith(posix.join(mount.mountPath, '/'))
  })
}

function otherUser(
  source: Source,
  pod: PodTemplate,
  { container, agent }: AgentContainer,
  { binaryPath }: DevOptions,
): string[] {
  const { path, fields, name } = container
  const setting = (key: string): { value: unknown; at: string } => {
    const own = valueAt(fields, ['securityContext', key])
    const holder = own === undefined ? [...pod.path, 'spec'] : path
    const value = own === undefined ? valueAt(pod.fields, ['spec', 'securityContext', key]) : own
    return { value, at: positionOf(source, [...holder, 'securityContext', key]) }
  }
  const [user, nonRoot] = [setting('runAsUser'), setting('runAsNonRoot')]
  const folder = posix.dirname(agent.binary ?? binaryPath)
  const swaps = `swaps work if every user may write to ${folder}, as in an image of container-dev`
  const remedy = `an image of one's own needs RUN chmod 0777 ${folder}`
  if (typeof user.value === 'number' && user.value !== 0) {
    return [`${user.at}: ${name}: runs as user ${user.value}: ${swaps} - ${remedy}`]
  }
  if (nonRoot.value !== true) return []
  const why = 'runAsNonRoot without runAsUser: the pod does not start if the dev image runs as root'
  return [`${nonRoot.at}: ${name}: ${why} - add a runAsUser; ${swaps}, ${remedy}`]
}

/** The containers of a pod share its ports. */
function declaredPort(source: Source, pod: PodTemplate, { container, agent }: AgentContainer): string[] {
  const warnings: string[] = []
  for (const list of ['containers', 'initContainers']) {
    const items: unknown = valueAt(pod.fields, ['spec', list])
    for (const [index, item] of (Array.isArray(items) ? items : []).entries()) {
      const ports: unknown = valueAt(item, ['ports'])
      if (!Array.isArray(ports)) continue
      const at = ports.findIndex((port) => isRecord(port) && port.containerPort === agent.debugPort)
      const where = positionOf(source, [...pod.path, 'spec', list, index, 'ports', at])
      const why = `port ${agent.debugPort} of the pod is the debugger's of ${container.name} too`
      if (at >= 0) warnings.push(`${where}: ${why} - put another DEBUG_PORT into .env`)
    }
  }
  return warnings
}

// https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting
function pulled(source: Source, { container }: AgentContainer, { devImage, loaded }: DevOptions): string[] {
  const { path, fields, name } = container
  const policy = fields.imagePullPolicy
  const isLatest = !devImage.includes('@') && /(?:^|\/)[^/:]+(?::latest)?$/.test(devImage)
  if (!loaded || !(policy === 'Always' || (policy === undefined && isLatest))) return []
  const why = `the node pulls ${devImage} at each start, but IMAGE_TO only loads it into the node`
  return [
    `${positionOf(source, [...path, policy ? 'imagePullPolicy' : 'image'])}: ${name}: ${why} - write imagePullPolicy: IfNotPresent`,
  ]
}
