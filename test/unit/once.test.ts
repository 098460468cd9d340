// What is made once: by calls at the same time, by tasks at the same time, after one that failed or was killed.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { hostArch } from '../../tasks/lib/binary/elf.ts'
import { checkout, ended, type Checkout } from '../lib/checkout.ts'
import { until } from '../lib/loop.ts'
import { suite } from '../lib/suite.ts'

const once = suite<{ copy: Checkout }>('made once')
once.before.each((context) => void (context.copy = checkout()))
once.after.each(({ copy }) => copy.remove())

/** Runs a body in some processes at once: `made` asks for the file, and logs each time that it is made. */
function processes(copy: Checkout, count: number, body: string) {
  copy.file(
    'fixture/once.ts',
    `import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
     import { setTimeout as sleep } from 'node:timers/promises'
     import { madeOnce } from '../tasks/lib/frame/once.ts'
     import { helper } from '../tasks/lib/go/helper.ts'
     import { changeFile } from '../tasks/lib/frame/text-file.ts'
     import { task } from '../tasks/lib/frame/task.ts'
     const made = (ms = 300, fails = '') =>
       madeOnce('out/file', async (part) => {
         appendFileSync('log', 'made\\n')
         writeFileSync(part, 'half')
         await sleep(ms)
         if (fails !== '' && existsSync(fails)) throw new Error('no luck')
         writeFileSync(part, 'whole')
       }).then((path) => readFileSync(path, 'utf8'))
     void [made, helper, changeFile, sleep]
     await task({ name: 'once', summary: 'makes once' }, async () => { ${body} })`,
  )
  return Array.from({ length: count }, () => copy.launch('fixture/once.ts'))
}

const results = async (all: ReturnType<typeof processes>) => {
  const said = await Promise.all(all.map((each) => each.ended))
  return said.map(({ code, stdout, stderr }) => `${code} ${stdout}${stderr.replace(/^another task .*\n/m, '')}`)
}
const both = 'process.stdout.write((await Promise.all([made(), made()])).join(" "))'

once('by two calls in each of three tasks at once: all get it whole, and it is made one time', async ({ copy }) => {
  assert.equal(await results(processes(copy, 3, both)), ['0 whole whole', '0 whole whole', '0 whole whole'])
  assert.is(copy.read('log'), 'made\n')
  assert.equal(readdirSync(join(copy.dir, 'out')), ['file'])
})

once('after a task that was killed while it made it, whose leftovers go', async ({ copy }) => {
  const [killed] = processes(copy, 1, 'await made(100_000)')
  await until(
    'it is half made',
    () => existsSync(join(copy.dir, 'log')) && readdirSync(join(copy.dir, 'out')).length === 2,
  )
  killed?.child.kill('SIGKILL')
  await killed?.ended
  assert.equal(await results(processes(copy, 2, both)), ['0 whole whole', '0 whole whole'])
  assert.match(copy.read('log'), /^made\nmade\n(?:made\n)?$/, 'two may find the same dead one')
  assert.equal(readdirSync(join(copy.dir, 'out')), ['file'])
})

once('after a task that was killed, and whose pid is now another process’s', async ({ copy }) => {
  const lock = copy.file('out/file.lock', `${process.pid}\n`)
  const past = new Date(Date.now() - 3_600_000)
  utimesSync(lock, past, past)
  assert.equal(await results(processes(copy, 1, both)), ['0 whole whole'])
  assert.equal(readdirSync(join(copy.dir, 'out')), ['file'])
})

once('after one that was ended by Ctrl-C, at once', async ({ copy }) => {
  const [ended] = processes(copy, 1, 'await made(100_000)')
  await until(
    'it is half made',
    () => existsSync(join(copy.dir, 'log')) && readdirSync(join(copy.dir, 'out')).length === 2,
  )
  ended?.child.kill('SIGINT')
  assert.is((await ended?.ended)?.code, 130)
  assert.equal(readdirSync(join(copy.dir, 'out')), [])
})

once('what fails leaves nothing, and the next call tries anew', async ({ copy }) => {
  const body = `
    writeFileSync('bad', '')
    const said = await Promise.allSettled([made(50, 'bad'), made(50, 'bad')])
    process.stdout.write(said.map(({ status }) => status).join(' '))
    process.stdout.write(' ' + await made(50))`
  assert.equal(await results(processes(copy, 1, body)), ['0 rejected rejected whole'])
  assert.is(copy.read('log'), 'made\nmade\n')
  assert.equal(readdirSync(join(copy.dir, 'out')), ['file'])
})

once("the agent's helper, for two pods in each of two tasks of a fresh checkout", async ({ copy }) => {
  rmSync(join(copy.dir, '.hotswap'), { recursive: true, force: true })
  copy.fake('go', `PATH=\${PATH#*:}; exec go "$@"`)
  const body = `const [a, b] = await Promise.all(['${hostArch()}', '${hostArch()}'].map(helper)); process.stdout.write(String(a?.path === b?.path))`
  assert.equal(await results(processes(copy, 2, body)), ['0 true', '0 true'])
  assert.is(readdirSync(join(copy.dir, '.hotswap/tools')).length, 1)
  assert.is(copy.calls('go').filter(([word]) => word === 'build').length, 1)
})

once('a record that several tasks change at once loses no change', async ({ copy }) => {
  const body = `for (let n = 0; n < 20; n++) changeFile('record', (before) => before + 'x')`
  assert.equal(await results(processes(copy, 4, body)), ['0 ', '0 ', '0 ', '0 '])
  assert.is(copy.read('record').length, 80)
  const child = spawn('ls', ['-A', copy.dir])
  assert.not.match((await ended(child, 10_000)).stdout, /^record\./m)
})

once.run()
