// What the program prints, and what it is given.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { spawnSync } from 'node:child_process'
import { helperPath } from './fixtures.ts'
import { cases, seconds, until, type Box } from './harness.ts'
import { which } from '../lib/needs.ts'
import { tookLess } from '../lib/pace.ts'

const output = cases('output')

const log = (box: Box) => fs.readFileSync(path.join(box.work, 'hotswap-dev-prog.log'), 'latin1')

const runs = 60
const abreast = 3

/** Three agents beside one another, twenty first uploads each, all of which die with last words; none is rolled back. */
output(
  `of a dying process is complete in ${runs} of ${runs} runs`,
  async (box) => {
    const words = Array.from({ length: 20 }, (_, i) => `line ${i + 181} of 200`).join('\n')
    const answers: string[] = []
    const lane = async (number: number) => {
      const bin = path.join(box.app, `prog${number}`)
      const cwd = path.join(box.work, String(number))
      fs.mkdirSync(cwd)
      const agent = box.agent({ bin, cwd, env: { SETTLE: '3' } })
      await until(async () => (await box.status({ bin })).code === 0, 10, 'the agent answers')
      for (let i = 0; i < runs / abreast; i++) {
        const { receipt } = await box.put({ version: `bad${i}`, lines: 200, dies: 0, code: 3 }, { bin })
        answers.push(`${receipt.result}: ${receipt.log}`)
      }
      agent.kill('SIGTERM')
      await agent.end()
      const count = (text: string, line: RegExp) => [...text.matchAll(line)].length
      const table = fs.readFileSync(path.join(cwd, 'hotswap-dev.log'), 'latin1')
      const crashes = count(table, /\tcrashed\t/g) // more than the uploads: between two, the agent tries the last one again
      const log = fs.readFileSync(path.join(cwd, `hotswap-dev-prog${number}.log`), 'latin1')
      for (const text of [agent.out.toString(), log]) {
        const last = count(text, /^line 200 of 200$/gm)
        assert.ok(last === crashes || last === crashes + 1, `${last} last words of ${crashes} crashes`)
      }
    }
    await Promise.all(Array.from({ length: abreast }, (_, number) => lane(number)))
    assert.equal(answers, new Array(runs).fill(`crashed: ${words}`))
  },
  { limit: 200 },
)

output('goes to stdout at once and to hotswap-dev-NAME.log, stdout and stderr merged in order', async (box) => {
  const { agent } = await box.serving({ lines: 50 })
  const expected = Array.from({ length: 50 }, (_, i) => `line ${i + 1} of 50\n`).join('')
  assert.ok(agent.out.toString().includes(`${expected}ready v1`))
  await until(() => log(box).includes(`${expected}ready v1`), 1, 'the same in the log')
  const before = Date.now()
  agent.kill('SIGHUP')
  await agent.prints('got hangup v1', 1)
  assert.ok(await tookLess(seconds(before), 1))
  await until(() => log(box).includes('got hangup v1'), 1, 'the same in the log')
  assert.is(agent.err.toString(), '')
})

output('leaves a log of its own name to the program that writes one', async (box) => {
  const own = () => fs.readFileSync(path.join(box.work, 'prog.log'), 'latin1')
  const { agent } = await box.serving({ owns: 'prog.log', flood: 12_000_000 })
  const kept = path.join(box.work, 'hotswap-dev-prog.log')
  // between a rotation and the next output there is none
  await until(() => fs.existsSync(kept) && log(box).includes('flood over'), 20, 'the end in the log')
  await until(() => own() === 'first\nlast\n', 5, 'the program has written its log')
  await box.put({ version: 'v2', owns: 'prog.log' })
  await agent.ready('v2')
  assert.is(own(), 'first\nlast\nfirst\nlast\n')
  assert.not(fs.existsSync(path.join(box.work, 'prog.log.1')))
})

output(
  'of 100 MB arrives whole on stdout, and its log is capped',
  async (box) => {
    const flood = 100_000_000
    const { agent } = await box.serving({ flood })
    let most = 0
    const used = () =>
      fs
        .readdirSync(box.work)
        .map((name) => fs.statSync(path.join(box.work, name), { throwIfNoEntry: false })?.size ?? 0)
        .reduce((sum, size) => sum + size, 0)
    await until(() => ((most = Math.max(most, used())), agent.out.bytes >= flood), 150, '100 MB on stdout')
    assert.ok(most < 32_000_000, `the logs took ${most} bytes`)
    await until(() => log(box).includes('flood over'), 5, 'the end in the log')
    const { receipt } = await box.put({ version: 'v2' })
    assert.is(receipt.result, 'running')
    await until(() => log(box).includes('ready v2'), 2, 'the new program in the log')
    assert.ok(used() < 32_000_000)
  },
  { limit: 200 },
)

output('of a crash after a flood is the tail of that run', async (box) => {
  const { agent } = await box.serving({ flood: 10_000_000 })
  await until(() => agent.out.bytes > 10_000_000, 60, 'the flood')
  const { receipt } = await box.put({ version: 'v2', lines: 2, dies: 0, code: 3 })
  assert.is(receipt.log, 'line 1 of 2\nline 2 of 2')
})

