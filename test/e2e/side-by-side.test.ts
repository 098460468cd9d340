// Two services of one manifest, each with dev pods of its own: what one developer switches leaves the other's as it is.
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { modes, production, project, type Project } from './project.ts'

const [, , injected] = modes
const beside = suite<{ it: Project }>('two services of one manifest')
beside.before(async (context) => {
  const it = await project('beside', injected)
  context.it = it
  await production(it)
  const hello = it.checkout.read('manifests/deployment.yml').replace(/^#.*\n/gm, '')
  // the labels, names and selectors; the program stays
  const named = (name: string) =>
    hello.replace(/(app|name): hello\b/g, `$1: ${name}`).replace('requests:', 'requests: # of its own')
  const settings = (name: string, value: string) =>
    `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {key: ${value}}\n`
  const shared = (text: string) =>
    text.replace('          ports:\n', '          envFrom: [{configMapRef: {name: shared}}]\n          ports:\n')
  const own = (name: string) =>
    shared(named(name)).replace('name: shared', `name: shared}}, {configMapRef: {name: ${name}-own`)
  const all = [own('api'), own('web'), ...['shared', 'api-own', 'web-own'].map((name) => settings(name, '"1"'))]
  it.checkout.file('manifests/deployment.yml', all.join('---\n'))
  await it.kubectl(['apply', '-f', `${it.checkout.dir}/manifests/deployment.yml`])
  for (const name of ['api', 'web']) await it.kubectl(['rollout', 'status', `deployment/${name}`, '--timeout=60s'])
})
beside.after(async ({ it }) => it.remove())

const as = (name: string) => ({ env: { SELECTOR: `app=${name}`, MANIFEST_DEV: `manifests-dev/${name}.yml` } })
const state = async (it: Project, name: string) =>
  JSON.parse(await it.kubectl(['get', 'deployment', name, '-o', 'json'])) as {
    metadata: { generation: number; annotations: Record<string, string> }
  }
const isDev = (object: object) => JSON.stringify(object).includes('/hotswap/agent/hotswap-dev')
const value = (it: Project, name: string) => it.kubectl(['get', 'configmap', name, '-o', 'jsonpath={.data.key}'])

beside('each is switched by itself, to dev and back; the other is named, and stays as it is', async ({ it }) => {
  const before = await state(it, 'web')
  await it.run('generate-deployment-dev', [], as('api'))
  const { stderr } = await it.run('switch-dev', [], as('api'))
  assert.match(stderr, /^left as they are: Deployment web \(SELECTOR=app=api means Deployment api\)$/m)
  assert.ok(isDev(await state(it, 'api')))
  assert.equal(await state(it, 'web'), { ...before, status: ((await state(it, 'web')) as { status?: unknown }).status })

  const api = await state(it, 'api')
  await it.run('generate-deployment-dev', [], as('web'))
  await it.run('switch-dev', [], as('web'))
  assert.ok(isDev(await state(it, 'web')))
  assert.is((await state(it, 'api')).metadata.generation, api.metadata.generation, 'the dev pods of api stay')

  const back = await it.run('switch-prod', [], as('web'))
  assert.match(back.stderr, /^left as they are: Deployment api \(/m)
  assert.not.match(back.stderr, /deployment\.apps\/api/)
  assert.not(isDev(await state(it, 'web')))
  assert.is((await state(it, 'api')).metadata.generation, api.metadata.generation)

  // from another machine: it has the production manifest alone
  await it.run('switch-dev', [], as('web'))
  const env = { SELECTOR: 'app=api', MANIFEST_DEV: 'manifests-dev/none.yml' }
  const { stderr: other } = await it.run('switch-prod', [], { env })
  assert.match(other, /^deployment\.apps\/api is as it was before$/m)
  assert.equal([isDev(await state(it, 'api')), isDev(await state(it, 'web'))], [false, true])
  await it.run('switch-prod', [], as('web'))
})

beside(
  'what belongs to one alone is applied; what the other uses too stays, and is named where it differs',
  async ({ it }) => {
    const manifest = it.checkout.read('manifests/deployment.yml')
    it.checkout.file('manifests/deployment.yml', manifest.replaceAll('key: "1"', 'key: "2"'))
    await it.run('generate-deployment-dev', [], as('api'))
    await it.kubectl(['delete', 'configmap', 'web-own'])
    const { stderr } = await it.run('switch-dev', [], as('api'))
    assert.match(
      stderr,
      /^warning: ConfigMap shared stays as it is, though manifests-dev\/api\.yml describes it differently: it does not belong to Deployment api alone - /m,
    )
    assert.equal([await value(it, 'api-own'), await value(it, 'shared')], ['2', '1'])
    assert.is(await it.kubectl(['get', 'configmap', 'web-own', '--ignore-not-found']), '')

    await it.kubectl(['delete', 'configmap', 'shared'])
    const again = await it.run('switch-dev', [], as('api'))
    assert.match(again.stderr, /^configmap\/shared created$/m)
    await it.run('switch-prod', [], as('api'))
  },
)

beside('a SELECTOR that means none of several is refused before anything is changed', async ({ it }) => {
  // a dev manifest of old: both run the agent
  const both = await it.run('generate-deployment-dev', ['-'], {
    ...as('web'),
    input: (
      await it.run('generate-deployment-dev', ['-'], {
        ...as('api'),
        input: it.checkout.read('manifests/deployment.yml'),
      })
    ).stdout,
  })
  it.checkout.file('manifests-dev/both.yml', both.stdout)
  const env = { SELECTOR: 'app=none', MANIFEST_DEV: 'manifests-dev/both.yml' }
  const { stderr } = await it.run('switch-dev', [], { env, code: 2 })
  assert.match(stderr, /error: manifests-dev\/both\.yml: SELECTOR=app=none matches the pods of none of its workloads/)
  assert.match(stderr, /^ {2}Deployment web: SELECTOR=app=web$/m)
})

beside.run()
