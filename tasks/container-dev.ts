// Builds the dev image: the base with the binary, the agent and Delve; brings it where the cluster finds it.
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { delve as delveCommand } from './lib/protocol/command.ts'
import { remember } from './lib/patches/cache.ts'
import { buildArgs, containerTool, imageTo, userOf } from './lib/cluster/container.ts'
import { delve } from './lib/go/delve.ts'
import { parcelOf } from './lib/delivery/parcel.ts'
import { contextOf } from './lib/pods/context.ts'
import { isSameImage } from './lib/settings/image.ts'
import { helper, helperName } from './lib/go/helper.ts'
import { settings } from './lib/settings/settings.ts'
import { defaults } from './lib/settings/table.ts'
import { task } from './lib/frame/task.ts'
import { root } from './lib/frame/root.ts'
import { onEnd } from './lib/frame/ending.ts'
import { print, say, UserError } from './lib/frame/talk.ts'
import { need, run } from './lib/frame/tools.ts'

const about = {
  name: 'container-dev',
  summary:
    'builds the dev image: BASE_IMAGE with the binary, the agent and Delve, and brings it where the cluster finds it',
  more: 'Prints the image. Settings: BASE_IMAGE, DEV_IMAGE, BINARY, BINARY_PATH, CONTAINER_TOOL, IMAGE_TO, DLV_VERSION in .env.',
} as const

await task(about, async () => {
  const chosen = await settings()
  if (chosen.devImage === '')
    throw new UserError('DEV_IMAGE is empty: there is no image to build - put one into .env: DEV_IMAGE=hello-dev', 2)
  const tool = containerTool(chosen)
  const bring = imageTo(chosen, tool, await contextOf(chosen))
  if (bring !== undefined) need(bring[0], `to bring the image into the cluster (IMAGE_TO=${chosen.imageTo})`)
  const parcel = await parcelOf(chosen.binary)
  say(`${tool} · ${chosen.devImage} from ${chosen.baseImage} · ${parcel.machine}`)

  const context = mkdtempSync(join(tmpdir(), 'hotswap-image-'))
  onEnd(() => rmSync(context, { recursive: true, force: true }))
  copyFileSync(join(root, 'agent', 'Dockerfile'), join(context, 'Dockerfile'))
  copyFileSync(join(root, 'agent', 'hotswap-dev'), join(context, 'hotswap-dev'))
  copyFileSync(chosen.binary, join(context, 'binary'))
  copyFileSync(await delve(chosen, parcel.machine), join(context, 'dlv'))
  const made = await helper(parcel.machine)
  copyFileSync(made.path, join(context, 'hotswap-helper'))

  const user = await userOf(tool, chosen.baseImage)
  if (user === '' && chosen.prodImage !== defaults().prodImage && !isSameImage(chosen.baseImage, chosen.prodImage))
    say(`${chosen.devImage} runs as root: BASE_IMAGE=${chosen.prodImage} keeps the user and the files of production`)
  const variables = {
    BASE_IMAGE: chosen.baseImage,
    BINARY_PATH: chosen.binaryPath,
    HELPER: helperName(made),
    RUN_AS: user === '' ? 'root' : user,
    DEBUG_OPTIONS: delveCommand(chosen.debugPort, chosen.debugWait),
  }
  const { exitCode } = await run(tool, buildArgs(tool, chosen.devImage, variables, context), {
    cwd: '.',
    output: 'show',
  })
  if (exitCode !== 0) throw new UserError(`${tool} could not build ${chosen.devImage}: its error is above`)
  if (bring !== undefined) {
    const [command, ...args] = bring
    say([command, ...args].join(' '))
    if ((await run(command, args, { cwd: '.', output: 'show' })).exitCode !== 0)
      throw new UserError(`${chosen.devImage} is built, but ${command} did not bring it into the cluster`)
  }
  remember(chosen.binary, parcel) // what a fresh pod runs: the first delivery can build on it
  print(chosen.devImage)
})
