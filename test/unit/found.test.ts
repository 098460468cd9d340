// Three values are enough: what is found in a repository and its manifest, and what is asked where that is ambiguous.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { found } from '../../tasks/lib/settings/found.ts'
import { defaults, type Settings } from '../../tasks/lib/settings/table.ts'
import { UserError } from '../../tasks/lib/frame/talk.ts'

const three = suite<{ dir: string }>('found')
three.before.each((context) => void (context.dir = mkdtempSync(join(tmpdir(), 'hotswap-found-'))))
three.after.each(({ dir }) => rmSync(dir, { recursive: true }))

function files(dir: string, all: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
}

const main = '// Command x.\npackage main\n\nfunc main() {}\n'
const deployment = (name: string, image = `example.com/team/${name}:v1.2`, more = '') => `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: ${name}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: ${name}
    spec:
      containers:
        - name: ${name}
          image: ${image}
${more}---
`
const ask = (dir: string, more: Partial<Settings> = {}) =>
  found({ ...defaults(), goDir: dir, manifest: join(dir, 'deployment.yml'), ...more }, defaults())

const refused = async (asked: Promise<Settings>) => {
  const error = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  assert.instance(error, UserError)
  return error instanceof UserError ? [error.exitCode, error.message] : []
}

three('a repository with one main package and one Deployment', async ({ dir }) => {
  files(dir, { 'cmd/shop/main.go': main, 'cmd/shop/x_test.go': 'package x', 'deployment.yml': deployment('shop') })
  const { goMain, selector, prodImage, devImage, binary, binaryPath } = await ask(dir)
  assert.equal(
    { goMain, selector, prodImage, devImage, binary, binaryPath },
    {
      goMain: './cmd/shop',
      selector: 'app.kubernetes.io/name=shop',
      prodImage: 'example.com/team/shop',
      devImage: '',
      binary: 'bin/shop',
      binaryPath: '/usr/local/bin/shop',
    },
  )
})

three(
  'a workload is whatever makes pods that stay: of any kind, and a Pod only where nothing else is',
  async ({ dir }) => {
    const rollout = deployment('shop').replace('apps/v1', 'argoproj.io/v1alpha1').replace('Deployment', 'Rollout')
    const job = deployment('job').replace('kind: Deployment', 'kind: Job')
    const pod = (name: string) =>
      `kind: Pod\nmetadata: {name: ${name}, labels: {app: ${name}}}\nspec: {containers: [{name: c, image: 'team/${name}:1'}]}\n---\n`
    const asked = async () => {
      const { selector, prodImage } = await ask(dir)
      return [selector, prodImage]
    }
    files(dir, { 'main.go': main, 'deployment.yml': job + rollout + pod('test') })
    assert.equal(await asked(), ['app.kubernetes.io/name=shop', 'example.com/team/shop'])
    files(dir, { 'deployment.yml': job + pod('tool') })
    assert.equal(await asked(), ['app=tool', 'team/tool'])
  },
)

three('the path of the program is that of the command; a shell is none', async ({ dir }) => {
  const command = (words: string) => deployment('shop', 'shop', `          command: ${words}\n`)
  files(dir, { 'main.go': main, 'deployment.yml': command('[/app/server, --port, "80"]') })
  assert.is((await ask(dir)).binaryPath, '/app/server')
  files(dir, { 'deployment.yml': command('[/bin/sh, -c, exec /app/server]') })
  assert.match((await ask(dir)).binaryPath, /^\/usr\/local\/bin\/hotswap-found-/)
  const [code, why] = await refused(ask(dir, { target: 'kubernetes' }))
  assert.is(code, 2)
  assert.match(
    String(why),
    /^neither Deployment shop nor a Dockerfile in .* BINARY_PATH=\/path\/to\/hotswap-found-\w+$/i,
  )
  files(dir, { Dockerfile: 'FROM a\nENTRYPOINT ["/x"]\nFROM b\nENTRYPOINT ["/bin/shop", "-v"]\nCMD ["/no"]\n' })
  assert.is((await ask(dir, { target: 'kubernetes' })).binaryPath, '/bin/shop')
})

three('a command that is relative begins in the working folder of the container or the image', async ({ dir }) => {
  const command = (words: string) => deployment('shop', 'shop', `          command: ${words}\n`)
  const asked = async () => (await ask(dir, { target: 'kubernetes' })).binaryPath
  files(dir, { 'main.go': main, 'deployment.yml': command('[./server, --port, "80"]') })
  assert.is((await refused(ask(dir, { target: 'kubernetes' })))[0], 2)
  files(dir, { Dockerfile: 'FROM a\nWORKDIR /src\nFROM b\nWORKDIR /home/app\nCMD ["./other"]\n' })
  assert.is(await asked(), '/home/app/server')
  files(dir, { 'deployment.yml': command('[./server]\n          workingDir: /srv') })
  assert.is(await asked(), '/srv/server')
  files(dir, { 'deployment.yml': deployment('shop') })
  assert.is(await asked(), '/home/app/other')
})

three('what was chosen stays, and so does everything of the bundled example', async ({ dir }) => {
  files(dir, {
    'cmd/a/main.go': main,
    'cmd/b/main.go': main,
    'deployment.yml': deployment('shop') + deployment('till'),
  })
  const chosen = {
    goMain: './cmd/b',
    selector: 'app.kubernetes.io/name=till',
    binary: 'bin/x',
    binaryPath: '/x',
    devImage: 'y',
  }
  const { prodImage, ...rest } = await ask(dir, chosen)
  assert.is(prodImage, 'example.com/team/till')
  for (const [key, value] of Object.entries(chosen))
    assert.is(Object.entries(rest).find(([name]) => name === key)?.[1], value)
  assert.equal(await found(defaults(), defaults()), defaults())
  const module = { ...defaults(), goDir: dir, goMain: './cmd/a' }
  assert.equal(await found(module, defaults()), module, 'without a manifest of its own only GO_MAIN is looked for')
})

