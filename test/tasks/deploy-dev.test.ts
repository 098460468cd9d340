import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { size } from '../../tasks/lib/frame/words.ts'
import { loaded, program, sha256 } from '../agent/fixtures.ts'
import * as proc from '../agent/proc.ts'
import { freePort } from '../../tasks/lib/frame/free-port.ts'
import { checkout, type Checkout } from '../lib/checkout.ts'
import { cases, colleague, delivered, failed, short, until, where } from '../lib/loop.ts'
import { objects } from '../lib/json.ts'
import { which } from '../lib/needs.ts'

const deploy = cases('deploy-dev')

const v1 = program({ version: 'v1' })
const v2 = program({ version: 'v2' })

deploy('a delta: kilobytes instead of the whole, and the whole where it does not fit', async (loop) => {
  loop.env.HELLO_ADDR = `127.0.0.1:${await freePort()}`
  assert.is((await loop.task('build')).code, 0)
  await loop.up()
  assert.is((await loop.task('deploy-dev')).code, 0) // from now on the cache knows what runs
  const edit = async (greeting: string) => {
    const source = loop.copy.read('examples/hello/main.go')
    loop.copy.file('examples/hello/main.go', source.replace(/return "[^"]*"/, `return "${greeting}"`))
    assert.is((await loop.task('build')).code, 0)
    return readFileSync(join(loop.dir, 'bin/hello'))
  }
  const second = await edit('good morning, version ')
  const first = await loop.task('deploy-dev', ['--encoding', 'delta', '--verbose'])
  assert.match(first.stderr, /^local: encoding delta on [0-9a-f]{8}$/m)
  assert.match(first.stdout, /^local: [\d.]+ kB of [\d.]+ MB  pid N  \S+ [0-9a-f]{8}  N\.N s\n$/)
  loop.runs(loop.pid(), second)
  const third = await edit('good night, version ')
  const again = await loop.task('deploy-dev', ['--encoding', 'delta', '--verbose'])
  assert.match(again.stderr, /^local: encoding delta on [0-9a-f]{8}\n$/m)
  assert.not.match(again.stderr, /are sent/)
  loop.runs(loop.pid(), third)

  // what the pod has is not known here: the whole goes, as it is on a short way
  rmSync(join(loop.dir, '.hotswap/cache'), { recursive: true })
  const fourth = await edit('good bye, version ')
  const whole = await loop.task('deploy-dev', ['--encoding', 'delta', '--verbose'])
  assert.match(whole.stderr, /encoding raw: what the pod has is not in \.hotswap\/cache\n$/)
  loop.runs(loop.pid(), fourth)

  // a patch that the pod cannot use: the whole file goes instead
  const known = join(loop.dir, '.hotswap/cache', `hello-${sha256(fourth)}`)
  writeFileSync(known, Buffer.concat([Buffer.from('not what runs'), readFileSync(known)]))
  const fifth = await edit('hello again, version ')
  const rescued = await loop.task('deploy-dev', ['--encoding', 'delta'])
  assert.match(rescued.stderr, /local: rejected: damaged: .* - sending the whole file\n$/)
  assert.is(rescued.code, 0)
  loop.runs(loop.pid(), fifth)
})

deploy('the helper is sent once, to an agent that has none; what only reads sends nothing', async (loop) => {
  loop.built(v2)
  await loop.serving(v1)
  const folder = join(loop.folder, 'usr/local/bin/.hotswap-hello/bin')
  assert.is(readdirSync(folder).length, 1, 'switch-dev has put it there')
  rmSync(folder, { recursive: true })
  for (const name of ['status-dev', 'doctor-dev']) assert.is((await loop.task(name)).code, 0, name)
  for (const args of [[], ['--agent']]) {
    const { child, said } = loop.launch('logs-dev', args)
    let out = ''
    child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()))
    await until('its first line', () => out.includes('local | ') || child.exitCode !== null)
    child.kill('SIGTERM')
    assert.is((await said).code, 143)
  }
  assert.not(existsSync(folder))
  const first = await loop.task('deploy-dev')
  assert.match(first.stderr, /^local: has no hotswap-helper: [\d.]+ [kM]B are sent, once$/m)
  assert.is(first.code, 0)
  loop.runs(loop.pid(), v2)
  loop.built(v1)
  const second = await loop.task('deploy-dev')
  assert.not.match(second.stderr, /are sent/)
  loop.runs(loop.pid(), v1)
})

