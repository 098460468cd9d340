import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { elf, hostArch } from '../../tasks/lib/binary/elf.ts'
import { goBuildArgs } from '../../tasks/lib/go/go.ts'
import { defaults } from '../../tasks/lib/settings/table.ts'
import { find } from '../../tasks/lib/frame/tools.ts'
import { checkout, type Checkout } from '../lib/checkout.ts'
import { objects } from '../lib/json.ts'

const build = suite<{ copy: Checkout }>('build')
build.before.each((context) => {
  context.copy = checkout()
  // small, so that each build takes no time
  context.copy.file('svc/go.mod', 'module example.com/svc\n\ngo 1.21\n')
  context.copy.file('svc/main.go', source)
})
build.after.each(({ copy }) => {
  // go makes its module cache read-only
  execFileSync('chmod', ['-R', 'u+w', copy.dir])
  copy.remove()
})

const source = `package main

import "os"

var version, by = "unset", "unset"

func main() { os.Stdout.WriteString(version + "|" + by + "\\n") }
`
const svc = { GO_DIR: 'svc', GO_MAIN: '.', BINARY: 'bin/svc' }
const pods = { ...svc, TARGET: 'kubernetes' } // whose image brings Delve: locally build-debug builds one
const noGit = `the version is 'unknown': git says: not a git repository (or any of the parent directories): .git\n`

