// Edits a YAML text in place: where an edit goes is taken from the parser, every other byte stays as it is.
import { isRecord } from '../frame/json.ts'
import { isDeepStrictEqual } from 'node:util'
import { type Document, type Node, type Pair, type YAMLMap, isMap, isNode, isScalar, isSeq } from 'yaml'
import { UserError } from '../frame/talk.ts'
import {
  type TextEdit,
  type Value,
  fillPair,
  insertField,
  insertItems,
  removePairs,
  replaceNode,
  replaceScalar,
  splice,
} from './splice.ts'
import {
  type Path,
  type Place,
  type Source,
  type Text,
  anchorOf,
  endOf,
  faultsError,
  fieldsAt,
  isMergeKey,
  lineOf,
  placesOf,
  rangeOf,
  valueAt,
  valuesOf,
  whole,
} from './text.ts'

export type Change =
  /** The text at `path` becomes another one. */
  | { readonly op: 'set'; readonly path: Path; readonly value: string }
  /** The list at `path` gets items in front of the one at `index`, its first by default, which becomes `first`. */
  | {
      readonly op: 'insert'
      readonly path: Path
      readonly values: readonly Value[]
      readonly index?: number
      readonly first?: string
    }
  /** The map holding `path` gets its last key, or a value where that key has none; best below one of the keys `after`. */
  | { readonly op: 'add'; readonly path: Path; readonly value: Value; readonly after?: readonly string[] }
  /** The key at the end of `path` goes, with its value. */
  | { readonly op: 'remove'; readonly path: Path }

export interface EditOptions {
  /** Names what is at a path, for messages. */
  readonly describe: (path: Path) => string
  /** What counts in a document: the rest may change with an anchor that it holds. */
  readonly relevant: (document: unknown) => unknown
}

/**
 * Makes the changes, and nothing but them: what comes out is read again and compared with what was meant.
 * @returns the new text, read.
 * @throws UserError with file and line where an anchor that has to change is used elsewhere too, or an alias would lose its
 *   anchor; Error where the comparison fails without such a reason: a bug.
 */
export function edit(source: Source, changes: readonly Change[], options: EditOptions): Text {
  if (changes.length === 0) return source
  const expected = changes.reduce(withChange, valuesOf(source))
  const edits = editsFor(source, changes, expected, options)
  const text = splice(source.text, edits)
  const made = again(source, text)
  const actual = valuesOf(made)
  const difference = firstDifference(expected.map(options.relevant), actual.map(options.relevant), [])
  if (difference)
    throw (
      sharedError(source, pathBefore(difference, changes), options, 'which must not change') ??
      bug(source, `it changed ${difference.join('.')}`)
    )
  return made
}

/** The path that leads where it does once the changes are made, as it was before: items in front of a list move the others. */
function pathBefore(path: Path, changes: readonly Change[]): Path {
  return path.map((step, index) => {
    const moved = changes.find(
      (change) => change.op === 'insert' && isDeepStrictEqual(change.path, path.slice(0, index)),
    )
    if (moved?.op !== 'insert' || Number(step) < (moved.index ?? 0) + moved.values.length) return step
    return Number(step) - moved.values.length
  })
}

function bug({ file }: Source, what: string): Error {
  return new Error(`${file}: the edit went wrong, please report it: ${what}; nothing was written`)
}

function again(source: Source, text: string): Text {
  try {
    return whole(source.file, text)
  } catch (error) {
    throw bug(source, String(error))
  }
}

/** The change made to plain values, of which no two share a part. */
function withChange(values: unknown[], change: Change): unknown[] {
  const key = change.path.at(-1) ?? 0
  const holder = valueAt(values, change.path.slice(0, -1))
  const set = (value: unknown): void => {
    if (Array.isArray(holder)) holder[Number(key)] = value
    else if (isRecord(holder)) holder[key] = value
  }
  if (change.op === 'set' || change.op === 'add') set(change.value)
  else if (change.op === 'remove' && isRecord(holder)) delete holder[key]
  else if (change.op === 'insert') {
    const found: unknown = valueAt(holder, [key])
    const list: unknown[] = Array.isArray(found) ? found : []
    const { index = 0 } = change
    const [first, ...rest] = list.slice(index)
    set([...list.slice(0, index), ...change.values, change.first ?? first, ...rest])
  }
  return values
}

function firstDifference(a: unknown, b: unknown, path: Path): Path | undefined {
  const fields = (value: unknown): Record<string, unknown> | undefined =>
    isRecord(value) ? value : Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : undefined
  const [left, right] = [fields(a), fields(b)]
  if (!left || !right || Array.isArray(a) !== Array.isArray(b)) return isDeepStrictEqual(a, b) ? undefined : path
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const step = [...path, Array.isArray(a) ? Number(key) : key]
    if (Object.hasOwn(left, key) !== Object.hasOwn(right, key)) return step
    const difference = firstDifference(left[key], right[key], step)
    if (difference) return difference
  }
  return undefined
}