deploy('the helper goes as it is to a pod without gzip', async (loop) => {
  loop.built(v2)
  await loop.serving(v1)
  rmSync(join(loop.folder, 'usr/local/bin/.hotswap-hello/bin'), { recursive: true })
  const keeping = 'tasks/lib/delivery/helper.sh'
  loop.copy.file(keeping, loop.copy.read(keeping).replace('command -v gzip', 'command -v no-gzip-here'))
  const { code, stderr } = await loop.task('deploy-dev')
  assert.equal([code, stderr.match(/has no hotswap-helper: /g)?.length], [0, 2], stderr)
  loop.runs(loop.pid(), v2)
})

deploy(
  'the helper goes there in one exec, and a link that breaks meanwhile leaves nothing that the next one minds',
  async (loop) => {
    loop.built(v2)
    await loop.serving(v1)
    rmSync(join(loop.folder, 'usr/local/bin/.hotswap-hello/bin'), { recursive: true })
    const broken = join(loop.dir, 'broken')
    // sh is what an exec begins with; the first that brings the helper takes a part of it and is gone
    loop.copy.fake(
      'sh',
      `case "$2" in '# Keeps the agent'*) [ -e '${broken}' ] || { : >'${broken}'; head -c 100000 >/dev/null; kill -KILL $$; } ;; esac\nexec /bin/sh "$@"`,
    )
    const cut = await loop.task('deploy-dev')
    assert.is(cut.code, 1)
    assert.match(
      cut.stderr,
      /error: local: the connection ended without a receipt \(SIGKILL\) - run npm run deploy-dev again\n$/,
    )
    const said = await loop.task('deploy-dev')
    assert.is(said.code, 0, said.stderr)
    loop.runs(loop.pid(), v2)
    const execs = () =>
      loop.copy.calls('sh').map((words) => (words.includes('put') ? 'put' : words.includes('-c') ? 'helper' : 'other'))
    const once = which('gzip') !== undefined ? ['helper'] : ['helper', 'helper'] // asked for as it is, if there is none
    assert.equal(execs(), ['put', 'helper', 'put', ...once, 'put'])
    loop.built(v1)
    assert.is((await loop.task('deploy-dev')).code, 0)
    assert.equal(execs().slice(4 + once.length), ['put'])
  },
)

deploy(
  'two developers with two versions of hotswap-dev: each sends its helper once, and none takes that of the other',
  async (loop) => {
    await loop.serving(v1)
    const folder = join(loop.folder, 'usr/local/bin/.hotswap-hello/bin')
    const other = checkout()
    try {
      mkdirSync(join(other.dir, '.hotswap'))
      const source = other.read('agent/hotswap-helper/main.go')
      other.file('agent/hotswap-helper/main.go', source.replace('no such use', 'no use of that kind'))
      symlinkSync(loop.folder, join(other.dir, '.hotswap/local'))
      const deployed = async (copy: Checkout, bytes: Buffer) => {
        writeFileSync(copy.file('bin/hello', '', 0o755), bytes)
        const said = await copy.run('deploy-dev', [], { env: loop.env })
        assert.is(said.code, 0, said.stderr)
        loop.runs(loop.pid(), bytes)
        return / are sent, once$/m.test(said.stderr)
      }
      mkdirSync(join(other.dir, '.hotswap'), { recursive: true })
      assert.is(await deployed(other, v2), true)
      assert.is(readdirSync(folder).length, 2)
      assert.is(await deployed(loop.copy, v1), false)
      assert.is(await deployed(other, v2), false)
      assert.is(readdirSync(folder).length, 2)
    } finally {
      other.remove()
    }
  },
)

