// The workloads of a manifest, remembered by its text's hash: a bundle of megabytes takes seconds to parse, and tasks begin often.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { recordOf } from '../frame/json.ts'
import { root } from '../frame/root.ts'
import { changeFile } from '../frame/text-file.ts'
import { isWorkload } from './workloads.ts'

const file = () => join(root, '.hotswap', 'workloads.json')
const kept = 8 // manifests
const form = '1' // of what is remembered

/** The workloads of a manifest's text; undefined if they are not remembered. */
function remembered(text: string): readonly unknown[] | undefined {
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
function remember(text: string, objects: readonly unknown[]): readonly unknown[] {
  const name = key(text)
  const found = objects.filter(isWorkload)
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

/** The workloads of a manifest, read if they are not remembered yet. Throws UserError. */
export async function workloadObjects(file: string, text: string): Promise<readonly unknown[]> {
  return (await workloadReader(file, text))()
}

/** The same, to be read when they are asked for: the parser takes 0.1 s to load, and a bundle seconds to parse. */
export async function workloadReader(file: string, text: string): Promise<() => readonly unknown[]> {
  const known = remembered(text)
  if (known !== undefined) return () => known
  const { manifestOf } = await import('./objects.ts')
  return () => remember(text, manifestOf(file).objects)
}

function key(text: string): string {
  return createHash('sha256').update(form).update(text).digest('hex')
}
