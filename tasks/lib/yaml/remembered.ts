// The workloads of a manifest, remembered by its text's hash: a bundle of megabytes takes seconds to parse, and tasks begin often.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { recordOf, text as textAt } from '../frame/json.ts'
import { root } from '../frame/root.ts'
import { changeFile } from '../frame/text-file.ts'
import { workloadsIn } from './workloads.ts'

const file = () => join(root, '.hotswap', 'workloads.json')
const kept = 8 // manifests
const form = '1' // of what is remembered

/** The workloads of a manifest's text; undefined where they are not remembered. */
export function remembered(text: string): readonly unknown[] | undefined {
  let json = ''
  try {
    json = readFileSync(file(), 'utf8')
  } catch {
    return undefined
  }
  const known = recordOf(json)[key(text)]
  return Array.isArray(known) ? known : undefined
}

/** Remembers the workloads among a text's objects, and returns them. */
export function remember(text: string, objects: readonly unknown[]): readonly unknown[] {
  const own = workloadsIn(objects).map(({ object }) => object)
  const name = key(text)
  const found = objects.filter((object) => own.includes(object) || /Set$|^Deployment$/.test(textAt(object, 'kind')))
  try {
    changeFile(file(), (before) => {
      const others = Object.entries(recordOf(before)).filter(([each]) => each !== name)
      return `${JSON.stringify(Object.fromEntries([[name, found], ...others].slice(0, kept)))}\n`
    })
  } catch {
    // what cannot be written is not remembered
  }
  return found
}

/** The same of a manifest that is read if they are not remembered yet. Throws UserError. */
export async function workloadObjects(file: string, text: string): Promise<readonly unknown[]> {
  return remembered(text) ?? remember(text, (await import('./objects.ts')).manifestOf(file).objects)
}

function key(text: string): string {
  return createHash('sha256').update(form).update(text).digest('hex')
}
