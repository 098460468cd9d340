// Builds the Go service for the pods with debug information and without optimization, for Delve.
import { recordBuild } from './lib/builds.ts'
import { provideLocalDelve } from './lib/delve.ts'
import { buildLine, goBuild } from './lib/go.ts'
import { foresee } from './lib/patches.ts'
import { settings } from './lib/settings.ts'
import { task } from './lib/task.ts'
import { print } from './lib/talk.ts'

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
