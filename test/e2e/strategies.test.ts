// How a workload brings its pods up is its own matter: where that keeps dev pods from coming, switch-dev says so at once.
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { kubectl, until } from './cluster.ts'
import { modes, production, project, type Project } from './project.ts'

const [, , injected] = modes
const strategies = suite<{ it: Project }>('what is in the way of dev pods')
strategies.before(async (context) => {
  context.it = await project('strategies', injected)
  await production(context.it)
})
strategies.after.each(async ({ it }) => {
  await it.kubectl([
    'delete',
    'deployment,statefulset,daemonset,replicaset',
    '--all',
    '--cascade=foreground',
    '--wait=true',
  ])
})
strategies.after(async ({ it }) => it.remove())

const file = 'manifests/kind.yml'

/** The manifest of hello as another kind, with other fields in its spec; what runs first may have others. */
async function prepared(it: Project, kind: string, fields: string, first = fields): Promise<void> {
  const text = it.checkout.read('manifests/deployment.yml').replace('kind: Deployment', `kind: ${kind}`)
  const replaced = (more: string) =>
    (kind === 'DaemonSet' ? text.replace('  replicas: 1\n', '') : text).replace(
      /^(spec:\n)(?: {2}replicas: 1\n)?/m,
      `$1${more}`,
    )
  it.checkout.file(file, replaced(first))
  await it.kubectl(['apply', '-f', join(it.checkout.dir, file)])
  it.checkout.file(file, replaced(fields))
  it.set({ MANIFEST: file })
  await it.run('generate-deployment-dev')
}

/** What switch-dev says at its end, within seconds. */
async function refused(it: Project, code = 1): Promise<string> {
  const begin = performance.now()
  const { stderr } = await it.run('switch-dev', [], { code })
  const seconds = (performance.now() - begin) / 1000
  assert.ok(seconds < 20, `${seconds} s`)
  return stderr.trim().split('\n').at(-1) ?? ''
}

const pods = (it: Project, count = 1) => until('the pods', 60, async () => (await it.pods()).length === count)
const deleted = "kubectl delete pod -l 'app=hello', then run the command again"

