// The pods of a cluster, from their JSON: which can be acted on, which container runs the agent, and why the others cannot.
// Pure.
import { agentOf, runsAgent } from '../protocol/command.ts'
import { AGENT, BINARY, CONTAINER, DEBUG_PORT } from '../protocol/annotations.ts'
import { shortened } from './complaint.ts'
import { at, items, jsonOf, strings, text } from '../frame/json.ts'
import { memoryOf } from './memory.ts'
import type { Settings } from '../settings/table.ts'
import { UserError } from '../frame/talk.ts'
import type { Found, LeftOut, Pod } from './target.ts'

/** The pods of a PodList that can be acted on, newest first, and the others with the reason. Throws UserError. Pure. */
export function sorted(list: unknown, settings: Pick<Settings, 'container' | 'binaryPath' | 'debugPort'>): Found {
  const pods: { pod: Pod; born: string }[] = []
  const leftOut: LeftOut[] = []
  for (const item of items(list)) {
    const name = text(item, 'metadata', 'name')
    const gone = whyGone(item)
    if (gone !== undefined) {
      leftOut.push({ name, why: gone, ending: gone === 'terminating' || gone === 'succeeded' })
      continue
    }
    const container = containerOf(item, settings.container)
    if (container === undefined) {
      leftOut.push(withoutAgent(item))
      continue
    }
    const waiting = whyWaiting(item, container)
    if (waiting !== undefined) {
      leftOut.push({ name, why: waiting })
      continue
    }
    // the annotations speak of the first container that runs the agent; a pod of one's own image may have none
    const own = containersOf(item).find((entry) => text(entry, 'name') === container)
    const command = agentOf(own)
    const annotation = (key: string) =>
      text(item, 'metadata', 'annotations', CONTAINER) === container ? text(item, 'metadata', 'annotations', key) : ''
    const status = statusOf(item, container)
    const binary = annotation(BINARY) || (command?.binary ?? settings.binaryPath)
    pods.push({
      pod: {
        name,
        container,
        life: text(status, 'containerID') || text(item, 'metadata', 'uid'),
        restarts: Number(text(status, 'restartCount')),
        agent: words(annotation(AGENT)) ?? command?.agent ?? ['hotswap-dev'],
        binary,
        debugPort: Number(annotation(DEBUG_PORT)) || (command?.debugPort ?? settings.debugPort),
        memory: memoryOf(item, own, binary),
      },
      born: text(item, 'metadata', 'creationTimestamp'),
    })
  }
  pods.sort((a, b) => b.born.localeCompare(a.born) || a.pod.name.localeCompare(b.pod.name))
  return { pods: pods.map(({ pod }) => pod), leftOut }
}

/** What is said of a pod that is not acted on, behind its name. */
export function leftOutWords({ why }: LeftOut): string {
  return `left out: it is ${why}`
}

/** The pod of that name; the newest if none is asked for. Throws UserError if there is no such one. */
export function podNamed(pods: readonly Pod[], name: string | undefined): Pod {
  const found = name === undefined ? pods[0] : pods.find((each) => each.name === name)
  if (found !== undefined) return found
  const there = pods.map((each) => each.name).join(', ')
  throw new UserError(there === '' ? 'there is no pod' : `there is no dev pod ${name}: there are ${there}`)
}

/** Ending, finished or evicted: completes "it is ...". */
function whyGone(pod: unknown): string | undefined {
  if (at(pod, 'metadata', 'deletionTimestamp') !== undefined) return 'terminating'
  const phase = text(pod, 'status', 'phase')
  if (phase === 'Succeeded' || phase === 'Failed') return (text(pod, 'status', 'reason') || phase).toLowerCase()
  return undefined
}

function statusOf(pod: unknown, container: string): unknown {
  const statuses = ['containerStatuses', 'initContainerStatuses'].flatMap((key) => items(at(pod, 'status'), key))
  return statuses.find((entry) => text(entry, 'name') === container)
}

/** Not started yet, or waiting to be started again. */
export function whyWaiting(pod: unknown, container: string): string | undefined {
  const status = statusOf(pod, container)
  if (at(status, 'state', 'running') !== undefined) return undefined
  const waiting = at(status, 'state', 'waiting')
  const last = at(status, 'lastState', 'terminated')
  // what it said is there where its termination message falls back to its log
  const words = text(last, 'message').trim().split('\n').at(-1) ?? ''
  const ended =
    last === undefined
      ? ''
      : `, it ended with exit code ${text(last, 'exitCode')} ${words === '' ? text(last, 'reason') : `(${words})`}`.trimEnd()
  if (waiting !== undefined)
    return `waiting (${[text(waiting, 'reason'), shortened(text(waiting, 'message'))].filter((part) => part !== '').join(': ')}${ended})`
  const condition = items(at(pod, 'status'), 'conditions').find(
    (entry) => text(entry, 'type') === 'PodScheduled' && text(entry, 'status') === 'False',
  )
  if (condition !== undefined) return `pending (${text(condition, 'message') || text(condition, 'reason')})`
  return (text(pod, 'status', 'phase') || 'pending').toLowerCase()
}

/** The container that runs the agent; undefined if none of several does. Throws UserError (2) that lists what is there. */
function containerOf(pod: unknown, chosen: string): string | undefined {
  const name = text(pod, 'metadata', 'name')
  const all = containersOf(pod)
  const names = all.map((container) => text(container, 'name'))
  if (chosen !== '') {
    if (names.includes(chosen)) return chosen
    throw new UserError(
      `${name} has no container ${chosen}: there are ${names.join(', ')} - correct CONTAINER in .env`,
      2,
    )
  }
  const withAgent = all.filter(runsAgent).map((container) => text(container, 'name'))
  const [first, second] = withAgent
  if (second !== undefined)
    throw new UserError(`${name} runs the agent in ${withAgent.join(' and ')} - choose one: CONTAINER=${first}`, 2)
  if (first !== undefined) return first
  const annotated = text(pod, 'metadata', 'annotations', CONTAINER)
  if (names.includes(annotated)) return annotated
  return names.length === 1 ? names[0] : undefined
}

/** One of production, of which no container was chosen: while dev pods come up, it is still there. */
function withoutAgent(pod: unknown): LeftOut {
  const names = containersOf(pod).map((container) => text(container, 'name'))
  return {
    name: text(pod, 'metadata', 'name'),
    why: `without the agent in its containers ${names.join(', ')}`,
    remedy: `run npm run switch-dev, or choose one: CONTAINER=${names[0]}`,
  }
}

/** Those that run as long as the pod: sidecars among the init containers too. */
function containersOf(pod: unknown): unknown[] {
  const sidecars = items(at(pod, 'spec'), 'initContainers').filter((each) => text(each, 'restartPolicy') === 'Always')
  return [...items(at(pod, 'spec'), 'containers'), ...sidecars]
}

function words(json: string): string[] | undefined {
  const list = strings(jsonOf(json))
  return list.length > 0 ? list : undefined
}
