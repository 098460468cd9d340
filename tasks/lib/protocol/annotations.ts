// The annotations by which the tasks find what they have left in a cluster, and those that a cluster leaves. Pure.

/** At a pod: how the tasks reach its agent. The first container that runs one has them. */
export const CONTAINER = 'hotswap-dev/container'
/** JSON, the words that run the agent. */
export const AGENT = 'hotswap-dev/agent'
/** The path of the program. */
export const BINARY = 'hotswap-dev/binary'
/** The port of Delve. */
export const DEBUG_PORT = 'hotswap-dev/debug-port'
/** The text of an injected agent. A downwardAPI volume brings it into the pod byte for byte, and a new one rolls out by itself. */
export const SCRIPT = 'hotswap-dev/script'

/** The annotation of a workload that holds what it was before switch-dev. */
export const PRODUCTION = 'hotswap-dev/production'
/** The annotation of a workload that holds what switch-dev alone has made with it: how kubectl names it, and its uid. */
export const MADE = 'hotswap-dev/made'
/** What kubectl apply takes for its own, and removes where the next manifest lacks it. */
export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
/** What a cluster adds to the metadata of an object: it cannot be applied again, or says nothing. */
export const CLUSTER_METADATA = [
  'managedFields',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'selfLink',
] as const
export const CLUSTER_ANNOTATIONS = ['deployment.kubernetes.io/revision', PRODUCTION, MADE] as const
