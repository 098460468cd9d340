// What a pod's greeting rules out beforehand: why a binary cannot be swapped in there. Pure.
import { outdated } from './failure.ts'
import { archOfUname } from '../binary/elf.ts'
import { memoryFault } from '../pods/memory.ts'
import { agentVersion, protocol, type Receipt } from '../protocol/receipt.ts'
import { NO_DISK } from '../protocol/words.ts'
import type { Pod } from '../pods/target.ts'
import { size } from '../frame/words.ts'

export interface Obstacle {
  /** What was looked at. */
  readonly check: 'agent' | 'architecture' | 'folder' | 'disk' | 'memory'
  /** A sentence that ends in the next step. */
  readonly why: string
}

export interface Planned {
  /** Bytes. */
  readonly size: number
  /** Go's word. */
  readonly machine: string
  /** Those that the pods have, as far as they are known. */
  readonly machines?: readonly string[]
  /** It runs through the agent's wrapper. */
  readonly wrapped: boolean
}

/** All that stands in the way, the first one first. */
export function obstacles(
  pod: Pick<Pod, 'memory' | 'agent' | 'container'>,
  { size: bytes, machine, machines = [], wrapped }: Planned,
  receipt: Receipt,
) {
  const { values } = receipt
  const found: Obstacle[] = []
  if (!(agentVersion(receipt).protocol >= protocol))
    found.push({
      check: 'agent',
      why: outdated(pod, values.get('agent')),
    })
  const there = archOfUname(values.get('machine') ?? '')
  if (there !== undefined && there !== machine)
    found.push({
      check: 'architecture',
      why: machines.includes(machine)
        ? `the binary is for ${machine}, as other pods are, and this one is ${there}: one build cannot run in both - ${oneMachine(machine)}`
        : `the binary is for ${machine}, the pod is ${there} - set GO_ARCH=${there} in .env, or leave it out, and run npm run build`,
    })
  const writable = values.get('writable') ?? 'yes'
  if (writable !== 'yes')
    found.push({
      check: writable.startsWith(NO_DISK) ? 'disk' : 'folder',
      why: `the binary there cannot be replaced: ${writable.replace(/^no: /, '')} - mount an emptyDir over its folder, or run as a user who may write there`,
    })
  const free = Number(values.get('free'))
  if (free < bytes)
    found.push({
      check: 'disk',
      why: `disk full: the binary has ${size(bytes)}, ${size(free)} are free there - make room in the pod`,
    })
  const tight = pod.memory && memoryFault(pod.memory, bytes, wrapped)
  if (tight !== undefined) found.push({ check: 'memory', why: tight })
  return found
}

/** What to do where the nodes of a cluster have several architectures. */
export function oneMachine(machine: string): string {
  return `keep the dev pods on one: nodeSelector: {kubernetes.io/arch: ${machine}} into the pods' spec of MANIFEST, then npm run switch-dev`
}