const git = (dir: string, ...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.com', '-C', dir, ...args], { stdio: 'pipe' })
const commit = (dir: string) => {
  git(dir, 'init', '-q')
  git(dir, 'add', '.')
  git(dir, 'commit', '-q', '-m', 'first')
}
const says = (copy: Checkout, binary = 'bin/svc') => execFileSync(`${copy.dir}/${binary}`, { encoding: 'utf8' })
const bytes = (copy: Checkout, binary = 'bin/svc') => readFileSync(`${copy.dir}/${binary}`)

build('builds the example without any setting, and says what it built', async ({ copy }) => {
  const { code, stdout, stderr } = await copy.run('build')
  assert.is(stderr, noGit)
  assert.is(code, 0)
  const hash = createHash('sha256').update(bytes(copy, 'bin/hello')).digest('hex')
  assert.match(stdout, new RegExp(`^bin/hello  unknown  \\d+\\.\\d MB  ${hash.slice(0, 8)}  \\d+\\.\\d s\\n$`))
  assert.equal(elf(bytes(copy, 'bin/hello')), { machine: hostArch(), debug: false })
  assert.equal(readdirSync(`${copy.dir}/bin`), ['hello'])
})

build('build-debug keeps the debug information, uncompressed', async ({ copy }) => {
  const { code, stdout } = await copy.run('build-debug', ['--json'], { env: pods, limit: 120_000 })
  assert.is(code, 0)
  assert.equal(elf(bytes(copy)), { machine: hostArch(), debug: true })
  assert.ok(bytes(copy).includes('.debug_info\0') && !bytes(copy).includes('.zdebug_info\0'))
  assert.is(JSON.parse(stdout).debug, true)
})

build('--json is one object on one line, and what was built is remembered', async ({ copy }) => {
  const { stdout } = await copy.run('build', ['--json'], { env: svc })
  const [object = {}] = objects('build', stdout)
  assert.equal(Object.keys(object), ['path', 'version', 'size', 'sha256', 'seconds', 'debug', 'arch'])
  assert.is(object.path, 'bin/svc')
  assert.is(object.size, bytes(copy).length)
  assert.is(object.sha256, createHash('sha256').update(bytes(copy)).digest('hex'))
  assert.is(object.arch, hostArch())
  assert.equal(JSON.parse(copy.read('.hotswap/builds.json')), [object])
})

build(
  'while go runs, what was delivered last is indexed for the delta that follows, and kept on disk',
  async ({ copy }) => {
    const env = { ...pods, KUBE_CONTEXT: 'none' }
    await copy.run('build', [], { env })
    const delivered = `.hotswap/cache/svc-${createHash('sha256').update(bytes(copy)).digest('hex')}`
    copy.file(delivered, '')
    writeFileSync(join(copy.dir, delivered), bytes(copy))
    const index = join(copy.dir, `${delivered}.anchors`)
    const go = find('go')
    copy.fake(
      'go',
      `n=0; while [ $n -lt 200 ] && [ ! -e '${index}' ]; do sleep 0.1; n=$((n + 1)); done; exec '${go}' "$@"`,
    )
    assert.is((await copy.run('build', [], { env })).code, 0)
    assert.is(statSync(index).size, 8 << 20)

    // no delta will follow
    copy.fake('go', `exec '${go}' "$@"`)
    rmSync(index)
    for (const other of [{ ENCODING: 'gzip' }, { TARGET: 'local' }])
      assert.is((await copy.run('build', [], { env: { ...env, ...other } })).code, 0)
    assert.not(existsSync(index))
  },
)

build('the memory survives damage and keeps the last dozen', async ({ copy }) => {
  copy.file('.hotswap/builds.json', '[{"path":')
  assert.is((await copy.run('build', [], { env: svc })).code, 0)
  const [first] = JSON.parse(copy.read('.hotswap/builds.json'))
  const many = [...Array(14).keys()].map((n) => ({ ...first, sha256: `${n}` }))
  copy.file('.hotswap/builds.json', JSON.stringify([null, 1, { path: 'x' }, ...many]))
  assert.is((await copy.run('build', [], { env: svc })).code, 0)
  const builds: { sha256: string }[] = JSON.parse(copy.read('.hotswap/builds.json'))
  assert.equal(
    builds.map((row) => row.sha256),
    [first.sha256, ...many.slice(0, 11).map((row) => row.sha256)],
  )
})

build('the version is the tag, the commits since and -dirty, as one plain word', async ({ copy }) => {
  commit(`${copy.dir}/svc`)
  const hash = git(`${copy.dir}/svc`, 'rev-parse', '--short', 'HEAD').toString().trim()
  const version = async () => (await copy.run('build', [], { env: svc })).stdout.split('  ')[1]
  assert.is(await version(), hash)
  git(`${copy.dir}/svc`, 'tag', 'rel/v1.2+x')
  assert.is(await version(), 'rel-v1.2+x')
  assert.is(says(copy), 'rel-v1.2+x|unset\n')
  copy.file('svc/main.go', `${source}// edited\n`)
  assert.is(await version(), 'rel-v1.2+x-dirty')
  assert.is((await copy.run('build', [], { env: { ...svc, VERSION_VAR: '' } })).code, 0)
  assert.is(says(copy), 'unset|unset\n')
})

build('no commit, an owner whom git does not trust, and no git at all still build, and say why', async ({ copy }) => {
  git(`${copy.dir}/svc`, 'init', '-q')
  const none = await copy.run('build', [], { env: svc })
  assert.is(none.code, 0)
  assert.match(none.stderr, /^the version is 'unknown': git says: .*HEAD.*\n$/)
  const foreign = await copy.run('build', [], { env: { ...svc, GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' } })
  assert.is(foreign.code, 0)
  assert.match(foreign.stderr, /^the version is 'unknown': git says: detected dubious ownership in repository at .*\n$/)
  assert.is(says(copy), 'unknown|unset\n')
  mkdirSync(`${copy.dir}/tools`)
  for (const tool of ['go', 'bash', 'ps', 'sh']) execFileSync('ln', ['-s', which(tool), `${copy.dir}/tools/${tool}`])
  const bare = await copy.run('build', [], { env: { ...svc, PATH: `${copy.dir}/tools` } })
  assert.is(bare.stderr, `the version is 'unknown': git is not on PATH\n`)
  assert.is(bare.code, 0)
})

const which = (tool: string) => execFileSync('sh', ['-c', 'command -v "$1"', '_', tool], { encoding: 'utf8' }).trim()

build('go and what zx needs are named before they are needed', async ({ copy }) => {
  const none = await copy.run('build', [], { env: { ...svc, PATH: `${copy.dir}/fakes` } })
  assert.equal(none, {
    code: 1,
    signal: null,
    stdout: '',
    stderr: 'error: go is not on PATH: it is needed to build the service\n',
  })
})

build('linker values with spaces, quotes and shell text arrive whole', async ({ copy }) => {
  const by = async (GO_LDFLAGS: string) => {
    const { code } = await copy.run('build', [], { env: { ...svc, GO_LDFLAGS } })
    assert.is(code, 0)
    return says(copy)
  }
  assert.is(await by(`-X 'main.by=Jane Q. Doe'`), 'unknown|Jane Q. Doe\n')
  assert.is(await by(`-X "main.by=it's"`), `unknown|it's\n`)
  assert.is(await by('-X main.by=$(id)`id`;id'), 'unknown|$(id)`id`;id\n')
  assert.is(await by(`-X main.by=it's`), `unknown|it's\n`)
  assert.equal(elf(bytes(copy)), { machine: hostArch(), debug: false })
})

build('an open quote ends in 1 and leaves the last good binary', async ({ copy }) => {
  await copy.run('build', [], { env: svc })
  const before = bytes(copy)
  const { code, stdout, stderr } = await copy.run('build', [], { env: { ...svc, GO_LDFLAGS: `-X 'main.by=Jane` } })
  assert.is(code, 1)
  assert.is(stdout, '')
  assert.is(stderr, `${noGit}error: GO_LDFLAGS has a quote that is never closed: 'main.by=Jane\n`)
  assert.equal(bytes(copy), before)
})

build('a compile error comes as Go prints it, exit 1, and the last good binary stays', async ({ copy }) => {
  await copy.run('build', [], { env: svc })
  const before = bytes(copy)
  copy.file('svc/main.go', source.replace('version + ', 'versio + '))
  const { code, stdout, stderr } = await copy.run('build', [], { env: svc })
  assert.is(code, 1)
  assert.is(stdout, '')
  assert.is(stderr, `${noGit}# example.com/svc\n./main.go:7:37: undefined: versio\n`)
  assert.equal(bytes(copy), before)
  assert.equal(readdirSync(`${copy.dir}/bin`), ['svc'])
})

build('what the shell exports for go does not change what the pods get', async ({ copy }) => {
  const env = { ...svc, GOOS: 'darwin', GOARCH: 'mips', GOBIN: '/nowhere', GOFLAGS: '-trimpath -ldflags=-w' }
  const { code } = await copy.run('build', [], { env })
  assert.is(code, 0)
  assert.equal(elf(bytes(copy)), { machine: hostArch(), debug: false })
  assert.is(says(copy), 'unknown|unset\n')
})

build('what go env -w or a GOENV file says counts as if it were exported', async ({ copy }) => {
  const go = (text: string) => ({ ...pods, GOFLAGS: undefined, GOENV: copy.file('goenv', text) })
  const debug = await copy.run('build-debug', [], { env: go('GOFLAGS=-trimpath\n'), limit: 120_000 })
  assert.match(debug.stderr, /-trimpath takes the folders out of the binary: breakpoints need a path mapping/)
  const env = go(`GOFLAGS='-ldflags=-X=main.by=abc -s=false'\n`)
  const merged = await copy.run('build', [], { env })
  assert.match(merged.stderr, /GOFLAGS has -ldflags=-X=main\.by=abc -s=false: that is added to what the task gives/)
  assert.is(says(copy), 'unknown|abc\n')
  assert.is((await copy.run('build', [], { env: { ...env, GO_LDFLAGS: '-X main.by=mine' } })).code, 0)
  assert.is(says(copy), 'unknown|mine\n')
  // with a pattern of packages, one that is the program's and one that is not
  assert.is((await copy.run('build', [], { env: go('GOFLAGS=-ldflags=all=-X=main.by=all\n') })).code, 0)
  assert.is(says(copy), 'unknown|all\n')
  assert.is((await copy.run('build', [], { env: go('GOFLAGS=-ldflags=example.com/none=-X=main.by=no\n') })).code, 0)
  assert.is(says(copy), 'unknown|unset\n')
  const refused = await copy.run('build', [], { env: go('GOFLAGS=-o=/nowhere\n') })
  assert.is(refused.code, 2)
  assert.match(refused.stderr, /error: GOFLAGS has -o=\/nowhere, but the task says where the build goes: use BINARY/)

  const race = await copy.run('build', [], { env: { ...go('CGO_ENABLED=1\n'), CC: 'false', GO_FLAGS: '-race' } })
  assert.not.match(race.stderr, /-race requires cgo/)
  const bad = await copy.run('build', [], { env: go('GOFLAGS=-nonsense\n') })
  assert.is(bad.code, 1)
  assert.match(bad.stderr, /parsing \$GOFLAGS: unknown flag -nonsense/)
})

build('the flags of a debug build and those of GOFLAGS for the compiler both count', async ({ copy }) => {
  for (const [given, expected] of [
    ['-m', '-N -l -m'],
    ['all=-m', 'all=-N -l -m'],
  ])
    assert.equal(
      goBuildArgs(defaults(), { debug: true, version: 'v1', output: 'x' }, [`-gcflags=${given}`]).slice(2, 6),
      ['-gcflags', 'all=-N -l', '-gcflags', expected],
    )
  const env = { ...pods, GOFLAGS: '-gcflags=-m' }
  const { code, stderr } = await copy.run('build-debug', [], { env, limit: 120_000 })
  assert.is(code, 0)
  assert.match(stderr, /GOFLAGS has -gcflags=-m/)
  assert.match(stderr, /main\.go:7.*escapes to heap/)
})

build('under a git hook the version is that of GO_DIR', async ({ copy }) => {
  commit(`${copy.dir}/svc`)
  git(`${copy.dir}/svc`, 'tag', 'v1.2')
  const other = `${copy.dir}/other`
  copy.file('other/file', 'x')
  commit(other)
  const local = execFileSync('git', ['rev-parse', '--local-env-vars'], { encoding: 'utf8' }).trim().split('\n')
  const hook = Object.fromEntries(local.map((name) => [name, `${other}/.git`]))
  const outcome = await copy.run('build', [], { env: { ...svc, ...hook } })
  assert.is(outcome.stdout.split('  ')[1], 'v1.2', outcome.stderr)

  // what git itself exports, for an index of its own, and as it works in another worktree
  const run = `cd '${copy.dir}' && '${process.execPath}' '${copy.compiled('build')}'`
  copy.file('other/.git/hooks/pre-commit', `#!/bin/sh\nexport GO_DIR=svc GO_MAIN=. BINARY=bin/svc\n${run}\n`, 0o755)
  git(other, 'worktree', 'add', '-q', `${copy.dir}/tree`)
  for (const folder of [other, `${copy.dir}/tree`]) {
    writeFileSync(`${folder}/file`, folder)
    git(folder, 'commit', '-q', '-m', 'second', 'file')
    assert.is(says(copy), 'v1.2|unset\n', folder)
  }
})

build('Delve is built in an environment of its own, whatever is meant for the program', async ({ copy }) => {
  copy.file('svc/goenv', 'GOPROXY=https://proxy.example.com\nGOFLAGS=-tags=x\nGOAMD64=v2\n')
  const go = find('go')
  copy.fake('go', `[ "$1" != install ] || { env >"$0.env"; exit 1; }\nexec '${go}' "$@"`)
  const env = { ...svc, GO111MODULE: 'off', GOARM: '5', GOBIN: '/nowhere', GOPROXY: undefined, GOFLAGS: undefined }
  const { code, stderr } = await copy.run('build-debug', [], {
    env: { ...env, GOENV: join(copy.dir, 'svc/goenv') },
    limit: 120_000,
  })
  assert.is(code, 1)
  assert.match(stderr, /error: Delve .* could not be built with .* - mend what Go says above/)
  const lines = copy.read('fakes/go.env').split('\n')
  for (const line of [
    'GO111MODULE=on',
    'GOENV=off',
    'GOWORK=off',
    'CGO_ENABLED=0',
    'GOPROXY=https://proxy.example.com',
  ])
    assert.ok(lines.includes(line), line)
  assert.not(lines.some((line) => /^(GOFLAGS|GOARM|GOAMD64|GOBIN)=./.test(line)))
})

build('of .env the variables of Go count as if they were exported, others are named on a cluster', async ({ copy }) => {
  copy.file('.env', 'GOFLAGS=-ldflags=-X=main.by=env\nGO111MODULE=on\nHELLO_ADDR=:1\nDATABASE_URL=x\n')
  const env = { ...svc, GOFLAGS: undefined }
  const { code, stderr } = await copy.run('build', [], { env: { ...pods, GOFLAGS: undefined } })
  assert.is(code, 0)
  assert.is(says(copy), 'unknown|env\n')
  assert.match(
    stderr,
    /^\.env: HELLO_ADDR, DATABASE_URL: ignored, as they are neither a setting nor a variable of Go - /,
  )
  assert.not.match((await copy.run('build', [], { env })).stderr, /HELLO_ADDR/)
  assert.is((await copy.run('build', [], { env: { ...env, GOFLAGS: '-ldflags=-X=main.by=shell' } })).code, 0)
  assert.is(says(copy), 'unknown|shell\n')
})

build('on local the program gets the other keys of .env, the environment wins', async ({ copy }) => {
  copy.file('.env', 'SHOP_A=file\nSHOP_B=file\nGOMAXPROCS=3\n')
  const env = { ...svc, BINARY_PATH: '/svc', SHOP_B: 'shell' }
  assert.is((await copy.run('switch-dev', [], { env })).code, 0)
  const [pid] = copy.read('.hotswap/local/agent.pid').split(' ')
  const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  assert.is((await copy.run('switch-prod', [], { env })).code, 0)
  for (const each of ['SHOP_A=file', 'SHOP_B=shell', 'GOMAXPROCS=3']) assert.ok(variables.includes(each), each)
})

build('a .env that is no file of text is a fault', async ({ copy }) => {
  const env = join(copy.dir, '.env')
  const refused = async (make: () => void) => {
    make()
    const { code, stderr } = await copy.run('build')
    rmSync(env, { recursive: true })
    assert.is(code, 2)
    return stderr
  }
  assert.match(
    await refused(() => symlinkSync('gone', env)),
    /^error: \.env is a link to gone, which is not there - make/,
  )
  assert.match(await refused(() => mkdirSync(env)), /^error: \.env is a folder - make it a file/)
  assert.match(
    await refused(() => execFileSync('mkfifo', [env])),
    /^error: \.env is a pipe or a socket - make it a file/,
  )
  assert.match(
    await refused(() => writeFileSync(env, Buffer.from('\uFEFFBINARY=bin/a\r\n', 'utf16le'))),
    /^error: \.env is UTF-16: save it as UTF-8/,
  )
  assert.match(
    await refused(() => writeFileSync(env, Buffer.alloc(2 << 20, 'A'))),
    /^error: \.env has 2097152 bytes - /,
  )
})

build('a build asks for no setting that it does not use', async ({ copy }) => {
  const workload = (name: string) =>
    `kind: Deployment\nmetadata: {name: ${name}}\nspec: {template: {metadata: {labels: {app: ${name}}}, spec: {containers: [{name: a, image: a}, {name: b, image: b}]}}}\n`
  copy.file('svc/deployment.yml', `${workload('shop')}---\n${workload('till')}`)
  const env = { GO_DIR: 'svc', MANIFEST: 'svc/deployment.yml', TARGET: 'kubernetes', KUBE_CONTEXT: 'none' }
  for (const [more, task, wanted] of [
    [{}, 'build', undefined],
    [{}, 'build-debug', undefined],
    [{ SELECTOR: 'app=shop' }, 'build', undefined],
    [{ SELECTOR: 'app=shop', PROD_IMAGE: 'a' }, 'build', undefined],
    [{}, 'generate-deployment-dev', 'SELECTOR'],
    [{ SELECTOR: 'app=shop' }, 'generate-deployment-dev', 'PROD_IMAGE'],
    [{ SELECTOR: 'app=shop', PROD_IMAGE: 'a' }, 'generate-deployment-dev', 'BINARY_PATH'],
  ] as const) {
    const { code, stderr } = await copy.run(task, [], { env: { ...env, ...more }, limit: 120_000 })
    assert.is(code, wanted === undefined ? 0 : 2, stderr)
    if (wanted !== undefined) assert.match(stderr, `.env: ${wanted}=`)
  }
})

build('GO_ARCH, else what the pods last said, else this machine', async ({ copy }) => {
  const arch = async (env: Record<string, string>) =>
    JSON.parse((await copy.run('build', ['--json'], { env: { ...svc, ...env } })).stdout).arch
  const other = hostArch() === 'arm64' ? 'amd64' : 'arm64'
  assert.is(await arch({ TARGET: 'kubernetes' }), hostArch())
  copy.file('.hotswap/machine', `${other}\n`)
  assert.is(await arch({ TARGET: 'kubernetes' }), other)
  assert.equal(elf(bytes(copy)), { machine: other, debug: false })
  assert.is(await arch({ TARGET: 'local' }), hostArch())
  assert.is(await arch({ TARGET: 'kubernetes', GO_ARCH: 'riscv64' }), 'riscv64')
  copy.file('.hotswap/machine', 'vax\n')
  assert.is(await arch({ TARGET: 'kubernetes' }), hostArch())
})

build('build-debug says what spoils debugging', async ({ copy }) => {
  const { code, stderr } = await copy.run('build-debug', [], {
    env: { ...pods, GO_FLAGS: '-trimpath', GO_LDFLAGS: '-s' },
    limit: 120_000,
  })
  assert.is(code, 0)
  assert.is(
    stderr,
    noGit +
      '-trimpath takes the folders out of the binary: breakpoints need a path mapping in the IDE (substitutePath)\n' +
      'GO_LDFLAGS has -s, which takes the debug information out again\n' +
      'the binary holds no debug information: a debugger will find no lines in it\n',
  )
  assert.match(
    (await copy.run('build-debug', [], { env: { ...pods, GOFLAGS: '-trimpath' } })).stderr,
    /breakpoints need a path mapping/,
  )
})

build('-race: a line of Go and one of ours', async ({ copy }) => {
  const { code, stderr } = await copy.run('build', [], { env: { ...svc, GO_FLAGS: '-race' } })
  assert.is(code, 1)
  assert.match(
    stderr,
    /\ngo: -race requires cgo.*\n-race needs cgo, and the build sets CGO_ENABLED=0: export CGO_ENABLED=1 .*\n$/,
  )
})

build('a go.work that does not list the service is named by Go, and GOWORK=off reaches it', async ({ copy }) => {
  copy.file('go.work', 'go 1.21\n\nuse ./other\n')
  copy.file('other/go.mod', 'module example.com/other\n\ngo 1.21\n')
  const { code, stderr } = await copy.run('build', [], { env: svc })
  assert.is(code, 1)
  assert.match(stderr, /go\.work/)
  assert.is((await copy.run('build', [], { env: { ...svc, GOWORK: 'off' } })).code, 0)
  copy.file('go.work', 'go 1.21\n\nuse ./other\nuse ./svc\n')
  assert.is((await copy.run('build', [], { env: svc })).code, 0)
})

build('a vendored module builds, one out of step is named by Go', async ({ copy }) => {
  copy.file('svc/go.mod', 'module example.com/svc\n\ngo 1.21\n\nrequire example.com/dep v1.0.0\n')
  copy.file('svc/vendor/modules.txt', '# example.com/dep v1.0.0\n## explicit; go 1.21\nexample.com/dep\n')
  copy.file('svc/vendor/example.com/dep/dep.go', 'package dep\n\nconst By = "vendored"\n')
  copy.file(
    'svc/main.go',
    source
      .replace('import "os"', 'import (\n"os"\n"example.com/dep"\n)')
      .replace('+ by +', '+ dep.By +')
      .replace(', by = "unset", "unset"', ' = "unset"'),
  )
  assert.is((await copy.run('build', [], { env: svc })).code, 0)
  assert.is(says(copy), 'unknown|vendored\n')
  copy.file('svc/vendor/modules.txt', '')
  const { code, stderr } = await copy.run('build', [], { env: svc })
  assert.is(code, 1)
  assert.match(stderr, /inconsistent vendoring/)
})

build('a main package in a file, folders with spaces, a service elsewhere', async ({ copy }) => {
  copy.file('my svc/go.mod', 'module example.com/svc\n\ngo 1.21\n')
  copy.file('my svc/cmd/my app/main.go', source)
  const env = { GO_DIR: `${copy.dir}/my svc`, GO_MAIN: './cmd/my app/main.go', BINARY: 'out dir/my app' }
  assert.is((await copy.run('build', [], { env })).code, 0)
  assert.is(says(copy, 'out dir/my app'), 'unknown|unset\n')
})

build('flags with spaces and quotes arrive as words', async ({ copy }) => {
  copy.file('svc/main.go', `//go:build a && b\n\n${source}`)
  const { code, stderr } = await copy.run('build', [], { env: { ...svc, GO_FLAGS: `'-tags=a b' -trimpath` } })
  assert.is(stderr, noGit)
  assert.is(code, 0)
})

build('what is wrong with the settings is said before anything is built', async ({ copy }) => {
  copy.file('svc/lib/lib.go', 'package lib\n')
  const table: readonly [Record<string, string>, number, RegExp][] = [
    [
      { GO_DIR: 'nowhere' },
      2,
      /^error: GO_DIR is no folder: .*\/nowhere - set GO_DIR in \.env to the folder of the Go module\n$/,
    ],
    [
      { BINARY: 'svc' },
      2,
      /^error: BINARY is a folder: .*\/svc - set BINARY in \.env to the file to write, for example bin\/hello\n$/,
    ],
    [{ GO_MAIN: './nowhere' }, 1, /\nstat .*nowhere: directory not found\n$/],
    [
      { GO_MAIN: './lib' },
      1,
      /\nerror: \.\/lib built, but it is a library archive, .* - set GO_MAIN in \.env to a main package\n$/,
    ],
    [{ GO_FLAGS: '-n' }, 1, /\nerror: go build wrote no file - .*\n$/],
    [{ GO_ARCH: 'x86' }, 2, /^error: environment: GO_ARCH="x86" must be one of amd64, .*\n$/],
  ]
  for (const [env, code, expected] of table) {
    const outcome = await copy.run('build', [], { env: { ...svc, ...env } })
    assert.match(outcome.stderr, expected)
    assert.is(outcome.code, code, outcome.stderr)
    assert.is(outcome.stdout, '')
  }
  assert.not(existsSync(`${copy.dir}/bin/svc`))
})

build('go gets these arguments and this environment', async ({ copy }) => {
  copy.fake('go', 'env >"$0.env"; exit 1')
  copy.fake('git', 'echo v1.2')
  copy.file('.env', `GO_LDFLAGS="-X 'main.by=J D'"\nGO_FLAGS="-v '-tags=a b'"\nGO_ARCH=arm64\n`)
  const release = await copy.run('build', [], { env: { GOOS: 'plan9', ZX_PREFIX: 'echo injected;' } })
  const debug = await copy.run('build-debug', [], { env: { CGO_ENABLED: '1', VERSION_VAR: '' } })
  for (const outcome of [release, debug]) assert.equal(outcome, { code: 1, signal: null, stdout: '', stderr: '' })
  const builds = copy.calls('go').filter(([word]) => word === 'build')
  const calls = builds.map((words) => words.map((word) => word.replace(/\.hello\.\d+$/, '.hello.PID')))
  const out = `${copy.dir}/bin/.hello.PID`
  assert.equal(calls, [
    [
      'build',
      '-buildvcs=false',
      '-ldflags',
      `-s -X main.version=v1.2 -X 'main.by=J D'`,
      '-o',
      out,
      '-v',
      '-tags=a b',
      './examples/hello',
    ],
    [
      'build',
      '-buildvcs=false',
      '-gcflags',
      'all=-N -l',
      '-ldflags',
      `-compressdwarf=false -X 'main.by=J D'`,
      '-o',
      out,
      '-v',
      '-tags=a b',
      './examples/hello',
    ],
  ])
  assert.equal(copy.calls('git'), Array(2).fill(['describe', '--tags', '--always', '--dirty']))
  const env = copy.read('fakes/go.env').split('\n')
  for (const line of ['GOOS=linux', 'GOARCH=arm64', 'CGO_ENABLED=1']) assert.ok(env.includes(line), line)
  assert.not(
    env.some((line) => /^(GO_LDFLAGS|GO_FLAGS|ZX_)/.test(line)),
    'what stands in .env stays here',
  )
})

build('Ctrl-C in the middle: 130, go ends, the last good binary stays', async ({ copy }) => {
  copy.file('bin/svc', 'the last good one')
  copy.fake('git', 'echo v1')
  copy.fake(
    'go',
    'for out; do case $out in */.svc.*) echo part >"$out" ;; esac; done; echo $$ >"$0.pid"; exec sleep 60',
  )
  const { child, ended } = copy.launch('build', [], { env: svc })
  for (let n = 0; n < 400 && !existsSync(`${copy.dir}/fakes/go.pid`); n++) await sleep(50)
  await sleep(100)
  child.kill('SIGINT')
  assert.equal(await ended, { code: 130, signal: null, stdout: '', stderr: '' })
  assert.equal(readdirSync(`${copy.dir}/bin`), ['svc'])
  assert.is(copy.read('bin/svc'), 'the last good one')
})

build('a folder that cannot be made is said, without a stack', async ({ copy }) => {
  copy.file('file', '')
  const { code, stderr } = await copy.run('build', [], { env: { ...svc, BINARY: 'file/svc' } })
  assert.is(code, 1)
  assert.match(stderr, /^error: ENOTDIR: not a directory, .*\n$/)
})

build.run()
