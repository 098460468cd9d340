// What a test file that was killed has left on the cluster goes with the next one that runs there.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { root } from '../../tasks/lib/frame/root.ts'
import { suite } from '../lib/suite.ts'
import { cluster, kubectl, namespace, until, type Namespace } from './cluster.ts'

const harness = suite('the namespaces of the tests')

harness('one whose process was killed is removed, one whose process lives is not', async () => {
  const module = JSON.stringify(join(root, 'test/e2e/cluster.ts'))
  const code = `import(${module}).then(async ({ namespace }) => { console.log((await namespace('left')).name); setInterval(() => {}, 1000) })`
  const child = spawn(process.execPath, ['--import', 'tsx', '-e', code], {
    cwd: root,
    env: environment(),
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  let name = ''
  let own: Namespace | undefined
  child.stdout.on('data', (chunk: Buffer) => void (name += chunk.toString().trim()))
  try {
    await until('a namespace of the other process', 60, async () => name)
    own = await namespace('own')
    assert.is(await phase(name), 'Active')
  } finally {
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('close', resolve))
  }
  const next = await namespace('next')
  try {
    if ((await cluster()).owned) assert.not.equal(await phase(name), 'Active')
    assert.is(await phase(own.name), 'Active')
  } finally {
    await kubectl(['delete', 'namespace', name, '--ignore-not-found'])
    await Promise.all([own.remove(), next.remove()])
  }
})

const phase = (name: string) =>
  kubectl(['get', 'namespace', name, '--ignore-not-found', '-o', 'jsonpath={.status.phase}'])

harness.run()
