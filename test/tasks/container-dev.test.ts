// container-dev with fakes of the container tools: which words they are called with, and what is said when they fail.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostArch } from '../../tasks/lib/binary/elf.ts'
import { helperName } from '../../tasks/lib/go/helper.ts'
import { defaults } from '../../tasks/lib/settings/table.ts'
import { tool } from '../e2e/cluster.ts'
import { checkout, equip, type Checkout } from '../lib/checkout.ts'

const container = suite<{ copy: Checkout; helper: string }>('container-dev')

let built: Promise<Buffer> | undefined

async function builtBy(copy: Checkout): Promise<Buffer> {
  const { code, stderr } = await copy.run('build')
  assert.is(code, 0, stderr)
  return readFileSync(join(copy.dir, 'bin/hello'))
}

/** A checkout with a built binary, and a Delve that was built before. */
container.before.each(async (context) => {
  context.copy = checkout()
  const { copy } = context
  const go = (await tool('go', ['env', 'GOVERSION'])).trim()
  copy.file(`.hotswap/tools/dlv-${defaults().dlvVersion}-${go.replace(/[^\w.-]/g, '-')}-${hostArch()}`, 'dlv', 0o755)
  context.helper = helperName(await equip(copy.dir))
  const bytes = await (built ??= builtBy(copy))
  mkdirSync(join(copy.dir, 'bin'), { recursive: true })
  writeFileSync(join(copy.dir, 'bin/hello'), bytes, { mode: 0o755 })
})
container.after.each(({ copy }) => copy.remove())

const words = (image: string, base: string, helper: string) => [
  'build',
  '--network=none',
  '--build-arg',
  `BASE_IMAGE=${base}`,
  '--build-arg',
  'BINARY_PATH=/usr/local/bin/hello',
  '--build-arg',
  `HELPER=${helper}`,
  '--build-arg',
  'RUN_AS=root',
  '--build-arg',
  'DEBUG_OPTIONS=dlv exec --listen=127.0.0.1:2345 --headless --accept-multiclient --continue --only-same-user=false {{binPath}} --',
  '-t',
  image,
]

container('asks for the user of the base, builds without a network, and prints the image', async ({ copy, helper }) => {
  copy.fake('docker', 'exit 0')
  const { code, stdout, stderr } = await copy.run('container-dev')
  assert.equal([code, stdout], [0, 'hello-dev\n'])
  assert.is(stderr, `docker · hello-dev from debian:bookworm-slim · ${hostArch()}\n`)
  const [inspect, build = [], ...more] = copy.calls('docker')
  assert.equal(inspect, ['image', 'inspect', '--format', '{{.Config.User}}', 'debian:bookworm-slim'])
  assert.equal(build.slice(0, -1), words('hello-dev', 'debian:bookworm-slim', helper))
  assert.equal(more, [])
})

container('says that it runs as root where production may not', async ({ copy }) => {
  copy.fake('docker', 'case "$1" in image) [ "$5" != example.com/shop:1 ] || echo 1000 ;; esac')
  const talk = async (base: string) =>
    (await copy.run('container-dev', [], { env: { PROD_IMAGE: 'example.com/shop', BASE_IMAGE: base } })).stderr
  const line = 'hello-dev runs as root: BASE_IMAGE=example.com/shop keeps the user and the files of production\n'
  assert.ok((await talk('debian:bookworm-slim')).includes(line))
  assert.not.ok((await talk('example.com/shop:1')).includes(line))
})

container('keeps the user of the base, after pulling it where it is not here', async ({ copy }) => {
  copy.fake('docker', 'case "$1" in pull) touch "$0.pulled" ;; image) [ -e "$0.pulled" ] && echo 1000:1000 ;; esac')
  assert.is((await copy.run('container-dev')).code, 0)
  const calls = copy.calls('docker')
  assert.equal(
    calls.map(([word]) => word),
    ['image', 'pull', 'image', 'build'],
  )
  assert.ok(calls[3]?.includes('RUN_AS=1000:1000'))
})

