// Programs that crash: at their start, which brings the previous one back, and later.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { sha256 } from './fixtures.ts'
import { cases, pause, program, seconds, throughout, until } from './harness.ts'
import { pace, real, tookLess } from '../lib/pace.ts'
import * as proc from './proc.ts'

const crash = cases('crash')

crash('at the start brings the previous binary back, with the tail of the output', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const { code, receipt } = await box.put(
    { version: 'v2', lines: 30, dies: 0, code: 3 },
    { version: 'bad', by: 'me@here' },
  )
  assert.is(code, 1)
  assert.is(receipt.result, 'rolled-back')
  assert.match(receipt.reason ?? '', /\b3\b/, 'it names the exit code')
  const expected = Array.from({ length: 20 }, (_, i) => `line ${i + 11} of 30`)
  assert.equal(receipt.log?.split('\n'), expected)
  const running = await agent.ready('v1', { nth: 2 })
  assert.is(Number(receipt.pid), running)
  assert.is(receipt.sha256, sha256(bytes))
  assert.not(proc.alive(pid))
  box.serves(running, bytes)
  box.clean()
  await throughout(1.5, () => proc.alive(running), 'it serves on')
  const messages = agent.messages()
  assert.is(messages.filter((message) => message === 'crashed').length, 1)
  assert.is(messages.filter((message) => message === 'rolled back').length, 1)
  for (const message of ['crashed', 'rolled back']) {
    const row = await agent.logged(message)
    assert.equal([row.type, row.events], ['ERR', 'PUT'])
  }
  const status = (await box.status()).receipt
  assert.equal([Number(status.pid), status.sha256], [running, sha256(bytes)])
})

crash('by a panic shows the panic and its place', async (box) => {
  await box.serving()
  const { code, receipt } = await box.put({ version: 'v2', panics: true })
  assert.equal([code, receipt.result], [1, 'rolled-back'])
  assert.match(receipt.log ?? '', /panic: boom v2/)
  assert.match(receipt.log ?? '', /main\.go:\d+/)
})

crash('with exit code 0 is a crash as well', async (box) => {
  const { agent, bytes } = await box.serving()
  const { code, receipt } = await box.put({ version: 'v2', dies: 0 })
  assert.equal([code, receipt.result], [1, 'rolled-back'])
  box.serves(await agent.ready('v1', { nth: 2 }), bytes)
})

crash('within SETTLE is told at once, and one at its very end is seen', async (box) => {
  const { agent } = await box.serving({}, { env: { SETTLE: '3' } })
  const began = Date.now()
  const { receipt } = await box.put({ version: 'v2', dies: 2, code: 3 })
  assert.is(receipt.result, 'rolled-back')
  assert.match(receipt.log ?? '', /ends v2/)
  assert.ok(agent.out.toString().includes('ready v2'))
  const early = fs.statSync(path.join(box.work, 'hotswap-dev-prog.log')).size
  assert.ok(early > 0 && seconds(began) >= 2)
})

crash('at once does not wait for SETTLE', async (box) => {
  const { agent } = await box.serving({}, { env: { SETTLE: '8' } })
  const before = Date.now()
  const putting = box.put({ version: 'v2', dies: 0, code: 3 })
  await agent.logged('crashed')
  assert.ok(seconds(before) < 7, `the crash was seen after ${seconds(before)} s`)
  assert.is((await putting).receipt.result, 'rolled-back')
})

crash('within SETTLE is seen also when signals wake the agent meanwhile', async (box) => {
  const { agent } = await box.serving({}, { env: { SETTLE: '2' } })
  const putting = box.put({ version: 'v2', dies: 1, code: 3 })
  await agent.ready('v2')
  for (const signal of ['SIGUSR1', 'SIGUSR1', 'SIGHUP', 'SIGUSR2'] as const) {
    agent.kill(signal)
    await pause(0.1)
  }
  assert.is((await putting).receipt.result, 'rolled-back')
})

crash('of the previous binary too leaves nothing running, and the agent takes the next one', async (box) => {
  const trap = path.join(box.dir, 'trap')
  const { agent } = await box.serving({ diesIf: trap })
  fs.writeFileSync(trap, '')
  const { code, receipt } = await box.put({ version: 'v2', dies: 0, code: 3 })
  assert.equal([code, receipt.result], [1, 'crashed'])
  assert.is(receipt.pid, undefined, 'nothing runs')
  assert.ok(receipt.log)
  assert.is(agent.code, undefined, 'the agent lives')
  assert.is((await box.status()).receipt.result, 'crashed')
  const next = program({ version: 'v3' })
  assert.is((await box.put(next)).receipt.result, 'running')
  box.serves(await agent.ready('v3'), next)
})

