import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { spawn } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkout, ended, type Checkout } from '../lib/checkout.ts'

const task = suite<{ copy: Checkout }>('task')
task.before.each((context) => void (context.copy = checkout()))
task.after.each(({ copy }) => copy.remove())

/** A task whose body is this text. */
const fixture = (copy: Checkout, body: string, about = '') =>
  copy.file(
    'fixture/x.ts',
    `import { task } from '../tasks/lib/frame/task.ts'
     import { start } from '../tasks/lib/frame/children.ts'
     import { onEnd } from '../tasks/lib/frame/ending.ts'
     import { print, say, UserError } from '../tasks/lib/frame/talk.ts'
     import { run } from '../tasks/lib/frame/tools.ts'
     import { setTimeout as sleep } from 'node:timers/promises'
     import { writeFileSync } from 'node:fs'
     void [onEnd, print, say, start, UserError, run, sleep, writeFileSync]
     await task({ name: 'x', summary: 'does x', ${about} }, async ({ flags, operands }) => { void [flags, operands]; ${body} })`,
  )

const until = async (fact: () => boolean) => {
  for (let n = 0; !fact(); n++) {
    if (n > 400) throw new Error('waited 20 s in vain')
    await sleep(50)
  }
}
const alive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

task('result on stdout, talk on stderr, the body gives the exit code', async ({ copy }) => {
  fixture(copy, `print('result'); say('talk'); return 1`)
  assert.equal(await copy.run('fixture/x.ts'), { code: 1, signal: null, stdout: 'result\n', stderr: 'talk\n' })
})

task('it ends once its body has, also where a timer is left behind, and all that it said arrives', async ({ copy }) => {
  for (const [end, code] of [
    ['return', 0],
    ["throw new UserError('no')", 1],
  ] as const) {
    fixture(copy, `setTimeout(() => {}, 100_000); for (let n = 0; n < 20_000; n++) print('a line of output'); ${end}`)
    const began = performance.now()
    const said = await copy.run('fixture/x.ts')
    assert.equal([said.code, said.stdout.length], [code, 20_000 * 'a line of output\n'.length])
    assert.ok(performance.now() - began < 50_000)
  }
})

task('arguments reach the body, and nothing unknown does', async ({ copy }) => {
  fixture(
    copy,
    'print(JSON.stringify([flags, operands]))',
    `operands: '[A]', options: { json: { type: 'boolean', short: 'j', help: 'as JSON' }, pod: { type: 'string', value: 'POD', help: 'which' } }`,
  )
  const table: readonly [readonly string[], number, string, string][] = [
    [['-j', '--pod=a', 'b', '--pod', 'c', '--', '-d'], 0, '[{"json":true,"pod":"c"},["b","-d"]]\n', ''],
    [[], 0, '[{},[]]\n', ''],
    [['--jsn'], 2, '', `error: unknown option '--jsn' - see npm run x -- --help\n`],
    [['-z'], 2, '', `error: unknown option '-z' - see npm run x -- --help\n`],
    [['--pod'], 2, '', `error: option '--pod <value>' argument missing - see npm run x -- --help\n`],
    [['--json=1'], 2, '', `error: option '-j, --json' does not take an argument - see npm run x -- --help\n`],
    [['--a\nb\u001b[31m'], 2, '', `error: unknown option '--a b' - see npm run x -- --help\n`],
  ]
  for (const [args, code, stdout, stderr] of table)
    assert.equal(await copy.run('fixture/x.ts', args), { code, signal: null, stdout, stderr })
})

task('operands are refused where there are none', async ({ copy }) => {
  fixture(copy, '')
  const { code, stderr } = await copy.run('fixture/x.ts', ['a'])
  assert.is(code, 2)
  assert.is(stderr, `error: unexpected argument 'a' - see npm run x -- --help\n`)
})

task('--help is the result, and nothing runs', async ({ copy }) => {
  fixture(
    copy,
    `print('ran')`,
    `operands: '[A B]', options: { pod: { type: 'string', value: 'POD', help: 'which' } }, more: 'More.'`,
  )
  const { code, stdout, stderr } = await copy.run('fixture/x.ts', ['--help', 'a'])
  assert.is(code, 0)
  assert.is(stderr, '')
  assert.is(
    stdout,
    'Usage: npm run x -- [OPTION...] [A B]\nThis task does x.\n\n      --pod POD   which\n  -h, --help      this text\n\nMore.\n',
  )
})

