// What of a manifest is switched: the workloads that SELECTOR and CONTAINER mean, and what belongs to them. Pure.
import { agentContainers, isSame, podLabels, type Workload, workloadsIn } from './workloads.ts'
import { at, isRecord, nameOf, text } from '../frame/json.ts'
import { chooseLine, matches, selectorFor, selectorLine } from './labels.ts'
import type { Manifest } from './objects.ts'
import { UserError } from '../frame/talk.ts'

export interface Meaning {
  readonly selector: string
  /** Empty: the one that runs the agent. */
  readonly container: string
}

/** The parts of a manifest. */
export interface Selection {
  /** The workloads that are meant. */
  readonly mine: readonly Workload[]
  /** What makes no pods, and belongs to them alone: by its selector, or as they name it. */
  readonly own: readonly unknown[]
  /** What makes no pods, and belongs to several workloads, or to none. */
  readonly shared: readonly unknown[]
  /** Other workloads, and what belongs to them alone. */
  readonly others: readonly unknown[]
}

/**
 * The parts of a manifest's objects; `known` are the workloads that are meant, if it has one of them.
 * @throws UserError (2) if SELECTOR leaves open which workload of several is meant.
 */
export function selectionOf(
  { objects, file }: Pick<Manifest, 'objects' | 'file'>,
  meaning: Meaning,
  known: readonly Workload[] = [],
): Selection {
  const all = workloadsIn(objects)
  const same = all.filter(({ object }) => known.some((each) => isSame(each.object, object)))
  const mine = same.length > 0 ? same : meant(all, file, meaning)
  const left = all.filter((each) => !mine.includes(each))
  const rest = objects.filter((object) => !all.some((each) => each.object === object))
  const parts = rest.map((object) => {
    const isMine = mine.some((each) => uses(each, object))
    const isTheirs = left.some((each) => uses(each, object))
    const part = left.length === 0 || (isMine && !isTheirs) ? 'own' : isTheirs && !isMine ? 'others' : 'shared'
    return { object, part } as const
  })
  const of = (wanted: (typeof parts)[number]['part']) =>
    parts.filter(({ part }) => part === wanted).map(({ object }) => object)
  return { mine, own: of('own'), shared: of('shared'), others: [...left.map(({ object }) => object), ...of('others')] }
}

/** The namespaces of the workloads that are meant, each once; of all, where that is left open. */
export function namespacesOf({ objects }: Pick<Manifest, 'objects'>, meaning: Meaning): string[] {
  const all = workloadsIn(objects)
  const matched = all.filter(({ object }) => matches(meaning.selector, podLabels(object)))
  const named = (matched.length > 0 ? narrowed(matched, meaning) : all).map(({ namespace }) => namespace)
  return [...new Set(named)].filter((namespace) => namespace !== '')
}

/** Those of some workloads that run the agent, in CONTAINER where that is set; all, if none of them does. */
export function narrowed(all: readonly Workload[], { container }: Pick<Meaning, 'container'>): readonly Workload[] {
  const running = all.filter(({ object }) => {
    const names = agentContainers(object)
    return container === '' ? names.length > 0 : names.includes(container)
  })
  return running.length > 0 ? running : all
}

/** Those whose pods SELECTOR matches; where it matches none, the only one that runs the agent, or the only one there is. */
function meant(all: readonly Workload[], file: string, meaning: Meaning): readonly Workload[] {
  const { selector } = meaning
  const matched = all.filter(({ object }) => matches(selector, podLabels(object)))
  if (matched.length > 0) return narrowed(matched, meaning)
  const running = narrowed(all, { container: '' })
  if (running.length < 2) return running
  const others = (object: unknown) =>
    running.filter((each) => each.object !== object).map((each) => podLabels(each.object))
  const lines = running.map(({ object }) => {
    return `${nameOf(object)}: ${selectorLine(selectorFor(podLabels(object), others(object)))}`
  })
  const why = `SELECTOR=${selector} matches the pods of none of its workloads`
  throw new UserError([`${file}: ${why} - ${chooseLine}`, ...lines].join('\n  '), 2)
}

/** Whether an object is for a workload: it selects its pods, scales it, or is named in it. */
function uses({ kind, name, object: workload }: Workload, object: unknown): boolean {
  const labels = podLabels(workload)
  const selector = [
    at(object, 'spec', 'podSelector', 'matchLabels'),
    at(object, 'spec', 'selector', 'matchLabels'),
    text(object, 'kind') === 'Service' ? at(object, 'spec', 'selector') : undefined,
  ].find(isRecord)
  if (selector !== undefined) return Object.entries(selector).every(([key, value]) => at(labels, key) === value)
  const scaled = at(object, 'spec', 'scaleTargetRef') ?? at(object, 'spec', 'targetRef')
  if (scaled !== undefined) return text(scaled, 'name') === name && (text(scaled, 'kind') || kind) === kind
  return mentions(at(workload, 'spec'), text(object, 'metadata', 'name'))
}

function mentions(value: unknown, name: string): boolean {
  if (typeof value === 'string') return value === name
  if (Array.isArray(value)) return value.some((each) => mentions(each, name))
  return isRecord(value) && Object.values(value).some((each) => mentions(each, name))
}
