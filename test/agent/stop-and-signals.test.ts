// Signals to the agent, the end of an old process, and which processes are the program.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { sha256 } from './fixtures.ts'
import { cases, pause, program, seconds, throughout, until } from './harness.ts'
import { clock, tookLess } from '../lib/pace.ts'
import * as proc from './proc.ts'

const stop = cases('stop and signals')

stop('passes TERM on, waits without a limit and leaves with the exit code of the program', async (box) => {
  const { agent, pid } = await box.serving({ delay: 2.5, termCode: 7 })
  const began = Date.now()
  agent.kill('SIGTERM')
  assert.is(await agent.end(), 7)
  assert.ok(seconds(began) >= 2.4, 'LIMIT is 1 here, and not for this')
  assert.match(agent.out.toString(), /got terminated v1\nbye v1\n$/)
  assert.not(proc.alive(pid))
  await box.deserted()
})

stop('passes INT on as TERM', async (box) => {
  const { agent } = await box.serving({ termCode: 5 })
  agent.kill('SIGINT')
  assert.is(await agent.end(), 5)
  assert.match(agent.out.toString(), /got terminated v1\nbye v1\n$/)
})

stop('passes HUP and USR2 on and stays, and keeps USR1 to itself', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  agent.kill('SIGUSR1')
  await pause(0.1) // bash 5.2 loses a HUP that comes with an USR1 in one `wait`
  agent.kill('SIGHUP')
  await agent.prints('got hangup v1')
  agent.kill('SIGUSR2')
  await agent.prints('got user defined signal 2 v1')
  for (let i = 0; i < 20; i++) {
    agent.kill('SIGUSR1')
    await pause(0.01)
  }
  box.serves(pid, bytes)
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
  await agent.prints('bye v1') // its last words: what it got before is here too
  assert.not(agent.out.toString().includes('signal 1'))
})

stop('leaves with 128 and the signal when the program dies of it', async (box) => {
  const { agent } = await box.serving({ term: 'default' })
  agent.kill('SIGTERM')
  assert.is(await agent.end(), 143)
})

stop.needing('setsid')('gives the program a process group of its own', async (box) => {
  const { agent, pid } = await box.serving()
  assert.is(proc.group(pid), pid)
  assert.is.not(proc.group(pid), proc.group(agent.pid))
})

stop('leaves at once while no program runs, with the exit code of the last one', async (box) => {
  box.install({ version: 'v1', dies: 0, code: 3 })
  const agent = box.agent()
  await agent.logged('crashed', 2)
  const began = Date.now()
  agent.kill('SIGTERM')
  assert.is(await agent.end(10), 3)
  assert.ok(await tookLess(seconds(began), 5))
})

stop('leaves also in the middle of a swap', async (box) => {
  const { agent } = await box.serving({ delay: 1.2, termCode: 7 }, { env: { LIMIT: '5' } })
  fs.writeFileSync(box.staged, program({ version: 'v2' }))
  await agent.prints('got terminated v1')
  agent.kill('SIGTERM')
  await agent.end(10)
  assert.ok(agent.out.toString().includes('bye v1'))
  assert.not.match(agent.out.toString(), /then got/, 'one TERM: many programs leave at once at a second')
  await box.deserted()
})

stop('ends a program that ignores TERM after LIMIT, says so once and goes on', async (box) => {
  const { agent, pid } = await box.serving({ term: 'ignore' })
  const next = program({ version: 'v2' })
  const { code, receipt, raw } = await box.put(next)
  assert.is(code, 0)
  assert.is(receipt.result, 'running')
  assert.match(raw, /^wait=/m)
  assert.not(proc.alive(pid))
  box.serves(await agent.ready('v2'), next)
  const ended = agent.rows().filter((row) => row.message === 'procs never ended')
  assert.is(ended.length, 1)
  assert.equal([ended[0]?.type, ended[0]?.file, ended[0]?.events], ['ERR', 'prog-dev', 'PUT'])
  await throughout(
    1.5,
    () => agent.messages().filter((message) => message === 'procs never ended').length === 1,
    'no loop',
  )
  assert.ok(agent.messages().includes('killed & restarted'))
})

stop('is done at once with a program that ends at once', async (box) => {
  await box.serving({}, { env: { LIMIT: '20' } })
  const { receipt, seconds } = await box.put({ version: 'v2' })
  assert.is(receipt.result, 'running')
  assert.ok(await tookLess(seconds, 10), `it took ${seconds} s`)
})

for (const flags of [[`-t${clock(5)}`], ['-t', clock(5)], ['-t', clock(1.9)]]) {
  stop(`is more patient with ${flags.join(' ')}`, async (box) => {
    const { agent } = await box.serving({ delay: 1.8 }, { flags })
    const { receipt } = await box.put({ version: 'v2' })
    assert.is(receipt.result, 'running')
    assert.ok(agent.out.toString().includes('bye v1'), 'the old program ended by itself')
    assert.not(agent.messages().includes('procs never ended'))
  })
}

