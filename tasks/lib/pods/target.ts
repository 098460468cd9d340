// The one interface through which a task reaches pods. Types alone, and one sentence.
import type { ChildProcess } from 'node:child_process'
import type { Memory } from './memory.ts'

// node gives no streams, and says nothing else, if it cannot open any
export const withoutPipes =
  'too many files are open on this machine - end what has them open, or raise the limit (ulimit -n)'

/** A running container that the tasks act on. */
export interface Pod {
  readonly name: string
  /** The container that runs the agent; empty if there are none. */
  readonly container: string
  /** Another one whenever the container was started anew: it is then back on the image's binary. */
  readonly life: string
  /** How often the container was started anew. */
  readonly restarts: number
  /** The words that run the agent there. */
  readonly agent: readonly string[]
  /** Absolute path of the binary there. */
  readonly binary: string
  /** Delve's port there. */
  readonly debugPort: number
  /** undefined: nothing limits it. */
  readonly memory?: Memory
}

/** A pod that was found and is not acted on. */
export interface LeftOut {
  readonly name: string
  /** Completes "it is ...". */
  readonly why: string
  /** The next step, where that is more than to look at the pod. */
  readonly remedy?: string
  /** It is on its way out, or has finished: that is no trouble. */
  readonly ending?: boolean
}

export interface Found {
  /** Newest first. */
  readonly pods: readonly Pod[]
  readonly leftOut: readonly LeftOut[]
}

/** A way from this machine to a port of a pod. */
export interface Forward {
  /** On loopback of this machine. */
  readonly port: number
  /** Settles when the way is gone; says why. */
  readonly ended: Promise<string>
  readonly close: () => void
}

/** Where a pod's output is told from: its container's start, a moment of the last swap (see Receipt), or now on. */
export type From = 'start' | 'now' | { readonly time: string; readonly byte: number }

/** The four verbs by which a task reaches pods: list them, exec, forward a port, follow logs. */
export interface Pods {
  /** The first line that a task prints: where it acts. */
  readonly where: string
  /** The pods that can be acted on. Throws UserError if there is none: it says what was found and the next step. */
  readonly pods: () => Promise<Found>
  /** The same, if none is no error. */
  readonly anyPods: () => Promise<Found>
  /** Tells whenever the pods may have changed, until the task ends. */
  readonly watch: (tell: () => void) => void
  /** Runs a command in a pod, with pipes for its stdin, stdout and stderr, or on the user's terminal. It ends with the task. */
  readonly exec: (pod: Pod, command: readonly string[], on?: 'pipes' | 'terminal') => ChildProcess
  /** Opens a way to a port of the pod. Throws UserError. */
  readonly forward: (pod: Pod, port: number) => Promise<Forward>
  /** What the pod's program and agent print, followed, on the child's stdout; on a cluster each line begins with its time. */
  readonly logs: (pod: Pod, from: From) => ChildProcess
}

/** A cluster, resolved once per task, so that a switch of context in another window changes nothing. */
export interface Cluster {
  readonly context: string
  readonly namespace: string
  /** Named and addressed like a cluster on this machine. */
  readonly local: boolean
  /** Throws UserError (2) unless the context is a local one or KUBE_CONTEXT names it: to be called before each change. */
  readonly guard: () => void
  /** Runs kubectl there and returns its stdout. Throws UserError that says what it means. */
  readonly read: (args: readonly string[], input?: string) => Promise<string>
}

/** Where the pods are. */
export type Target = Pods & ({ readonly kind: 'local' } | { readonly kind: 'kubernetes'; readonly cluster: Cluster })
