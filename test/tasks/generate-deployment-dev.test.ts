import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { changedLines } from '../lib/diff.ts'
import { type Checkout, checkout } from '../lib/checkout.ts'

const generate = suite<{ copy: Checkout }>('generate-deployment-dev')
generate.before.each((context) => void (context.copy = checkout()))
generate.after.each(({ copy }) => copy.remove())

const output = 'manifests-dev/deployment-dev.yml'
const delve =
  'dlv exec --listen=127.0.0.1:2345 --headless --accept-multiclient --continue --only-same-user=false {{binPath}} --'

generate('makes the dev manifest of the bundled example', async ({ copy }) => {
  const { code, stdout, stderr } = await copy.run('generate-deployment-dev')
  assert.is(
    stderr,
    'manifests/deployment.yml · hello → hello-dev\nDeployment hello, container hello: changed\n1 of 1 containers changed\n',
  )
  assert.is(stdout, `${output}\n`)
  assert.is(code, 0)
  const lines = changedLines(copy.read('manifests/deployment.yml'), copy.read(output)).filter(
    (line) => !line.startsWith('@'),
  )
  assert.equal(lines, [
    '+# Made by npm run generate-deployment-dev from manifests/deployment.yml - edits here are lost when it runs again',
    '+      annotations:',
    `+        hotswap-dev/agent: '["hotswap-dev"]'`,
    '+        hotswap-dev/binary: /usr/local/bin/hello',
    '+        hotswap-dev/container: hello',
    "+        hotswap-dev/debug-port: '2345'",
    '-          image: hello # PROD_IMAGE',
    '-          command: [/usr/local/bin/hello]',
    '+          image: hello-dev # PROD_IMAGE',
    `+          command: [hotswap-dev, -r, '${delve}', --, /usr/local/bin/hello]`,
    '-          livenessProbe:',
    '-            httpGet:',
    '-              path: /healthz',
    '-              port: http',
    '-            periodSeconds: 10',
  ])
  assert.equal(readdirSync(join(copy.dir, 'manifests-dev')), ['deployment-dev.yml'])
})

generate('takes the settings and the operands, and says what there is to say', async ({ copy }) => {
  copy.file(
    '.env',
    'MANIFEST=deploy/prod.yml\nMANIFEST_DEV=deploy/dev/all.yml\nBINARY_PATH=/app/server\nDEBUG_PORT=4000\nDEBUG_WAIT=1\nSETTLE=0.3\nLIMIT=20\nIMAGE_TO=kind\n',
  )
  copy.file(
    'deploy/prod.yml',
    `kind: Pod
metadata: {name: p}
spec:
  containers:
  - {name: a, image: "shop:1", args: [server], securityContext: {runAsUser: 1000}}
  - {name: b, image: shop-cache}
  initContainers:
  - {name: c, image: shop}
---
kind: Job
metadata: {name: j}
spec: {template: {spec: {containers: [{name: j, image: shop}]}}}
`,
  )
  const { code, stdout, stderr } = await copy.run('generate-deployment-dev', [
    'shop',
    'registry.example.com:5000/shop-dev',
  ])
  assert.is(
    stderr,
    `deploy/prod.yml · shop → registry.example.com:5000/shop-dev
Pod p, container a: changed
Pod p, init container c: changed, the image alone
note: deploy/prod.yml:5: Pod p, container a: its args begin with server, taken for the program /app/server
note: deploy/prod.yml:12: Job j, container j stays as it is: an agent would run a job again and again
warning: deploy/prod.yml:5: Pod p, container a: runs as user 1000: swaps work if every user may write to /app, as in an image of container-dev - an image of one's own needs RUN chmod 0777 /app
warning: deploy/prod.yml:5: Pod p, container a: the node pulls registry.example.com:5000/shop-dev at each start, but IMAGE_TO only loads it into the node - write imagePullPolicy: IfNotPresent
2 of 2 containers changed
`,
  )
  assert.is(stdout, 'deploy/dev/all.yml\n')
  assert.is(code, 0)
  const wait = delve.replace('2345', '4000').replace(' --continue', '')
  assert.is(
    copy.read('deploy/dev/all.yml'),
    `# Made by npm run generate-deployment-dev from deploy/prod.yml - edits here are lost when it runs again
kind: Pod
metadata: {annotations: {hotswap-dev/agent: '["hotswap-dev"]', hotswap-dev/binary: /app/server, hotswap-dev/container: a, hotswap-dev/debug-port: '4000'}, name: p}
spec:
  containers:
  - {name: a, image: "registry.example.com:5000/shop-dev", command: [hotswap-dev, -r, '${wait}', --], args: [/app/server], env: [{name: HOTSWAP_SETTLE, value: '0.3'}, {name: HOTSWAP_LIMIT, value: '20'}], securityContext: {runAsUser: 1000}}
  - {name: b, image: shop-cache}
  initContainers:
  - {name: c, image: registry.example.com:5000/shop-dev}
---
kind: Job
metadata: {name: j}
spec: {template: {spec: {containers: [{name: j, image: shop}]}}}
`,
  )
})