for (const grandchild of ['sleeps', 'ignores TERM'] as const) {
  stop(`ends a grandchild that has its own session and ${grandchild}`, async (box) => {
    const { agent } = await box.serving({ grandchild })
    const stray = Number(/grandchild pid (\d+)/.exec(agent.out.toString())?.[1])
    assert.is(proc.session(stray), stray)
    const { receipt, seconds } = await box.put({ version: 'v2' })
    assert.is(receipt.result, 'running')
    assert.ok(await tookLess(seconds, 10), `nothing is delayed: ${seconds} s`)
    assert.not(proc.alive(stray))
    await agent.ready('v2')
  })
}

stop('waits for no grandchild of a program that crashes', async (box) => {
  const { agent, bytes } = await box.serving()
  const answer = await box.put({ version: 'v2', grandchild: 'sleeps', dies: 0.05, code: 3 })
  assert.is(answer.receipt.result, 'rolled-back')
  assert.match(answer.receipt.log ?? '', /ends v2$/)
  assert.ok(await tookLess(answer.seconds, 10), `nothing is delayed: ${answer.seconds} s`)
  box.serves(await agent.ready('v1', { nth: 2 }), bytes)
  const stray = Number(/grandchild pid (\d+)/.exec(agent.out.toString())?.[1])
  assert.not(proc.alive(stray))
})

stop("leaves a colleague's run of the same binary alone", async (box) => {
  const { agent } = await box.serving()
  const colleague = box.spawn([box.bin, '--help'])
  await until(() => colleague.out.toString().includes('ready v1'), 5, 'the colleague runs')
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
  await agent.ready('v2')
  assert.ok(proc.alive(colleague.pid))
  assert.not(colleague.out.toString().includes('got'), 'it got no signal')
  agent.kill('SIGTERM')
  await agent.end()
  assert.ok(proc.alive(colleague.pid))
})

stop("leaves another agent's program alone, also where it is the same file", async (box) => {
  const { agent, bytes } = await box.serving()
  const bin = path.join(box.app, 'other')
  fs.linkSync(box.bin, bin)
  const other = box.agent({ bin })
  const pid = await other.ready('v1')
  assert.ok(proc.runs(pid, box.bin), 'both run the same inode')
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
  await agent.ready('v2')
  assert.is((await box.put({ version: 'v3', dies: 0, code: 1 })).receipt.result, 'rolled-back')
  assert.ok(proc.alive(pid) && proc.runs(pid, bin))
  assert.not(other.out.toString().includes('got'), 'it got no signal')
  const status = await box.status({ bin })
  assert.equal([Number(status.receipt.pid), status.receipt.sha256], [pid, sha256(bytes)])
  agent.kill('SIGTERM')
  await agent.end()
  assert.ok(proc.alive(pid))
})

stop('keeps what runs where somebody renamed another file over its path', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const intruder = path.join(box.app, 'intruder')
  box.install({ version: 'intruder' }, intruder)
  fs.renameSync(intruder, box.bin)
  const status = (await box.status()).receipt
  assert.equal([Number(status.pid), status.sha256], [pid, sha256(bytes)], 'status tells of what runs')
  const answer = await box.put({ version: 'v2', dies: 0, code: 3 })
  assert.is(answer.receipt.result, 'rolled-back')
  assert.not(proc.alive(pid), 'the old process was found and ended')
  box.serves(await agent.ready('v1', { nth: 2 }), bytes)
  assert.is(answer.receipt.sha256, sha256(bytes))
  const next = program({ version: 'v3' })
  assert.is((await box.put(next)).receipt.result, 'running')
  box.serves(await agent.ready('v3'), next)
  assert.is(sha256(fs.readFileSync(box.prev)), sha256(bytes))
})

stop('refuses to start a second agent on the same binary', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const second = box.agent()
  const code = await second.end(5)
  assert.is.not(code, 0)
  assert.match(second.err.toString(), new RegExp(`\\b${agent.pid}\\b`), 'it names the first')
  box.serves(pid, bytes)
  assert.equal(agent.messages(), ['started'])
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
})

stop('starts where a killed agent has left its state', async (box) => {
  const { agent } = await box.serving()
  agent.kill('SIGKILL')
  await until(() => !proc.alive(agent.pid), 5, 'its end')
  box.sweep()
  await agent.end()
  const next = await box.serving()
  assert.is(Number((await box.status()).receipt.pid), next.pid)
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
})

stop(
  'is a good PID 1: it reaps 200 orphans and leaves at TERM',
  async (box) => {
    box.install({ version: 'v1', orphans: 200, termCode: 6 })
    const agent = box.agent({ through: ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] })
    await agent.prints('left 200 orphans', 30)
    await agent.ready('v1')
    const [init = 0] = proc.children(agent.pid)
    const zombies = () => proc.children(init).filter((pid) => proc.state(pid) === 'Z')
    await until(() => proc.children(init).length < 10, 10, 'the orphans have ended')
    await until(() => zombies().length === 0, 3, 'no zombie is left')
    const through = ['nsenter', `--target=${init}`, '--pid', '--mount', '--']
    const { receipt } = await box.put({ version: 'v2' }, { through })
    assert.is(receipt.result, 'running')
    await agent.ready('v2')
    await until(() => zombies().length === 0, 3, 'no zombie is left')
    proc.kill(init, 'SIGTERM')
    assert.is(await agent.end(), 0)
  },
  { root: true },
)

stop.run()
