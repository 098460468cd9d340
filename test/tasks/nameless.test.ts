// A user without a name, or without a home: dev containers, and the spaces of OpenShift.
import { hostname } from 'node:os'
import * as assert from 'uvu/assert'
import { hostArch } from '../../tasks/lib/binary/elf.ts'
import { homeless } from '../../tasks/lib/go/go-env.ts'
import { defaults } from '../../tasks/lib/settings/table.ts'
import { program } from '../agent/fixtures.ts'
import { tool } from '../e2e/cluster.ts'
import { freePort } from '../../tasks/lib/frame/free-port.ts'
import { cases, until, type Loop } from '../lib/loop.ts'

const nameless = cases('a user without a name')

const me = `${process.getuid?.()}@${hostname().replace(/[^A-Za-z0-9._+-]/g, '-')}`

/** A task where the system knows no user by any number. */
function started(loop: Loop, name: string) {
  const passwd = loop.copy.file('passwd', '')
  const nsswitch = loop.copy.file('nsswitch', 'passwd: files\n')
  const script = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/nsswitch.conf && shift 2 && exec "$@"'
  const words = [passwd, nsswitch, process.execPath, loop.copy.compiled(name)]
  return loop.spawn(['unshare', '-m', 'sh', '-c', script, 'sh', ...words])
}

nameless(
  'deploys, and pods name the uid',
  async (loop) => {
    await loop.serving(program({ version: 'v1' }))
    loop.built(program({ version: 'v2' }))
    const { code, stderr } = await started(loop, 'deploy-dev').said
    assert.is(code, 0, stderr)
    assert.is(loop.receipt().by, me)
  },
  { root: true },
)

nameless(
  'has the daily loop',
  async (loop) => {
    loop.env.HELLO_ADDR = `127.0.0.1:${await freePort()}`
    const { child, said } = started(loop, 'dev')
    let out = ''
    child.stdout?.on('data', (text: Buffer) => void (out += text.toString()))
    await until('the first edit', () => out.includes('\n') || child.exitCode !== null, 60)
    assert.match(out, / 1\/1 pods .* ok\n/)
    assert.is(loop.receipt().by, me)
    child.kill('SIGINT')
    assert.is((await said).code, 130)
  },
  { root: true },
)

nameless(
  'has the other tasks too',
  async (loop) => {
    loop.built(program({ version: 'v1' }))
    loop.copy.fake('docker', 'exit 0')
    const go = (await tool('go', ['env', 'GOVERSION'])).trim().replace(/[^\w.-]/g, '-')
    loop.copy.file(`.hotswap/tools/dlv-${defaults().dlvVersion}-${go}-${hostArch()}`, 'dlv', 0o755)
    for (const name of ['container-dev', 'doctor-dev', 'demo']) {
      const { code, stdout, stderr } = await started(loop, name).said
      assert.is(code, 0, `${name}: ${stdout}${stderr}`)
      assert.not.match(stderr, /A system error|this is a bug/)
    }
  },
  { root: true },
)

nameless('is told what Go lacks where there is no home, or none to write to', async (loop) => {
  const remedy = '- export HOME=FOLDER, one that you may write to'
  const env = { HOME: undefined, GOCACHE: undefined, XDG_CACHE_HOME: undefined }
  const { code, stderr } = await loop.task('build', [], { env })
  assert.is(code, 1)
  assert.ok(stderr.endsWith(`\nerror: Go keeps its caches below HOME, which is not set ${remedy}\n`), stderr)
  const none = 'Go keeps its caches below HOME, and nothing can be written to /no/home'
  assert.is(homeless({ HOME: '/no/home' }), `${none} ${remedy}`)
  for (const well of [{ HOME: loop.dir }, { HOME: '/no/home', GOCACHE: loop.dir }, { XDG_CACHE_HOME: loop.dir }])
    assert.is(homeless(well), '')
})

nameless.run()
