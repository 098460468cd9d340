// What changes in a pod template, so that the containers of the image run the agent. Pure: the text is not its concern.
import { isRecord } from '../frame/json.ts'
import { INJECTED, type AgentCommand, agentOf, agentWords, delve, runsAgent, wordsOf } from '../protocol/command.ts'
import { entryOf, isEmpty } from '../yaml/entry.ts'
import { isSameImage } from '../settings/image.ts'
import { injectedBinary, injection, userNote } from './inject.ts'
import { annotations, scriptField } from './annotations.ts'
import {
  type AgentContainer,
  type Container,
  type DevOptions,
  type Match,
  type PodTemplate,
  containersOf,
} from './template.ts'
import { podWarnings } from './warnings.ts'
import type { Change } from '../yaml/edit.ts'
import type { LastField } from '../yaml/last.ts'
import { type Path, type Source, positionOf, valueAt } from '../yaml/text.ts'

export interface PodPlan {
  readonly changes: readonly Change[]
  readonly script: LastField | undefined
  readonly matched: readonly Match[]
  readonly faults: readonly string[]
  readonly notes: readonly string[]
  readonly warnings: readonly string[]
}

interface CommandPlan {
  readonly changes?: readonly Change[]
  readonly fault?: string
  readonly note?: string
}

// The dev image has it on PATH.
const IN_IMAGE = ['hotswap-dev']
// What the agent takes without a word from its environment.
const SETTLE = 0.5
const LIMIT = 10

/** The agent that a container runs already. */
function running({ init, fields }: Container): AgentCommand | undefined {
  return init ? undefined : agentOf(fields)
}

/** Whether a container runs the agent already. */
export function isAgent(container: Container): boolean {
  return running(container) !== undefined
}

function isProduction({ fields }: Container, { prodImage }: DevOptions): boolean {
  return typeof fields.image === 'string' && isSameImage(fields.image, prodImage)
}

/** The containers of a pod template that may be meant: those of the image, and those that run the agent already. */
export function candidates(pod: PodTemplate, options: DevOptions): Container[] {
  // An init container of an earlier run has nothing but the image to be known by.
  const isDone = (container: Container): boolean =>
    container.init ? !options.inject && container.fields.image === options.devImage : isAgent(container)
  return containersOf(pod).filter((container) => isProduction(container, options) || isDone(container))
}

/** @returns the changes of a pod template, so that these containers run the agent, and what there is to say. */
export function planPod(
  source: Source,
  pod: PodTemplate,
  containers: readonly Container[],
  options: DevOptions,
): PodPlan {
  const taken = new Set(containersOf(pod).map((container) => running(container)?.debugPort))
  const changes: Change[] = []
  const matched: Match[] = []
  const agents: AgentContainer[] = []
  const faults: string[] = []
  const notes: string[] = []
  const warnings: string[] = []
  const injected: Container[] = []
  const host = [...pod.path, 'spec', 'hostNetwork']
  const onHost = valueAt(pod.fields, ['spec', 'hostNetwork']) === true
  let port = options.debugPort

  for (const container of containers) {
    const { name, path, fields, init } = container
    const before = changes.length
    if (!options.inject && isProduction(container, options) && fields.image !== options.devImage) {
      changes.push({ op: 'set', path: [...path, 'image'], value: options.devImage })
    }
    let agent = running(container)
    const isNew = !init && !agent
    if (isNew) {
      while (taken.has(port)) port++
      taken.add(port)
      if (port > 65535) faults.push(`${positionOf(source, path)}: ${name}: no port is left above DEBUG_PORT`)
      if (options.inject) injected.push(container)
      agent = newAgent(container, options.inject && onHost ? undefined : port, options)
      const plan = planCommand(source, container, agent, options)
      changes.push(...(plan.changes ?? []))
      if (plan.fault) faults.push(plan.fault)
      if (plan.note) notes.push(plan.note)
    }
    if (agent) {
      agents.push({ container, agent })
      changes.push(...planEnv(container, options), ...probes(container))
    }
    const change = changes.length === before ? 'none' : agent ? 'agent' : 'image'
    matched.push({ name, change })
  }
  const debugged = agents.find(({ agent }) => agent.debugPort !== undefined)
  if (debugged && onHost) faults.push(hostNetworkFault(source, host, debugged, options))
  for (const { name } of onHost ? injected : []) {
    const why = 'with hostNetwork the whole node could reach one, and run code in it'
    warnings.push(`${positionOf(source, host)}: ${name} runs without a debugger: ${why}`)
  }
  if (containers.length > 0 && agents.length === 0) {
    warnings.push(
      `${positionOf(source, pod.path)}: ${pod.name}: only init containers have the image: nothing in it runs the agent`,
    )
  }
  if (options.inject) changes.push(...injection(source, pod, injected, options.inject))
  const user = injected[0] && userNote(source, pod, injected[0])
  if (user !== undefined) notes.push(user)
  changes.push(...annotations(pod, agents, options))
  warnings.push(...podWarnings(source, pod, agents, options))
  return { changes, script: scriptField(pod, agents, options), matched, faults, notes, warnings }
}

