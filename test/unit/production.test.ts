import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  isDev,
  isMade,
  isUnchanged,
  kept,
  keeper,
  lastApplied,
  madeWith,
  production,
} from '../../tasks/lib/cluster/production.ts'
import { UserError } from '../../tasks/lib/frame/talk.ts'

const container = {
  name: 'web',
  image: 'shop:1',
  command: ['/shop'],
  livenessProbe: { httpGet: { path: '/', port: 1 } },
}
const deployment = (containers: readonly object[], metadata: object = {}) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'shop', ...metadata },
  spec: { replicas: 3, template: { spec: { containers } } },
})

test('what is kept of a live object could be made again, and holds all that was asked for', () => {
  const annotations = { 'deployment.kubernetes.io/revision': '3', 'hotswap-dev/production': '{}' }
  const added = { uid: 'u', resourceVersion: '7', generation: 2, creationTimestamp: 'now', managedFields: [] }
  const labels = { app: 'shop' }
  const mine = { 'kubectl.kubernetes.io/last-applied-configuration': '{}', mine: '1' }
  assert.equal(
    kept({
      ...deployment([container], { ...added, labels, annotations: { ...annotations, ...mine } }),
      status: { x: 1 },
    }),
    deployment([container], { labels, annotations: mine }),
  )
  assert.equal(kept(deployment([], { annotations })), deployment([]))
  assert.is(production(deployment([])), undefined)
  const was = deployment([container])
  assert.equal(production(deployment([], { annotations: { 'hotswap-dev/production': JSON.stringify(was) } })), was)
})

test('an annotation that somebody has damaged is named, with the way out', () => {
  const agent = { ...container, command: ['hotswap-dev', '--', '/shop'] }
  const other = { ...deployment([]), metadata: { name: 'till' } }
  for (const [key, read, then] of [
    ['hotswap-dev/production', production, 'npm run switch-prod then applies MANIFEST'],
    ['hotswap-dev/made', madeWith, 'what switch-dev has made with it then stays'],
    ['hotswap-dev/made', isMade, 'what switch-dev has made with it then stays'],
    [
      'kubectl.kubernetes.io/last-applied-configuration',
      (object: unknown) => isUnchanged(object, object),
      'the next kubectl apply writes it anew',
    ],
  ] as const)
    for (const json of ['', '{"a', '[]', '3', 'null', ...(read === production ? ['{}', JSON.stringify(other)] : [])]) {
      const object = deployment([agent], { namespace: 'shops', annotations: { [key]: json } })
      assert.throws(
        () => read(object),
        (error: unknown) => {
          assert.instance(error, UserError)
          assert.is(
            error instanceof UserError && error.message,
            `Deployment shop: its annotation ${key} is damaged, it does not hold what was written there - ` +
              `take it away (kubectl annotate -n shops deployment.apps/shop ${key}-); ${then}`,
          )
          return true
        },
        json,
      )
    }
})

test('a workload is a dev one where one of its containers runs the agent', () => {
  const agent = { name: 'a', command: ['/hotswap/bin/busybox', 'sh', '/hotswap/agent/hotswap-dev', '--', '/b'] }
  const spec = { containers: [container], initContainers: [agent] }
  for (const [object, expected] of [
    [deployment([container]), false],
    [deployment([container, agent]), true],
    [deployment([{ name: 'a', args: ['hotswap-dev', '--', '/b'] }]), true],
    [{ kind: 'Pod', spec }, true],
    [{ kind: 'Deployment', spec: { template: { spec } } }, true],
    [{ kind: 'Service' }, false],
  ] as const)
    assert.is(isDev(object), expected, JSON.stringify(object))
})