crash('later starts the program again, after 1 s, 2 s and so on', async (box) => {
  const lives = 0.5
  const plan = { version: 'v1', dies: lives, code: 3 }
  box.install(plan)
  const agent = box.agent()
  await agent.ready('v1')
  const first = Date.now()
  await agent.ready('v1', { nth: 2 })
  const one = seconds(first) - lives
  const second = Date.now()
  await agent.ready('v1', { nth: 3 })
  const two = seconds(second) - lives
  assert.ok(one > real(0.7) && (await tookLess(one, 4)), `about a second: ${one * pace}`)
  assert.ok(two > real(1.6) && (await tookLess(two, 6)), `about two seconds: ${two * pace}`)
  const row = await agent.logged('crashed')
  assert.equal([row.type, row.file], ['ERR', 'prog'])
  await until(async () => (await box.status()).receipt.restarts === '2', 5, 'restarts=2')
  const next = program({ version: 'v2' })
  const { receipt } = await box.put(next)
  assert.is(receipt.result, 'running')
  const starts = [...agent.out.toString().matchAll(/^ready v1/gm)].length
  assert.is(starts, 3, 'a new binary cuts the back-off of 4 s short')
  box.serves(await agent.ready('v2'), next)
})

crash('in a row does not end the agent, nor keep the next binary out', async (box) => {
  box.install({ version: 'v1', dies: 0, code: 3 })
  const agent = box.agent()
  await agent.logged('crashed', 2)
  const status = (await box.status()).receipt
  assert.is(status.result, 'crashed')
  assert.is(status.pid, undefined)
  fs.writeFileSync(box.staged, program({ version: 'v2' }))
  await agent.ready('v2')
  await until(async () => (await box.status()).receipt.result === 'running', 5, 'running')
  assert.is((await box.put({ version: 'v3' })).receipt.result, 'running')
})

crash('of a new binary where the old one was down says that nothing runs', async (box) => {
  box.install({ version: 'v1', dies: 0, code: 3 })
  const agent = box.agent()
  await agent.logged('crashed')
  const { code, receipt } = await box.put({ version: 'v2', dies: 0, code: 4 })
  assert.is(code, 1)
  assert.match(receipt.result ?? '', /^(crashed|rolled-back)$/)
  assert.is(receipt.result === 'crashed', receipt.pid === undefined)
  assert.is((await box.put({ version: 'v3' })).receipt.result, 'running')
})

crash('prints at most 20 lines and 8 KiB into the receipt', async (box) => {
  await box.serving()
  const { receipt } = await box.put({ version: 'v2', lines: 100, width: 1000, dies: 0, code: 3 })
  const log = receipt.log ?? ''
  assert.ok(log.length <= 8192, `${log.length} bytes`)
  assert.ok(log.split('\n').length <= 20)
  assert.match(log, /line 100 of 100\.+$/)
})

crash('of a second upload brings back the first one, not the binary of the image', async (box) => {
  const { agent } = await box.serving()
  const good = program({ version: 'v2' })
  await box.put(good, { version: 'good', by: 'jane@laptop' })
  const { receipt } = await box.put({ version: 'v3', dies: 0, code: 3 }, { version: 'bad' })
  assert.is(receipt.result, 'rolled-back')
  assert.equal([receipt.sha256, receipt.version, receipt.by], [sha256(good), 'good', 'jane@laptop'])
  box.serves(await agent.ready('v2', { nth: 2 }), good)
})

crash('twice in a row does not lose the good binary', async (box) => {
  const { agent, bytes } = await box.serving()
  for (const nth of [2, 3]) {
    const { receipt } = await box.put({ version: `bad${nth}`, dies: 0, code: 3 })
    assert.is(receipt.result, 'rolled-back')
    box.serves(await agent.ready('v1', { nth }), bytes)
  }
})

crash('leaves no restart for a binary that was swapped out', async (box) => {
  const { agent } = await box.serving({ dies: 5, code: 3 })
  await box.put({ version: 'v2' })
  await throughout(6, () => !agent.messages().includes('crashed'), 'v1 ended by our TERM')
  assert.is([...agent.out.toString().matchAll(/^ready/gm)].length, 2)
})

crash('a missing binary comes back from the previous one at the start of the agent', async (box) => {
  const bytes = box.install({ version: 'v0' }, box.prev)
  const agent = box.agent()
  box.serves(await agent.ready('v0'), bytes)
})

crash('with no binary at all the agent waits for one', async (box) => {
  const agent = box.agent()
  await until(async () => (await box.status()).code === 0, 5, 'the agent answers')
  const { greeting } = await box.status()
  assert.is(greeting.pid, undefined)
  assert.is(greeting.sha256 || undefined, undefined)
  const next = program({ version: 'v1' })
  const { code, receipt } = await box.put(next)
  assert.equal([code, receipt.result, receipt.sha256], [0, 'running', sha256(next)])
  box.serves(await agent.ready('v1'), next)
})

crash('of the very first upload says that nothing runs', async (box) => {
  box.agent()
  await until(async () => (await box.status()).code === 0, 5, 'the agent answers')
  const { code, receipt } = await box.put({ version: 'v1', dies: 0, code: 3 })
  assert.equal([code, receipt.result, receipt.pid], [1, 'crashed', undefined])
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
})

crash.run()