for (const [what, options, why] of [
  ['runs no file', 'noexec', /denied/i],
  ['is full', 'size=8m', /space/i],
] as const)
  deploy(
    `the helper cannot be kept where the folder ${what}: why, what to do, and nothing is changed`,
    async (loop) => {
      loop.built(v2)
      const folder = join(loop.folder, 'usr/local/bin')
      loop.mount(folder, 'size=32m')
      await loop.serving(v1)
      rmSync(join(folder, '.hotswap-hello/bin'), { recursive: true })
      if (what === 'is full') writeFileSync(join(folder, 'filler'), Buffer.alloc(8e6 - v1.length - 500_000))
      loop.mounting(['-o', `remount,${options}`, folder])
      const before = readdirSync(folder).sort()
      const { code, stdout, stderr } = await loop.task('deploy-dev')
      assert.equal([code, stdout], [1, ''])
      const last = stderr.trimEnd().split('\n').at(-1) ?? ''
      assert.match(
        last,
        /^error: local: the agent's helper cannot be kept in \S+ \(.+\) - make room there, .*npm run container-dev, then npm run switch-dev$/,
      )
      assert.match(last, why)
      assert.equal(readdirSync(folder).sort(), before)
      assert.equal(readdirSync(join(folder, '.hotswap-hello/bin')), [])
      loop.runs(loop.pid(), v1)
    },
    { root: true },
  )

deploy(
  'a folder that is read-only: the helper is where the state is, and the binary that cannot be replaced is named',
  async (loop) => {
    loop.built(v2)
    const folder = join(loop.folder, 'usr/local/bin')
    loop.mount(folder, 'size=32m')
    loop.installed(v1)
    loop.mounting(['-o', 'remount,ro', folder])
    await loop.up()
    await until('the program runs', () => loop.receipt().result === 'running')
    const pid = loop.pid()
    const { code, stderr } = await loop.task('deploy-dev')
    assert.is(code, 1)
    assert.match(
      stderr,
      /^error: local: the binary there cannot be replaced: \S+ is read-only - mount an emptyDir over its folder/m,
    )
    loop.runs(pid, v1)
  },
  { root: true },
)

deploy('the helper cannot be kept: why, what to do, and nothing is changed', async (loop) => {
  loop.built(v2)
  await loop.serving(v1)
  const folder = join(loop.folder, 'usr/local/bin/.hotswap-hello/bin')
  rmSync(folder, { recursive: true })
  writeFileSync(folder, 'in the way')
  const { code, stdout, stderr } = await loop.task('deploy-dev')
  assert.equal([code, stdout], [1, ''])
  assert.match(
    stderr,
    /\nerror: local: the agent's helper cannot be kept in \S+\.hotswap-hello \(.+\) - make room there, .*npm run container-dev, then npm run switch-dev\n$/,
  )
  loop.runs(loop.pid(), v1)
})

deploy('an agent of before the helper: one sentence says what to run, and switch-dev starts it anew', async (loop) => {
  loop.built(v2)
  await loop.serving(v1)
  const known = loop.copy.read('agent/hotswap-dev')
  loop.copy.file(
    'agent/hotswap-dev',
    "#!/bin/sh\necho 'hotswap-dev: put takes one BINARY (hotswap-dev --help)' >&2\nexit 2\n",
  )
  const silent = await loop.task('deploy-dev')
  assert.equal(
    [silent.code, silent.stderr.split('\n').at(-2)],
    [1, 'error: local: the agent is older than these tasks - run npm run switch-dev'],
  )
  loop.copy.file('agent/hotswap-dev', known)
  const state = join(loop.folder, 'usr/local/bin/.hotswap-hello/agent')
  writeFileSync(state, readFileSync(state, 'utf8').replace(/^(agent=\S+) \d+$/m, '$1 1'))
  const old = await loop.task('deploy-dev')
  assert.equal(
    [old.code, old.stderr.split('\n').at(-2)],
    [1, 'error: local: the agent (0.1.0 1) is older than these tasks - run npm run switch-dev'],
  )
  loop.runs(loop.pid(), v1)
  assert.match((await loop.task('switch-dev')).stderr, /^the agent runs as an older version: it is started again$/m)
  assert.is((await loop.task('deploy-dev')).code, 0)
  loop.runs(loop.pid(), v2)
})

