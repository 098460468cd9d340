// Writes the dev manifest: the production manifest with the dev image, and the agent and its debugger as the command.
import { resolve } from 'node:path'
import { generate } from './lib/manifest.ts'
import { type Settings, faultsText, parse, settings } from './lib/settings.ts'
import { UserError, print, say, task } from './lib/task.ts'
import { readText, replaceText } from './lib/text-file.ts'

const about = {
  name: 'generate-deployment-dev',
  summary:
    'writes the dev manifest: the production manifest with the dev image, and the agent and its debugger as the command',
  operands: '[PROD_IMAGE DEV_IMAGE]',
  more:
    'PROD_IMAGE is the image of the production manifest, DEV_IMAGE the one of container-dev. Prints the path of the dev manifest.\n' +
    'Settings: PROD_IMAGE, DEV_IMAGE, MANIFEST, MANIFEST_DEV, BINARY_PATH, DEBUG_PORT, DEBUG_WAIT, SETTLE, LIMIT in .env.',
} as const

const said = { agent: 'changed', image: 'changed, the image alone', none: 'as it was' } as const

await task(about, async ({ operands }) => {
  const chosen = await settings()
  const { prodImage, devImage } = imagesOf(operands, chosen)
  const { manifest, manifestDev, imageTo } = chosen
  if (resolve(manifest) === resolve(manifestDev)) {
    throw new UserError(
      `MANIFEST and MANIFEST_DEV are the same file, ${manifest}: the production manifest would be lost`,
      2,
    )
  }
  say(`${manifest} · ${prodImage} → ${devImage}`)
  const loaded = imageTo !== 'none' && imageTo !== 'push'
  const dev = generate(readText(manifest, 'MANIFEST'), { ...chosen, file: manifest, prodImage, devImage, loaded })
  replaceText(manifestDev, dev.text)

  for (const { name, change } of dev.matched) say(`${name}: ${said[change]}`)
  for (const note of dev.notes) say(`note: ${note}`)
  for (const warning of dev.warnings) say(`warning: ${warning}`)
  const changed = dev.matched.filter(({ change }) => change !== 'none').length
  say(`${changed} of ${dev.matched.length} containers changed`)
  print(manifestDev)
})

/** The images of the operands, held to the same rules as those of the settings. */
function imagesOf(operands: readonly string[], chosen: Settings): Pick<Settings, 'prodImage' | 'devImage'> {
  const [prodImage, devImage, ...more] = operands
  if (prodImage === undefined) return named(chosen)
  if (devImage === undefined || more.length > 0) throw new UserError('give PROD_IMAGE and DEV_IMAGE, or neither', 2)
  const given = parse('', { PROD_IMAGE: prodImage, DEV_IMAGE: devImage })
  if ('faults' in given)
    throw new UserError(faultsText(given.faults.map((fault) => ({ ...fault, where: 'operand' }))), 2)
  return named(given.settings)
}

function named({ prodImage, devImage }: Settings): Pick<Settings, 'prodImage' | 'devImage'> {
  if (devImage === '')
    throw new UserError(
      'DEV_IMAGE is empty: the agent cannot be injected yet - put an image into .env: DEV_IMAGE=hello-dev',
      2,
    )
  return { prodImage, devImage }
}