task('a failure is one error line and its exit code', async ({ copy }) => {
  const table: readonly [string, number, string][] = [
    [`throw new UserError('no pod')`, 1, 'error: no pod\n'],
    [`throw new UserError('wrong', 2)`, 2, 'error: wrong\n'],
    [`throw new UserError('')`, 1, ''],
    [`writeFileSync('/nowhere/x', '')`, 1, `error: ENOENT: no such file or directory, open '/nowhere/x'\n`],
    [
      `const { readFile } = await import('node:fs/promises'); await readFile('/nowhere')`,
      1,
      `error: ENOENT: no such file or directory, open '/nowhere'\n`,
    ],
  ]
  for (const [body, code, stderr] of table) {
    fixture(copy, body)
    assert.equal(await copy.run('fixture/x.ts'), { code, signal: null, stdout: '', stderr }, body)
  }
})

task('a bug keeps its stack, also where it comes out of an event', async ({ copy }) => {
  for (const body of [
    `throw new TypeError('oops')`,
    `setTimeout(() => { throw new TypeError('oops') }); await sleep(5000)`,
    `void Promise.reject(new TypeError('oops')); await sleep(5000)`,
  ]) {
    fixture(copy, `onEnd(() => say('cleaned')); ${body}`)
    const { code, stderr } = await copy.run('fixture/x.ts')
    assert.is(code, 1, body)
    assert.match(stderr, /error: this is a bug of hotswap-dev\nTypeError: oops\n +at .*x\.ts/)
    assert.match(stderr, /^cleaned$/m)
  }
})

task(
  'clean-up runs once, newest first, on an end, an error and a signal; what is taken back does not',
  async ({ copy }) => {
    const before = `onEnd(() => print('first')); const back = onEnd(() => print('never')); onEnd(() => { throw new Error('no') });
    onEnd(async () => { await sleep(20); print('last') }); back();`
    for (const [end, code] of [
      ['', 0],
      [`throw new UserError('')`, 1],
      [`process.kill(process.pid, 'SIGTERM'); await sleep(20_000)`, 143],
    ] as const) {
      fixture(copy, before + end)
      const outcome = await copy.run('fixture/x.ts')
      assert.equal(
        outcome,
        { code, signal: null, stdout: 'last\nfirst\n', stderr: 'warning: clean-up failed: no\n' },
        end,
      )
    }
  },
)

task('what the body prints once it is ended is no result any more; what a clean-up prints is', async ({ copy }) => {
  const late = `const child = start('sleep', ['60']); child.once('exit', () => print('late'))`
  for (const [end, code] of [
    ['', 0],
    [`throw new UserError('')`, 1],
    [`process.kill(process.pid, 'SIGINT'); await sleep(20_000)`, 130],
  ] as const) {
    // the child ends before the clean-up that has the last word, another after it
    fixture(copy, `${late.replaceAll('child', 'other')}; onEnd(() => print('end')); ${late}; ${end}`)
    const { stdout, ...rest } = await copy.run('fixture/x.ts')
    assert.equal({ code: rest.code, stdout }, { code, stdout: 'end\n' }, end)
  }
})

task(
  'INT, TERM and HUP end what was started, also when it ignores TERM, and give 130, 143 and 129',
  async ({ copy }) => {
    fixture(
      copy,
      `const child = start('sh', ['-c', "trap '' TERM INT HUP; echo ready; while :; do sleep 1; done"], { stdio: ['ignore', 'pipe', 'inherit'] });
     child.stdout?.once('data', () => print(String(child.pid)));
     await sleep(30_000)`,
    )
    for (const [signal, code] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
      ['SIGHUP', 129],
    ] as const) {
      const { child, ended } = copy.launch('fixture/x.ts')
      let pid = 0
      child.stdout?.on('data', (chunk: Buffer) => void (pid ||= Number(chunk)))
      await until(() => pid > 0)
      child.kill(signal)
      child.kill(signal) // npm passes on a Ctrl-C that the terminal has sent already
      const { code: actual, stderr } = await ended
      assert.is(actual, code)
      assert.is(stderr, '')
      assert.not(alive(pid))
    }
  },
)

