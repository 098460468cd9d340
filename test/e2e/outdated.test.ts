// The dev manifest is made if there is none, and made anew where the settings that made it have changed.
import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { root } from '../../tasks/lib/frame/root.ts'
import { suite } from '../lib/suite.ts'
import { cluster, until } from './cluster.ts'
import { firstEdit, modes, production, project, type Project } from './project.ts'

const [, , injected] = modes
const outdated = suite<{ it: Project }>('a dev manifest and the settings')
outdated.before(async (context) => {
  context.it = await project('outdated', injected)
  const { it } = context
  await production(it)
  await it.kubectl(['apply', '-f', join(it.checkout.dir, 'manifests/deployment.yml')])
})
outdated.after(async ({ it }) => it.remove())

const path = 'manifests-dev/deployment-dev.yml'
const env = (it: Project) =>
  it.kubectl(['get', 'deployment', 'hello', '-o', 'jsonpath={.spec.template.spec.containers[0].env}'])

outdated('three values in a fresh clone: dev generates, switches, builds and deploys', async ({ it }) => {
  const { dir } = it.checkout
  cpSync(join(dir, 'examples/hello'), join(dir, 'elsewhere/hello'), { recursive: true })
  it.checkout.file('elsewhere/hello/go.mod', 'module example.com/hello\n\ngo 1.21\n')
  cpSync(join(dir, 'manifests/deployment.yml'), join(dir, 'elsewhere/hello/deployment.yml'))
  const { kubeconfig, context } = await cluster()
  it.checkout.file('.env', `GO_DIR=elsewhere/hello\nMANIFEST=elsewhere/hello/deployment.yml\nKUBE_CONTEXT=${context}\n`)
  // what this cluster needs: it has many namespaces, and no registry
  const own = { KUBECONFIG: kubeconfig, KUBE_NAMESPACE: it.namespace, INJECT_IMAGE: 'local/busybox:1' }
  const { stderr } = await firstEdit(it, own)
  assert.match(stderr, new RegExp(`^${path} is not there yet: npm run generate-deployment-dev$`, 'm'))
  assert.match(stderr, /^1 of 1 containers changed$/m)
  it.set({})
  await it.run('switch-prod')
})

outdated('where SETTLE has changed, switch-dev makes it anew; dev says that it is older', async ({ it }) => {
  it.set({})
  await it.run('generate-deployment-dev')
  const { stderr: first } = await it.run('switch-dev')
  assert.not.match(first, /older|generate-deployment-dev/)
  it.set({ SETTLE: '0.25', BINARY_PATH: '/usr/local/bin/hello' })
  const { kubeconfig } = await cluster()
  const { child, ended } = it.checkout.launch('dev', [], { env: { KUBECONFIG: kubeconfig }, limit: 100_000 })
  let told = ''
  child.stderr?.on('data', (chunk: Buffer) => void (told += chunk.toString()))
  await until('the watch', 60, async () => told.includes('watching ') || child.exitCode !== null)
  child.kill('SIGINT')
  await ended
  assert.match(
    told,
    new RegExp(`^warning: ${path} is older than manifests/deployment.yml or the settings - npm run switch-dev$`, 'm'),
  )

  const { stderr } = await it.run('switch-dev')
  assert.match(
    stderr,
    new RegExp(
      `^${path} is older than manifests/deployment.yml or the settings: npm run generate-deployment-dev$`,
      'm',
    ),
  )
  assert.match(await env(it), /"HOTSWAP_SETTLE","value":"0.25"/)
  assert.not.match((await it.run('switch-dev')).stderr, /older/)
})

outdated('one that was edited by hand, or was piped, stays; what is wrong with it is said', async ({ it }) => {
  it.set({})
  await it.run('generate-deployment-dev')
  it.checkout.file(path, it.checkout.read(path).replace('replicas: 1', 'replicas: 1 # mine'))
  assert.not.match((await it.run('switch-dev')).stderr, /warning/)
  it.set({ LIMIT: '20' })
  const { stderr } = await it.run('switch-dev')
  assert.match(
    stderr,
    new RegExp(`^warning: ${path} differs from what these settings make of manifests/deployment.yml - `, 'm'),
  )
  assert.match(it.checkout.read(path), /# mine/)

  rmSync(join(it.checkout.dir, '.hotswap/dev-manifests.json'))
  it.set({})
  const input = it.checkout.read('manifests/deployment.yml')
  it.checkout.file(path, (await it.run('generate-deployment-dev', ['-'], { input })).stdout)
  assert.not.match((await it.run('switch-dev')).stderr, /warning/)
  it.set({ LIMIT: '20' })
  assert.match(
    (await it.run('switch-dev')).stderr,
    new RegExp(`^warning: ${path} was made with other settings - make it again: `, 'm'),
  )
  assert.ok(existsSync(join(it.checkout.dir, path)))
})

outdated('pods of protocol 1: deploy-dev says what to run, and that does it', async ({ it }) => {
  it.set({})
  const known = it.checkout.read('agent/hotswap-dev')
  it.checkout.file('agent/hotswap-dev', gunzipSync(readFileSync(join(root, 'test/agent/protocol-1.gz'))).toString())
  await it.run('generate-deployment-dev')
  await it.run('switch-dev')
  it.checkout.file('agent/hotswap-dev', known)
  await it.run('build')
  const [pod = ''] = await it.pods()
  const { stderr } = await it.run('deploy-dev', [], { code: 1 })
  const next = 'run npm run generate-deployment-dev and npm run switch-dev'
  assert.match(stderr, new RegExp(`error: ${pod}: the agent is older than these tasks - ${next}\\n$`))
  assert.match((await it.run('status-dev')).stdout, / running /)
  await it.run('generate-deployment-dev')
  await it.run('switch-dev')
  assert.match((await it.run('deploy-dev')).stderr, /: has no hotswap-helper: [\d.]+ MB are sent, once$/m)
})

outdated('an INJECT_IMAGE that cannot be pulled is said within seconds, by its key', async ({ it }) => {
  it.set({ INJECT_IMAGE: 'registry.invalid/busybox:1' })
  await it.run('generate-deployment-dev')
  const begin = performance.now()
  const { stderr } = await it.run('switch-dev', [], { code: 1 })
  const seconds = (performance.now() - begin) / 1000
  assert.ok(seconds < 45, `${seconds} s`)
  assert.match(
    stderr.trim().split('\n').at(-1) ?? '',
    /^error: INJECT_IMAGE=registry\.invalid\/busybox:1 cannot be pulled \((?:ErrImagePull|ImagePullBackOff).*\) - put an image with a static busybox into \.env/,
  )
  it.set({})
  assert.match((await it.run('switch-dev')).stderr, /: the agent answers /)
  await it.run('switch-prod')
})

outdated.run()
