// Writes the dev manifest: the production manifest, in which the agent and its debugger run the program.
import { type Images, makeDevManifest, optionsOf, sayMade, unlessSame } from './lib/manifest/dev-manifest.ts'
import { generate } from './lib/manifest/generate.ts'
import { settings } from './lib/settings/settings.ts'
import { faultsText, parse } from './lib/settings/table.ts'
import { task } from './lib/frame/task.ts'
import { UserError, say } from './lib/frame/talk.ts'
import { readInput } from './lib/frame/text-file.ts'

const about = {
  name: 'generate-deployment-dev',
  summary: 'writes the dev manifest: the production manifest, in which the agent and its debugger run the program',
  operands: '[-] [PROD_IMAGE DEV_IMAGE]',
  more:
    'PROD_IMAGE is the image of the production manifest, DEV_IMAGE the one that container-dev builds. If DEV_IMAGE is empty,\n' +
    'the image stays, and the agent is injected with tools of INJECT_IMAGE. Prints the path of the dev manifest. With -, reads\n' +
    'the manifest from standard input (helm template, kubectl kustomize, kubectl get -o yaml) and prints the dev manifest.\n' +
    'Settings: PROD_IMAGE, DEV_IMAGE, INJECT_IMAGE, MANIFEST, MANIFEST_DEV, BINARY_PATH, DEBUG_PORT, DEBUG_WAIT, SETTLE, LIMIT, HOLD in .env.',
} as const

await task(about, async ({ operands }) => {
  const chosen = await settings()
  const piped = operands[0] === '-'
  const images = imagesOf(piped ? operands.slice(1) : operands)
  const { prodImage, devImage } = images ?? chosen
  const { manifest, manifestDev, injectImage } = chosen
  const file = piped ? 'standard input' : manifest
  if (!piped) unlessSame(chosen)
  say(`${file} · ${prodImage} ${devImage === '' ? `with the agent, and tools of ${injectImage}` : `→ ${devImage}`}`)
  if (piped) {
    const dev = generate(await readInput(), optionsOf(chosen, file, images))
    sayMade(dev)
    process.stdout.write(dev.text)
  } else {
    sayMade(makeDevManifest(chosen, images))
    process.stdout.write(`${manifestDev}\n`)
  }
})

/** The images of the operands, held to the same rules as those of the settings; undefined if none are given. */
function imagesOf(operands: readonly string[]): Images | undefined {
  const [prodImage, devImage, ...more] = operands
  if (prodImage === undefined) return undefined
  if (devImage === undefined || more.length > 0) throw new UserError('give PROD_IMAGE and DEV_IMAGE, or neither', 2)
  const given = parse('', { PROD_IMAGE: prodImage, DEV_IMAGE: devImage })
  if ('faults' in given)
    throw new UserError(faultsText(given.faults.map((fault) => ({ ...fault, where: 'operand' }))), 2)
  return given.settings
}