for (const [kind, fields] of [
  ['StatefulSet', '  serviceName: hello\n  updateStrategy: {type: OnDelete}\n'],
  ['DaemonSet', '  updateStrategy: {type: OnDelete}\n'],
  ['ReplicaSet', ''],
] as const)
  strategies(
    `${kind}${fields === '' ? '' : ' with OnDelete'}: the pods have to be deleted, and then are dev pods`,
    async ({ it }) => {
      await prepared(it, kind, fields)
      await pods(it)
      const why =
        fields === ''
          ? 'its pods stay as they are when it changes'
          : 'OnDelete: a pod becomes a dev pod when the old one is deleted'
      assert.is(await refused(it), `error: ${kind} hello: ${why} - ${deleted}`)
      await it.kubectl(['delete', 'pod', '-l', 'app=hello'])
      const { stderr } = await it.run('switch-dev')
      assert.match(stderr, /: the agent answers \(running, /)
      assert.is(
        (await it.run('switch-prod', [], { code: 1 })).stderr.trim().split('\n').at(-1),
        `error: ${kind} hello: ${why} - ${deleted}`,
      )
    },
  )

strategies('a StatefulSet with a partition', async ({ it }) => {
  await prepared(
    it,
    'StatefulSet',
    '  replicas: 2\n  serviceName: hello\n  podManagementPolicy: Parallel\n  updateStrategy: {rollingUpdate: {partition: 1}}\n',
  )
  await pods(it, 2)
  assert.match(
    await refused(it),
    /^error: StatefulSet hello: partition 1: pods below it stay as they are - set it to 0 in MANIFEST for development, then npm run generate-deployment-dev && npm run switch-dev$/,
  )
  // made anew, all of its pods are dev pods
  await it.kubectl(['delete', 'statefulset', 'hello', '--cascade=foreground'])
  assert.is((await it.run('switch-dev')).stderr.match(/: the agent answers \(running, /g)?.length, 2)
})

strategies('a Deployment that is paused, with pods or without', async ({ it }) => {
  const way =
    'error: Deployment hello: paused: no new pod comes - take paused out of MANIFEST for development, then npm run generate-deployment-dev && npm run switch-dev'
  await prepared(it, 'Deployment', '  paused: true\n', '  replicas: 1\n')
  await pods(it)
  assert.is(await refused(it), way)
  await it.kubectl(['delete', 'deployment', 'hello', '--cascade=foreground'])
  await prepared(it, 'Deployment', '  paused: true\n')
  assert.is(await refused(it), way)
})

strategies('replicas 0, as KEDA has them', async ({ it }) => {
  await prepared(it, 'Deployment', '  replicas: 0\n')
  assert.is(
    await refused(it),
    'error: Deployment hello has replicas 0: there is no pod to change - kubectl scale deployment.apps/hello --replicas=1, or let its autoscaler, then run the command again',
  )
  assert.match((await it.run('switch-prod')).stderr, /production is back/)
})

strategies('a DaemonSet that no node is for', async ({ it }) => {
  await prepared(it, 'DaemonSet', '')
  const text = it.checkout.read(file)
  it.checkout.file(file, text.replace('      containers:\n', '      nodeSelector: {no: node}\n      containers:\n'))
  await it.run('generate-deployment-dev')
  assert.is(
    await refused(it),
    'error: DaemonSet hello has no pod: no node fits it - look at its nodeSelector, affinity and tolerations',
  )
})

strategies('a SELECTOR that does not match the pods is said, and not to run switch-dev', async ({ it }) => {
  await prepared(it, 'Deployment', '  replicas: 1\n')
  it.set({ MANIFEST: file, SELECTOR: 'app=other' })
  await it.run('generate-deployment-dev')
  assert.is(
    await refused(it, 2),
    'error: Deployment hello: up, and SELECTOR=app=other matches none of its pods - put into .env: SELECTOR=app=hello',
  )
})

strategies('a kind that the cluster does not have is said before anything is changed', async ({ it }) => {
  await prepared(it, 'Deployment', '  replicas: 1\n')
  const text = it.checkout.read(file)
  it.checkout.file(file, `${text}---\napiVersion: example.com/v1\nkind: Watcher\nmetadata: {name: hello}\n`)
  assert.match(await refused(it), /^error: .*no matches for kind "Watcher" in version "example\.com\/v1"/)
  assert.not.match(await it.kubectl(['get', 'deployment', 'hello', '-o', 'json']), /hotswap-dev/)
})

// --- kinds of others, whose controllers are not there: the test says what they would

const customs = suite<{ it: Project }>('kinds of other groups')
const definition = (plural: string, group: string, kind: string) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` },
    versions: [
      {
        name: 'v1alpha1',
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        subresources: { status: {} },
      },
    ],
  },
})
const definitions = [
  definition('rollouts', 'argoproj.io', 'Rollout'),
  definition('statefulsets', 'apps.kruise.io', 'StatefulSet'),
  definition('services', 'serving.knative.dev', 'Service'),
]
const crds = definitions.map(({ metadata }) => `crd/${metadata.name}`)
customs.before(async (context) => {
  for (const each of definitions) await kubectl(['apply', '-f', '-'], { input: JSON.stringify(each) })
  await kubectl(['wait', '--for=condition=Established', ...crds, '--timeout=30s'])
  context.it = await project('groups', injected)
  await production(context.it)
})
customs.after(async ({ it }) => {
  await it.remove()
  await kubectl(['delete', ...crds, '--ignore-not-found', '--wait=false'])
})

/** The manifest of hello as a kind of another group, in the cluster, as its controller would have it after the next change. */
async function custom(it: Project, apiVersion: string, kind: string, status: object, spec = ''): Promise<string> {
  const text = it.checkout.read('manifests/deployment.yml')
  it.checkout.file(
    file,
    text
      .replace('apiVersion: apps/v1\nkind: Deployment', `apiVersion: ${apiVersion}\nkind: ${kind}`)
      .replace(/^spec:\n/m, `spec:\n${spec}`),
  )
  it.set({ MANIFEST: file })
  await it.kubectl(['apply', '-f', join(it.checkout.dir, file)])
  const name = `${kind.toLowerCase()}.${apiVersion.split('/')[0]}/hello`
  await it.kubectl(['patch', name, '--subresource=status', '--type=merge', '--patch', JSON.stringify({ status })])
  await it.run('generate-deployment-dev')
  return name
}

const annotations = (it: Project, name: string) => it.kubectl(['get', name, '-o', 'jsonpath={.metadata.annotations}'])

customs('a canary of Argo Rollouts that waits at a step', async ({ it }) => {
  const paused = {
    observedGeneration: '2',
    replicas: 1,
    updatedReplicas: 0,
    pauseConditions: [{ reason: 'CanaryPauseStep' }],
  }
  await custom(
    it,
    'argoproj.io/v1alpha1',
    'Rollout',
    paused,
    '  strategy: {canary: {steps: [{setWeight: 20}, {pause: {}}]}}\n',
  )
  assert.is(
    await refused(it),
    'error: Rollout hello: canary steps: new pods come step by step, and it is paused (CanaryPauseStep) - kubectl argo rollouts promote hello --full, or take the steps out of MANIFEST, then npm run generate-deployment-dev && npm run switch-dev',
  )
  const { stdout } = await it.run('doctor-dev', [], { code: 0 })
  assert.match(stdout, /^ok +permissions +\S/m)
})

customs(
  'a StatefulSet of OpenKruise and a Service of Knative: the core kinds of that name are not touched',
  async ({ it }) => {
    await it.kubectl(['create', 'service', 'clusterip', 'hello', '--tcp=80'])
    const core = it.checkout
      .read('manifests/deployment.yml')
      .replace('kind: Deployment', 'kind: StatefulSet')
      .replace('replicas: 1', 'replicas: 0')
      .replace(/app: hello/g, 'app: core')
    await it.kubectl(['apply', '-f', '-'], core)
    const up = { observedGeneration: 2, replicas: 1, updatedReplicas: 1, availableReplicas: 1 }
    for (const [apiVersion, kind, other] of [
      ['apps.kruise.io/v1alpha1', 'StatefulSet', 'statefulset.apps/hello'],
      ['serving.knative.dev/v1alpha1', 'Service', 'service/hello'],
    ] as const) {
      const name = await custom(it, apiVersion, kind, up)
      const before = await annotations(it, other)
      assert.is(
        await refused(it, 2),
        `error: ${kind} hello: up, and SELECTOR=app=hello matches none of its pods - put into .env: SELECTOR=app=hello`,
      )
      assert.match(await annotations(it, name), /hotswap-dev\/production/)
      assert.is(await annotations(it, other), before)
      const uid = () => it.kubectl(['get', name, '-o', 'jsonpath={.metadata.generation}'])
      await it.kubectl([
        'patch',
        name,
        '--subresource=status',
        '--type=merge',
        '--patch',
        '{"status":{"observedGeneration":3}}',
      ])
      const { stderr } = await it.run('switch-prod')
      assert.match(stderr, new RegExp(`^${name} is as it was before$`, 'm'))
      assert.is(await uid(), '3')
    }
  },
)

strategies.run()
customs.run()
