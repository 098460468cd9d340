// A YAML text read with its positions: its values as Kubernetes sees them, and the place of each in the text.
import {
  type Alias,
  Composer,
  type Document,
  type Node,
  type Pair,
  Parser,
  type YAMLMap,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  parseAllDocuments,
  visit,
} from 'yaml'
import { isRecord } from '../frame/json.ts'
import { UserError } from '../frame/talk.ts'

/** A text of any number of documents. */
export interface Text {
  readonly file: string
  readonly text: string
  readonly docs: readonly Document[]
}

export interface Source extends Text {
  /** What each alias repeats: the last anchor of its name before it. */
  readonly targets: ReadonlyMap<Alias, Node>
}

/** Keys and indexes, the first of them the document's; as if aliases and merge keys were written out. */
export type Path = readonly (string | number)[]

/** One step of a path in the text: the node reached, and how. */
export interface Place {
  readonly node: Node | undefined
  readonly alias?: Alias
  readonly pair?: Pair
  readonly map?: YAMLMap
  /** The value of `<<` that brought the pair. */
  readonly merge?: Node
}

// A file of this many values is no manifest: aliases of aliases make such numbers out of ten lines.
const MOST_VALUES = 500_000

/**
 * Parses a text of any number of documents.
 * @throws UserError with one line per fault, each with file and line: Helm template, YAML errors, duplicate keys, aliases and
 *   merge keys that lead nowhere.
 */
export function read(file: string, text: string): Source {
  const docs = parsed(text)
  const source: Source = { file, text, docs, targets: targetsIn(docs) }
  const helm = helmLine(source)
  if (helm) {
    const line = text.split('\n')[helm - 1] ?? ''
    const remedy = 'render it first: helm template RELEASE CHART'
    throw new UserError(`${file}:${helm}: a Helm template, not a manifest: ${line.trim()} - ${remedy}`)
  }
  const faults = new Map<number, string>()
  const fault = (offset: number, message: string): void => {
    const line = lineOf(source, offset)
    // One broken line makes errors by the dozen: the first says it.
    if (!faults.has(line)) faults.set(line, `${file}:${line}: ${message}`)
  }
  for (const doc of source.docs) {
    for (const { code, message, pos } of doc.errors) {
      const key = /^[^\s:]*/.exec(text.slice(pos[0]))?.[0]
      fault(pos[0], code === 'DUPLICATE_KEY' ? `the key ${key} is there twice in one map` : message)
    }
    if (doc.errors.length === 0) referenceFaults(source, doc, fault)
  }
  if (faults.size > 0) throw faultsError([...faults].sort(([a], [b]) => a - b).map(([, message]) => message))
  return source
}

/** Kubernetes reads YAML 1.1: merge keys, 0400 as an octal number, yes as true. */
function parsed(text: string): Document[] {
  const options = {
    version: '1.1',
    // Also where a %YAML directive says 1.2.
    merge: true,
    keepSourceTokens: true,
    prettyErrors: false,
    logLevel: 'error',
  } as const
  const starts = objectStarts(text)
  if (starts.length < 2) return parseAllDocuments(text, options)
  return starts.flatMap((start, index) => {
    const parser = new Parser()
    parser.offset = start
    return [...new Composer(options).compose(parser.parse(text.slice(start, starts[index + 1])))]
  })
}

/** Where each object begins in a text that is JSON objects one after the other, as `jq '.items[]'` has them; else none. */
function objectStarts(text: string): number[] {
  const starts: number[] = []
  let depth = 0
  if (!/^\uFEFF?\s*\{/.test(text)) return starts
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\\n]|\\.)*"|[{}]|[^\s{}"]+/g)) {
    if (depth === 0 && token !== '{') return token === '\uFEFF' ? objectStarts(text.slice(1)).map((at) => at + 1) : []
    if (token === '{' && depth++ === 0) starts.push(index)
    if (token === '}') depth--
  }
  return depth === 0 ? starts : []
}

