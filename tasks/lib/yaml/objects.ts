// The objects of a manifest file, and its text with some of them alone.
import { readFileSync } from 'node:fs'
import { isSeq, type Document } from 'yaml'
import { isRecord, items } from '../frame/json.ts'
import { UserError } from '../frame/talk.ts'
import { read, valuesOf } from './text.ts'
import { objectsIn } from './workloads.ts'

/** A manifest that was read. */
export interface Manifest {
  readonly file: string
  /** Its objects, those of a List one by one. */
  readonly objects: readonly unknown[]
  /** The text with those of its objects alone, each as it is written. */
  readonly textOf: (wanted: readonly unknown[]) => string
}

/** Reads a manifest. Throws UserError if there is none, or it cannot be read. */
export function manifestOf(file: string): Manifest {
  let source: string
  try {
    source = readFileSync(file, 'utf8')
  } catch {
    throw new UserError(
      `there is no ${file} - set MANIFEST and MANIFEST_DEV in .env, or run npm run generate-deployment-dev`,
    )
  }
  const { docs } = read(file, source)
  const values = valuesOf({ file, docs })
  const documents = docs.map((document, index) => {
    const value = values[index]
    return { document, value, objects: objectsIn(value).map(({ fields }) => fields) }
  })
  return {
    file,
    objects: documents.flatMap(({ objects }) => objects),
    textOf: (wanted) =>
      documents
        .flatMap(({ document, value, objects }) => {
          const isWanted = objects.map((object) => wanted.includes(object))
          if (!isWanted.includes(true)) return []
          const [from, , to] = document.range ?? [0, 0, 0]
          if (!isWanted.includes(false)) return [source.slice(from, to)]
          return [someOf(document, value, isWanted)]
        })
        .map((each) => `${/^---\s/.test(each) ? '' : '---\n'}${each}${each.endsWith('\n') ? '' : '\n'}`)
        .join(''),
  }
}

/** A List with some of its items: numbers and dates stay as they are written. */
function someOf(document: Document, value: unknown, isWanted: readonly boolean[]): string {
  const copy = document.clone()
  const list = copy.get('items')
  if (isSeq(list)) list.items = list.items.filter((_, index) => isWanted[index] === true)
  try {
    return String(copy).replace(/^%YAML.*\n/, '')
  } catch {
    // an alias repeats what stands in an item that is left out
    return JSON.stringify({ ...(isRecord(value) ? value : {}), items: items(value).filter((_, at) => isWanted[at]) })
  }
}
