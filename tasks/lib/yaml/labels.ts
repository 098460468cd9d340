// Label selectors, as kubectl reads them: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels. Pure.
import { isRecord } from '../frame/json.ts'

/** Whether a selector that the settings allow matches these labels. */
export function matches(selector: string, labels: unknown): boolean {
  const has = new Map(isRecord(labels) ? Object.entries(labels).map(([key, value]) => [key, String(value)]) : [])
  // the commas between parentheses part values
  return selector.split(/,(?![^(]*\))/).every((part) => {
    const requirement = part.trim()
    const [, key = '', not, list = ''] = /^(\S+) +(not)?in +\((.*)\)$/.exec(requirement) ?? []
    if (key !== '') {
      const value = has.get(key)
      const isIn = value !== undefined && list.split(',').some((each) => each.trim() === value)
      return isIn === (not === undefined)
    }
    const [, name = '', sign, wanted = ''] = /^([^\s=!]+) *(==?|!=) *(.*)$/.exec(requirement) ?? []
    if (name !== '') return (has.get(name) === wanted) === (sign !== '!=')
    return requirement.startsWith('!') ? !has.has(requirement.slice(1).trim()) : has.has(requirement)
  })
}

/** Behind what a list of such lines is for. */
export const chooseLine = 'put the line of the one that is meant into .env'

/** The line of .env for a selector, or why there is none. */
export function selectorLine(selector: string | undefined): string {
  return selector === undefined ? 'its pods have no labels' : `SELECTOR=${selector}`
}

/** A selector that matches these labels, and those of no other if one label tells them apart; undefined if there are none. */
export function selectorFor(labels: unknown, others: readonly unknown[]): string | undefined {
  const all = Object.entries(isRecord(labels) ? labels : {}).map(([key, value]) => `${key}=${String(value)}`)
  // what people choose comes before what tools add
  const usual = all.filter((each) => /^(?:app\.kubernetes\.io\/name|app|name|k8s-app)=/.test(each))
  const own = [...usual, ...all].find((each) => !others.some((other) => matches(each, other)))
  return own ?? (all.length > 0 ? all.join(',') : undefined)
}