task('a body that goes on after Ctrl-C starts no further tool', async ({ copy }) => {
  copy.fake('go', 'echo "$1" >>"$0.calls"; sleep 60')
  fixture(
    copy,
    `onEnd(() => sleep(300));
     for (const n of ['first', 'second']) await run('go', [n], { cwd: '.', output: 'read' })`,
  )
  const { child, ended } = copy.launch('fixture/x.ts')
  await until(() => existsSync(`${copy.dir}/fakes/go.calls`))
  child.kill('SIGINT')
  const { code, stdout, stderr } = await ended
  assert.equal({ code, stdout, stderr }, { code: 130, stdout: '', stderr: '' })
  assert.is(copy.read('fakes/go.calls'), 'first\n')
})

task('what zx runs is ended with its children, too', async ({ copy }) => {
  copy.fake('go', 'sleep 60 & echo $! >"$0.pid"; wait')
  fixture(copy, `await run('go', ['x'], { cwd: '.', output: 'show' })`)
  const { child, ended } = copy.launch('fixture/x.ts')
  await until(() => existsSync(`${copy.dir}/fakes/go.pid`) && copy.read('fakes/go.pid') !== '')
  child.kill('SIGTERM')
  assert.is((await ended).code, 143)
  const pid = Number(copy.read('fakes/go.pid'))
  await until(() => !alive(pid))
})

task('nothing in the environment changes what zx runs', async ({ copy }) => {
  fixture(
    copy,
    `print(JSON.stringify(await run('printf', ['%s|', 'a b', '$(id)', '', "it's", '*'], { cwd: '.', output: 'read' })))`,
  )
  const hostile = copy.file('hostile.sh', 'echo injected\n')
  const { stdout, stderr } = await copy.run('fixture/x.ts', [], {
    env: {
      ZX_PREFIX: 'echo injected;',
      ZX_POSTFIX: '; echo injected',
      ZX_SHELL: '/bin/false',
      ZX_VERBOSE: 'true',
      ZX_TIMEOUT: '1ms',
      ZX_CWD: '/',
      BASH_ENV: hostile,
      'BASH_FUNC_printf%%': '() { echo injected; }',
    },
  })
  assert.is(stderr, '')
  assert.is(stdout, `{"exitCode":0,"stdout":"a b|$(id)||it's|*|","stderr":""}\n`)
})

task('a missing tool is named with what it is needed for', async ({ copy }) => {
  fixture(copy, `await run(operands[0] ?? '', [], { cwd: '.', output: 'show' })`, `operands: 'TOOL'`)
  const PATH = `${copy.dir}/fakes`
  const run = async (tool: string) => (await copy.run('fixture/x.ts', [tool], { env: { PATH } })).stderr
  assert.is(await run('go'), 'error: go is not on PATH: it is needed by this task\n')
  copy.fake('go', '')
  assert.is(await run('go'), 'error: bash is not on PATH: it is needed by zx, which runs go\n')
  copy.fake('bash', '')
  assert.is(
    await run('go'),
    'error: ps is not on PATH: it is needed by zx, which ends go and its children when you press Ctrl-C\n',
  )
})

task('a reader that leaves ends the task without a word', async ({ copy }) => {
  fixture(
    copy,
    `onEnd(() => say('cleaned')); for (let n = 0; n < 1e6; n++) { print('line ' + n); if (n % 100 === 0) await sleep(1) }`,
  )
  const command = '"$0" "$1" | head -1; echo "${PIPESTATUS[0]}"'
  const child = spawn('bash', ['-c', command, process.execPath, copy.compiled('fixture/x.ts')])
  const { stdout, stderr } = await ended(child, 30_000)
  assert.is(stdout, 'line 0\n141\n')
  assert.is(stderr, 'cleaned\n')
})

task('long output through a pipe is whole', async ({ copy }) => {
  fixture(copy, `print('x'.repeat(5_000_000)); throw new UserError('end')`)
  const { stdout, stderr } = await copy.run('fixture/x.ts')
  assert.is(stdout.length, 5_000_001)
  assert.is(stderr, 'error: end\n')
})

task('it works from another folder', async ({ copy }) => {
  fixture(copy, 'print(process.cwd())')
  const child = spawn(process.execPath, [copy.compiled('fixture/x.ts')], { cwd: `${copy.dir}/examples` })
  assert.is((await ended(child, 30_000)).stdout, `${copy.dir}\n`)
})

task.run()
