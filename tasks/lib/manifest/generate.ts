// Makes the dev manifest of a production one: the containers of the image run the agent, and the agent runs the program.
import { isRecord } from '../frame/json.ts'
import { planPod } from './dev-pod.ts'
import { type DevOptions, type Match, type PodTemplate, containerName } from './template.ts'
import { isSameImage, leftover } from '../settings/image.ts'
import { CLUSTER_ANNOTATIONS, CLUSTER_METADATA, LAST_APPLIED } from '../protocol/annotations.ts'
import { scopeOf } from './scope.ts'
import { UserError } from '../frame/talk.ts'
import { type Change, type EditOptions, edit } from '../yaml/edit.ts'
import { type LastField, withLast } from '../yaml/last.ts'
import { lineBreak } from '../yaml/splice.ts'
import { isWorkload, objectsIn, runsOnce, templatePath } from '../yaml/workloads.ts'
import {
  type Path,
  type Source,
  type Text,
  faultsError,
  positionOf,
  read,
  valueAt,
  valuesOf,
  withSeparators,
} from '../yaml/text.ts'

export interface DevManifest {
  readonly text: string
  /** The containers of the image, and those that run the agent already. */
  readonly matched: readonly Match[]
  /** What stays as it is although the image is there, and what was taken for granted. */
  readonly notes: readonly string[]
  /** What will not work in a pod, and what does. */
  readonly warnings: readonly string[]
}

interface Image {
  readonly path: Path
  readonly image: string
}

// What Kubernetes reads of a workload or a List. Whatever else stands beside is a place to keep anchors.
const OBJECT_KEYS = ['apiVersion', 'kind', 'metadata', 'spec', 'status', 'items']
const MADE_BY = '# Made by npm run generate-deployment-dev'

/**
 * Makes the dev manifest; its own output it leaves as it is.
 * @throws UserError with each fault on a line, with file and line.
 */
export function generate(text: string, options: DevOptions): DevManifest {
  const source = read(options.file, text)
  const values = valuesOf(source)
  const pods = values.flatMap((value, index) => podsIn(value, [index]))
  const scope = scopeOf(source, pods, options)
  const plans = scope.meant.map(({ pod, containers }) => planPod(source, pod, containers, options))
  const images = values.flatMap((value, index) => imagesIn(value, [index]))
  const left = images
    .filter(({ path, image }) => isSameImage(image, options.prodImage) && !pods.some((pod) => isBelow(path, pod.path)))
    .map(
      ({ path }) => `${positionOf(source, path)}: ${describe(values, path.slice(0, -1))} ${leftBecause(values, path)}`,
    )

  const faults = [...scope.faults, ...plans.flatMap((plan) => plan.faults)]
  if (faults.length > 0) throw faultsError(faults)
  const matched = plans.flatMap((plan) => plan.matched)
  if (matched.length === 0) throw noMatch(source, images, left, options.prodImage)
  const touched = new Set(scope.meant.map(({ pod }) => pod.path[0]))
  const stripped = values.flatMap((value, index) => (touched.has(index) ? clusterFields(value, [index]) : []))
  const changes = [...plans.flatMap((plan) => plan.changes), ...stripped]
  const how = { describe: (path: Path) => describe(values, path), relevant }
  const scripts = plans.flatMap(({ script }) => script ?? [])
  const changed = withScripts(edit(source, changes, how), scripts, how)
  return {
    text: withFirstLine(withSeparators(changed), options.file),
    matched,
    notes: [...plans.flatMap((plan) => plan.notes), ...scope.notes, ...left],
    warnings: [...scope.warnings, ...plans.flatMap((plan) => plan.warnings)],
  }
}

/** The text with the agent's scripts, document by document: the last one first, as those before it stay where they are. */
function withScripts({ file, text, docs }: Text, scripts: readonly LastField[], how: EditOptions): string {
  return docs.reduceRight((made, { range }, index) => {
    const own = scripts.filter(({ object }) => object[0] === index)
    const [start, , end] = range ?? [0, 0, 0]
    const describe = ([, ...path]: Path) => how.describe([index, ...path])
    if (own.length === 0) return made
    return (
      made.slice(0, start) + withOwn(read(file, text.slice(start, end)), own, { ...how, describe }) + made.slice(end)
    )
  }, text)
}

/** One document with its scripts: as it is, where one is there; where one of before is; else at the end, if that can be. */
function withOwn(document: Source, scripts: readonly LastField[], how: EditOptions): string {
  let source = document
  const others: Change[] = []
  for (const script of scripts) {
    const { map, key, value, after } = script
    const object = [0, ...script.object.slice(1)]
    const path = [...object, ...map, key]
    const present = valueAt(valuesOf(source), path)
    const isThere = typeof present === 'string' && present !== ''
    const last = isThere ? undefined : withLast(source, { ...script, object })
    if (last !== undefined) source = last
    else if (present !== value) others.push({ op: isThere ? 'set' : 'add', path, value, after })
  }
  return edit(source, others, how).text
}

