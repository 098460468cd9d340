// JSON of unknown shape, read without trust in it. Pure.
import { clean } from './talk.ts'

/** The value of a JSON text; undefined if it is none. */
export function jsonOf(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

/** The map of a JSON text; an empty one if it is none: what is kept for speed alone may be damaged. */
export function recordOf(json: string): Record<string, unknown> {
  const found = jsonOf(json)
  return isRecord(found) ? found : {}
}

/** The value at a path of keys and indices; undefined if there is none. */
export function at(value: unknown, ...path: readonly (string | number)[]): unknown {
  let here = value
  for (const key of path) {
    if (typeof here !== 'object' || here === null) return undefined
    here = Array.isArray(here) ? here[Number(key)] : Object.entries(here).find(([name]) => name === key)?.[1]
  }
  return here
}

/** The text or number at a path, as text; empty if there is none. */
export function text(value: unknown, ...path: readonly (string | number)[]): string {
  const found = at(value, ...path)
  return typeof found === 'string' || typeof found === 'number' ? clean(String(found)) : ''
}

/** The list at a key (default: items); empty if there is none. */
export function items(value: unknown, key = 'items'): readonly unknown[] {
  const found = at(value, key)
  return Array.isArray(found) ? found : []
}

/** How a Kubernetes object is spoken of: `Deployment hello`. */
export function nameOf(object: unknown): string {
  return `${text(object, 'kind')} ${text(object, 'metadata', 'name')}`
}

/** The texts of a list; none if it is no list. */
export function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((word) => typeof word === 'string') : []
}

/** A plain map; no Date and no Uint8Array, which YAML 1.1 knows too. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return Object.prototype.toString.call(value) === '[object Object]'
}
