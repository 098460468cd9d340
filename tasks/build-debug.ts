// Builds the Go service for the pods with debug information and without optimization, for Delve.
import { recordBuild } from './lib/go/builds.ts'
import { provideLocalDelve } from './lib/go/delve.ts'
import { buildLine, goBuild } from './lib/go/go.ts'
import { foresee } from './lib/patches/patches.ts'
import { settings } from './lib/settings/settings.ts'
import { task } from './lib/frame/task.ts'
import { print } from './lib/frame/talk.ts'

const about = {
  name: 'build-debug',
  summary: 'builds the Go service for the pods with debug information and without optimization, for Delve',
  options: { json: { type: 'boolean', help: 'print the result as one JSON object' } },
  more: 'Prints path, version, size, 8 digits of the sha256 and seconds. Settings: GO_*, BINARY, VERSION_VAR in .env.',
} as const

await task(about, async ({ flags }) => {
  const chosen = await settings(['goMain', 'binary'])
  foresee(chosen)
  const build = await goBuild(chosen, { debug: true })
  recordBuild(build)
  // in a pod, the image brings its Delve; locally, the sandbox gets one
  if (chosen.target === 'local') await provideLocalDelve(chosen)
  print(flags.json === true ? JSON.stringify(build) : buildLine(build))
})
