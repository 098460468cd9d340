// A pod template of a manifest, its containers, and what is to be made of them. Pure.
import { isRecord } from '../frame/json.ts'
import type { AgentCommand } from '../protocol/command.ts'
import { type Path, valueAt } from '../yaml/text.ts'

/** What is injected. */
export interface Injection {
  /** An image with a static busybox. */
  readonly image: string
  /** The text of the agent. */
  readonly agent: string
  /** BINARY_PATH was chosen: what an image runs by itself is taken to be that. */
  readonly binaryChosen: boolean
}

export interface DevOptions {
  /** The manifest's path, for messages and the first line. */
  readonly file: string
  /** The containers of this image change, whatever its tag, digest and registry port. */
  readonly prodImage: string
  /** The label selector of the pods that are meant; undefined: all. */
  readonly selector?: string
  /** The name of the container that is meant; empty: each. */
  readonly container?: string
  readonly devImage: string
  /** The image stays, and the agent is injected; undefined: the dev image has it. */
  readonly inject?: Injection | undefined
  /** The dev image is loaded into the nodes: no registry has it. */
  readonly loaded: boolean
  readonly binaryPath: string
  /** The first container of a pod gets it, the next one the next. */
  readonly debugPort: number
  readonly debugWait: boolean
  /** Seconds, for the agent's environment. */
  readonly settle: number
  readonly limit: number
  /** The program's ports stay open over a swap. */
  readonly hold: boolean
}

export interface PodTemplate {
  /** `Deployment karydia` */
  readonly name: string
  /** Of the pod template; of the object itself where it is a Pod. */
  readonly path: Path
  readonly fields: Readonly<Record<string, unknown>>
  /** What makes the pods; the Pod itself where it is one. */
  readonly object: { readonly path: Path; readonly fields: Readonly<Record<string, unknown>> }
}

export interface Container {
  /** `Deployment karydia, container karydia` */
  readonly name: string
  readonly path: Path
  readonly fields: Readonly<Record<string, unknown>>
  /** An init container that ends before the others start. */
  readonly init: boolean
}

export interface Match {
  /** `Deployment karydia, container karydia` */
  readonly name: string
  /** `agent`: runs the agent now; `image`: got the image alone; `none`: was as it should be. */
  readonly change: 'agent' | 'image' | 'none'
}

/** A container that runs the agent, once the changes are made. */
export interface AgentContainer {
  readonly container: Container
  readonly agent: AgentCommand
}

/** The containers in the order of their debug ports. */
export function containersOf(pod: PodTemplate): Container[] {
  return ['containers', 'initContainers'].flatMap((list) => {
    const items = valueAt(pod.fields, ['spec', list])
    if (!Array.isArray(items)) return []
    return items.flatMap((fields: unknown, index): Container[] => {
      if (!isRecord(fields)) return []
      const name = `${pod.name}, ${containerName(list, fields, index)}`
      const init = list === 'initContainers' && fields.restartPolicy !== 'Always'
      return [{ name, path: [...pod.path, 'spec', list, index], fields, init }]
    })
  })
}

/** `container karydia`, `init container setup`, `container 2` where it has no name. */
export function containerName(list: string, { name }: Record<string, unknown>, index: number): string {
  return `${list === 'initContainers' ? 'init container' : 'container'} ${typeof name === 'string' ? name : index + 1}`
}