function withFirstLine(text: string, file: string): string {
  const mark = text.startsWith('\uFEFF') ? '\uFEFF' : ''
  const rest = text.slice(mark.length)
  if (rest.startsWith(MADE_BY)) return text
  return `${mark}${MADE_BY} from ${file} - edits here are lost when it runs again${lineBreak(text)}${rest}`
}

// --- what is in the documents

const CLUSTER_FIELDS = [
  ['status'],
  ...CLUSTER_METADATA.map((key) => ['metadata', key]),
  ...[...CLUSTER_ANNOTATIONS, LAST_APPLIED].map((key) => ['metadata', 'annotations', key]),
]

/** The removal of what a cluster has added to an object that was read from it: it could not be applied again, or says nothing. */
function clusterFields(value: unknown, path: Path): Change[] {
  return objectsIn(value, path).flatMap((object) => {
    if (typeof valueAt(object.fields, ['metadata', 'uid']) !== 'string') return []
    return CLUSTER_FIELDS.filter((below) => valueAt(object.fields, below) !== undefined).map((below) => ({
      op: 'remove',
      path: [...object.path, ...below],
    }))
  })
}

/** The pod templates of a document's workloads. */
function podsIn(value: unknown, path: Path): PodTemplate[] {
  return objectsIn(value, path).flatMap((object): PodTemplate[] => {
    const below = templatePath(object.fields)
    const fields = valueAt(object.fields, below)
    if (!isWorkload(object.fields) || !isRecord(fields)) return []
    return [{ name: nameOf(object.fields), path: [...object.path, ...below], fields, object }]
  })
}

function nameOf({ kind, metadata }: Record<string, unknown>): string {
  const name = isRecord(metadata) ? (metadata.name ?? metadata.generateName) : undefined
  return typeof name === 'string' ? `${String(kind)} ${name}` : String(kind)
}

/** Every image of a container anywhere in a value. */
function imagesIn(value: unknown, path: Path): Image[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => imagesIn(item, [...path, index]))
  if (!isRecord(value)) return []
  const inList = path.at(-2) === 'containers' || path.at(-2) === 'initContainers'
  const own = inList && typeof value.image === 'string' ? [{ path: [...path, 'image'], image: value.image }] : []
  return [...own, ...Object.entries(value).flatMap(([key, field]) => imagesIn(field, [...path, key]))]
}

function isBelow(path: Path, top: Path): boolean {
  return top.every((step, index) => path[index] === step)
}

/** Names what a path leads to: `Deployment karydia, container karydia, env.0`, or `Service karydia, spec.selector.app`. */
function describe(values: unknown, path: Path): string {
  const tops = path.map((_, index) => path.slice(0, index + 1)).reverse()
  const top = tops.find((top) => typeof valueAt(values, [...top, 'kind']) === 'string') ?? path.slice(0, 1)
  const object = valueAt(values, top)
  const inside = path.slice(top.length)
  const at = inside.findIndex(
    (step, index) => typeof step === 'number' && /^(?:initC|c)ontainers$/.test(String(inside[index - 1])),
  )
  const container = valueAt(object, inside.slice(0, at + 1))
  const name = isRecord(object) ? nameOf(object) : `document ${Number(path[0]) + 1}`
  if (at < 0 || !isRecord(container)) return `${name}, ${inside.join('.')}`
  const parts = [
    name,
    containerName(String(inside[at - 1]), container, Number(inside[at])),
    inside.slice(at + 1).join('.'),
  ]
  return parts.filter(Boolean).join(', ')
}

function leftBecause(values: unknown, path: Path): string {
  const kinds = path.map((_, index) => valueAt(values, [...path.slice(0, index + 1), 'kind']))
  if (kinds.some(runsOnce)) return 'stays as it is: an agent would run a job again and again'
  return 'stays as it is: only pod templates at spec.template are changed'
}

/** What Kubernetes sees of a document: a key that no object has is a place to keep anchors. */
function relevant(document: unknown): unknown {
  if (!isRecord(document) || !(isRecord(document.spec) || Array.isArray(document.items))) return document
  return Object.fromEntries(Object.entries(document).filter(([key]) => OBJECT_KEYS.includes(key)))
}

function noMatch(source: Source, images: readonly Image[], left: readonly string[], prodImage: string): UserError {
  const there = images.map(({ path, image }) => {
    const way = leftover(image)
    return `${positionOf(source, path)}: ${image}${way === undefined ? '' : ` - ${way}`}`
  })
  const lines = there.length > 0 ? ['images that are there:', ...there] : ['there is no container in it']
  return new UserError(
    [`${source.file}: no container to change has the image ${prodImage}`, ...left, ...lines].join('\n  '),
  )
}
