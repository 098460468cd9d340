// Builds the Go service for the pods, without debug information: small, for live testing.
import { recordBuild } from './lib/go/builds.ts'
import { buildLine, goBuild } from './lib/go/go.ts'
import { foresee } from './lib/patches/patches.ts'
import { settings } from './lib/settings/settings.ts'
import { task } from './lib/frame/task.ts'
import { print } from './lib/frame/talk.ts'

const about = {
  name: 'build',
  summary: 'builds the Go service for the pods, without debug information: small, for live testing',
  options: { json: { type: 'boolean', help: 'print the result as one JSON object' } },
  more: 'Prints path, version, size, 8 digits of the sha256 and seconds. Settings: GO_*, BINARY, VERSION_VAR in .env.',
} as const

await task(about, async ({ flags }) => {
  const chosen = await settings(['goMain', 'binary'])
  foresee(chosen)
  const build = await goBuild(chosen, { debug: false })
  recordBuild(build)
  print(flags.json === true ? JSON.stringify(build) : buildLine(build))
})
