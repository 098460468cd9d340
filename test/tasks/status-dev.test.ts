import { copyFileSync, utimesSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { program, sha256 } from '../agent/fixtures.ts'
import * as proc from '../agent/proc.ts'
import { objects } from '../lib/json.ts'
import { cases, hurry, short, until, where } from '../lib/loop.ts'
import { which } from '../lib/needs.ts'

const status = cases('status-dev')

const v1 = program({ version: 'v1' })
const time = 'YYYY-MM-DDTHH:MM:SSZ'
const table = (stdout: string) => ({ code: 0, stdout, stderr: where })

status('shows what runs as a table', async (loop) => {
  await loop.serving(v1)
  const shown = (local: string) =>
    table(
      'POD    RESULT   VERSION  SHA256    LOCAL  SINCE     BY\n' +
        `local  running  -        ${short(v1)}  ${local.padEnd(5)}  HH:MM:SS  -\n`,
    )
  const all = (local: string) =>
    table(
      'POD    CONTAINER  AGENT  RESULT   VERSION  SHA256    LOCAL  SINCE                 MODE   RESTARTS  BY  DEPLOYED  HOLDS                                    REASON\n' +
        `local  -          0.1.0  running  -        ${short(v1)}  ${local.padEnd(5)}  ${time}  plain  0         -   -         no (the program listens on no TCP port)  -\n`,
    )
  assert.equal(await loop.task('status-dev'), shown('no'))
  assert.equal(await loop.task('status-dev', ['--wide']), all('no'))
  loop.built(v1)
  assert.equal(await loop.task('status-dev'), shown('yes'))
  assert.equal(await loop.task('status-dev', ['--wide']), all('yes'))
})

status.needing('script')(
  'on a terminal, and elsewhere by COLUMNS or as on one of 80: no line is longer',
  async (loop) => {
    loop.env.COLUMNS = ''
    await loop.serving(v1)
    loop.colleague(program({ version: 'v2' }), 'v1.22.333-144-gabcdef01-dirty')
    await until('the program runs', () => loop.receipt().result === 'running')
    const longest = (text: string) => Math.max(...text.split(/\r?\n/).map((line) => line.length))
    for (const columns of [30, 50, 80, 200]) {
      const words = `stty cols ${columns}; sh tasks/run status-dev 2>/dev/null`
      const { code, stdout } = await loop.spawn(['script', '-qec', words, '/dev/null']).said
      assert.equal([code, longest(stdout) <= columns], [0, true], `${columns} columns:\n${stdout}`)
      assert.match(stdout.replace(/\r?\n */g, ''), /v1\.22\.333-144-gabcdef01-dirty/)
      const piped = await loop.task('status-dev', [], { env: { COLUMNS: String(columns) } })
      assert.ok(longest(piped.stdout) <= columns, piped.stdout)
    }
    assert.ok(longest((await loop.task('status-dev')).stdout) <= 80)
    const { stdout } = await loop.task('status-dev', ['--wide'])
    assert.equal(
      [stdout.split('\n').length, longest(stdout) > 120],
      [3, true],
      '--wide is a row for each pod, however wide',
    )
  },
)

status('shows version and sender of what was deployed, and when', async (loop) => {
  const v2 = loop.built(program({ version: 'v2' }))
  const { length: bytes } = v2
  const build = {
    path: 'bin/hello',
    version: 'v1-3-gabc',
    size: bytes,
    sha256: sha256(v2),
    seconds: 1,
    debug: false,
    arch: 'amd64',
  }
  loop.copy.file('.hotswap/builds.json', JSON.stringify([build]))
  await loop.serving(v1)
  assert.is((await loop.task('deploy-dev')).code, 0)
  const { by = '' } = loop.receipt()
  const { stdout } = await loop.task('status-dev', ['--wide'])
  assert.match(by, /^\S+@\S+$/)
  assert.match(
    stdout,
    new RegExp(`\nlocal .* running +v1-3-gabc +${short(v2)} +yes .* ${by} +${time} +no \\(.*\\) +-\n$`),
  )
  const { local, mode, deployed } = JSON.parse((await loop.task('status-dev', ['--json'])).stdout)
  assert.equal({ local, mode, deployed }, { local: true, mode: 'plain', deployed: time })
})

status('shows an agent that waits for a binary', async (loop) => {
  await loop.up()
  assert.equal(
    await loop.task('status-dev'),
    table(
      'POD    RESULT   VERSION  SHA256  LOCAL  SINCE  BY\n' +
        'local  crashed  -        -       no     -      -\n' +
        '  there is no binary: waiting for one\n',
    ),
  )
})

status('shows a program that has crashed, and why', async (loop) => {
  loop.installed(program({ version: 'v1', lines: 2, dies: 0, code: 3 }))
  await loop.up()
  // from the third crash on the back-off leaves seconds to look
  await until('the third crash', () => loop.receipt().result === 'crashed' && Number(loop.receipt().restarts) >= 2)
  const { code, stdout, stderr } = await loop.task('status-dev')
  assert.equal({ code, stderr }, { code: 0, stderr: `${where}local | line 1 of 2\nlocal | line 2 of 2\n` })
  assert.match(stdout, /\nlocal +crashed( +-){2} +no( +-){2}\n  exit status 3\n$/)
  const wide = (await loop.task('status-dev', ['--wide'])).stdout
  assert.match(
    wide,
    /\nlocal +- +\S+ +crashed( +-){2} +no( +-){2} +\d+( +-){2} +no \(the program listens on no TCP port\) +exit status 3\n$/,
  )
  const { result, pid, reason, log } = JSON.parse((await loop.task('status-dev', ['--json'])).stdout)
  assert.equal({ result, pid, reason }, { result: 'crashed', pid: undefined, reason: 'exit status 3' })
  assert.equal(log, ['line 1 of 2', 'line 2 of 2'])
})

status('--json gives the whole receipt as one line', async (loop) => {
  const pid = await loop.serving(v1)
  const { code, stdout, stderr } = await loop.task('status-dev', ['--json'])
  assert.equal({ code, stderr }, { code: 0, stderr: where })
  assert.is(stdout.indexOf('\n'), stdout.length - 1)
  const [{ started, free, machine, decodes, agent, ...rest } = {}] = objects('status-dev', stdout)
  assert.is(started, time)
  for (const value of [machine, decodes, agent]) assert.type(value, 'string')
  assert.ok(Number.isInteger(free) && Number(free) > 0)
  assert.equal(rest, {
    pod: 'local',
    container: '',
    containerRestarts: 0,
    mode: 'plain',
    local: false,
    result: 'running',
    pid,
    logfrom: 0,
    version: '',
    by: '',
    run: 'plain',
    restarts: 0,
    sha256: sha256(v1),
    proof: 'exe',
    writable: 'yes',
    logfile: 'DIR/.hotswap/local/hotswap-dev-hello.log',
    log: [],
    holds: 'no (the program listens on no TCP port)',
    ...(which('setsid') ? {} : { group: 'no' }),
  })
})

status('npm run -s gives the result alone on stdout', async (loop) => {
  await loop.serving(v1)
  // as old as can be, so that nothing is installed: node_modules is a link to the real one
  const lock = join(loop.dir, 'package-lock.json')
  copyFileSync(fileURLToPath(new URL('../../package-lock.json', import.meta.url)), lock)
  utimesSync(lock, 0, 0)
  const { code, stdout, stderr } = await loop.spawn(['npm', 'run', '-s', 'status-dev', '--', '--json']).said
  assert.equal({ code, stderr }, { code: 0, stderr: where })
  assert.is(JSON.parse(stdout).pod, 'local')
})

status('says what to do where nothing runs, and where the agent is gone', async (loop) => {
  const nothing =
    'error: nothing runs on local - start one with npm run switch-dev, or see the whole thing once with npm run demo\n'
  assert.equal(await loop.task('status-dev'), { code: 1, stdout: '', stderr: where + nothing })
  await loop.serving(v1)
  proc.kill(loop.agentPid())
  await until('its end', () => !proc.alive(loop.agentPid()))
  assert.equal(await loop.task('status-dev'), { code: 1, stdout: '', stderr: where + nothing })
  loop.carriers().forEach((pid) => proc.kill(pid)) // a killed agent cannot end its program
})

status('whatever answers in the place of the agent, the task ends and says what it met', async (loop) => {
  await loop.serving(v1)
  const NODE_OPTIONS = `--import=${loop.copy.file('hurry.mjs', hurry)}`
  const none = (why: string) => `error: local: no agent answers (${why}) - run npm run switch-dev\n`
  const answers: readonly (readonly [status: string, stderr: string])[] = [
    ['exit 9', none('exit code 9')],
    ['kill -KILL $$', none('SIGKILL')],
    [`printf '\\033[31mno such pod\\033[0m\\nmore\\n' >&2; exit 1`, none('no such pod')],
    ['sh "$real" status /usr/nowhere', none('no agent runs /usr/nowhere')],
    [`printf 'hello\\n\\n'; exec sleep 300`, none('it says something else')],
    ['exec sleep 300', none('no answer for 20 s')],
    ['sleep 300', none('no answer for 20 s')],
    ['while :; do printf 0123456789; done', 'error: local: its answer has no end: is that the agent?\n'],
  ]
  for (const [script, stderr] of answers) {
    loop.disguised('status', script)
    const said = await loop.task('status-dev', [], { env: { NODE_OPTIONS } })
    assert.equal(said, { code: 1, stdout: '', stderr: where + stderr }, script)
    for (const pid of loop.carriers()) if (proc.commandLine(pid) === 'sleep 300') proc.kill(pid)
  }
  loop.disguised('status', `printf 'pod=other\\nagent=0.1.0 1\\nresult=\\033[2Jrun\\rning\\n\\n'; exec sleep 300`)
  const { stdout } = await loop.task('status-dev', ['--json'])
  assert.equal(JSON.parse(stdout), {
    pod: 'local',
    container: '',
    containerRestarts: 0,
    mode: '',
    local: false,
    agent: '0.1.0 1',
    result: 'running',
    log: [],
  })
})

status.run()