/** How a container is to run the agent: out of the dev image, or injected; without a port there is no debugger. */
function newAgent(
  container: Container,
  port: number | undefined,
  { inject, binaryPath, debugWait }: DevOptions,
): AgentCommand {
  const wrapper = port === undefined ? '' : delve(port, debugWait)
  const binary = inject ? injectedBinary(container, binaryPath) : binaryPath
  return { agent: inject ? INJECTED : IN_IMAGE, binary, args: [], wrapper, debugPort: port }
}

/** Puts the agent in front of the program, which then has its absolute path; what starts it stays in front of the agent. */
function planCommand(
  source: Source,
  { name, path, fields }: Container,
  { agent, wrapper, binary = '' }: AgentCommand,
  { binaryPath, inject }: DevOptions,
): CommandPlan {
  const front = agentWords(agent, wrapper, inject ? binaryPath : undefined)
  const entry = entryOf(fields, binaryPath)
  const add = (value: readonly string[]): Change => {
    return { op: 'add', path: [...path, 'command'], value, after: ['image', 'name'] }
  }
  if (entry.runs === 'image') {
    if (!inject) return { changes: [add([...front, binary])] }
    if (!inject.binaryChosen)
      return { fault: `${positionOf(source, path)}: ${name} ${unknownProgram(String(fields.image))}` }
    const lost = isEmpty(fields.args)
      ? ', without the arguments that its image may give it: those belong into args'
      : ''
    return {
      changes: [add([...front, binary])],
      note: `${positionOf(source, path)}: ${name} runs ${binaryPath}${lost}`,
    }
  }
  if (entry.runs !== 'program') return {}
  const { list, index, how } = entry
  const word = wordsOf(fields[list])[index] ?? ''
  const place = [...path, list]
  // what the entrypoint of the image would do with the first word is not known: a command takes its place
  if (list === 'args' && index === 0 && isEmpty(fields.command)) {
    const changes = word === binary ? [add(front)] : [add(front), set([...place, 0], binary)]
    if (how === 'path') return { changes }
    const note = `${positionOf(source, [...place, 0])}: ${name}: its args begin with ${word}, taken for the program ${binaryPath}`
    return { changes, note }
  }
  const change: Change = { op: 'insert', path: place, values: front, index }
  return { changes: [word === binary ? change : { ...change, first: binary }] }
}

function set(path: Path, value: string): Change {
  return { op: 'set', path, value }
}

/** Why a container without a command cannot be changed where its image stays, and the line for it. */
function unknownProgram(image: string): string {
  const how = `docker image inspect --format '{{.Config.Entrypoint}} {{.Config.Cmd}}' ${image}`
  return `has no command, and what its image runs by itself is not known here (${how}) - put the path of its program into .env: BINARY_PATH=/PATH/IN/THE/IMAGE`
}

/** A program that waits at a breakpoint answers no liveness probe; readiness may fail, that restarts nothing. */
function probes({ path, fields }: Container): Change[] {
  return ['livenessProbe', 'startupProbe']
    .filter((probe) => (fields[probe] ?? null) !== null)
    .map((probe) => ({ op: 'remove', path: [...path, probe] }))
}

/** The agent's variables, where they are not what it takes by itself, or the container may have one of the old name. */
function planEnv({ path, fields }: Container, { settle, limit, hold }: DevOptions): Change[] {
  const env: unknown[] = Array.isArray(fields.env) ? fields.env : []
  const isDone = runsAgent(fields)
  const missing: { name: string; value: string }[] = []
  const changes: Change[] = []
  for (const [old, value, usual] of [
    ['SETTLE', settle, SETTLE],
    ['LIMIT', limit, LIMIT],
    ['HOLD', hold ? 1 : 0, 1],
  ] as const) {
    const at = (name: string) => env.findIndex((variable) => isRecord(variable) && variable.name === name)
    const hasOld = old !== 'HOLD'
    const [own, theirs] = [at(`HOTSWAP_${old}`), hasOld ? at(old) : -1]
    const valueOf = (index: number) => valueAt(env, [index, 'value'])
    if (own >= 0) {
      // written by hand for the agent, where no other value is asked for
      if (value !== usual && typeof valueOf(own) === 'string' && valueOf(own) !== String(value))
        changes.push(set([...path, 'env', own, 'value'], String(value)))
      continue
    }
    // an older dev manifest has the old name, and it works
    const isOld = isDone && theirs >= 0 && (value === usual || valueOf(theirs) === String(value))
    if (isDone ? value !== usual && !isOld : value !== usual || (hasOld && (theirs >= 0 || !isEmpty(fields.envFrom))))
      missing.push({ name: `HOTSWAP_${old}`, value: String(value) })
  }
  if (missing.length === 0) return changes
  const change: Change = !isEmpty(env)
    ? { op: 'insert', path: [...path, 'env'], values: missing }
    : { op: 'add', path: [...path, 'env'], value: missing, after: ['args', 'command', 'image', 'name'] }
  return [...changes, change]
}

function hostNetworkFault(
  source: Source,
  path: Path,
  { container, agent }: AgentContainer,
  options: DevOptions,
): string {
  const why = `with hostNetwork the whole node could reach the debugger of ${container.name}, and run code in it`
  const [binary, quoted] = [agent.binary ?? options.binaryPath, IN_IMAGE.join()]
  return `${positionOf(source, path)}: ${why} - take hostNetwork out, or write its command without one: [${quoted}, --, ${binary}]`
}
