import { readFileSync } from 'node:fs'
import * as dotenv from 'dotenv'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { decoded, scan } from '../../tasks/lib/settings/env-file.ts'
import { faultsText, keys, parse, type Settings } from '../../tasks/lib/settings/table.ts'
import { environment } from '../../tasks/lib/frame/environment.ts'

const good = (file: string, env: Record<string, string> = {}): Settings => {
  const result = parse(file, env)
  if ('faults' in result) throw new Error(faultsText(result.faults))
  return result.settings
}
const faults = (file: string, env: Record<string, string> = {}) => {
  const result = parse(file, env)
  return 'faults' in result ? result.faults : []
}
const text = (file: string, env: Record<string, string> = {}) => faultsText(faults(file, env))

test('defaults need no .env', () => {
  const settings = good('')
  assert.is(settings.target, 'local')
  assert.is(settings.goMain, './examples/hello')
  assert.is(settings.debugLocalPort, 2345)
  assert.is(settings.settle, 0.5)
  assert.is(settings.debugWait, false)
  assert.equal(settings.goFlags, [])
})

test('.env.example holds every setting with its default and meaning, and nothing else', () => {
  const example = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8')
  assert.equal(good(example), good(''))
  const lines = example.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  assert.equal(
    lines.map((line) => line.replace(/ +# /, '  # ')),
    keys.map((row) => `${row.key}=${row.default}  # ${row.meaning}`),
  )
})

test('the environment wins over .env, an empty value of it too', () => {
  assert.is(good('BINARY=bin/a', { BINARY: 'bin/b' }).binary, 'bin/b')
  assert.is(good('VERSION_VAR=main.v', { VERSION_VAR: '' }).versionVar, '')
  assert.is(good('DEV_IMAGE=').devImage, '')
  assert.is(good('').devImage, 'hello-dev')
})

test('an empty value means the default where that is computed or empty, and is a fault elsewhere', () => {
  const empty = keys.map((row) => row.key).filter((key) => faults(`${key}=`).length === 0)
  assert.equal(empty, [
    'TARGET',
    'VERSION_VAR',
    'GO_LDFLAGS',
    'GO_FLAGS',
    'GO_ARCH',
    'KUBE_CONTEXT',
    'KUBE_NAMESPACE',
    'CONTAINER',
    'DEV_IMAGE',
    'CONTAINER_TOOL',
    'DEBUG_LOCAL_PORT',
  ])
})

test('the target follows KUBE_CONTEXT unless it is named', () => {
  assert.is(good('KUBE_CONTEXT=kind-dev').target, 'kubernetes')
  assert.is(good('KUBE_CONTEXT=kind-dev\nTARGET=local').target, 'local')
  assert.is(good('TARGET=kubernetes').target, 'kubernetes')
})

test('what fits is taken', () => {
  const table: readonly [keyof Settings, string, string | number | boolean | readonly string[]][] = [
    ['goMain', 'GO_MAIN=./cmd/my app/main.go', './cmd/my app/main.go'],
    ['goMain', 'GO_MAIN=example.com/x/cmd/y@v1', 'example.com/x/cmd/y@v1'],
    ['goDir', 'GO_DIR="../Jörg (work)/svc"', '../Jörg (work)/svc'],
    ['binaryPath', 'BINARY_PATH="/opt/my app/x-1.2_b+c@d"', '/opt/my app/x-1.2_b+c@d'],
    ['versionVar', 'VERSION_VAR=example.com/a-b/version.Version', 'example.com/a-b/version.Version'],
    ['goLdflags', `GO_LDFLAGS="-X 'main.by=Jane Q. Doe'"`, "-X 'main.by=Jane Q. Doe'"],
    ['goLdflags', "GO_LDFLAGS='-X main.x=$(id)'", '-X main.x=$(id)'],
    ['goFlags', `GO_FLAGS='-trimpath "-tags=a b" -mod vendor'`, ['-trimpath', '-tags=a b', '-mod', 'vendor']],
    ['kubeContext', 'KUBE_CONTEXT=arn:aws:eks:eu-central-1:123:cluster/x', 'arn:aws:eks:eu-central-1:123:cluster/x'],
    ['kubeContext', 'KUBE_CONTEXT=default/api-x:6443/kube:admin', 'default/api-x:6443/kube:admin'],
    [
      'selector',
      'SELECTOR=app.kubernetes.io/name=x,tier in (a, b),!old,env!=prod',
      'app.kubernetes.io/name=x,tier in (a, b),!old,env!=prod',
    ],
    ['prodImage', 'PROD_IMAGE=localhost:5000/a/b__c:1.2-x', 'localhost:5000/a/b__c:1.2-x'],
    ['baseImage', `BASE_IMAGE=gcr.io/x@sha256:${'0'.repeat(64)}`, `gcr.io/x@sha256:${'0'.repeat(64)}`],
    ['debugLocalPort', 'DEBUG_PORT=4000', 4000],
    ['debugLocalPort', 'DEBUG_LOCAL_PORT=4001', 4001],
    ['debugWait', 'DEBUG_WAIT=1', true],
    ['settle', 'SETTLE=1.25', 1.25],
    ['hold', 'HOLD=0', false],
    ['goArch', 'export GO_ARCH = arm64  # a comment', 'arm64'],
    ['goArch', '\uFEFFGO_ARCH: "arm64"\r\n', 'arm64'],
  ]
  for (const [key, line, value] of table) assert.equal(good(line)[key], value, line)
})

test('a hostile value is refused by name, from the file and from the environment', () => {
  const everywhere = [
    '$(id)',
    '`id`',
    'a; rm -rf x',
    '-x',
    '--help',
    'a|b',
    'a\nb',
    'a\u001b[31m',
    "a'b",
    'a"b',
    'a\\b',
    '&',
    ' ',
    'a\u2028b',
  ]
  const free = ['GO_LDFLAGS', 'GO_FLAGS'] // they reach go as words, and no shell
  for (const { key } of keys)
    for (const value of everywhere.filter((v) => !free.includes(key) || /[\n\u001b\u2028]/.test(v)))
      assert.equal(
        faults('', { [key]: value }).map((fault) => [fault.where, fault.key]),
        [['environment', key]],
        `${key}=${JSON.stringify(value)}`,
      )
  assert.match(
    text('BINARY="a\nb"'),
    /^\.env:1: BINARY="a\\nb" must not hold a newline, NUL or another control character/,
  )
  assert.match(text('X=1\nBINARY=a\0b'), /^\.env:2: "BINARY=a\\u0000b" must not hold NUL/)
})

test('what does not fit is refused', () => {
  const table: Readonly<Record<string, readonly string[]>> = {
    BINARY_PATH: ['bin/x', '/a/../b', '/..', '/a/./b', '/a//b', '/a/', '/', '/a/ b', '/a/b ', '/ä', '/a:b', '/a\tb'],
    BINARY: ['bin/', '.', '..', 'a/..', '~/x'],
    GO_DIR: ['~/x', '-C'],
    VERSION_VAR: ['version', '-main.version', 'main.', 'main.1x', 'a b.c'],
    GO_ARCH: ['amd46', 'x86_64', 'AMD64'],
    TARGET: ['Local', 'kind'],
    KUBE_NAMESPACE: ['Bad_NS', '-a', 'a-', 'a.b', 'x'.repeat(64)],
    SELECTOR: ['', '=a', 'app=hello,', 'a=b c', 'a in ()x', 'app=hello --all', 'a in (b'],
    PROD_IMAGE: ['', 'Hello', 'a:b:c', 'a@sha256:12', 'a//b', 'a/', 'a b'],
    DEBUG_PORT: ['0', '65536', '08', '1e3', '-1', '1.5', ''],
    SETTLE: ['0', '-1', '1e1', 'NaN', '61', '.5', '0.123'],
    LIMIT: ['0', '3601', '10s'],
    DEBUG_WAIT: ['true', ''],
    DLV_VERSION: ['latest', '1.27.2', 'v1'],
    CONTAINER_TOOL: ['kaniko'],
    GO_FLAGS: ['./other', '-tags', '-mod', 'x -v', "'-tags=a", '-tags="a b"'],
  }
  for (const [key, values] of Object.entries(table))
    for (const value of values)
      assert.equal(
        faults('', { [key]: value }).map((fault) => fault.key),
        [key],
        `${key}=${value}`,
      )
})

test('flags that would override ours are refused by name, in every spelling', () => {
  for (const flag of ['ldflags', 'gcflags', 'o'])
    for (const spelling of [`-${flag}=x`, `--${flag}=x`, `-${flag} x`, `-v --${flag} x`, `'-${flag}=a b'`])
      assert.match(
        text('', { GO_FLAGS: spelling }),
        new RegExp(`must not hold -${flag}, which would override`),
        spelling,
      )
  assert.equal(good('', { GO_FLAGS: '-overlay=x -tags=-o' }).goFlags, ['-overlay=x', '-tags=-o'])
})

test('all faults come at once, with file, line, key, value, what is allowed and an example', () => {
  const file = '# mine\nGO_ARCH=amd46\n\nSELECTOR="app=x;y"\nDEBUG_PORT=99999\n'
  assert.is(
    text(file, { TARGET: 'here' }),
    [
      '4 settings are wrong',
      '  .env:2: GO_ARCH="amd46" must be one of amd64, arm64, arm, 386, loong64, mips, mipsle, mips64, mips64le, ppc64, ppc64le, riscv64, s390x, or empty (example: GO_ARCH=amd64)',
      `  .env:4: SELECTOR="app=x;y" must be a label selector that is not empty (example: SELECTOR='app=hello,tier in (web,api)')`,
      '  .env:5: DEBUG_PORT="99999" must be a port from 1 to 65535 (example: DEBUG_PORT=2345)',
      '  environment: TARGET="here" must be one of local, kubernetes, or empty (example: TARGET=local)',
    ].join('\n'),
  )
})

test('every example is a value that its own key takes', () => {
  for (const { key } of keys) {
    const [fault] = faults('', { [key]: '\n' })
    assert.ok(fault)
    assert.equal(faults(fault?.example ?? ''), [], fault?.example)
  }
})

test('what dotenv passes over in silence is a fault', () => {
  const table: readonly [string, string][] = [
    ['novalue', '.env:1: "novalue" is no line of the form KEY=value'],
    ['A=1\nA=2', '.env:2: A="2" is set twice: line 1 has it already'],
    ['BINARY=bin/a#b', '.env:1: BINARY="bin/a#b" would be cut at its #'],
    ['BINARY=#b', '.env:1: BINARY="#b" would be cut at its #'],
    ['BINARY="bin/a\nX=1', '.env:1: BINARY="\\"bin/a" has a quote " that is never closed'],
    ["BINARY='a' b", `.env:1: BINARY="'a' b" goes on after its closing quote`],
    ['BINARY:\nX=1', '.env:1: "BINARY:" is no line of the form KEY=value'],
    ['BINARY=\n"x"', '.env:2: "\\"x\\"" is no line of the form'],
    ['X="a\nb\nc"\nGO_ARCH=x', '.env:4: GO_ARCH="x"'],
    ['A=b\u2028BINARY=x', '.env:1: "A=b?BINARY=x" must not hold NUL or a Unicode line end'],
  ]
  for (const [file, start] of table) assert.is(text(file).slice(0, start.length), start)
})

test('a comment after a space, and a # in quotes, are no faults', () => {
  assert.is(good('BINARY=bin/a # b#c').binary, 'bin/a')
  assert.is(good("BINARY='bin/a#b'#c").binary, 'bin/a#b')
  assert.is(good('BINARY="bin/a#b" # c').binary, 'bin/a#b')
})

test('a key that looks like a typo is named with the nearest one, any other is left alone', () => {
  const table: readonly [string, string | undefined][] = [
    ['GO_MIAN', 'GO_MAIN'],
    ['go_main', 'GO_MAIN'],
    ['GO-ARCH', 'GO_ARCH'],
    ['BINARYPATH', 'BINARY_PATH'],
    ['KUBECONTEXT', 'KUBE_CONTEXT'],
    ['KUBE_NAMESPACES', 'KUBE_NAMESPACE'],
    ['SETTEL', 'SETTLE'],
    ['DATABASE_URL', undefined],
    ['PORT', undefined],
    ['__proto__', undefined],
    ['constructor', undefined],
  ]
  for (const [key, nearest] of table)
    assert.is(text(`${key}=x`).includes(`did you mean ${nearest}?`) ? nearest : undefined, nearest, key)
  assert.equal(faults('DATABASE_URL=x\nPORT=1\n__proto__=x\nconstructor=y'), [])
})

test('10000 random texts give settings or faults, never anything else, and agree with dotenv', () => {
  let seed = 7
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
  const pieces = [
    '=',
    '\n',
    '\r\n',
    ' ',
    '#',
    '"',
    "'",
    '`',
    '\\',
    ':',
    '$(x)',
    '\t',
    'export ',
    'a',
    '-',
    '/',
    '..',
    '\0',
    '\u2028',
    '\u00a0',
    'ä',
    '\uFEFF',
    ',',
  ]
  const names = keys.map((row) => row.key)
  let fine = 0
  for (let round = 0; round < 10_000; round++) {
    let file = ''
    for (let n = random(14); n > 0; n--) {
      const pick = random(10)
      const key = names[random(names.length)] ?? ''
      if (pick < 3) file += `${key}=${keys[random(keys.length)]?.default}\n`
      else if (pick < 5) file += key
      else file += pieces[random(pieces.length)]
    }
    const result = parse(file, {})
    if ('faults' in result) {
      for (const fault of result.faults) assert.match(fault.where, /^\.env:[1-9]\d*$/, JSON.stringify(file))
      assert.not.match(faultsText(result.faults), /[\0\r\u2028]|undefined/, JSON.stringify(file))
    }
    const scanned = scan(file, names)
    if (scanned.faults.length === 0) {
      fine += 1
      assert.equal(
        [...scanned.lines.keys()].sort(),
        Object.keys(dotenv.parse(file.replace(/^\uFEFF/, ''))).sort(),
        JSON.stringify(file),
      )
    }
  }
  assert.ok(fine > 1000, `only ${fine} texts without faults`)
})

test('a long value takes no long time', () => {
  const begin = performance.now()
  for (const { key } of keys)
    for (const piece of ['a', 'a-', 'a.', 'a,', ' ', '/a', 'a=', '-a "b" '])
      parse('', { [key]: piece.repeat(20_000 / piece.length) })
  assert.ok(performance.now() - begin < 5000)
})

test('a file that PowerShell wrote as UTF-16 is named so, with its mark or without, and UTF-8 is read', () => {
  const file = 'BINARY=bin/a\n# Jörg\n'
  const little = Buffer.from(file, 'utf16le')
  const big = Buffer.from(little).swap16()
  const problem = 'UTF-16: save it as UTF-8 (PowerShell: Out-File -Encoding utf8)'
  for (const bytes of [little, big, Buffer.from([0xff, 0xfe, ...little]), Buffer.from([0xfe, 0xff, ...big])])
    assert.equal(decoded(bytes), { problem })
  assert.equal(decoded(Buffer.from(file, 'latin1')), { problem: 'not UTF-8: save it as UTF-8' })
  for (const text of [file, '', 'A', `\uFEFF${file}`, 'A=\0b']) assert.equal(decoded(Buffer.from(text)), { text })
})

test('variables of Go and of the program in .env are told apart, a typo stays one', () => {
  const result = parse('GOPROXY=off\nCGO_ENABLED=1\nGOFLAGS=-trimpath\nCC=gcc\nHELLO_ADDR=":1"\nBINARY=bin/a\n', {})
  assert.ok('others' in result)
  assert.equal('others' in result && result.others, {
    go: { GOPROXY: 'off', CGO_ENABLED: '1', GOFLAGS: '-trimpath', CC: 'gcc' },
    program: { HELLO_ADDR: ':1' },
  })
  for (const [typo, meant] of Object.entries({ GOMAIN: 'GO_MAIN', GODIR: 'GO_DIR', GOARCH: 'GO_ARCH' }))
    assert.match(text(`${typo}=x`), `did you mean ${meant}?`)
})

test('children get the environment without what would change zx and dotenv', () => {
  process.env.ZX_PREFIX = 'echo injected;'
  process.env.DOTENV_PATH = '/x'
  const env = environment()
  delete process.env.ZX_PREFIX
  delete process.env.DOTENV_PATH
  assert.is(env.PATH, process.env.PATH)
  assert.equal(
    Object.keys(env).filter((key) => /^(ZX|DOTENV)_/.test(key)),
    [],
  )
})

test.run()