generate('changes nothing in what it made', async ({ copy }) => {
  await copy.run('generate-deployment-dev')
  const made = copy.read(output)
  const { code, stdout, stderr } = await copy.run('generate-deployment-dev', [], {
    env: { MANIFEST: output, MANIFEST_DEV: 'again.yml' },
  })
  assert.is(
    stderr,
    `${output} · hello → hello-dev\nDeployment hello, container hello: as it was\n0 of 1 containers changed\n`,
  )
  assert.is(stdout, 'again.yml\n')
  assert.is(code, 0)
  assert.is(copy.read('again.yml'), made)
})

generate('injects the agent where there is no dev image: the image stays', async ({ copy }) => {
  const env = { DEV_IMAGE: '', INJECT_IMAGE: 'example.com/busybox:1' }
  const { code, stdout, stderr } = await copy.run('generate-deployment-dev', [], { env })
  assert.is(
    stderr,
    'manifests/deployment.yml · hello with the agent, and tools of example.com/busybox:1\nDeployment hello, container hello: changed\n1 of 1 containers changed\n',
  )
  assert.equal([code, stdout], [0, `${output}\n`])
  const dev = parse(copy.read(output)) as Dev
  const { metadata, spec } = dev.spec.template
  assert.is(metadata.annotations['hotswap-dev/script'], copy.read('agent/hotswap-dev'))
  assert.is(spec.initContainers?.[0]?.image, 'example.com/busybox:1')
  assert.is(spec.containers?.[0]?.image, 'hello')
  const front = ['/hotswap/bin/busybox', 'sh', '/hotswap/agent/hotswap-dev', '-c', '/usr/local/bin/hello']
  assert.equal(spec.containers?.[0]?.command, [...front, '-r', delve, '--', '/hotswap/hello/hello'])
})

interface Dev {
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
      readonly spec: Readonly<
        Record<string, readonly { readonly image: string; readonly command: readonly string[] }[]>
      >
    }
  }
}

generate('reads standard input and writes standard output; what a cluster added is left out', async ({ copy }) => {
  const service = 'kind:   Service # kept\nmetadata: {name: s, uid: "1"}\nstatus: {loadBalancer: {}}\n'
  const live = `kind: Deployment
metadata:
  annotations:
    deployment.kubernetes.io/revision: "3"
    example.com/mine: "1"
    kubectl.kubernetes.io/last-applied-configuration: |
      {}
  creationTimestamp: "2026-01-31T12:00:00Z"
  generation: 3
  managedFields:
  - manager: kubectl
  name: d
  resourceVersion: "77"
  uid: 0c3d
spec:
  template:
    spec:
      containers:
      - command: [/usr/local/bin/hello]
        image: hello:1
        name: d
status:
  readyReplicas: 1
`
  const { code, stdout, stderr } = await copy.run('generate-deployment-dev', ['-'], { input: `${live}---\n${service}` })
  assert.is(
    stderr,
    'standard input · hello → hello-dev\nDeployment d, container d: changed\n1 of 1 containers changed\n',
  )
  assert.is(code, 0)
  const [first = '', second] = stdout.split('---\n')
  assert.is(second, service)
  assert.match(
    first,
    /from standard input - .*\nkind: Deployment\nmetadata:\n  annotations:\n    example.com\/mine: "1"\n  name: d\nspec:\n/,
  )
  assert.match(first, /, \/usr\/local\/bin\/hello\]\n        image: hello-dev\n        name: d\n$/)
  assert.not.ok(existsSync(join(copy.dir, 'manifests-dev')))
})

const pod =
  'kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, image: "hello:1", command: [/usr/local/bin/hello]}]}\n'