/** @returns the edits of all changes, each place in the text edited once however many paths lead there. */
function editsFor(source: Source, changes: readonly Change[], expected: unknown[], options: EditOptions): TextEdit[] {
  const edits: TextEdit[] = []
  const gone = new Map<YAMLMap, Set<Pair>>()
  const claims = new Map<Node | Pair, Map<string, string>>()

  /** Makes the edit unless the same one is made already; false if another one is. */
  const claim = (target: Node | Pair, what: string, value: unknown, make: () => TextEdit | TextEdit[]): boolean => {
    const own = claims.get(target) ?? new Map<string, string>()
    const text = JSON.stringify(value)
    const claimed = own.get(what)
    if (claimed === undefined) edits.push(...[make()].flat())
    claims.set(target, own.set(what, claimed ?? text))
    return claimed === undefined || claimed === text
  }

  const add = (doc: Document, path: Path, value: Value, after: readonly string[]): boolean => {
    const map = placesOf(source, path.slice(0, -1)).at(-1)?.node
    const key = String(path.at(-1))
    if (!isMap(map)) throw bug(source, `no map at ${path.join('.')}`)
    return claim(map, key, value, () => insertField(source, doc, map, [key, value], after))
  }

  /** A list that comes by an alias or a merge key, and should become another one here than there, is written out here. */
  const writeOut = (doc: Document, path: Path, { alias, merge }: Place): boolean => {
    const value = valueAt(expected, path)
    if (!isValue(value)) return false
    if (merge) return add(doc, path, value, ['<<'])
    return alias !== undefined && claim(alias, '', value, () => replaceNode(source, alias, value))
  }

  const make = (change: Change): boolean => {
    const { path } = change
    const doc = source.docs[Number(path[0])]
    const places = placesOf(source, path)
    const place = places.length === path.length ? places.at(-1) : undefined
    const node = place?.node
    if (!doc) throw bug(source, 'no document')
    if (change.op === 'add') {
      const { value, after = [] } = change
      const { alias, map, pair } = place ?? {}
      if (alias) return claim(alias, '', value, () => replaceNode(source, alias, value))
      return map && pair
        ? claim(pair, '', value, () => fillPair(source, doc, map, pair, value))
        : add(doc, path, value, after)
    }
    if (change.op === 'remove') {
      for (const { map, pair } of fieldsAt(source, path)) {
        if (map && pair) gone.set(map, (gone.get(map) ?? new Set()).add(pair))
      }
      return true
    }
    if (change.op === 'set' && node) {
      const { value } = change
      if (isScalar(node)) return claim(node, '', value, () => replaceScalar(source, node, value, place?.pair))
      throw new UserError(
        `${source.file}:${lineOf(source, rangeOf(node)[0])}: ${options.describe(path)} has to be a text`,
      )
    }
    if (change.op === 'insert' && isSeq(node)) {
      const { values, first, index = 0 } = change
      const edit = (): TextEdit[] => [
        insertItems(source, doc, node, values, index),
        ...(first ? [replaceItem(source, node.items[index], first)] : []),
      ]
      return claim(node, '', [values, first, index], edit) || (place !== undefined && writeOut(doc, path, place))
    }
    throw bug(source, `nothing to ${change.op} at ${path.join('.')}`)
  }

  // What stands written out in its place comes first: where two differ, the other one is written out.
  const through = ({ path }: Change): number =>
    Number(placesOf(source, path).some(({ alias, merge }) => alias ?? merge))
  for (const change of [...changes].sort((a, b) => through(a) - through(b))) {
    if (!make(change))
      throw (
        sharedError(source, change.path, options, 'which needs another value') ??
        bug(source, 'two values for one place')
      )
  }
  const removals = [...gone].flatMap(([map, pairs]) => removePairs(source, map, pairs))
  refuseDangling(source, removals)
  return [...edits, ...removals]
}

function replaceItem(source: Source, item: unknown, value: string): TextEdit {
  if (isScalar(item)) return replaceScalar(source, item, value)
  if (isNode(item)) return replaceNode(source, item, value)
  throw bug(source, 'an empty list')
}

function isValue(value: unknown): value is Value {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return true
  return Array.isArray(value) ? value.every(isValue) : isRecord(value) && Object.values(value).every(isValue)
}

/** @throws UserError for each alias that would stay although its anchor goes. */
function refuseDangling(source: Source, removals: readonly TextEdit[]): void {
  const goes = (node: Node): boolean => {
    const [first, last] = [rangeOf(node)[0], endOf(source, node)]
    // A map that loses all it has stays, as {}.
    return removals.some(
      ({ start, end, text }) => first >= start && last <= end && !(text && first === start && last === end),
    )
  }
  const faults: string[] = []
  for (const [alias, target] of source.targets) {
    if (goes(alias) || !goes(target)) continue
    const [line, anchor] = [alias, target].map((node) => lineOf(source, anchorOf(source, node)))
    const why = `&${alias.source} (line ${anchor}) is taken out`
    faults.push(`${source.file}:${line}: *${alias.source} would repeat nothing: ${why} - write it out in line ${line}`)
  }
  if (faults.length > 0) throw faultsError(faults)
}

/** @returns the error for a path that changes, or cannot, because of an anchor on the way to it; undefined if there is none. */
function sharedError(source: Source, path: Path, { describe }: EditOptions, why: string): UserError | undefined {
  const places = placesOf(source, path)
  const last = places.at(-1)?.node
  // A key that the edit brought in through a merge is not there yet.
  const merged =
    places.length < path.length && isMap(last) ? last.items.find(({ key }) => isMergeKey(key))?.value : undefined
  const shared = isNode(merged) ? [merged] : []
  for (const { alias, merge, node } of places.reverse()) {
    const through = merge ?? alias ?? (node && 'anchor' in node && node.anchor ? node : undefined)
    if (through) shared.push(through)
  }
  const [node] = shared
  if (!node) return undefined
  const name = 'anchor' in node && node.anchor ? `&${node.anchor}` : source.text.slice(...rangeOf(node))
  const where = `${source.file}:${lineOf(source, anchorOf(source, node))}`
  return new UserError(`${where}: ${name} is shared with ${describe(path)}, ${why} - write it out in one of them`)
}
