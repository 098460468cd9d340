// The dev manifest as a file: made of MANIFEST by the settings, and made anew where either has changed since.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isRecord, recordOf } from '../frame/json.ts'
import { type DevManifest, generate } from './generate.ts'
import type { DevOptions } from './template.ts'
import { type Settings, defaults } from '../settings/table.ts'
import { root } from '../frame/root.ts'
import { UserError, say } from '../frame/talk.ts'
import { changeFile, readText, replaceFile } from '../frame/text-file.ts'

/** The images that one run was given in the place of those of the settings. */
export type Images = Pick<Settings, 'prodImage' | 'devImage'>

/** What is known of a dev manifest that was made here. */
interface Made {
  /** Hash of its text: another one was edited by hand. */
  readonly text: string
  /** Hash of all that it was made of. */
  readonly of: string
  readonly images?: Images
}

const memory = join(root, '.hotswap', 'dev-manifests.json')

/** What the generator gets from the settings. */
export function optionsOf(chosen: Settings, file: string, { prodImage, devImage }: Images = chosen): DevOptions {
  const { selector, container, binaryPath, debugPort, debugWait, settle, limit, hold, imageTo, injectImage } = chosen
  const inject = {
    image: injectImage,
    agent: readFileSync(join(root, 'agent', 'hotswap-dev'), 'utf8'),
    binaryChosen: binaryPath !== defaults().binaryPath,
  }
  return {
    ...{ file, selector, container, prodImage, devImage, binaryPath, debugPort, debugWait, settle, limit, hold },
    loaded: imageTo !== 'none' && imageTo !== 'push',
    inject: devImage === '' ? inject : undefined,
  }
}

/** Makes the dev manifest of MANIFEST, and remembers of what. Throws UserError. */
export function makeDevManifest(chosen: Settings, images?: Images): DevManifest {
  const { manifest, manifestDev } = chosen
  unlessSame(chosen)
  const options = optionsOf(chosen, manifest, images)
  const source = readText(manifest, 'MANIFEST')
  const dev = generate(source, options)
  replaceFile(manifestDev, dev.text)
  remember(manifestDev, {
    text: hash(dev.text),
    of: hash(source, options),
    ...(images === undefined ? {} : { images }),
  })
  return dev
}

/** Throws UserError (2) if the dev manifest would take the place of the production one. */
export function unlessSame({ manifest, manifestDev }: Settings): void {
  if (resolve(manifest) === resolve(manifestDev))
    throw new UserError(
      `MANIFEST and MANIFEST_DEV are the same file, ${manifest}: the production manifest would be lost`,
      2,
    )
}

/** Says what was changed, what stays, and what to know. */
export function sayMade({ matched, notes, warnings }: DevManifest): void {
  const said = { agent: 'changed', image: 'changed, the image alone', none: 'as it was' } as const
  for (const { name, change } of matched) say(`${name}: ${said[change]}`)
  for (const note of notes) say(`note: ${note}`)
  for (const warning of warnings) say(`warning: ${warning}`)
  say(`${matched.filter(({ change }) => change !== 'none').length} of ${matched.length} containers changed`)
}

/**
 * Makes the dev manifest if there is none, or it is older than MANIFEST or the settings. One that was edited by hand, or
 * not made here, stays as it is, and is named where the settings make another. Throws UserError.
 */
export function provideDevManifest(chosen: Settings): void {
  const { manifest, manifestDev } = chosen
  const state = stateOf(chosen)
  if (state === 'fresh') return
  if (state === 'other')
    return say(
      `warning: ${manifestDev} differs from what these settings make of ${manifest} - unless you want to keep edits made by hand: npm run generate-deployment-dev`,
    )
  if (state === 'piped')
    return say(
      `warning: ${manifestDev} was made with other settings - make it again: … | npm run generate-deployment-dev -- -`,
    )
  const why = state === 'missing' ? 'is not there yet' : `is older than ${manifest} or the settings`
  say(`${manifestDev} ${why}: npm run generate-deployment-dev`)
  sayMade(makeDevManifest(chosen, known(manifestDev)?.images))
}

/** Whether the dev manifest is not what the settings make now, as far as that is known. */
export function isOutdated(chosen: Settings): boolean {
  return stateOf(chosen) === 'older'
}

/** `older`: made here, and MANIFEST or the settings are others now. `other`, `piped`: not made here, and another. */
function stateOf(chosen: Settings): 'fresh' | 'missing' | 'older' | 'other' | 'piped' {
  const { manifest, manifestDev } = chosen
  if (!existsSync(manifestDev)) return 'missing'
  const text = readText(manifestDev, 'MANIFEST_DEV')
  const made = known(manifestDev)
  const source = existsSync(manifest) ? readText(manifest, 'MANIFEST') : undefined
  const from = /^\uFEFF?# Made by npm run generate-deployment-dev from (.+) - edits here/.exec(text)?.[1]
  if (from === undefined) return 'fresh' // somebody's own
  if (made !== undefined && source !== undefined) {
    if (made.of === hash(source, optionsOf(chosen, manifest, made.images))) return 'fresh'
    return made.text === hash(text) ? 'older' : 'other'
  }
  const remade = (before: string, file: string) => {
    try {
      return generate(before, optionsOf(chosen, file)).text
    } catch (error) {
      if (error instanceof UserError) return text // the task itself says it
      throw error
    }
  }
  // its own output it leaves as it is, unless the settings are others
  if (from === 'standard input') return remade(text, from) === text ? 'fresh' : 'piped'
  return source === undefined || from !== manifest || remade(source, manifest) === text ? 'fresh' : 'other'
}

function known(manifestDev: string): Made | undefined {
  const found = recordOf(existsSync(memory) ? readFileSync(memory, 'utf8') : '')[manifestDev]
  if (!isRecord(found) || typeof found.text !== 'string' || typeof found.of !== 'string') return undefined
  const { prodImage, devImage } = isRecord(found.images) ? found.images : {}
  const images = typeof prodImage === 'string' && typeof devImage === 'string' ? { prodImage, devImage } : undefined
  return { text: found.text, of: found.of, ...(images === undefined ? {} : { images }) }
}

function remember(manifestDev: string, made: Made): void {
  try {
    changeFile(memory, (before) => `${JSON.stringify({ ...recordOf(before), [manifestDev]: made }, null, 1)}\n`)
  } catch {
    // what cannot be written is not remembered
  }
}

function hash(text: string, options?: DevOptions): string {
  return createHash('sha256')
    .update(options === undefined ? text : JSON.stringify([text, options]))
    .digest('hex')
}
