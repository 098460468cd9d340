// tasks/run, which npm run calls: a task runs as a compiled file, and never as an old one.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkout, ended, type Checkout } from '../lib/checkout.ts'

const run = suite<{ copy: Checkout }>('npm run')
run.before.each((context) => void (context.copy = checkout().sources()))
run.after.each(({ copy }) => copy.remove())

const help = (copy: Checkout) =>
  ended(spawn('sh', ['tasks/run', 'build', '--help'], { cwd: copy.dir, stdio: ['ignore', 'pipe', 'pipe'] }), 60_000)

run('a task is compiled once, and anew when a module of it has changed', async ({ copy }) => {
  const first = await help(copy)
  assert.equal([first.code, first.stderr], [0, ''])
  assert.ok(existsSync(join(copy.dir, '.hotswap/tasks/build.js')))
  assert.equal(await help(copy), first)
  copy.file('tasks/lib/frame/task.ts', copy.read('tasks/lib/frame/task.ts').replace('Usage: ', 'Use: '))
  assert.is((await help(copy)).stdout, first.stdout.replace('Usage: ', 'Use: '))
})

run('several at once do not see half of a file', async ({ copy }) => {
  const all = await Promise.all(Array.from({ length: 6 }, () => help(copy)))
  for (const { code, stdout, stderr } of all) assert.equal([code, stderr, stdout], [0, '', all[0]?.stdout])
})

run('where it cannot be compiled, it runs as it is', async ({ copy }) => {
  copy.file('.hotswap/tasks', 'in the way')
  const { code, stdout } = await help(copy)
  assert.is(code, 0)
  assert.match(stdout, /^Usage: npm run build /)
})

run(
  'what is missing is installed once, also by two that start at once, and after one that was killed',
  async ({ copy }) => {
    const modules = readlinkSync(join(copy.dir, 'node_modules'))
    rmSync(join(copy.dir, 'node_modules'))
    copy.fake('npm', `sleep 0.5; ln -s '${modules}' node_modules`)
    const { pid } = spawnSync('true')
    mkdirSync(join(copy.dir, '.hotswap'))
    symlinkSync(`${pid}`, join(copy.dir, '.hotswap/installing'))
    const env = { ...process.env, PATH: `${join(copy.dir, 'fakes')}:${process.env.PATH}` }
    const start = () =>
      spawn('sh', ['tasks/run', 'build', '--help'], { cwd: copy.dir, stdio: ['ignore', 'pipe', 'pipe'], env })
    const all = await Promise.all([start(), start(), start()].map((child) => ended(child, 60_000)))
    for (const { code, stdout } of all) assert.equal([code, stdout], [0, all[0]?.stdout])
    assert.equal(all.map(({ stderr }) => stderr).sort(), ['', '', 'installing node_modules (npm ci)\n'])
    assert.is(copy.calls('npm').length, 1)
    assert.not(existsSync(join(copy.dir, '.hotswap/installing')))
  },
)

run.run()
