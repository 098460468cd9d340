// What a task needs of a manifest is remembered by the file's hash: a bundle of megabytes is parsed once.
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Checkout, checkout } from '../lib/checkout.ts'

const remembered = suite<{ copy: Checkout }>('a manifest that was read before')
remembered.before.each((context) => {
  const copy = checkout()
  context.copy = copy
  const view = { 'current-context': 'kind-fake', clusters: [{ cluster: { server: 'https://127.0.0.1:1' } }] }
  copy.fake('kubectl', `case $* in *view*) printf '%s' '${JSON.stringify(view)}' ;; *) printf '{"items": []}' ;; esac`)
})
remembered.after.each(({ copy }) => copy.remove())

const path = '.hotswap/workloads.json'
const manifest = (copy: Checkout, name: string) =>
  copy.file(
    'manifests/deployment.yml',
    `kind: Deployment\nmetadata: {name: web, namespace: ${name}}\nspec: {selector: {matchLabels: {app: ${name}}}, template: {metadata: {labels: {app: ${name}}}, spec: {containers: [{name: web, image: web, command: [/web]}]}}}\n`,
  )
const where = async (copy: Checkout, more: Record<string, string> = {}) => {
  const env = { KUBE_CONTEXT: 'kind-fake', ...more }
  return (await copy.run('status-dev', [], { env })).stderr.split('\n')[0]
}

remembered('is not parsed again: what is remembered counts, until the file is another', async ({ copy }) => {
  manifest(copy, 'one')
  assert.is(await where(copy), 'kubernetes · context kind-fake · namespace one · app=hello')
  copy.file(path, copy.read(path).replaceAll('one', 'memory'))
  assert.is(await where(copy), 'kubernetes · context kind-fake · namespace memory · app=hello')
  assert.match(
    (await copy.run('status-dev', [], { env: { KUBE_CONTEXT: 'kind-fake', KUBE_NAMESPACE: 'mine' } })).stderr,
    /error: KUBE_NAMESPACE is mine, but manifests\/deployment\.yml has namespace memory/,
  )
  manifest(copy, 'two')
  assert.is(await where(copy), 'kubernetes · context kind-fake · namespace two · app=hello')
  manifest(copy, 'one')
  assert.is(await where(copy), 'kubernetes · context kind-fake · namespace memory · app=hello')
  copy.file(path, '{"damaged')
  assert.is(await where(copy), 'kubernetes · context kind-fake · namespace one · app=hello')
})

remembered('nor is it where SELECTOR is found in it', async ({ copy }) => {
  copy.file('svc/main.go', 'package main\n\nfunc main() {}\n')
  copy.file('svc/go.mod', 'module example.com/svc\n\ngo 1.21\n')
  manifest(copy, 'one')
  const env = { GO_DIR: 'svc', MANIFEST: 'svc/web.yml' }
  copy.file('svc/web.yml', copy.read('manifests/deployment.yml'))
  assert.is(await where(copy, env), 'kubernetes · context kind-fake · namespace one · app=one')
  copy.file(path, copy.read(path).replaceAll('one', 'memory'))
  assert.is(await where(copy, env), 'kubernetes · context kind-fake · namespace memory · app=memory')
})

remembered.run()