/** The text with a line between the objects of a JSON stream: YAML, which may then begin with a comment, has to have one. */
export function withSeparators(text: string): string {
  const starts = objectStarts(text)
  if (starts.length < 2) return text
  const end = /\r?\n/.exec(text)?.[0] ?? '\n'
  return starts
    .map((start, index) => text.slice(index === 0 ? 0 : start, starts[index + 1]))
    .map((each, index) => (index === starts.length - 1 || /\n[ \t]*$/.test(each) ? each : each + end))
    .join(`---${end}`)
}

/** @returns one error for faults that each name file and line. */
export function faultsError(faults: readonly string[]): UserError {
  return new UserError(faults.length === 1 ? faults.join() : [`${faults.length} faults`, ...faults].join('\n  '))
}

function targetsIn(docs: readonly Document[]): Map<Alias, Node> {
  const targets = new Map<Alias, Node>()
  for (const doc of docs) {
    const anchors = new Map<string, Node>()
    visit(doc, {
      Node: (_, node) => {
        if (!isAlias(node)) {
          if (node.anchor) anchors.set(node.anchor, node)
          return
        }
        const target = anchors.get(node.source)
        if (target) targets.set(node, target)
      },
    })
  }
  return targets
}

/** Tells `fault` of aliases without an anchor before them, aliases inside of what they repeat, and merge keys without a map. */
function referenceFaults(source: Source, doc: Document, fault: (offset: number, message: string) => void): void {
  visit(doc, {
    Alias: (_, alias) => {
      const target = source.targets.get(alias)
      const [start] = rangeOf(alias)
      if (!target) fault(start, `*${alias.source} repeats nothing: no anchor &${alias.source} stands before it`)
      else if (endOf(source, target) > start) fault(start, `*${alias.source} lies inside of what it repeats`)
    },
    Pair: (_, { key, value }) => {
      if (isCollection(key)) fault(rangeOf(key)[0], 'a map or list cannot be a key')
      if (!isMergeKey(key)) return
      const merged = follow(source, value)
      const maps = isSeq(merged) ? merged.items.map((item) => follow(source, item)) : [merged]
      if (!maps.every((map) => isMap(map))) fault(rangeOf(key)[0], '<< merges maps only')
    },
  })
}

