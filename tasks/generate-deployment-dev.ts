// Writes the dev manifest: the production manifest, in which the agent and its debugger run the program.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { generate } from './lib/manifest.ts'
import { type Settings, defaults, faultsText, parse, settings } from './lib/settings.ts'
import { UserError, root, say, task } from './lib/task.ts'
import { readInput, readText, replaceFile } from './lib/text-file.ts'

const about = {
  name: 'generate-deployment-dev',
  summary: 'writes the dev manifest: the production manifest, in which the agent and its debugger run the program',
  operands: '[-] [PROD_IMAGE DEV_IMAGE]',
  more:
    'PROD_IMAGE is the image of the production manifest, DEV_IMAGE the one of container-dev; where it is empty, the image stays\n' +
    'and the agent is injected, with tools of INJECT_IMAGE. Prints the path of the dev manifest. With -, reads the manifest from\n' +
    'standard input (helm template, kubectl kustomize, kubectl get -o yaml) and prints the dev manifest instead.\n' +
    'Settings: PROD_IMAGE, DEV_IMAGE, INJECT_IMAGE, MANIFEST, MANIFEST_DEV, BINARY_PATH, DEBUG_PORT, DEBUG_WAIT, SETTLE, LIMIT in .env.',
} as const

const said = { agent: 'changed', image: 'changed, the image alone', none: 'as it was' } as const

await task(about, async ({ operands }) => {
  const chosen = await settings()
  const piped = operands[0] === '-'
  const { prodImage, devImage } = imagesOf(piped ? operands.slice(1) : operands, chosen)
  const { manifest, manifestDev, imageTo, injectImage } = chosen
  if (!piped && resolve(manifest) === resolve(manifestDev)) {
    throw new UserError(
      `MANIFEST and MANIFEST_DEV are the same file, ${manifest}: the production manifest would be lost`,
      2,
    )
  }
  const file = piped ? 'standard input' : manifest
  say(`${file} · ${prodImage} ${devImage === '' ? `with the agent, and tools of ${injectImage}` : `→ ${devImage}`}`)
  const dev = generate(piped ? await readInput() : readText(manifest, 'MANIFEST'), {
    ...chosen,
    ...{ file, prodImage, devImage },
    loaded: imageTo !== 'none' && imageTo !== 'push',
    inject: devImage === '' ? injection(chosen) : undefined,
  })
  if (!piped) replaceFile(manifestDev, dev.text)

  for (const { name, change } of dev.matched) say(`${name}: ${said[change]}`)
  for (const note of dev.notes) say(`note: ${note}`)
  for (const warning of dev.warnings) say(`warning: ${warning}`)
  const changed = dev.matched.filter(({ change }) => change !== 'none').length
  say(`${changed} of ${dev.matched.length} containers changed`)
  process.stdout.write(piped ? dev.text : `${manifestDev}\n`)
})

/** The images of the operands, held to the same rules as those of the settings. */
function imagesOf(operands: readonly string[], chosen: Settings): Pick<Settings, 'prodImage' | 'devImage'> {
  const [prodImage, devImage, ...more] = operands
  if (prodImage === undefined) return chosen
  if (devImage === undefined || more.length > 0) throw new UserError('give PROD_IMAGE and DEV_IMAGE, or neither', 2)
  const given = parse('', { PROD_IMAGE: prodImage, DEV_IMAGE: devImage })
  if ('faults' in given)
    throw new UserError(faultsText(given.faults.map((fault) => ({ ...fault, where: 'operand' }))), 2)
  return given.settings
}

function injection({ injectImage, binaryPath }: Settings) {
  return {
    image: injectImage,
    agent: readFileSync(join(root, 'agent', 'hotswap-dev'), 'utf8'),
    binaryChosen: binaryPath !== defaults().binaryPath,
  }
}