deploy(
  'an agent of protocol 1, as 0.1.0 had it: it runs on, what reads works, deploy-dev says what to run',
  async (loop) => {
    const known = loop.copy.read('agent/hotswap-dev')
    loop.copy.file(
      'agent/hotswap-dev',
      gunzipSync(readFileSync(new URL('../agent/protocol-1.gz', import.meta.url))).toString(),
    )
    loop.built(v2)
    await loop.serving(v1)
    const pid = loop.pid()
    const older = 'is older than these tasks - run npm run switch-dev'
    // by its own script, as in a pod, and by that of the tasks, as on local
    for (const [script, spoken] of [
      [undefined, ''],
      [known, ' (0.1.0 1)'],
    ] as const) {
      if (script !== undefined) loop.copy.file('agent/hotswap-dev', script)
      const status = await loop.task('status-dev')
      assert.equal([status.code, /^local +running/m.test(status.stdout)], [0, true], status.stderr)
      const doctor = await loop.task('doctor-dev')
      assert.equal([doctor.code, doctor.stdout.includes(`the agent (0.1.0 1) ${older}`)], [1, true], doctor.stdout)
      const { code, stderr } = await loop.task('deploy-dev')
      assert.equal([code, stderr], [1, `${where}error: local: the agent${spoken} ${older}\n`])
      loop.runs(pid, v1)
    }
    assert.match((await loop.task('switch-dev')).stderr, /^the agent runs as an older version: it is started again$/m)
    assert.is((await loop.task('deploy-dev')).code, 0)
    loop.runs(loop.pid(), v2)
  },
)

const claim = (bytes: Buffer, version: string) =>
  `local: ${colleague}'s ${version} ${short(bytes)} has run there since YYYY-MM-DDTHH:MM:SSZ - agree with them, then npm run deploy-dev -- --take-over`

deploy(
  "another developer's binary is left as it is: whose, which, since when; --take-over replaces it",
  async (loop) => {
    loop.built(v2)
    await loop.serving(v1)
    const theirs = program({ version: 'theirs' })
    assert.match(loop.colleague(theirs, 'v9'), /^result=running$/m)
    const pid = loop.pid()
    // and nothing holds the task up, once it was refused
    assert.equal(await loop.task('deploy-dev', [], { limit: 20_000 }), failed(claim(theirs, 'v9')))
    const { code, stdout } = await loop.task('deploy-dev', ['--json'])
    assert.equal([code, objects('deploy-dev', stdout)[0]?.error], [1, claim(theirs, 'v9')])
    loop.runs(pid, theirs)
    const status = await loop.task('status-dev', ['--wide'])
    assert.match(status.stdout, new RegExp(`  ${colleague}  YYYY-MM-DDTHH:MM:SSZ  `), 'status-dev says who')

    const taken = await loop.task('deploy-dev', ['--take-over'])
    const had = claim(theirs, 'v9').replace('has run', 'had run').replace(/ - .*/, '').replace('local: ', '')
    assert.equal(taken, { ...delivered(v2), stderr: `${where}local: taken over: ${had}\n` })
    loop.runs(loop.pid(), v2)

    // one's own is replaced without a word, and so is what was delivered from here
    loop.built(v1)
    assert.equal(await loop.task('deploy-dev'), delivered(v1))
    assert.match(loop.colleague(v2, 'v2'), /^result=running$/m)
    assert.equal(await loop.task('deploy-dev'), delivered(v1))
    await loop.clean()
  },
)