// Go templates are good values in many a manifest (alerts, workflows, -r 'dlv … {{binPath}} --'): these only a chart has.
const HELM = /\{\{[^}]*(?:\.(?:Values|Release|Chart|Capabilities)\.|\binclude ")/

function holdsTexts(node: unknown): boolean {
  const kind = isMap(node) ? node.get('kind') : undefined
  return kind === 'ConfigMap' || kind === 'Secret'
}

/** @returns the number of the first line with a Helm expression, 0 if there is none. */
function helmLine(source: Source): number {
  const found: number[] = []
  const lines = source.text.split('\n')
  for (const doc of source.docs) {
    for (const error of doc.errors) {
      // `{{- if … }}` on a line of its own breaks that line or the next one.
      const line = lineOf(source, error.pos[0])
      found.push(...[line - 1, line].filter((number) => /^[^#]*\{\{/.test(lines[number - 1] ?? '')))
    }
    visit(doc, {
      // {{ x }} without quotes is a map as the key of a map.
      Pair: (_, { key }) => {
        if (isMap(key) && key.flow) found.push(lineOf(source, rangeOf(key)[0]))
      },
      Scalar: (_, { value, range }, path) => {
        if (typeof value === 'string' && range && HELM.test(value) && !path.some(holdsTexts)) {
          found.push(lineOf(source, range[0]))
        }
      },
    })
  }
  return found.length > 0 ? Math.min(...found) : 0
}

/**
 * The values of the documents, aliases and merge keys written out, nothing shared between two places.
 * @throws UserError if aliases of aliases make too many.
 */
export function valuesOf({ file, docs }: Pick<Text, 'file' | 'docs'>): unknown[] {
  let count = 0
  const copy = (value: unknown): unknown => {
    if (++count > MOST_VALUES) throw new UserError(`${file}: its aliases make more than ${MOST_VALUES} values`)
    if (Array.isArray(value)) return value.map(copy)
    if (!isRecord(value)) return value
    return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, copy(field)]))
  }
  return docs.map((doc) => copy(doc.toJS({ maxAliasCount: -1 })))
}

/**
 * A text that should be whole, read.
 * @throws Error if it is not.
 */
export function whole(file: string, text: string): Text {
  const docs = parsed(text)
  for (const { errors } of docs) if (errors[0]) throw errors[0]
  return { file, text, docs }
}

/** @returns the value at a path below `value`, undefined if there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((at, key) => {
    if (Array.isArray(at)) return at[Number(key)]
    return isRecord(at) && Object.hasOwn(at, key) ? at[key] : undefined
  }, value)
}

/** @returns a place for the document and for each step of the path that is there. */
export function placesOf(source: Source, [index, ...steps]: Path): Place[] {
  const doc = source.docs[Number(index)]
  if (!doc) return []
  const places: Place[] = [placeOf(source, doc.contents)]
  for (const step of steps) {
    const at = places.at(-1)?.node
    const place = isMap(at)
      ? fields(source, at, String(step))[0]
      : isSeq(at)
        ? placeOf(source, at.items[Number(step)])
        : undefined
    if (!place) break
    places.push(place)
  }
  return places
}

/** @returns what each map on the way to a field has for it, the one that wins first: without it the next one would show. */
export function fieldsAt(source: Source, path: Path): Place[] {
  const map = placesOf(source, path.slice(0, -1)).at(-1)?.node
  return isMap(map) ? fields(source, map, String(path.at(-1))) : []
}

/** The field of a map, its own before merged ones, the first merged before the next. */
function fields(source: Source, map: YAMLMap, key: string): Place[] {
  const own = map.items
    .filter((pair) => isScalar(pair.key) && String(pair.key.value) === key)
    .map((pair) => ({ ...placeOf(source, pair.value), pair, map }))
  const merged = map.items.flatMap(({ key: mergeKey, value }) => {
    if (!isMergeKey(mergeKey)) return []
    const maps = follow(source, value)
    return (isSeq(maps) ? maps.items : [value]).flatMap((merge) => {
      const map = follow(source, merge)
      return isMap(map) && isNode(merge) ? fields(source, map, key).map((place) => ({ ...place, merge })) : []
    })
  })
  return [...own, ...merged]
}

function placeOf(source: Source, value: unknown): Place {
  return { node: follow(source, value), ...(isAlias(value) ? { alias: value } : {}) }
}

function follow(source: Source, value: unknown): Node | undefined {
  if (isAlias(value)) return source.targets.get(value)
  return isNode(value) ? value : undefined
}

/** In YAML 1.1 a plain `<<` is read as a symbol. */
export function isMergeKey(key: unknown): boolean {
  return isScalar(key) && typeof key.value === 'symbol'
}

/** @returns where a node begins and ends in the text, its anchor and tag left out. */
export function rangeOf(node: unknown): [start: number, end: number] {
  const range = isNode(node) ? node.range : undefined
  if (!range) throw new Error('a parsed node has a range')
  return [range[0], range[1]]
}

/** @returns where the text of a node ends, without comments and line breaks after it. */
export function endOf(source: Source, node: Node): number {
  if (isCollection(node) && !node.flow) {
    const last: unknown = node.items.at(-1)
    const inner = isPair(last) ? (last.value ?? last.key) : last
    if (isNode(inner)) return endOf(source, inner)
  }
  const [start, end] = rangeOf(node)
  return start + source.text.slice(start, end).trimEnd().length
}

/** @returns where the anchor of a node stands, or the node itself if it has none. */
export function anchorOf({ text }: Source, node: Node): number {
  const [start] = rangeOf(node)
  return 'anchor' in node && node.anchor ? text.lastIndexOf(`&${node.anchor}`, start) : start
}

/** @returns the number of the line that an offset is in. */
export function lineOf({ text }: Source, offset: number): number {
  return text.slice(0, offset).split('\n').length
}

/** @returns FILE:LINE of the value at a path, or of the last step towards it that is there. */
export function positionOf(source: Source, path: Path): string {
  const place = placesOf(source, path).at(-1)
  const node = place?.alias ?? place?.pair?.key ?? place?.node
  return `${source.file}:${node ? lineOf(source, rangeOf(node)[0]) : 1}`
}
