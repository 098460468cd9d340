import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { checkout, type Checkout } from '../lib/checkout.ts'

const runner = suite<{ copy: Checkout }>('test/run')
runner.before.each((context) => {
  context.copy = checkout()
  for (const file of ['run.ts', 'lib/compile.ts', 'lib/needs.ts', 'lib/suite.ts'])
    cpSync(fileURLToPath(new URL(`../${file}`, import.meta.url)), `${context.copy.dir}/test/${file}`)
})
runner.after.each(({ copy }) => copy.remove())

const head = `import { test, suite } from 'uvu'\nimport * as assert from 'uvu/assert'\nvoid [test, suite, assert]\n`
const pass = `test('passes', () => {})\n`

runner('is green where all have passed', async ({ copy }) => {
  copy.file('test/a.test.ts', `${head}${pass}test('too', () => {})\ntest.run()`)
  copy.file('test/unit/b.test.ts', `${head}${pass}test.run()`)
  copy.file('test/unit/helper.ts', 'throw new Error("no test")')
  copy.file('test/e2e/c.test.ts', `${head}${pass}test.run()`)
  const { code, stdout, stderr } = await copy.run('test/run.ts')
  assert.is(code, 0)
  assert.is(stderr, '')
  assert.match(stdout, /^ok {4}test\/a\.test\.ts {2}2 passed {2}\d+\.\d s$/m)
  assert.match(stdout, /\n3 passed, 0 failed\n$/)
  const ofCluster = await copy.run('test/run.ts', ['--folder', 'test/e2e'])
  assert.match(
    ofCluster.stdout,
    /^test files: 1, 1 at a time; .*\nok {4}test\/e2e\/c\.test\.ts .*\n1 passed, 0 failed\n$/,
  )
})

runner('is red in each way in which uvu alone is green', async ({ copy }) => {
  const table: readonly [string, string, string][] = [
    ['a hook that throws', `test.before(() => { throw new Error('no') })\n${pass}test.run()`, '0 of 1 passed'],
    ['an after.each that throws', `test.after.each(() => { throw new Error('no') })\n${pass}test.run()`, 'passed'],
    ['a thrown text', `test('x', () => { throw 'no' })\n${pass}test.run()`, '0 of 2 passed'],
    ['a forgotten run()', pass, 'ended with 0 and without totals: is .run() missing?'],
    ['a suite without tests', `test.run()`, 'no test ran'],
    ['a left-in only', `test.only('x', () => {})\n${pass}test.run()`, '1 skipped: was only or skip left in?'],
    ['a left-in skip', `test.skip('x', () => {})\n${pass}test.run()`, '1 skipped: was only or skip left in?'],
    [
      'a test that never settles',
      `test('x', () => new Promise(() => {}))\n${pass}test.run()`,
      'ended with 1 and without totals',
    ],
    ['an end in the middle', `test('x', () => process.exit(0))\n${pass}test.run()`, 'without totals'],
    ['a plain failure', `test('x', () => assert.is(1, 2))\n${pass}test.run()`, '1 of 2 passed'],
    [
      'an end with 3 after all',
      `${pass}test.run()\nprocess.on('exit', () => { process.exitCode = 3 })`,
      'ended with 3 although all passed',
    ],
    ['no uvu at all', '', 'ended with 0 and without totals'],
    [
      'totals that a test has printed',
      `test('x', () => { console.log('  Total:     1\\n  Passed:    1\\n  Skipped:   0\\n'); assert.is(1, 2) })\ntest.run()`,
      '0 of 1 passed',
    ],
  ]
  for (const [name, body] of table) copy.file(`test/${name.replace(/\W+/g, '-')}.test.ts`, head + body)
  const { code, stdout } = await copy.run('test/run.ts')
  assert.is(code, 1)
  for (const [name, , why] of table) {
    const file = `test/${name.replace(/\W+/g, '-')}.test.ts`
    const line = stdout.split('\n').find((text) => text.startsWith(`      ${file}: `))
    assert.ok(line?.includes(why), `${file}: ${line ?? stdout}`)
    assert.match(stdout, new RegExp(`^FAIL {2}${file} `, 'm'))
  }
  assert.match(stdout, /\n\d+ passed, 1[2-9] failed\n$/)
})

runner("says why a suite's before hook failed", async ({ copy }) => {
  const body = `const own = suite('own')\nown.before(async () => { throw new Error('no pod came') })\nown('x', () => {})\nown.run()\n`
  copy.file('test/a.test.ts', `import { suite } from './lib/suite.ts'\n${body}`)
  const { code, stdout } = await copy.run('test/run.ts')
  assert.is(code, 1)
  assert.match(stdout, /\nbefore own: Error: no pod came\n {4}at /)
  assert.match(stdout, /0 of 1 passed\n0 passed, 1 failed\n$/)
})

runner('ends with a case that throws at once', async ({ copy }) => {
  const body = `const own = suite('own')\nown('x', () => assert.is(1, 2))\nown.run()\n`
  copy.file('test/a.test.ts', `import { suite } from './lib/suite.ts'\nimport * as assert from 'uvu/assert'\n${body}`)
  const { stdout } = await copy.run('test/run.ts', ['--limit', '60'])
  assert.match(stdout, /0 of 1 passed\n0 passed, 1 failed\n$/)
})

runner('is red where no file matches', async ({ copy }) => {
  copy.file('test/a.test.ts', `${head}${pass}test.run()`)
  const { code, stderr } = await copy.run('test/run.ts', ['nothing'])
  assert.is(code, 1)
  assert.is(stderr, 'error: no test file under test matches nothing\n')
})

