// The upload through every kubectl from 1.29 to 1.33 that this machine has, over WebSocket and over SPDY.
import { execFileSync } from 'node:child_process'
import { readdirSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { devPods, project, type Project } from './project.ts'

/** Paths of kubectl.1.NN beside the kubectl on PATH, as the Google Cloud SDK installs them, and of kubectl itself. */
function versions(): Map<string, string> {
  const installed = realpathSync(execFileSync('sh', ['-c', 'command -v kubectl'], { encoding: 'utf8' }).trim())
  const folder = dirname(installed)
  const found = new Map<string, string>()
  for (const path of [
    installed,
    ...readdirSync(folder).flatMap((name) => (/^kubectl\.1\.\d+$/.test(name) ? join(folder, name) : [])),
  ]) {
    const { clientVersion } = JSON.parse(
      execFileSync(path, ['version', '--client', '-o', 'json'], { encoding: 'utf8' }),
    )
    const minor = /^v(1\.\d+)\./.exec(clientVersion.gitVersion)?.[1] ?? ''
    if (!found.has(minor)) found.set(minor, path)
  }
  return found
}

const versioned = suite<{ it: Project }>('kubectl versions')
versioned.before(async (context) => {
  context.it = await project('versions')
  await devPods(context.it)
})
versioned.after(async ({ it }) => it.remove())

const here = versions()
const wanted = ['1.29', '1.30', '1.31', '1.32', '1.33']
for (const minor of wanted.filter((one) => !here.has(one)))
  process.stderr.write(`not run: kubectl ${minor}, which is not here\n`)

for (const [minor, path] of here)
  for (const [protocol, on] of [
    ['WebSocket', 'true'],
    ['SPDY', 'false'],
  ] as const)
    versioned(`kubectl ${minor} over ${protocol}`, async ({ it }) => {
      it.checkout.fake('kubectl', `exec '${path}' "$@"`)
      it.edit(`${minor} ${protocol}, version `)
      await it.run('build')
      it.set({ ENCODING: on === 'true' ? 'raw' : 'gzip' })
      const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: on }
      const { stdout } = await it.run('deploy-dev', [], { env })
      const [pod = ''] = await it.pods()
      assert.match(stdout, new RegExp(`^${pod}: [\\d.]+ MB of [\\d.]+ MB  pid \\d+  `))
      assert.ok(it.checkout.calls('kubectl').some((call) => call.includes('exec')))
      assert.is((await it.answer(pod)).split(',')[0], `${minor} ${protocol}`)
    })

versioned.run()
