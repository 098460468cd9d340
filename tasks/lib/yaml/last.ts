// Puts a long text where it hides nothing: at the end of its document, as a literal block. What stood behind it there comes
// before it, as it is written.
import { isDeepStrictEqual } from 'node:util'
import { type Pair, type YAMLMap, isMap, isNode } from 'yaml'
import { isRecord } from '../frame/json.ts'
import {
  belowEachOther,
  blockField,
  indent,
  isFirstOnLine,
  lineBreak,
  lineEnd,
  lineStart,
  nextLine,
  pairEnd,
  pairStart,
  splice,
  styleOf,
} from './splice.ts'
import { type Path, type Source, endOf, placesOf, rangeOf, read, valueAt, valuesOf } from './text.ts'

/** A field that a map gets as its last. */
export interface LastField {
  /** Of the object. */
  readonly object: Path
  /** From the object to the map, which is there and not empty. */
  readonly map: readonly string[]
  readonly key: string
  readonly value: string
  /** Keys of the map, below the first of which it stands where it cannot be at the end. */
  readonly after: readonly string[]
}

/**
 * A text of one document with the field at its end, or at the end of its item in a list; undefined where that cannot be: in a
 * document that is JSON, or where the map is shared.
 */
export function withLast(before: Source, field: LastField): Source | undefined {
  let source = before
  const paths = field.map.map((_, index) => [...field.object, ...field.map.slice(0, index + 1)])
  for (const path of paths)
    // the outer ones first: only a block map's fields can change places
    for (const step of [movedLast, asBlock]) source = unlessOther(source, step(source, path)) ?? source
  const path = [...field.object, ...field.map]
  const values = valuesOf(source)
  const map = valueAt(values, path)
  const text = appended(source, path, field)
  if (!isRecord(map) || text === undefined) return undefined
  map[field.key] = field.value
  const made = read(source.file, text)
  return isDeepStrictEqual(valuesOf(made), values) ? made : undefined
}

/** The new text read, if all values are as they were: an alias may have been moved in front of its anchor. */
function unlessOther(source: Source, text: string | undefined): Source | undefined {
  if (text === undefined) return undefined
  try {
    const made = read(source.file, text)
    return isDeepStrictEqual(valuesOf(made), valuesOf(source)) ? made : undefined
  } catch {
    return undefined
  }
}

/** The field that a path leads to, and its map, if both stand there themselves. */
function ownField(source: Source, path: Path): { readonly map: YAMLMap; readonly pair: Pair } | undefined {
  const places = placesOf(source, path)
  const { map, pair } = places.at(-1) ?? {}
  const shared = places.some(({ alias, merge }) => alias !== undefined || merge !== undefined)
  return shared || places.length < path.length || !map || !pair ? undefined : { map, pair }
}

/** A field of a block map changes places with all that follow it there. */
function movedLast(source: Source, path: Path): string | undefined {
  const { map, pair } = ownField(source, path) ?? {}
  const next = pair && map?.items[map.items.indexOf(pair) + 1]
  if (!map || !pair || !next || map.flow) return undefined
  if (![pair, next].every((each) => isFirstOnLine(source, pairStart(each)))) return undefined
  const [from, middle, to] = [withComments(source, pair), withComments(source, next), endOfMap(source, map)]
  const end = lineBreak(source.text)
  const followers = source.text.slice(middle, to)
  return splice(source.text, [
    { start: from, end: from, text: followers + (followers.endsWith('\n') ? '' : end) },
    { start: middle, end: to, text: '' },
  ])
}

/** The start of a field's line, or of the comments right above it that are as far to the right. */
function withComments(source: Source, pair: Pair): number {
  const pad = indent(source, pairStart(pair))
  let start = lineStart(source, pairStart(pair))
  for (;;) {
    const above = lineStart(source, start - 1)
    if (start < 1 || !source.text.startsWith(`${pad}#`, above)) return start
    start = above
  }
}

/** The start of the line below a block map and its comments; below all comments of the document, if nothing else follows. */
function endOfMap(source: Source, map: YAMLMap): number {
  const { text } = source
  const [first] = map.items
  const pad = first === undefined ? '' : indent(source, pairStart(first))
  const isLast = endOf(source, map) === (isNode(source.docs[0]?.contents) ? endOf(source, source.docs[0].contents) : -1)
  let end = nextLine(source, endOf(source, map))
  for (let below = end; below < text.length;) {
    const line = text.slice(below, lineEnd(source, below))
    if (!/^\s*(?:#|$)/.test(line)) break
    below = nextLine(source, below)
    if (line.trim() !== '' && (isLast || line.startsWith(`${pad}#`))) end = below
    else if (line.trim() !== '') break
  }
  return end
}

/** A flow map becomes a block map: each of its fields gets a line, as it is written. */
function asBlock(source: Source, path: Path): string | undefined {
  const { map, pair } = ownField(source, path) ?? {}
  const node = pair?.value
  if (!map || map.flow || !pair || !isMap(node) || !node.flow) return undefined
  const [doc] = source.docs
  const step = ' '.repeat(doc === undefined ? 2 : styleOf(source, doc).step)
  const pad = indent(source, pairStart(pair)) + step
  const [start] = rangeOf(node)
  const end = endOf(source, node)
  let at = start
  const lines: string[] = []
  const comments = (to: number) => {
    for (const [comment] of source.text.slice(at, to).matchAll(/#[^\r\n]*/g)) lines.push(comment)
  }
  for (const each of node.items) {
    const colon = each.srcToken?.sep?.find(({ type }) => type === 'map-value-ind')
    if (!colon || !isNode(each.value)) return undefined
    comments(pairStart(each))
    at = pairEnd(source, each)
    const key = source.text.slice(pairStart(each), rangeOf(each.key)[1])
    const value = source.text.slice(colon.offset + 1, at).trim()
    lines.push(`${key}: ${value.replace(/\n(?=[^\r\n])/g, `\n${step}${step}`)}`)
  }
  comments(end)
  const space = /\s*$/.exec(source.text.slice(0, start))?.[0].length ?? 0
  const text = lines.map((line) => lineBreak(source.text) + pad + line).join('')
  return splice(source.text, [{ start: start - space, end, text }])
}

/** The field below all that a block map has. */
function appended(source: Source, path: Path, { key, value }: LastField): string | undefined {
  const { pair } = ownField(source, path) ?? {}
  const [doc] = source.docs
  const map = pair?.value
  if (!doc || !isMap(map) || map.flow || !map.items[0]) return undefined
  const pad = indent(source, pairStart(map.items[0]))
  const end = lineBreak(source.text)
  const at = endOfMap(source, map)
  const before = source.text.slice(0, at)
  const field = belowEachOther(blockField([key, value], styleOf(source, doc)), pad, end)
  return `${before}${before.endsWith('\n') ? '' : end}${pad}${field}${end}${source.text.slice(at)}`
}