runner('kills a file at its limit, with its children, and those that a green one leaves', async ({ copy }) => {
  copy.file(
    'test/a.test.ts',
    `${head}import { spawn } from 'node:child_process'\ntest('x', async () => { spawn('sleep', ['61.5'], { stdio: 'inherit' }); spawn('sh', ['-c', 'sleep 61.5; :'], { detached: true }); await new Promise((r) => setTimeout(r, 60_000)) })\ntest.run()`,
  )
  copy.file(
    'test/b.test.ts',
    `${head}import { spawn } from 'node:child_process'\ntest('x', () => spawn('sleep', ['61.5'], { stdio: 'inherit' }).unref())\ntest.run()`,
  )
  const { code, stdout } = await copy.run('test/run.ts', ['--limit', '4'])
  assert.is(code, 1)
  assert.match(stdout, /\n {6}test\/a\.test\.ts: killed after 4 s\n/)
  assert.match(stdout, /^ok {4}test\/b\.test\.ts/m)
  copy.file(
    'fixture/left.ts',
    `import { run } from '../tasks/lib/frame/tools.ts'\nconsole.log((await run('ps', ['-eo', 'args'], { cwd: '.', output: 'read' })).stdout.includes('sleep 61.5'))`,
  )
  assert.is((await copy.run('fixture/left.ts')).stdout, 'false\n')
})

runner('takes names, a number of jobs and shows what a failure said', async ({ copy }) => {
  copy.file('test/a.test.ts', `${head}test('is wrong', () => { console.log('said'); assert.is(1, 2) })\ntest.run()`)
  copy.file('test/b.test.ts', `${head}${pass}test.run()`)
  const { code, stdout } = await copy.run('test/run.ts', ['--jobs', '1', 'a.test'])
  assert.is(code, 1)
  assert.match(stdout, /said[^]*FAIL {2}"is wrong"/)
  assert.match(stdout, /\n0 passed, 1 failed\n$/)
  assert.is((await copy.run('test/run.ts', ['--jobs', '0'])).code, 2)
})

runner('tells the files which shells are chosen, and knows no others', async ({ copy }) => {
  const said = `console.log('not run, needs ' + (process.env.HOTSWAP_TEST_SHELLS ?? 'nothing'))\n`
  copy.file('test/a.test.ts', `${head}${said}${pass}test.run()`)
  for (const [args, names] of [
    [[], 'nothing'],
    [['--shells', 'all'], 'all'],
    [['--shells', 'dash,bash'], 'dash,bash'],
  ] as const) {
    const { code, stdout } = await copy.run('test/run.ts', args)
    assert.is(code, 0)
    assert.match(stdout, new RegExp(`\n {6}not run, needs ${names}\n`))
  }
  for (const names of ['zsh', 'dash,zsh', 'dash,', 'ALL']) {
    const { code, stderr } = await copy.run('test/run.ts', ['--shells', names])
    assert.equal([code, stderr], [2, `error: shells are all, or some of dash,ash,bash, not '${names}'\n`])
  }
})

runner('says what was left out, and is red then only with --complete', async ({ copy }) => {
  copy.file('test/a.test.ts', `${head}console.error('not run, needs a boat: x')\n${pass}test.run()`)
  const { code, stdout } = await copy.run('test/run.ts')
  assert.is(code, 0)
  assert.match(stdout, /^ {6}not run, needs a boat: x$/m)
  assert.match(stdout, /\nleft out: 1; .*\n1 passed, 0 failed\n$/)
  copy.file('test/b.test.ts', `${head}console.error('not run, needs a boat: y')\ntest.run()`)
  const whole = await copy.run('test/run.ts', ['b.test'])
  assert.is(whole.code, 0)
  assert.match(whole.stdout, /^ok {4}test\/b.test.ts {2}0 passed/m, 'a file of which nothing is left')
  const complete = await copy.run('test/run.ts', ['--complete', 'a.test'])
  assert.equal([complete.code, complete.stderr], [1, 'error: with --complete nothing may be left out\n'])
  assert.match(complete.stdout, /\n1 passed, 0 failed\n$/)
})

runner('shows on a terminal how far it is, in one line that moves', async ({ copy }) => {
  copy.file(
    'fixture/terminal.ts',
    `Object.defineProperty(process.stderr, 'isTTY', { value: true })\nawait import('../test/run.ts')`,
  )
  copy.file('test/quick.test.ts', `${head}${pass}test.run()`)
  copy.file(
    'test/slow.test.ts',
    `${head}// ${'long '.repeat(99)}\n${pass}test('y', () => new Promise((end) => setTimeout(end, 2500)))\ntest.run()`,
  )
  const { code, stdout, stderr } = await copy.run('fixture/terminal.ts', ['--jobs', '2'])
  assert.is(code, 0, stderr)
  assert.match(stderr, /\r\x1b\[K1 of 2 files, 2 passed, 0 failed, \d+\.\d s, running: slow/)
  assert.match(stderr, /\r\x1b\[K$/, 'the line goes at the end')
  assert.not.match(stdout, / of 2 files/)
})

runner('begins with what takes long', async ({ copy }) => {
  copy.file('test/unit/large.test.ts', `${head}// ${'long '.repeat(99)}\n${pass}test.run()`)
  for (const name of ['a', 'b']) copy.file(`test/tasks/${name}.test.ts`, `${head}${pass}test.run()`)
  copy.file('test/tasks/large.test.ts', `${head}// ${'long '.repeat(99)}\n${pass}test.run()`)
  const { stdout } = await copy.run('test/run.ts', ['--jobs', '1'])
  const order = [...stdout.matchAll(/^ok {4}test\/(\S+)\.test\.ts/gm)].map(([, name]) => name)
  assert.equal(order, ['tasks/large', 'tasks/a', 'tasks/b', 'unit/large'])
})

runner.run()