three('of several main packages that of the name of the repository is meant', async ({ dir }) => {
  const shop = join(dir, 'shop')
  files(dir, { 'shop/cmd/shop/main.go': main, 'shop/cmd/cli/main.go': main, 'shop/deployment.yml': deployment('shop') })
  const { goMain, binary } = await ask(shop)
  assert.equal([goMain, binary], ['./cmd/shop', 'bin/shop'])
  files(dir, { 'shop/main.go': main })
  assert.is((await refused(ask(shop)))[0], 2, 'its own folder has the name of the repository too')
})

three('what is ambiguous is named with what was found', async ({ dir }) => {
  files(dir, {
    'main.go': main,
    'cmd/a/main.go': main,
    'cmd/lib/lib.go': 'package lib\n',
    'deployment.yml': deployment('shop'),
  })
  assert.equal(await refused(ask(dir)), [2, `${dir} has main packages ., ./cmd/a - choose one in .env: GO_MAIN=.`])
  rmSync(join(dir, 'main.go'))
  files(dir, { 'deployment.yml': deployment('shop') + deployment('till') })
  assert.equal(await refused(ask(dir)), [
    2,
    `${dir}/deployment.yml has Deployment shop, Deployment till - choose one by its labels in .env: SELECTOR=app.kubernetes.io/name=shop`,
  ])
  files(dir, { 'deployment.yml': deployment('shop', 'shop:1', '        - name: proxy\n          image: envoy:2\n') })
  assert.equal(await refused(ask(dir)), [
    2,
    "Deployment shop has images shop:1, envoy:2 - choose the program's in .env: PROD_IMAGE=shop",
  ])
  rmSync(join(dir, 'cmd/a'), { recursive: true })
  assert.equal(await refused(ask(dir)), [
    2,
    `no main package in ${dir}, neither there nor in cmd/* - name the folder in .env: GO_MAIN=./path/to/it`,
  ])
})

three('what is found is held to the rules of the settings', async ({ dir }) => {
  files(dir, { 'main.go': main, Dockerfile: 'FROM a\nENTRYPOINT ["/bin/shop"]\n' })
  const image = async (text: string) => {
    files(dir, { 'deployment.yml': deployment('shop', JSON.stringify(text)) })
    return refused(ask(dir, { target: 'kubernetes' }))
  }
  const render: readonly [image: string, remedy: RegExp][] = [
    [
      'ko://example.com/shop/cmd/shop',
      / says ko:\/\/example.com\/shop\/cmd\/shop, and PROD_IMAGE must be .* - ko builds it: ko resolve -f FILE > PATH, and put the path of the result into \.env: MANIFEST=PATH$/,
    ],
    ['${IMAGE}', /envsubst < FILE > PATH/],
    ['$(REGISTRY)/shop:1', /placeholder/],
    ['%IMAGE%', /placeholder/],
    ['<your-image>', /placeholder/],
    ['@@IMAGE@@', /placeholder/],
    ['example.com/Shop:1', /put what you mean into \.env: PROD_IMAGE=…$/],
  ]
  for (const [text, remedy] of render) {
    const [code, why] = await image(text)
    assert.is(code, 2, text)
    assert.match(String(why), /^.*deployment\.yml: Deployment shop says /)
    assert.match(String(why), remedy)
  }
  files(dir, { 'deployment.yml': deployment('shop', `example.com/shop:1@sha256:${'ab'.repeat(32)}`) })
  assert.is((await ask(dir)).prodImage, 'example.com/shop')
  const label = deployment('shop').replaceAll('name: shop', 'name: ${NAME}')
  files(dir, { 'deployment.yml': label.replace('metadata:\n  name: ${NAME}', 'metadata:\n  name: shop') })
  assert.match(String((await refused(ask(dir)))[1]), /SELECTOR must be a label selector .*envsubst/)
  files(dir, { 'deployment.yml': deployment('shop', 'shop', '          command: ["/app/${NAME}"]\n') })
  assert.match(String((await refused(ask(dir)))[1]), /\/app\/\$\{NAME\}, and BINARY_PATH must be .*envsubst/)
})

three('the program is what a launcher starts, also as the first of the arguments', async ({ dir }) => {
  files(dir, { 'main.go': main })
  for (const more of [
    'command: [tini, --, /app/server, x]',
    'args: [/app/server, x]',
    'command: [/entrypoint.sh]\n          args: [/app/server]',
  ]) {
    files(dir, { 'deployment.yml': deployment('shop', 'shop', `          ${more}\n`) })
    assert.is((await ask(dir, { target: 'kubernetes' })).binaryPath, '/app/server', more)
  }
})

three('SELECTOR and CONTAINER say which one is looked at', async ({ dir }) => {
  const second =
    '          command: [/shop]\n        - name: admin\n          image: shop:1\n          command: [/admin]\n'
  files(dir, { 'main.go': main, 'deployment.yml': deployment('till') + deployment('shop', 'shop:1', second) })
  const chosen = { selector: 'app.kubernetes.io/name in (shop, x),!tier', container: 'admin' }
  const { prodImage, binaryPath } = await ask(dir, chosen)
  assert.equal([prodImage, binaryPath], ['shop', '/admin'])
})

three.run()
