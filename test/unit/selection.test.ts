import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { nameOf } from '../../tasks/lib/frame/json.ts'
import { manifestOf, type Manifest } from '../../tasks/lib/yaml/objects.ts'
import { kindsOf } from '../../tasks/lib/doctor/permissions.ts'
import { namespacesOf, selectionOf, type Meaning } from '../../tasks/lib/yaml/selection.ts'
import { suite } from '../lib/suite.ts'

const selection = suite<{ dir: string; read: (text: string) => Manifest }>('what of a manifest is switched')
selection.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'hotswap-selection-'))
  context.read = (text) => {
    writeFileSync(join(context.dir, 'm.yml'), text)
    return manifestOf(join(context.dir, 'm.yml'))
  }
})
selection.after.each(({ dir }) => rmSync(dir, { recursive: true }))

/** A Deployment whose container runs the agent, unless `words` say otherwise. */
const deployment = (name: string, labels = `app: ${name}`, words = 'hotswap-dev, --, /shop', more = '') =>
  `kind: Deployment\nmetadata: {name: ${name}}\nspec: {template: {metadata: {labels: {${labels}}}, spec: {containers: [{name: ${name}, command: [${words}]}]${more}}}}\n`
const meaning = (selector: string, container = ''): Meaning => ({ selector, container })
const names = (objects: readonly unknown[]) => objects.map(nameOf)
const meant = (manifest: Manifest, selector: string, container?: string) =>
  selectionOf(manifest, meaning(selector, container)).mine.map(({ name }) => name)

const shop = [
  deployment(
    'api',
    'app: api, part: shop',
    undefined,
    ', volumes: [{configMap: {name: shared}}, {configMap: {name: keys}}]',
  ),
  deployment(
    'web',
    'app: web, part: shop',
    undefined,
    ', volumes: [{configMap: {name: shared}}, {secret: {secretName: web-key}}]',
  ),
  'kind: Service\nmetadata: {name: api}\nspec: {selector: {app: api}}\n',
  'kind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}}\n',
  'kind: Service\nmetadata: {name: all}\nspec: {selector: {part: shop}}\n',
  'kind: PodDisruptionBudget\nmetadata: {name: api}\nspec: {selector: {matchLabels: {app: api}}}\n',
  'kind: HorizontalPodAutoscaler\nmetadata: {name: any}\nspec: {scaleTargetRef: {kind: Deployment, name: web}}\n',
  'kind: ConfigMap\nmetadata: {name: shared}\n',
  'kind: ConfigMap\nmetadata: {name: keys}\n',
  'kind: Secret\nmetadata: {name: web-key}\n',
  'kind: Namespace\nmetadata: {name: shop}\n',
  'kind: Job\nmetadata: {name: migrate}\nspec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{name: m}]}}}\n',
]

selection('is the workload of SELECTOR and what belongs to it alone; what others use is shared', ({ read }) => {
  const { mine, own, shared, others } = selectionOf(read(shop.join('---\n')), meaning('app=web'))
  assert.equal(names(mine.map(({ object }) => object)), ['Deployment web'])
  assert.equal(names(own), ['Service web', 'HorizontalPodAutoscaler any', 'Secret web-key'])
  assert.equal(names(shared), ['Service all', 'ConfigMap shared', 'Namespace shop', 'Job migrate'])
  assert.equal(names(others), ['Deployment api', 'Service api', 'PodDisruptionBudget api', 'ConfigMap keys'])
})

selection('is all of a manifest of one workload, and of one whose SELECTOR matches all of them', ({ read }) => {
  const [, web = '', ...rest] = shop
  for (const [text, selector] of [
    [[web, ...rest].join('---\n'), 'app=web'],
    [[web, ...rest].join('---\n'), 'app=none'],
    [shop.join('---\n'), 'part=shop'],
  ] as const) {
    const manifest = read(text)
    const { mine, own } = selectionOf(manifest, meaning(selector))
    assert.is(mine.length + own.length, manifest.objects.length)
  }
})