deploy('a binary that comes between the greeting and the upload is not lost', async (loop) => {
  loop.built(v2)
  await loop.serving(v1)
  const theirs = program({ version: 'theirs' })
  writeFileSync(join(loop.dir, 'theirs'), theirs)
  const head = `sha256=${sha256(theirs)} size=${theirs.length} encoding=raw run=plain version=v9 by=${colleague}`
  // once the greeting has been answered, a colleague deploys, and only then the upload arrives
  loop.disguised(
    'put',
    `cd "\${0%/*}" && mkdir once 2>/dev/null || exec sh "$real" "$@"
    { IFS= read -r header
      { echo '${head}'; cat ../theirs; } | sh "$real" put "$2" >said
      printf '%s\\n' "$header"; cat; } | sh "$real" put "$2"`,
  )
  // and nothing holds the task up, once it was refused
  assert.equal(await loop.task('deploy-dev', [], { limit: 20_000 }), failed(claim(theirs, 'v9')))
  assert.match(loop.copy.read('agent/said'), /^result=running$/m)
  loop.runs(loop.pid(), theirs)
})

const sleeper = `package main

import "time"

var version, by = "unset", "unset"

func main() {
	println("ready", version, by)
	time.Sleep(time.Hour)
}
`

deploy(
  'the whole loop: build, deploy, edit, build, deploy; the new code answers, and the receipt names its file',
  async (loop) => {
    const address = (loop.env.HELLO_ADDR = `127.0.0.1:${await freePort()}`)
    const git = (...args: string[]) =>
      loop.spawn(['git', '-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args]).said
    for (const args of ['init -q', 'add examples go.mod', 'commit -q -m v1', 'tag v1'])
      assert.is((await git(...args.split(' '))).code, 0)
    assert.is((await loop.task('build')).code, 0)
    await loop.up()

    const first = readFileSync(join(loop.dir, 'bin/hello'))
    assert.equal(await loop.task('deploy-dev'), delivered(first, 'v1 '))
    assert.is(await (await fetch(`http://${address}/`)).text(), 'hello, version v1\n')
    loop.runs(loop.pid(), first)

    const source = loop.copy.read('examples/hello/main.go')
    loop.copy.file('examples/hello/main.go', source.replace('"hello, version "', '"good morning, version "'))
    assert.is((await loop.task('build')).code, 0)
    const second = readFileSync(join(loop.dir, 'bin/hello'))
    assert.is.not(sha256(second), sha256(first))
    const before = loop.pid()
    assert.equal(await loop.task('deploy-dev'), delivered(second, 'v1-dirty '))
    assert.is(await (await fetch(`http://${address}/`)).text(), 'good morning, version v1-dirty\n')
    assert.not(proc.alive(before))
    loop.runs(loop.pid(), second)
    const { result, sha256: hash, version, by, run, proof } = loop.receipt()
    assert.equal(
      { result, hash, version, by, run, proof },
      {
        result: 'running',
        hash: sha256(second),
        version: 'v1-dirty',
        by: `${userInfo().username}@${hostname()}`.replace(/[^A-Za-z0-9._+@-]/g, '-'),
        run: 'plain',
        proof: 'exe',
      },
    )
    await loop.clean()
  },
)

deploy('the first binary goes to an agent that waits for one', async (loop) => {
  loop.built(v1)
  await loop.up()
  assert.is(loop.receipt().reason, 'there is no binary: waiting for one')
  assert.equal(await loop.task('deploy-dev'), delivered(v1))
  loop.runs(loop.pid(), v1)
})

deploy('what runs already is not sent again, and nothing is restarted', async (loop) => {
  loop.built(v1)
  const pid = await loop.serving(v1)
  const stdout = `local: already running  pid N  ${short(v1)}  N.N s\n`
  assert.equal(await loop.task('deploy-dev'), { code: 0, stdout, stderr: where })
  // the thread that would make a delta holds nothing up
  const again = await loop.task('deploy-dev', ['--encoding', 'delta'], { limit: 20_000 })
  assert.equal(again, { code: 0, stdout, stderr: where })
  assert.is(loop.pid(), pid)
  loop.runs(pid, v1)
})

deploy('--json prints one object per pod and nothing else', async (loop) => {
  loop.built(v2)
  await loop.serving(v1)
  const { code, stdout, stderr } = await loop.task('deploy-dev', ['--json'])
  assert.equal({ code, stderr }, { code: 0, stderr: where })
  const [{ seconds, ...rest } = {}] = objects('deploy-dev', stdout)
  assert.type(seconds, 'number')
  const pid = loop.pid()
  assert.equal(rest, {
    pod: 'local',
    result: 'running',
    sent: v2.length,
    size: v2.length,
    pid,
    version: '',
    sha256: sha256(v2),
  })
  const again = JSON.parse((await loop.task('deploy-dev', ['--json'])).stdout)
  assert.equal({ ...again, seconds }, { ...rest, result: 'already', sent: 0, seconds })

  loop.built(program({ version: 'v3', dies: 0, code: 3 }))
  const { code: failure, stdout: record } = await loop.task('deploy-dev', ['--json'])
  assert.is(failure, 1)
  assert.equal(objects('deploy-dev', record)[0], {
    pod: 'local',
    error: `local: it crashed (exit status 3); the previous binary ${short(v2)} is back - fix it, then npm run build and npm run deploy-dev`,
  })
})

deploy.needing('gzip')('ENCODING=gzip sends less than the binary has', async (loop) => {
  loop.built(v2)
  await loop.serving(v1)
  const { code, stdout, stderr } = await loop.task('deploy-dev', [], { env: { ENCODING: 'gzip' } })
  assert.equal({ code, stderr }, { code: 0, stderr: where })
  const sent = /^local: (\d\.\d) MB of (\d\.\d MB)  pid N  (\w{8})  N.N s\n$/.exec(stdout) ?? []
  assert.ok(Number(sent[1]) < 0.8 * (v2.length / 1e6), stdout)
  assert.equal(sent.slice(2), [size(v2.length), short(v2)])
  loop.runs(loop.pid(), v2)
})

deploy('says what to do where nothing is built', async (loop) => {
  const error = failed('there is no bin/hello - run npm run build')
  assert.equal(await loop.task('deploy-dev'), error)
  loop.built(Buffer.from('#!/bin/sh\n'))
  assert.equal(await loop.task('deploy-dev'), failed('bin/hello is a script - run npm run build'))
  loop.built(v1.subarray(0, v1.length / 2))
  assert.equal(await loop.task('deploy-dev'), failed('bin/hello is truncated - run npm run build'))
})

deploy('says what to do where nothing runs', async (loop) => {
  loop.built(v1)
  const error = failed(
    'nothing runs on local - start one with npm run switch-dev, or see the whole thing once with npm run demo',
  )
  assert.equal(await loop.task('deploy-dev'), error)
  assert.not(existsSync(loop.folder))
})

deploy('a debug build runs plain where the agent has no debugger, and that is said', async (loop) => {
  loop.copy.file('svc/go.mod', 'module example.com/svc\n\ngo 1.21\n')
  loop.copy.file('svc/main.go', sleeper)
  // by go itself: build-debug would bring a debugger
  const build = ['go', 'build', '-C', 'svc', '-gcflags=-N -l', '-o', '../bin/hello', '.']
  assert.is((await loop.spawn(build).said).code, 0)
  await loop.up()
  const { code, stderr } = await loop.task('deploy-dev')
  assert.is(code, 0)
  assert.is(
    stderr,
    `${where}bin/hello was built elsewhere, without optimization: it runs under the debugger\nlocal: no debugger there: the agent runs without -r - run npm run switch-dev, which starts it with one\n`,
  )
  assert.is(loop.receipt().run, 'plain')
})

deploy('hostile settings, tags and paths never reach a shell', async (loop) => {
  const canary = join(loop.dir, 'canary')
  const evil = `$(touch ${canary})\`touch ${canary}\`;touch ${canary};'`
  loop.copy.file('svc/go.mod', 'module example.com/svc\n\ngo 1.21\n')
  loop.copy.file('svc/main.go', sleeper)
  const git = (...args: string[]) =>
    loop.spawn(['git', '-c', 'user.name=t', '-c', 'user.email=t@localhost', '-C', 'svc', ...args]).said
  for (const args of [
    ['init', '-q'],
    ['add', '.'],
    ['commit', '-q', '-m', 'x'],
    ['tag', 'v1;$(touch${IFS}canary)&'],
  ])
    assert.is((await git(...args)).code, 0)
  loop.copy.file(
    '.env',
    `GO_DIR=svc\nGO_MAIN=.\nBINARY='bin/a (b) #c'\nBINARY_PATH=/opt/my app/a@b\nGO_LDFLAGS="-X main.by=${evil.replace(/'/g, '').replace(/ /g, '${IFS}')}"\n`,
  )
  loop.binaryPath = '/opt/my app/a@b'
  const env = {
    ZX_PREFIX: `touch ${canary};`,
    ZX_SHELL: '/bin/false',
    BASH_ENV: loop.copy.file('rc', `touch '${canary}'\n`),
    ENV: join(loop.dir, 'rc'),
  }
  const built = await loop.task('build', [], { env })
  assert.equal({ code: built.code, stderr: built.stderr }, { code: 0, stderr: '' })
  assert.match(built.stdout, /^bin\/a \(b\) #c  v1---touch--IFS-canary--  /)
  assert.is((await loop.task('switch-dev', ['--', evil, '*', ''], { env })).code, 0)
  const bytes = readFileSync(join(loop.dir, 'bin/a (b) #c'))
  assert.equal(await loop.task('deploy-dev', [], { env }), delivered(bytes, 'v1---touch--IFS-canary-- '))
  assert.is((await loop.task('status-dev', [], { env })).code, 0)
  loop.runs(loop.pid(), bytes)
  assert.not(existsSync(canary))
})

deploy('a module from elsewhere is built and swapped by settings alone', async (loop) => {
  const elsewhere = join(loop.dir, 'else where')
  mkdirSync(join(elsewhere, 'cmd/x'), { recursive: true })
  writeFileSync(join(elsewhere, 'go.mod'), 'module example.com/elsewhere\n\ngo 1.21\n')
  writeFileSync(join(elsewhere, 'cmd/x/main.go'), sleeper)
  loop.binaryPath = '/usr/local/bin/x'
  loop.copy.file(
    '.env',
    `GO_DIR=${elsewhere}\nGO_MAIN=./cmd/x\nBINARY=bin/x\nBINARY_PATH=/usr/local/bin/x\nVERSION_VAR=\n`,
  )
  assert.is((await loop.task('build')).code, 0)
  await loop.up()
  const bytes = readFileSync(join(loop.dir, 'bin/x'))
  assert.equal(await loop.task('deploy-dev'), delivered(bytes, 'unknown '))
  loop.runs(loop.pid(), bytes)
})

deploy('40 MB: how long it takes is shown, not judged', async (loop) => {
  loop.copy.file('svc/go.mod', 'module example.com/svc\n\ngo 1.21\n')
  loop.copy.file(
    'svc/main.go',
    sleeper
      .replace('var', 'import _ "embed"\n\n//go:embed noise\nvar noise []byte\n\nvar')
      .replace('by)', 'by, len(noise))'),
  )
  writeFileSync(join(loop.dir, 'svc/noise'), randomBytes(38_000_000))
  const env = { GO_DIR: 'svc', GO_MAIN: '.' }
  assert.is((await loop.task('build', [], { env })).code, 0)
  const bytes = readFileSync(join(loop.dir, 'bin/hello'))
  loop.env.SETTLE = '0.5'
  await loop.serving(v1)
  const begin = performance.now()
  assert.equal(await loop.task('deploy-dev'), delivered(bytes, 'unknown '))
  process.stdout.write(`${size(bytes.length)} deployed in ${((performance.now() - begin) / 1000).toFixed(2)} s\n`)
})

deploy('what needs a loader that is not there is refused before anything stops, with the way out', async (loop) => {
  const v1 = program({ version: 'v1' })
  const pid = await loop.serving(v1)
  const next = loaded({ version: 'v2' }, '/lib/ld-elsewhere.so.1')
  loop.built(next)
  const { code, stderr } = await loop.task('deploy-dev')
  assert.is(code, 1)
  assert.match(
    stderr,
    /error: local: rejected: it needs the ELF interpreter \/lib\/ld-elsewhere\.so\.1, .*CGO_ENABLED=0 and -buildmode=exe, .*; .* runs on - then run npm run deploy-dev again\n$/,
  )
  loop.runs(pid, v1)
})

deploy.run()
