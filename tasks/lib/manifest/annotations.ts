// The annotations of a dev pod: by them the tasks find the agent. Pure.
import { AGENT, BINARY, CONTAINER, DEBUG_PORT, SCRIPT } from '../protocol/annotations.ts'
import { isInjected } from '../protocol/command.ts'
import type { Change } from '../yaml/edit.ts'
import { isEmpty } from '../yaml/entry.ts'
import type { LastField } from '../yaml/last.ts'
import { valueAt } from '../yaml/text.ts'
import { templatePath } from '../yaml/workloads.ts'
import type { AgentContainer, DevOptions, PodTemplate } from './template.ts'

/** How tasks find the agent of the first container that runs one; that of another they read from its command. */
export function annotations(pod: PodTemplate, agents: readonly AgentContainer[], { binaryPath }: DevOptions): Change[] {
  const wanted = wantedAnnotations(agents, binaryPath)
  if (Object.keys(wanted).length === 0) return []
  const path = [...pod.path, 'metadata']
  const { metadata } = pod.fields
  if (isEmpty(metadata)) return [{ op: 'add', path, value: { annotations: wanted } }]
  const there = valueAt(metadata, ['annotations'])
  if (isEmpty(there)) return [{ op: 'add', path: [...path, 'annotations'], value: wanted }]
  return Object.entries(wanted)
    .filter(([key, value]) => valueAt(there, [key]) !== value)
    .map(([key, value]) => {
      const op = isEmpty(valueAt(there, [key])) ? 'add' : 'set'
      return { op, path: [...path, 'annotations', key], value }
    })
}

/** The agent itself, for a pod that gets it injected: hundreds of lines, which stand behind everything else. */
export function scriptField(
  pod: PodTemplate,
  agents: readonly AgentContainer[],
  { inject }: DevOptions,
): LastField | undefined {
  if (!inject || !agents.some(({ agent }) => isInjected(agent.agent))) return undefined
  const map = [...templatePath(pod.object.fields), 'metadata', 'annotations']
  return { object: pod.object.path, map, key: SCRIPT, value: inject.agent, after: [DEBUG_PORT, CONTAINER, BINARY] }
}

function wantedAnnotations(agents: readonly AgentContainer[], binaryPath: string): Record<string, string> {
  const [first] = agents
  if (!first) return {}
  const { agent, binary, debugPort } = first.agent
  const { name } = first.container.fields
  return {
    [AGENT]: JSON.stringify(agent),
    [BINARY]: binary ?? binaryPath,
    ...(typeof name === 'string' ? { [CONTAINER]: name } : {}),
    ...(debugPort === undefined ? {} : { [DEBUG_PORT]: String(debugPort) }),
  }
}