for (const [to, command, args, env, current = ''] of [
  ['push', 'docker', ['push', 'hello-dev'], {}],
  ['kind', 'kind', ['load', 'docker-image', 'hello-dev', '--name', 'box'], { KUBE_CONTEXT: 'kind-box' }],
  ['kind', 'kind', ['load', 'docker-image', 'hello-dev'], {}],
  ['minikube', 'minikube', ['image', 'load', 'hello-dev'], {}],
  ['minikube', 'minikube', ['image', 'load', 'hello-dev', '-p', 'box'], { KUBE_CONTEXT: 'box' }],
  ['kind', 'kind', ['load', 'docker-image', 'hello-dev', '--name', 'dev'], {}, 'kind-dev'],
  ['k3d', 'k3d', ['image', 'import', 'hello-dev', '--cluster', 'dev'], {}, 'k3d-dev'],
  ['minikube', 'minikube', ['image', 'load', 'hello-dev', '-p', 'dev'], {}, 'dev'],
  ['kind', 'kind', ['load', 'docker-image', 'hello-dev'], {}, 'other'],
  ['k3d', 'k3d', ['image', 'import', 'hello-dev', '--cluster', 'box'], { KUBE_CONTEXT: 'k3d-box' }],
] as const)
  container(
    `brings the image into the cluster of the context: ${to} ${Object.values(env).join()}${current}`,
    async ({ copy }) => {
      copy.fake('kubectl', current === '' ? 'exit 1' : `[ "$1 $2" = 'config current-context' ] && echo ${current}`)
      copy.fake('docker', 'exit 0')
      if (command !== 'docker') copy.fake(command, 'exit 0')
      const { code, stdout, stderr } = await copy.run('container-dev', [], { env: { IMAGE_TO: to, ...env } })
      assert.equal([code, stdout], [0, 'hello-dev\n'], stderr)
      assert.equal(copy.calls(command).at(-1), [...args])
      assert.match(stderr, new RegExp(`\n${command} ${args.join(' ')}\n$`))
    },
  )

container('says what is missing before it builds', async ({ copy }) => {
  const failure = async (env: Record<string, string>, message: string, code: number) => {
    const end = await copy.run('container-dev', [], { env })
    assert.equal([end.code, end.stdout, end.stderr.split('\n').at(-2)], [code, '', message])
  }
  copy.fake('docker', 'exit 0')
  await failure(
    { DEV_IMAGE: '' },
    'error: DEV_IMAGE is empty: there is no image to build - put one into .env: DEV_IMAGE=hello-dev',
    2,
  )
  await failure(
    { CONTAINER_TOOL: 'buildah' },
    'error: buildah is not on PATH: it is needed to build the image (CONTAINER_TOOL)',
    1,
  )
  await failure(
    { IMAGE_TO: 'k3d' },
    'error: k3d is not on PATH: it is needed to bring the image into the cluster (IMAGE_TO=k3d)',
    1,
  )
  await failure({ BINARY: 'bin/none' }, 'error: there is no bin/none - run npm run build', 1)
  writeFileSync(join(copy.dir, 'bin/hello'), '#!/bin/sh\n')
  await failure({}, 'error: bin/hello is a script - run npm run build', 1)
  assert.throws(() => copy.calls('docker'), 'the tool was not called')
})

container('ends in 1 where the tool cannot build, or not bring the image in', async ({ copy }) => {
  copy.fake('docker', 'case "$1" in build) echo "no space left" >&2; exit 1 ;; esac')
  const built = await copy.run('container-dev')
  assert.equal([built.code, built.stdout], [1, ''])
  assert.match(built.stderr, /\nno space left\nerror: docker could not build hello-dev: its error is above\n$/)
  copy.fake('docker', 'case "$1" in push) echo denied >&2; exit 1 ;; esac')
  const pushed = await copy.run('container-dev', [], { env: { IMAGE_TO: 'push' } })
  assert.equal([pushed.code, pushed.stdout], [1, ''])
  assert.match(pushed.stderr, /\ndenied\nerror: hello-dev is built, but docker did not bring it into the cluster\n$/)
})

container.run()