test('a probe that apply would leave is put into what apply takes for its own', () => {
  const { livenessProbe, ...bare } = container
  const agent = { ...bare, command: ['hotswap-dev', '--', '/shop'] }
  const meant = deployment([agent])
  const stays = deployment([{ ...agent, livenessProbe }])
  assert.is(lastApplied(deployment([container]), meant, meant), undefined, 'it goes by itself')
  assert.equal(lastApplied(deployment([container]), stays, meant), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'shop' },
    spec: { template: { spec: { containers: [{ name: 'web', livenessProbe }] } } },
  })
  const mesh = { name: 'mesh', image: 'mesh' }
  const key = 'kubectl.kubernetes.io/last-applied-configuration'
  const before = deployment([bare, mesh])
  assert.equal(
    lastApplied(deployment([container], { annotations: { [key]: JSON.stringify(before) } }), stays, meant),
    deployment([mesh, container]),
    'what stands there stays',
  )
  assert.is(lastApplied(deployment([container]), stays, stays), undefined, 'it is meant to be there')
  const other = deployment([container])
  assert.is(lastApplied(other, other, deployment([bare])), undefined, 'a container without the agent keeps its probes')
})

test('a manifest that says what it said when it was applied is known to be unchanged', () => {
  const manifest = deployment([container], { labels: { app: 'shop' } })
  const applied = { ...manifest, metadata: { ...manifest.metadata, annotations: {}, namespace: 'default' } }
  const key = 'kubectl.kubernetes.io/last-applied-configuration'
  const object = deployment([container], { annotations: { [key]: `${JSON.stringify(applied)}\n` } })
  assert.ok(isUnchanged(object, manifest))
  assert.not.ok(isUnchanged(object, deployment([{ ...container, image: 'shop:2' }], { labels: { app: 'shop' } })))
  assert.not.ok(isUnchanged(object, deployment([container])))
  assert.ok(isUnchanged(deployment([container]), manifest), 'something else than kubectl apply made it')
})

test('who takes a change back is told by labels and annotations', () => {
  const flux = (kind: string, annotations = {}) => ({
    labels: { [`${kind}.toolkit.fluxcd.io/name`]: 'apps', [`${kind}.toolkit.fluxcd.io/namespace`]: 'flux-system' },
    annotations,
  })
  const helm = {
    labels: { 'app.kubernetes.io/managed-by': 'Helm' },
    annotations: { 'meta.helm.sh/release-name': 'shop' },
  }
  const table: readonly [metadata: object, who: RegExp | undefined, first?: string, then?: string][] = [
    [{}, undefined],
    [{ labels: { 'app.kubernetes.io/instance': 'shop', 'app.kubernetes.io/managed-by': 'kustomize' } }, undefined],
    [
      { ...helm, annotations: { 'argocd.argoproj.io/tracking-id': 'shop:apps/Deployment:default/shop' } },
      /^is kept by Argo CD \(application shop\), /,
      'argocd app set shop --sync-policy none',
      'argocd app set shop --sync-policy automated',
    ],
    [
      { labels: { 'argocd.argoproj.io/instance': 'shop' } },
      /^is kept by Argo CD \(application shop\), /,
      'argocd app set shop --sync-policy none',
      'argocd app set shop --sync-policy automated',
    ],
    [
      flux('kustomize'),
      /^is kept by Flux \(kustomization apps\), /,
      'flux suspend kustomization apps -n flux-system',
      'flux resume kustomization apps -n flux-system',
    ],
    [
      { ...helm, labels: { ...helm.labels, ...flux('helm').labels } },
      /^is kept by Flux \(helmrelease apps\), /,
      'flux suspend helmrelease apps -n flux-system',
      'flux resume helmrelease apps -n flux-system',
    ],
    [flux('kustomize', { 'kustomize.toolkit.fluxcd.io/reconcile': 'disabled' }), undefined],
    [helm, /^is kept by Helm \(release shop\): /, 'run npm run switch-prod before one', ''],
  ]
  for (const [metadata, who, first, then] of table) {
    const found = keeper(deployment([], metadata))
    if (who === undefined) assert.is(found, undefined, JSON.stringify(metadata))
    else {
      assert.match(found?.who ?? '', who)
      assert.equal([found?.first, found?.then], [first, then])
    }
  }
})

test.run()
