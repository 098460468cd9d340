// Where nothing was before switch-dev: what it makes is named, and switch-prod takes it away again.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { cluster, kubectl, until } from './cluster.ts'
import { modes, production, project, type Project } from './project.ts'

const [, , injected] = modes
const made = suite<{ it: Project }>('a manifest that runs nowhere yet')
made.before(async (context) => {
  context.it = await project('made', injected)
  const { it } = context
  await production(it)
  const parts = [
    it.checkout.read('manifests/deployment.yml'),
    'apiVersion: v1\nkind: Service\nmetadata: {name: hello}\nspec: {ports: [{port: 80}], selector: {app: hello}}\n',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hello}\ndata: {key: value}\n',
    'apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: hello}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}\n',
  ]
  it.checkout.file('manifests/deployment.yml', parts.join('---\n'))
  await it.run('generate-deployment-dev')
})
made.after(async ({ it }) => it.remove())

const left = async (it: Project) =>
  (await it.kubectl(['get', 'deployment,service,configmap,pvc', '-o', 'name']))
    .split('\n')
    .filter((name) => /\/hello$/.test(name))

made('is made in the namespace of the context, which is said; switch-prod takes away what was made', async ({ it }) => {
  // no KUBE_NAMESPACE, and none in the manifest: the context has one
  const { kubeconfig, context } = await cluster()
  const config = it.checkout.file('context.json', readFileSync(kubeconfig, 'utf8'))
  await kubectl(['config', 'set-context', context, `--namespace=${it.namespace}`, '--kubeconfig', config])
  it.set({ KUBE_NAMESPACE: '' })
  const env = { KUBECONFIG: config }
  const { stderr } = await it.run('switch-dev', [], { env })
  assert.match(
    stderr,
    new RegExp(
      `^not in namespace ${it.namespace} yet, to be made there: Deployment hello, Service hello, ConfigMap hello, PersistentVolumeClaim hello$`,
      'm',
    ),
  )
  assert.match(stderr, /: the agent answers \(running, /)
  const again = await it.run('switch-dev', [], { env })
  assert.not.match(again.stderr, /to be made there/)

  const back = await it.run('switch-prod', [], { env })
  for (const name of ['deployment.apps/hello', 'service/hello', 'configmap/hello'])
    assert.match(back.stderr, new RegExp(`^${name} is gone: switch-dev had made it$`, 'm'))
  assert.match(back.stderr, /nothing ran there before switch-dev: nothing runs there now\n$/)
  assert.not.match(back.stderr, /production is back/)
  assert.equal(await left(it), ['persistentvolumeclaim/hello'], 'what may hold data stays')
  assert.equal(await it.pods(), [])
  it.set({})
})

made('what was there before stays, also where it was made anew in the meantime', async ({ it }) => {
  await it.kubectl(['create', 'configmap', 'hello', '--from-literal=key=value'])
  await it.run('switch-dev')
  await it.kubectl(['delete', 'service', 'hello'])
  await it.kubectl(['create', 'service', 'clusterip', 'hello', '--tcp=80'])
  await it.run('switch-prod')
  assert.equal(
    (await left(it)).filter((name) => !/pvc|persistent/.test(name)),
    ['service/hello', 'configmap/hello'],
  )
  await it.kubectl(['delete', 'service,configmap', 'hello'])
})

made('production that came over it is production: it is kept, and comes back', async ({ it }) => {
  await it.run('switch-dev')
  const file = join(it.checkout.dir, 'manifests/deployment.yml')
  await it.kubectl(['apply', '-f', file])
  await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
  await it.run('switch-dev')
  const { stderr } = await it.run('switch-prod')
  assert.match(stderr, /^deployment\.apps\/hello is as it was before$/m)
  assert.match(stderr, /production is back\n$/)
  await until('production', 30, async () => (await it.pods()).length === 1)
  assert.is(await it.kubectl(['diff', '-f', file]), '')
  await it.kubectl(['delete', '-f', file, '--wait=true'])
})

made('an annotation that somebody has damaged is named before anything changes, with the way out', async ({ it }) => {
  const file = join(it.checkout.dir, 'manifests/deployment.yml')
  await it.kubectl(['apply', '-f', file])
  await it.run('switch-dev')
  await it.kubectl(['annotate', 'deployment/hello', 'hotswap-dev/production={"kind', '--overwrite'])
  const { stderr } = await it.run('switch-prod', [], { code: 1 })
  const [, words = ''] =
    /^error: Deployment hello: its annotation hotswap-dev\/production is damaged, .* - take it away \(kubectl (annotate -n .*)\); npm run switch-prod then applies MANIFEST$/m.exec(
      stderr,
    ) ?? []
  assert.is.not(words, '', stderr)
  await it.kubectl(words.split(' '))
  const back = await it.run('switch-prod')
  assert.match(back.stderr, /production is back\n$/)
  assert.is(await it.kubectl(['diff', '-f', file]), '')
  await it.kubectl(['delete', '-f', file, '--wait=true'])
})

made('a workload that is made anew for its selector is still the one that was, or was made', async ({ it }) => {
  await it.run('switch-dev')
  const path = 'manifests-dev/deployment-dev.yml'
  const dev = it.checkout.read(path)
  it.checkout.file(
    path,
    dev
      .replace('    matchLabels:\n', '    matchLabels:\n      tier: dev\n')
      .replace('      labels:\n        app: hello\n', '      labels:\n        tier: dev\n        app: hello\n'),
  )
  const { stderr } = await it.run('switch-dev')
  assert.match(stderr, /it is deleted and made anew\n/)
  it.checkout.file(path, dev)
  await it.run('switch-prod')
  assert.equal(await left(it), ['persistentvolumeclaim/hello'])
})

made.run()
