// VS Code: the attach configuration, merged into the launch.json that is there.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from 'jsonc-parser'
import { moved, pathRules } from './paths.ts'
import { physical } from '../go/go-env.ts'
import { at, text } from '../frame/json.ts'
import type { Settings } from '../settings/table.ts'
import { UserError } from '../frame/talk.ts'

const name = 'hotswap-dev'

/** Writes the configuration into GO_DIR, the folder that VS Code opens. Returns the file's path. Throws UserError. */
export async function setupVsCode(settings: Settings): Promise<string> {
  const folder = resolve(settings.goDir)
  const file = join(folder, '.vscode', 'launch.json')
  const real = physical(folder)
  const mapping = await pathRules(settings)
  const rules = mapping.map(({ from, to }) => ({ from: inWorkspace(from, real), to }))
  // the folder may be opened by a link: the binary knows it without, or as a part of its module
  const known = mapping.map((rule) => moved(real, rule)).find((path) => path !== real) ?? real
  if (real !== folder && !rules.some(({ from }) => from === '${workspaceFolder}'))
    rules.unshift({ from: '${workspaceFolder}', to: known })
  const before = read(file)
  const after = merged(before, file, {
    name,
    type: 'go',
    request: 'attach',
    mode: 'remote',
    debugAdapter: 'dlv-dap',
    host: '127.0.0.1',
    port: settings.debugLocalPort,
    ...(rules.length === 0 ? {} : { substitutePath: rules }),
  })
  if (after !== before) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, after)
  }
  return relative(process.cwd(), file)
}

/**
 * A launch.json with this configuration in it, under its name: added at the end, or brought up to date where it is there.
 * All else stays byte for byte. Throws UserError if the text is no launch.json. Pure.
 */
export function merged(source: string, file: string, configuration: Readonly<Record<string, unknown>>): string {
  if (source.trim() === '') return `${JSON.stringify({ version: '0.2.0', configurations: [configuration] }, null, 2)}\n`
  const errors: ParseError[] = []
  const top = parseTree(source, errors, { allowTrailingComma: true })
  const [error] = errors
  if (error !== undefined) {
    const line = source.slice(0, error.offset).split('\n').length
    throw new UserError(`${file}:${line}: ${printParseErrorCode(error.error)} - mend it, then run the command again`)
  }
  const list = top === undefined ? undefined : findNodeAtLocation(top, ['configurations'])
  if (top?.type !== 'object' || (list !== undefined && list.type !== 'array'))
    throw new UserError(`${file} is no launch.json: configurations is no list - mend it, then run the command again`)

  if (list === undefined) return withChild(source, top, { configurations: [configuration] })
  const present = (list.children ?? []).find((each) => text(getNodeValue(each), 'name') === configuration.name)
  if (present === undefined) return withChild(source, list, configuration)
  // one key after the other, each time in a text that has been read anew
  for (const [key, value] of Object.entries(configuration)) {
    const old = findNodeAtLocation(present, [key])
    if (JSON.stringify(at(getNodeValue(present), key)) === JSON.stringify(value)) continue
    const next =
      old === undefined
        ? withChild(source, present, { [key]: value })
        : splice(source, old.offset, old.length, shown(value, lineIndent(source, old.offset), source))
    return merged(next, file, configuration)
  }
  return source
}

/** Adds an element to a list, or the one property to an object, behind the last child and the comments that follow it. */
function withChild(source: string, parent: Node, value: Readonly<Record<string, unknown>>): string {
  const close = parent.offset + parent.length - 1
  const last = parent.children?.at(-1)
  const from = last === undefined ? parent.offset + 1 : last.offset + last.length
  const comma = last !== undefined && hasComma(source.slice(from, close))
  const before = source.slice(0, close).trimEnd()
  const outer = lineIndent(source, last === undefined ? parent.offset : close)
  const first = parent.children?.[0]
  const own = first === undefined ? '' : lineIndent(source, first.offset)
  const indent = first !== undefined && own.length > outer.length ? own : outer + unitOf(source)
  const whole = shown(value, indent, source)
  const property = parent.type === 'object' ? whole.replace(/^\{\s*/, '').replace(/\s*\}$/, '') : whole
  const added = parent.type === 'object' ? outdented(property, indent, source) : property
  const eol = eolOf(source)
  const tail = `${comma ? ',' : ''}${source.slice(before.length, close).includes('\n') ? source.slice(before.length, close) : eol + outer}`
  const grown = `${before}${eol}${indent}${added}${tail}${source.slice(close)}`
  return last === undefined || comma ? grown : splice(grown, from, 0, ',')
}

/** A property that was printed inside braces stands one level less deep without them. */
function outdented(property: string, indent: string, source: string): string {
  return property.replaceAll(`\n${indent}${unitOf(source)}`, `\n${indent}`)
}

/** White space, comments and at most one comma. */
function hasComma(trivia: string): boolean {
  return trivia.replace(/\/\/.*|\/\*[^]*?\*\//g, '').includes(',')
}

function shown(value: unknown, indent: string, source: string): string {
  return JSON.stringify(value, null, unitOf(source)).replaceAll('\n', `${eolOf(source)}${indent}`)
}

function splice(source: string, offset: number, length: number, replacement: string): string {
  return source.slice(0, offset) + replacement + source.slice(offset + length)
}

function lineIndent(source: string, offset: number): string {
  return /^[ \t]*/.exec(source.slice(source.lastIndexOf('\n', offset - 1) + 1))?.[0] ?? ''
}

function unitOf(source: string): string {
  return /\n([ \t]+)\S/.exec(source)?.[1] ?? '  '
}

function eolOf(source: string): string {
  return source.includes('\r\n') ? '\r\n' : '\n'
}

function inWorkspace(path: string, folder: string): string {
  const inside = relative(folder, path)
  if (inside === '') return '${workspaceFolder}'
  return inside.startsWith('..') ? path : `\${workspaceFolder}/${inside}`
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
