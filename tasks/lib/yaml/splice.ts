// How an insertion, a replacement and a removal are spelled in the text of a YAML map or list, in the style that it has.
import {
  type Document,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
  isMap,
  isNode,
  isScalar,
  isSeq,
  visit,
} from 'yaml'
import { type Source, endOf, isMergeKey, rangeOf } from './text.ts'

export type Value = Plain | readonly Value[] | { readonly [key: string]: Value }

type Plain = string | number | boolean

export interface TextEdit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** How far a document indents its lists and maps. */
interface Style {
  readonly dash: number
  readonly step: number
}

/** @returns the text with the edits made; of insertions at one offset the first given stands first. */
export function splice(text: string, edits: readonly TextEdit[]): string {
  let at = 0
  let result = ''
  for (const edit of [...edits].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (edit.start < at) throw new Error('two edits of one text overlap')
    result += text.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return result + text.slice(at)
}

/** @returns the line break that a text uses. */
export function lineBreak(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? '\n'
}

// --- values

// Plain without a doubt: nothing that any YAML reads as a number, a date, a boolean or nothing.
const PLAIN = /^(?!(?:y|n|yes|no|on|off|true|false|null)$)(?:[a-z_/]|--?(?=[a-z]|$))(?:[\w./@+-]|:(?=[\w/]))*$/i

function scalarText(value: Plain, json: boolean): string {
  if (typeof value !== 'string') return String(value)
  if (json || /[^\x20-\x7e]/.test(value)) return JSON.stringify(value)
  return PLAIN.test(value) ? value : `'${value.replaceAll("'", "''")}'`
}

function flowText(value: Value, json: boolean): string {
  if (isPlain(value)) return scalarText(value, json)
  if (isList(value)) return `[${value.map((item) => flowText(item, json)).join(', ')}]`
  return `{${Object.entries(value)
    .map((field) => flowField(field, json))
    .join(', ')}}`
}

function flowField([key, value]: [string, Value], json: boolean): string {
  return `${scalarText(key, json)}: ${flowText(value, json)}`
}

export function blockField([key, value]: [string, Value], style: Style): string[] {
  const name = scalarText(key, false)
  if (isPlain(value)) {
    const [first = '', ...lines] = literal(value, style) ?? [scalarText(value, false)]
    return [`${name}: ${first}`, ...lines]
  }
  if (Object.keys(value).length === 0) return [`${name}: ${flowText(value, false)}`]
  const lines = isList(value)
    ? indented(
        value.flatMap((item) => blockItem(item, style)),
        style.dash,
      )
    : indented(blockFields(value, style), style.step)
  return [`${name}:`, ...lines]
}

function blockItem(value: Value, style: Style): string[] {
  const lines =
    isPlain(value) || isList(value)
      ? (literal(value, { dash: 0, step: 0 }) ?? [flowText(value, false)])
      : blockFields(value, style)
  const [first = '', ...rest] = lines
  return [`- ${first}`, ...indented(rest, 2)]
}

// No character that a YAML text cannot have, or that YAML 1.1 takes for a line break; neither a space at the beginning nor an
// empty line at the end, which say how far it is indented and what becomes of its last line break.
const SHOWN = /^[!-~][\t\n\x20-\x7e\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*[^\n]\n$/u

/** The lines of a text of several lines as a literal block, which shows it as it is; undefined if it cannot be one. */
function literal(value: Value, { step }: Style): string[] | undefined {
  if (typeof value !== 'string' || !SHOWN.test(value) || !/\n./.test(value)) return undefined
  return ['|', ...indented(value.slice(0, -1).split('\n'), step)]
}

/** Lines moved to the right; an empty one stays empty. */
function indented(lines: readonly string[], by: number): string[] {
  return lines.map((line) => (line === '' ? '' : ' '.repeat(by) + line))
}

function blockFields(value: { readonly [key: string]: Value }, style: Style): string[] {
  return Object.entries(value).flatMap((field) => blockField(field, style))
}

function isPlain(value: Value): value is Plain {
  return typeof value !== 'object'
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

// --- edits

/** The text becomes another one, in the quotes that it has; as a literal block where it is one, below the key `pair`. */
export function replaceScalar(source: Source, node: Scalar, value: string, pair?: Pair): TextEdit {
  const [start] = rangeOf(node)
  const lines = node.type === 'BLOCK_LITERAL' && pair ? literal(value, { dash: 0, step: 2 }) : undefined
  if (lines && pair)
    return {
      start,
      end: endOf(source, node),
      text: belowEachOther(lines, indent(source, pairStart(pair)), lineBreak(source.text)),
    }
  const single = node.type === 'QUOTE_SINGLE' && /^[\x20-\x7e]*$/.test(value)
  const text = single ? `'${value.replaceAll("'", "''")}'` : scalarText(value, node.type === 'QUOTE_DOUBLE')
  return { start, end: endOf(source, node), text }
}

/** A node or alias becomes a value, written on one line. */
export function replaceNode(source: Source, node: Node, value: Value): TextEdit {
  return { start: rangeOf(node)[0], end: endOf(source, node), text: flowText(value, false) }
}

/** A key of a map that has no value, or an empty one, gets one. */
export function fillPair(source: Source, doc: Document, map: YAMLMap, pair: Pair, value: Value): TextEdit[] {
  const colon = pair.srcToken?.sep?.find(({ type }) => type === 'map-value-ind')
  if (!colon) throw new Error('a key has no colon')
  const [start, end] = isNode(pair.value) ? rangeOf(pair.value) : [colon.offset + 1, colon.offset + 1]
  if (map.flow || isPlain(value)) {
    const text = flowText(value, isDoubleQuoted(pair.key))
    if (end > start) return [{ start, end, text }]
    return [insertion(colon.offset + 1, [` ${text}`])]
  }
  const [, ...lines] = blockField(['', value], styleOf(source, doc))
  const space = /\s*$/.exec(source.text.slice(colon.offset + 1, start))?.[0].length ?? 0
  return [
    ...(end > start ? [{ start: start - space, end, text: '' }] : []),
    linesBelow(source, pair, lines, end > start ? end : colon.offset + 1),
  ]
}

/** A map gets a field: below one of the keys `after` if it has one of them itself, else as its first. */
export function insertField(
  source: Source,
  doc: Document,
  map: YAMLMap,
  field: [string, Value],
  after: readonly string[],
): TextEdit {
  const first = map.items[0]
  if (!first) throw new Error('an empty map gets a field')
  const above = after.map((key) => map.items.find((pair) => isKey(pair.key, key))).find(Boolean)
  if (!map.flow) {
    const lines = blockField(field, styleOf(source, doc))
    return above
      ? linesBelow(source, above, lines, pairEnd(source, above))
      : linesAbove(source, pairStart(first), lines)
  }
  const text = flowField(field, isDoubleQuoted(first.key))
  if (!above) return itemsBefore(source, pairStart(first), [text])
  const start = pairEnd(source, above)
  const gap = isFirstOnLine(source, pairStart(above)) ? lineBreak(source.text) + indent(source, pairStart(above)) : ' '
  return { start, end: start, text: `,${gap}${text}` }
}

/** A list gets items in front of the one at `index`. */
export function insertItems(
  source: Source,
  doc: Document,
  list: YAMLSeq,
  values: readonly Value[],
  index: number,
): TextEdit {
  const first = list.items[index]
  if (!isNode(first)) throw new Error('a list gets items in front of one that is not there')
  const token = list.srcToken
  const marks =
    token?.type === 'block-seq' || token?.type === 'flow-collection' ? (token.items[index]?.start ?? []) : []
  const start = marks.find(({ type }) => ['seq-item-ind', 'anchor', 'tag'].includes(type))?.offset ?? rangeOf(first)[0]
  if (!list.flow)
    return linesAbove(
      source,
      start,
      values.flatMap((value) => blockItem(value, styleOf(source, doc))),
    )
  const json = isMap(first) ? isDoubleQuoted(first.items[0]?.key) : isDoubleQuoted(first)
  return itemsBefore(
    source,
    start,
    values.map((value) => flowText(value, json)),
  )
}

/** A map loses fields, and what they leave is a map. */
export function removePairs(source: Source, map: YAMLMap, gone: ReadonlySet<Pair>): TextEdit[] {
  if (map.items.every((pair) => gone.has(pair))) {
    return [{ start: rangeOf(map)[0], end: endOf(source, map), text: '{}' }]
  }
  return map.flow ? removeFromFlow(source, map, gone) : removeFromBlock(source, map, gone)
}

function removeFromBlock(source: Source, map: YAMLMap, gone: ReadonlySet<Pair>): TextEdit[] {
  const [first] = map.items
  const stays = map.items.findIndex((pair) => !gone.has(pair))
  const next = map.items[stays]
  const edits: TextEdit[] = []
  let rest = map.items
  if (first && next && stays > 0 && !isFirstOnLine(source, pairStart(first))) {
    // It begins after the dash of a list's item: there comes the first field that stays, unless comments stand before that.
    const gaps = map.items.slice(0, stays).map((pair, index) => {
      return source.text.slice(belowField(source, pair), pairStart(map.items[index + 1] ?? next))
    })
    if (gaps.some((gap) => gap.includes('#'))) {
      const dash = source.text.slice(0, pairStart(first)).trimEnd().length
      edits.push({ start: dash, end: lineEnd(source, belowField(source, first) - 1), text: '' })
      rest = map.items.slice(1)
    } else {
      edits.push({ start: pairStart(first), end: pairStart(next), text: '' })
      rest = map.items.slice(stays)
    }
  }
  for (const pair of rest.filter((pair) => gone.has(pair))) {
    edits.push({ start: lineStart(source, pairStart(pair)), end: belowField(source, pair), text: '' })
  }
  return edits
}

/** @returns the start of the line below a field; comments at the end of its value are its own. */
function belowField(source: Source, pair: Pair): number {
  const inside = `${indent(source, pairStart(pair))} `
  let below = nextLine(source, pairEnd(source, pair))
  while (source.text.startsWith(inside, below) && /^ *#/.test(source.text.slice(below, lineEnd(source, below)))) {
    below = nextLine(source, below)
  }
  return below
}

function removeFromFlow(source: Source, map: YAMLMap, gone: ReadonlySet<Pair>): TextEdit[] {
  const token = map.srcToken
  const items = token?.type === 'flow-collection' ? token.items : []
  const marks = items.flatMap(({ start }) => start)
  const commas = marks.filter(({ type }) => type === 'comma').map(({ offset }) => offset)
  const edits: TextEdit[] = []
  let before: Pair | undefined
  for (let index = 0; index < map.items.length; index++) {
    const first = map.items[index]
    if (!first || !gone.has(first)) {
      before = first
      continue
    }
    let last = first
    let next = map.items[index + 1]
    while (next && gone.has(next)) {
      last = next
      next = map.items[++index + 1]
    }
    const [start, end] = [pairStart(first), pairEnd(source, last)]
    const left = before ? pairEnd(source, before) : 0
    const comma = before && commas.find((offset) => offset >= left)
    if (isFirstOnLine(source, start) && /^\s*,\s*(?:#.*)?$/.test(source.text.slice(end, lineEnd(source, end)))) {
      edits.push({ start: lineStart(source, start), end: nextLine(source, end), text: '' })
    } else if (comma !== undefined && source.text.slice(comma, start).includes('#')) {
      // The comment between the comma and the key belongs to what stays.
      edits.push({ start: comma, end: comma + 1, text: '' }, { start, end, text: '' })
    } else if (comma !== undefined) {
      edits.push({ start: source.text.slice(left, comma).trim() ? comma : left, end, text: '' })
    } else if (next) {
      edits.push({ start, end: pairStart(next), text: '' })
    }
  }
  return edits
}

// --- places in the text

function linesAbove(source: Source, offset: number, lines: readonly string[]): TextEdit {
  const pad = indent(source, offset)
  const end = lineBreak(source.text)
  if (!isFirstOnLine(source, offset)) return insertion(offset, [belowEachOther(lines, pad, end), end, pad])
  return insertion(
    aboveComments(source, offset),
    indented(lines, pad.length).map((line) => line + end),
  )
}

export function belowEachOther(lines: readonly string[], pad: string, end: string): string {
  return lines.map((line, index) => (index === 0 || line === '' ? line : pad + line)).join(end)
}

function linesBelow(source: Source, pair: Pair, lines: readonly string[], end: number): TextEdit {
  const pad = indent(source, pairStart(pair))
  return insertion(
    lineEnd(source, end),
    indented(lines, pad.length).map((line) => lineBreak(source.text) + line),
  )
}

function itemsBefore(source: Source, offset: number, items: readonly string[]): TextEdit {
  if (!isFirstOnLine(source, offset))
    return insertion(
      offset,
      items.map((item) => `${item}, `),
    )
  const [pad, end] = [indent(source, offset), lineBreak(source.text)]
  return insertion(
    aboveComments(source, offset),
    items.map((item) => `${pad}${item},${end}`),
  )
}

function insertion(start: number, texts: readonly string[]): TextEdit {
  return { start, end: start, text: texts.join('') }
}

export function pairStart({ key, srcToken }: Pair): number {
  const mark = srcToken?.start.find(({ type }) => ['explicit-key-ind', 'anchor', 'tag'].includes(type))
  return mark?.offset ?? rangeOf(key)[0]
}

export function pairEnd(source: Source, { key, value }: Pair): number {
  return isNode(value) ? endOf(source, value) : rangeOf(key)[1]
}

export function lineStart({ text }: Source, offset: number): number {
  const start = text.lastIndexOf('\n', offset - 1) + 1
  return text.startsWith('\uFEFF', start) ? start + 1 : start
}

export function lineEnd({ text }: Source, offset: number): number {
  const end = text.indexOf('\n', offset)
  if (end < 0) return text.length
  return text[end - 1] === '\r' ? end - 1 : end
}

export function nextLine({ text }: Source, offset: number): number {
  return text.indexOf('\n', offset) + 1 || text.length
}

/** @returns the start of the line, or of the comments and blank lines right above it: they speak of what is there now. */
function aboveComments(source: Source, offset: number): number {
  const start = lineStart(source, offset)
  if (start < 2) return start
  const above = lineStart(source, start - 1)
  return /^\s*(?:#.*)?\s*$/.test(source.text.slice(above, start)) ? aboveComments(source, above) : start
}

export function isFirstOnLine(source: Source, offset: number): boolean {
  return source.text.slice(lineStart(source, offset), offset).trim() === ''
}

export function indent(source: Source, offset: number): string {
  return ' '.repeat(offset - lineStart(source, offset))
}

/** `<<` stands for a merge key. */
function isKey(node: unknown, key: string): boolean {
  return isScalar(node) && (node.value === key || (key === '<<' && isMergeKey(node)))
}

function isDoubleQuoted(node: unknown): boolean {
  return isScalar(node) && node.type === 'QUOTE_DOUBLE'
}

/** The style of the first list and the first map in a document; two columns for maps and none for lists if it has none. */
export function styleOf(source: Source, doc: Document): Style {
  let dash: number | undefined
  let step: number | undefined
  visit(doc, {
    Pair: (_, pair) => {
      const { value } = pair
      if (!isSeq(value) && !isMap(value)) return
      const [start] = rangeOf(value)
      if (value.flow || !isFirstOnLine(source, start)) return
      const width = indent(source, start).length - indent(source, pairStart(pair)).length
      if (isSeq(value)) dash ??= width
      else step ??= width
    },
  })
  return { dash: dash ?? 0, step: step ?? 2 }
}