const wrong: readonly [
  title: string,
  given: { args?: readonly string[]; env?: Record<string, string>; manifest?: string | Uint8Array },
  code: number,
  stderr: string,
][] = [
  ['one operand', { args: ['hello'] }, 2, 'error: give PROD_IMAGE and DEV_IMAGE, or neither\n'],
  [
    'an operand that is no image',
    { args: ['hello', 'Hello Dev'] },
    2,
    'error: operand: DEV_IMAGE="Hello Dev" must be an image reference [HOST[:PORT]/]NAME[:TAG][@sha256:...], or empty (example: DEV_IMAGE=registry.example.com/hello-dev)\n',
  ],
  [
    'a program that is not known, where the image stays',
    {
      env: { DEV_IMAGE: '' },
      manifest: 'kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, image: "hello:1"}]}\n',
    },
    1,
    "manifests/deployment.yml · hello with the agent, and tools of busybox:stable-musl\nerror: manifests/deployment.yml:3: Pod p, container a has no command, and what its image runs by itself is not known here (docker image inspect --format '{{.Config.Entrypoint}} {{.Config.Cmd}}' hello:1) - put the path of its program into .env: BINARY_PATH=/PATH/IN/THE/IMAGE\n",
  ],
  [
    'one file for both',
    { env: { MANIFEST_DEV: './manifests/deployment.yml' } },
    2,
    'error: MANIFEST and MANIFEST_DEV are the same file, manifests/deployment.yml: the production manifest would be lost\n',
  ],
  [
    'no such file',
    { env: { MANIFEST: 'nowhere.yml' } },
    1,
    'nowhere.yml · hello → hello-dev\nerror: nowhere.yml: no such file - put its path into .env: MANIFEST=PATH\n',
  ],
  [
    'no text',
    { manifest: Buffer.from([0x61, 0x3a, 0x20, 0xff, 0x0a]) },
    1,
    'manifests/deployment.yml · hello → hello-dev\nerror: manifests/deployment.yml: not a UTF-8 text - save it as one\n',
  ],
  [
    'a Helm template',
    { manifest: 'kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\n' },
    1,
    'manifests/deployment.yml · hello → hello-dev\nerror: manifests/deployment.yml:3: a Helm template, not a manifest: name: {{ .Release.Name }} - render it first: helm template RELEASE CHART\n',
  ],
  [
    'no match',
    { args: ['karydia/karydia', 'dev'], manifest: pod },
    1,
    'manifests/deployment.yml · karydia/karydia → dev\nerror: manifests/deployment.yml: no container to change has the image karydia/karydia\n  images that are there:\n  manifests/deployment.yml:3: hello:1\n',
  ],
  [
    'another program',
    { env: { BINARY_PATH: '/app/server' }, manifest: pod },
    1,
    'manifests/deployment.yml · hello → hello-dev\nerror: manifests/deployment.yml:3: Pod p, container a runs /usr/local/bin/hello, not /app/server: the first deploy would overwrite /usr/local/bin/hello - put into .env: BINARY_PATH=/usr/local/bin/hello\n',
  ],
]
for (const [title, { args = [], env = {}, manifest }, status, talk] of wrong) {
  generate(`writes no file: ${title}`, async ({ copy }) => {
    if (manifest !== undefined) writeFileSync(join(copy.dir, 'manifests/deployment.yml'), manifest)
    const before = copy.read('manifests/deployment.yml')
    const { code, stdout, stderr } = await copy.run('generate-deployment-dev', args, { env })
    assert.is(stderr, talk)
    assert.is(stdout, '')
    assert.is(code, status)
    assert.not.ok(existsSync(join(copy.dir, 'manifests-dev')))
    assert.is(copy.read('manifests/deployment.yml'), before)
  })
}

generate('keeps the old file where the new one cannot be made', async ({ copy }) => {
  copy.file(output, 'old\n')
  const { code } = await copy.run('generate-deployment-dev', ['other', 'dev'])
  assert.is(code, 1)
  assert.is(copy.read(output), 'old\n')
  mkdirSync(join(copy.dir, 'in-the-way'))
  const { stderr } = await copy.run('generate-deployment-dev', [], { env: { MANIFEST_DEV: 'in-the-way' } })
  assert.match(stderr, /error: .*EISDIR|error: .*in-the-way/)
  assert.equal(
    readdirSync(copy.dir).filter((name) => name.endsWith('.part')),
    [],
  )
})

generate.run()