output('of a crash is complete, and of that run alone, also if programs take long to start', async (box) => {
  const slow = path.join(box.dir, 'slow')
  fs.mkdirSync(slow)
  for (const tool of ['dd', 'tee'])
    fs.writeFileSync(path.join(slow, tool), `#!/bin/sh\nsleep 2\nexec ${which(tool)} "$@"\n`, { mode: 0o755 })
  const { agent } = await box.serving({ lines: 30 }, { env: { PATH: `${slow}:${process.env.PATH}`, LIMIT: '5' } })
  for (const turn of [1, 2]) {
    const { receipt } = await box.put({ version: 'v2', lines: 2, dies: 0, code: 3 })
    assert.equal([receipt.result, receipt.log], ['rolled-back', 'line 1 of 2\nline 2 of 2'], `${turn}`)
    await agent.ready('v1', { nth: turn + 1 })
  }
})

output('of a crash holds nothing of the run before', async (box) => {
  await box.serving({ lines: 30 })
  assert.is((await box.put({ version: 'v2', lines: 1, dies: 0, code: 3 })).receipt.log, 'line 1 of 1')
  const silent = (await box.put({ version: 'v3', dies: 0, code: 3 })).receipt
  assert.equal([silent.result, silent.log || undefined], ['rolled-back', undefined])
})

output('is not all: the program gets its arguments and its environment, before and after a swap', async (box) => {
  const args = ['a b', '*', '', '-x', '$HOME', 'two\nlines', "it's"]
  const env = { FLAVOUR: 'sweet & sour', SETTLE: '0.2', LIMIT: '1' }
  const { agent } = await box.serving({ show: true }, { args, env })
  await box.put({ version: 'v2', show: true })
  await agent.ready('v2')
  const shown = (name: string) =>
    [...agent.out.toString().matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(
      (m) => JSON.parse(m[1] ?? '') as string[],
    )
  assert.is(shown('args').length, 2)
  for (const [own, ...rest] of shown('args')) assert.equal([own, rest], [box.bin, args])
  for (const variables of shown('env')) {
    assert.ok(variables.includes('FLAVOUR=sweet & sour'))
    assert.ok(variables.includes(`HOME=${box.dir}`))
    assert.is(variables.filter((variable) => variable.startsWith('HOTSWAP_DEV=')).length, 1)
    const own = ['PATH', 'HOME', 'LANG', 'HOTSWAP_TEST_DIR', 'FLAVOUR', 'SETTLE', 'LIMIT', 'HOTSWAP_DEV']
    const more = variables.map((variable) => variable.split('=')[0] ?? '').filter((name) => !own.includes(name))
    assert.equal(
      more.filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name)),
      [],
      'nothing else is set',
    )
  }
})

/** A PATH with these commands alone, as links; busybox brings its applets and takes no other. */
function bare(box: Box, commands: string): string {
  const folder = path.join(box.dir, 'tools')
  fs.mkdirSync(folder)
  if (box.shell.name === 'ash') spawnSync('busybox', ['--install', '-s', folder])
  const needed = box.shell.name === 'ash' ? [] : [...commands.split(' '), ...box.shell.words]
  for (const name of needed) {
    const found = spawnSync('sh', ['-c', 'command -v "$1"', '-', name], { encoding: 'utf8' }).stdout.trim()
    if (found.startsWith('/')) fs.symlinkSync(found, path.join(folder, name))
  }
  fs.symlinkSync(helperPath(), path.join(folder, 'hotswap-helper')) // it needs no other tool
  return folder
}

const coreutils =
  'basename cat chmod cksum cp cut date dd df dirname env expr false head id install link ln ls mkdir mkfifo mktemp ' +
  'mv nice nl nohup od paste pr printenv printf pwd readlink realpath rm rmdir seq sha256sum sleep sort split stat ' +
  'sync tac tail tee test timeout touch tr true truncate uname uniq unlink wc who whoami yes'

const pinches = [
  { without: 'any tool but coreutils, setsid and gzip', needs: ['setsid', 'gzip'], group: 'yes' },
  { without: 'setsid and gzip', needs: [], group: 'no' },
]

for (const { without, needs, group } of pinches) {
  output.needing(...needs)(`comes and the swap works without ${without}`, async (box) => {
    const PATH = bare(box, [coreutils, ...needs].join(' '))
    const here = (tool: string) => fs.existsSync(path.join(PATH, tool))
    box.install({ version: 'v1' })
    const agent = box.agent({ env: { PATH } })
    await agent.ready('v1')
    const upload = { env: { PATH }, encoding: 'gzip' }
    const { receipt, greeting } = await box.put({ version: 'v2' }, upload)
    assert.is(receipt.result, 'running')
    assert.is(greeting.group, here('setsid') ? undefined : group)
    assert.is(greeting.decodes, 'raw,gzip,delta')
    const bad = await box.put({ version: 'v3', lines: 2, dies: 0, code: 3 }, upload)
    assert.equal([bad.receipt.result, bad.receipt.log], ['rolled-back', 'line 1 of 2\nline 2 of 2'])
    await agent.ready('v2', { nth: 2 })
    assert.is(agent.err.toString(), '')
  })
}

output.run()
