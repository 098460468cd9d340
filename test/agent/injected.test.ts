// An agent that was injected: the first binary is a copy of the image's, and the tools came along.
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { sha256 } from './fixtures.ts'
import { agentScript, cases, program, until, type Box } from './harness.ts'
import { helperBody, helperWords, placing } from './placing.ts'
import * as proc from './proc.ts'

const injected = cases('injected')

/** Where the image has its program, and where the agent is to have it. */
const places = (box: Box) => {
  const original = path.join(box.dir, 'original')
  return { original, bin: path.join(box.dir, 'volume/two words/prog'), flags: ['-c', original] }
}

injected('begins with a copy of FILE, and keeps what was put over a restart', async (box) => {
  const { original, bin, flags } = places(box)
  const bytes = box.install({ version: 'v1' }, original)
  const { agent, pid } = await box.started({ bin, flags })
  box.serves(pid, bytes, bin)
  assert.is(fs.statSync(bin).mode & 0o777, 0o755)
  const next = program({ version: 'v2' })
  assert.is((await box.put(next, { bin })).code, 0)
  agent.kill('SIGTERM')
  await agent.end()
  fs.rmSync(original)
  const again = box.agent({ bin, flags })
  box.serves(await again.ready('v2'), next, bin)
})

injected('has what is beside FILE beside it, as a program may look there for its files', async (box) => {
  const { original, bin, flags } = places(box)
  const beside = path.dirname(bin)
  box.install({ version: 'v1' }, original)
  fs.mkdirSync(path.join(box.dir, 'templates'))
  fs.writeFileSync(path.join(box.dir, 'templates/a b.html'), 'a')
  fs.writeFileSync(path.join(box.dir, 'prog'), 'of the same name')
  const { agent, pid } = await box.started({ bin, flags })
  assert.is(fs.readFileSync(path.join(beside, 'templates/a b.html'), 'utf8'), 'a')
  box.serves(pid, fs.readFileSync(original), bin)
  assert.is((await box.put({ version: 'v2' }, { bin })).code, 0)
  agent.kill('SIGTERM')
  await agent.end()
  const again = box.agent({ bin, flags })
  await again.ready('v2')
  assert.is(fs.readlinkSync(path.join(beside, 'templates')), path.join(box.dir, 'templates'))
  assert.not.ok(fs.existsSync(path.join(box.dir, 'templates/templates')), 'no link in what it links to')
})

injected('has no link to what would be staged: FILE-dev and FILE-prev stay where they are', async (box) => {
  const { original, bin, flags } = places(box)
  const file = path.join(path.dirname(original), path.basename(bin)) // of the same name, so that its FILE-dev is BINARY-dev
  const bytes = box.install({ version: 'v1' }, file)
  box.install({ version: 'v2' }, `${file}-dev`)
  const { agent, pid } = await box.started({ bin, flags: flags.map((word) => (word === original ? file : word)) })
  assert.not(fs.existsSync(`${bin}-dev`))
  assert.equal(agent.messages(), ['started'])
  box.serves(pid, bytes, bin)
})

injected('keeps its BINARY if a copy of FILE was once cut', async (box) => {
  const { original, bin, flags } = places(box)
  box.install({ version: 'v1' }, original)
  fs.mkdirSync(path.dirname(bin), { recursive: true })
  const bytes = box.install({ version: 'v2' }, bin)
  fs.writeFileSync(`${bin}.new`, 'half')
  box.serves(await box.agent({ bin, flags }).ready('v2'), bytes, bin)
})

injected('has none of a folder of programs beside it', async (box) => {
  const { original, bin, flags } = places(box)
  box.install({ version: 'v1' }, original)
  for (let index = 0; index < 1001; index++) fs.writeFileSync(path.join(box.dir, `tool${index}`), '')
  await box.started({ bin, flags })
  assert.not.ok(fs.existsSync(path.join(path.dirname(bin), 'tool1')))
})

injected('waits for a put where there is no FILE, and says so', async (box) => {
  const { original, bin, flags } = places(box)
  const agent = box.agent({ bin, flags })
  const { receipt } = await until(
    async () => {
      const answer = await box.status({ bin })
      return answer.receipt.reason?.includes('waiting') ? answer : undefined
    },
    10,
    'a reason',
  )
  assert.match(receipt.reason ?? '', new RegExp(`cp: .*${original}.*: waiting for one$`))
  const next = program({ version: 'v2' })
  assert.is((await box.put(next, { bin })).code, 0)
  box.serves(await agent.ready('v2'), next, bin)
})

injected.needing('busybox')('takes the tools that came along, which the program does not see', async (box) => {
  const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim()
  const top = path.join(box.dir, 'volume')
  for (const folder of ['bin', 'agent']) fs.mkdirSync(path.join(top, folder), { recursive: true })
  const tool = path.join(top, 'bin/busybox')
  fs.copyFileSync(busybox, tool)
  execFileSync(tool, ['--install', '-s', path.join(top, 'bin')])
  const script = path.join(top, 'agent/hotswap-dev')
  fs.copyFileSync(agentScript, script)
  const bin = path.join(top, 'prog')
  const bytes = box.install({ version: 'v1', show: true }, bin)
  const shell = execFileSync('sh', ['-c', `command -v ${box.shell.words[0]}`], { encoding: 'utf8' }).trim()
  const words = [shell, ...box.shell.words.slice(1), script]
  const env = { PATH: '/nowhere', SETTLE: '0.2' }
  const agent = box.spawn([...words, '--', bin], { env })
  await until(() => agent.out.toString().includes('\tstarted\t'), 20, 'the row started')
  assert.match(agent.out.toString(), /"PATH=\/nowhere"/)
  const without = box.spawn([...words, 'status', bin], { env })
  assert.is(await without.end(), 0)
  assert.match(without.out.toString(), /^helper=missing$/m)
  const sent = box.spawn(
    [...placing([shell, ...box.shell.words.slice(1)], script), path.join(top, '.hotswap-prog'), ...helperWords()],
    { env },
  )
  sent.child.stdin?.write(helperBody())
  assert.is(await sent.end(), 0)
  const status = box.spawn([...words, 'status', bin], { env })
  await status.end()
  assert.match(status.out.toString(), new RegExp(`^sha256=${sha256(bytes)}$`, 'm'))
  assert.match(status.out.toString(), /^decodes=raw,gzip,delta$/m)
  const pid = Number(/^ready v1 pid (\d+)$/m.exec(agent.out.toString())?.[1])
  assert.is(proc.session(pid), pid, 'setsid was found')
  agent.kill('SIGTERM')
  await agent.end()
})

injected.run()