selection('is of those that SELECTOR matches the ones that run the agent, in CONTAINER where it is set', ({ read }) => {
  const pair = read([deployment('web', 'app: shop'), deployment('worker', 'app: shop', '/work')].join('---\n'))
  assert.equal(meant(pair, 'app=shop'), ['web'])
  const both = read([deployment('web', 'app: shop'), deployment('worker', 'app: shop')].join('---\n'))
  assert.equal(meant(both, 'app=shop'), ['web', 'worker'])
  assert.equal(meant(both, 'app=shop', 'worker'), ['worker'])
  const none = read([deployment('web', 'app: shop', '/web'), deployment('worker', 'app: shop', '/work')].join('---\n'))
  assert.equal(meant(none, 'app=shop'), ['web', 'worker'], 'an image of their own may have it')
})

selection(
  'where SELECTOR matches none, the only one that runs the agent; of several none: each is named',
  ({ read }) => {
    assert.equal(meant(read([deployment('web'), deployment('api', undefined, '/api')].join('---\n')), 'app=x'), ['web'])
    assert.equal(meant(read('kind: ConfigMap\nmetadata: {name: x}\n'), 'app=x'), [])
    const several = read([deployment('web'), deployment('api')].join('---\n'))
    assert.throws(
      () => meant(several, 'app=x'),
      /: SELECTOR=app=x matches the pods of none of its workloads - put the line .* into \.env\n {2}Deployment web: SELECTOR=app=web\n {2}Deployment api: SELECTOR=app=api$/,
    )
  },
)

selection('has as its known workloads those of another manifest', ({ read }) => {
  const before = selectionOf(read(deployment('web')), meaning('app=web')).mine
  const { mine } = selectionOf(
    read([deployment('web', 'app: x'), deployment('api', 'app: web')].join('---\n')),
    meaning('app=web'),
    before,
  )
  assert.equal(
    mine.map(({ name }) => name),
    ['web'],
  )
})

selection('has the namespaces of what is meant', ({ read }) => {
  const of = (name: string) => deployment(name).replace('metadata: {', `metadata: {namespace: ${name}s, `)
  const manifest = read([of('web'), of('api')].join('---\n'))
  assert.equal(namespacesOf(manifest, meaning('app=web')), ['webs'])
  assert.equal(namespacesOf(manifest, meaning('app=x')), ['webs', 'apis'])
})

selection('a document is applied byte for byte, a List with those of its items alone that are wanted', ({ read }) => {
  const text = '# a\n---\nkind: A # one\nspec: {mode: 0400, day: 2001-12-14}\n---\n# two\nkind: B\n---\nkind: C'
  const manifest = read(text)
  const [, b, c] = manifest.objects
  assert.is(manifest.textOf([manifest.objects[0]]), '---\nkind: A # one\nspec: {mode: 0400, day: 2001-12-14}\n')
  assert.is(manifest.textOf([c, b]), '---\n# two\nkind: B\n---\nkind: C\n')
  assert.is(manifest.textOf([]), '')

  const list = read(
    'kind: List\nitems:\n- {kind: A, day: 2001-12-14}\n- kind: B\n  mode: 0400 # octal\n  day: 2001-12-14\n',
  )
  assert.is(
    list.textOf(list.objects.slice(1)),
    '---\nkind: List\nitems:\n  - kind: B\n    mode: 0400 # octal\n    day: 2001-12-14\n',
  )
  const aliased = read('kind: List\nitems:\n- {kind: A, spec: &s {x: 1}}\n- {kind: B, spec: *s}\n')
  assert.is(aliased.textOf(aliased.objects.slice(1)), '---\n{"kind":"List","items":[{"kind":"B","spec":{"x":1}}]}\n')
  const stream = read('{"kind": "A"}\n{"kind": "B"}\n')
  assert.is(stream.textOf(stream.objects.slice(1)), '---\n{"kind": "B"}\n')
})

selection('is asked for by the resources of its kinds, each in its group', async ({ dir, read }) => {
  const kinds = [
    ['apps/v1', 'Deployment', 'deployments.apps'],
    ['argoproj.io/v1alpha1', 'Rollout', 'rollouts.argoproj.io'],
    ['apps.kruise.io/v1beta1', 'StatefulSet', 'statefulsets.apps.kruise.io'],
    ['example.com/v1', 'Proxy', 'proxies.example.com'],
  ] as const
  for (const [apiVersion, kind, resource] of kinds) {
    const text = deployment('web').replace('Deployment', `${kind}\napiVersion: ${apiVersion}`)
    read([text, deployment('api', undefined, '/api')].join('---\n'))
    assert.equal(await kindsOf(join(dir, 'm.yml'), meaning('app=web')), [resource])
  }
})

selection.run()
