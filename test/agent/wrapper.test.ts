// `-r`: the program behind a wrapper, such as a debugger that stays when the program ends.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { sha256, type Plan } from './fixtures.ts'
import { cases, program, seconds, throughout, until, type Box, type Start } from './harness.ts'
import { clock, pace, real, tookLess } from '../lib/pace.ts'
import * as proc from './proc.ts'

const wrapper = cases('wrapper')

const through = (box: Box, mode: string) => ['-r', `${box.wrapper} ${mode} {{binPath}} --`]

/** A program that serves behind the wrapper in this mode; also the wrapper's pid. */
async function wrapped(box: Box, mode: string, plan: Plan = {}, start: Start = {}) {
  const served = await box.serving(plan, { flags: through(box, mode), ...start })
  const wrapper = box.carriers().find((pid) => proc.commandLine(pid).startsWith(`${box.wrapper} ${mode}`)) ?? 0
  assert.ok(wrapper > 0, 'the wrapper runs')
  return { ...served, wrapper }
}

wrapper('gets its words split first, then every {{binPath}} replaced, then the arguments', async (box) => {
  const bin = path.join(box.dir, 'two words', 'my prog')
  fs.mkdirSync(path.dirname(bin))
  const script = path.join(box.dir, 'printargs')
  const lines = ['#!/bin/sh', 'for word; do printf "<%s>" "$word"; done; echo', 'exec "$3" "one arg" "*"', '']
  fs.writeFileSync(script, lines.join('\n'), { mode: 0o755 })
  box.install({ version: 'v1', show: true }, bin)
  fs.writeFileSync(path.join(box.work, 'a-file'), '')
  const flags = ['-r', `${script} *  a={{binPath}},b={{binPath}} {{binPath}}\t$HOME {{other}} --`]
  const agent = box.agent({ flags, bin, args: ['x y', '*', ''] })
  await agent.ready('v1')
  assert.ok(
    agent.out.toString().includes(`<*><a=${bin},b=${bin}><${bin}><$HOME><{{other}}><--><x y><*><>\n`),
    agent.out.toString(),
  )
  const { greeting } = await box.status({ bin })
  assert.match(greeting.wrapper ?? '', /printargs \*/)
})

wrapper('runs the program, which is what the receipt is about', async (box) => {
  const { agent, pid, wrapper, bytes } = await wrapped(box, 'survive')
  const { receipt } = await box.status()
  assert.equal([Number(receipt.pid), receipt.run, receipt.sha256], [pid, 'wrapped', sha256(bytes)])
  assert.match(receipt.wrapper ?? '', /wrapper survive \{\{binPath\}\} --/)
  const next = program({ version: 'v2' })
  const answer = await box.put(next)
  assert.equal([answer.code, answer.receipt.result, answer.receipt.run], [0, 'running', 'wrapped'])
  const running = await agent.ready('v2')
  assert.is(Number(answer.receipt.pid), running)
  box.serves(running, next)
  assert.not(proc.alive(wrapper), 'the old wrapper is gone')
  assert.match(agent.out.toString(), /got terminated v1\nbye v1[^]*ready v2/, 'the old program ended by itself')
  assert.not(proc.alive(pid))
})

wrapper.needing('gzip')('that is not there: the program runs without it, until the tool was sent', async (box) => {
  const { pid, bytes } = await box.serving({}, { flags: ['-r', 'tool-dlv survive {{binPath}} --'] })
  const before = await box.status()
  assert.equal([before.receipt.run, before.receipt.debugger], ['plain', 'missing'])
  const tool = fs.readFileSync(box.wrapper)
  for (const [name, code] of [
    ['../up', 2],
    ['a b', 2],
    ['Tool', 2],
  ] as const)
    assert.is((await box.put(tool, { tool: name })).code, code, name)
  const damaged = await box.put(tool, { tool: 'tool-dlv', sha256: sha256(bytes) })
  assert.equal([damaged.code, damaged.receipt.result], [3, 'rejected'])
  assert.is((await box.status()).receipt.debugger, 'missing')
  const sent = await box.put(tool, { tool: 'tool-dlv', encoding: 'gzip' })
  assert.equal([sent.code, sent.receipt.result], [0, 'installed'])
  box.serves(pid, bytes)
  box.clean()
  assert.is((await box.status()).receipt.debugger, undefined)
  const { code, receipt } = await box.put({ version: 'v2' }, { run: 'wrapped' })
  assert.equal([code, receipt.result, receipt.run], [0, 'running', 'wrapped'])
  assert.ok(box.carriers().some((one) => proc.commandLine(one).startsWith(`${box.state}/bin/tool-dlv survive`)))
})

wrapper('that survives a crash does not hide it', async (box) => {
  const { agent, bytes } = await wrapped(box, 'survive')
  const { code, receipt } = await box.put({ version: 'v2', lines: 3, dies: 0, code: 3 })
  assert.equal([code, receipt.result, receipt.run], [1, 'rolled-back', 'wrapped'])
  assert.match(receipt.log ?? '', /line 3 of 3/)
  const running = await agent.ready('v1', { nth: 2 })
  assert.is(Number(receipt.pid), running)
  box.serves(running, bytes)
  const wrappers = () => box.carriers().filter((pid) => proc.commandLine(pid).startsWith(box.wrapper))
  assert.is(wrappers().length, 1, 'one wrapper')
})

wrapper('that survives a late crash does not hide it either', async (box) => {
  const { agent } = await wrapped(box, 'survive')
  assert.is((await box.put({ version: 'v2', dies: 0.6, code: 3 })).receipt.result, 'running')
  const row = await agent.logged('crashed')
  assert.equal([row.type, row.file], ['ERR', 'prog'])
  await agent.ready('v2', { nth: 2 })
  assert.is((await box.put({ version: 'v3' })).receipt.result, 'running')
})

wrapper('can be left out for one upload and used for the next', async (box) => {
  const { agent } = await wrapped(box, 'survive')
  const plain = await box.put({ version: 'v2' }, { run: 'plain' })
  assert.equal([plain.receipt.result, plain.receipt.run], ['running', 'plain'])
  const pid = await agent.ready('v2')
  assert.is(proc.children(agent.pid).includes(pid), true, "it is the agent's own child")
  const bad = await box.put({ version: 'v3', dies: 0, code: 3 }, { run: 'wrapped' })
  assert.equal([bad.receipt.result, bad.receipt.run], ['rolled-back', 'plain'], 'it comes back the way it ran')
  assert.ok(proc.children(agent.pid).includes(await agent.ready('v2', { nth: 2 })))
  const wrapped2 = await box.put({ version: 'v4' }, { run: 'wrapped' })
  assert.equal([wrapped2.receipt.result, wrapped2.receipt.run], ['running', 'wrapped'])
  fs.writeFileSync(box.staged, program({ version: 'v5' }))
  await agent.ready('v5')
  await until(async () => (await box.status()).receipt.result === 'running', 5, 'running')
  assert.is((await box.status()).receipt.run, 'wrapped', 'a plain copy runs through the wrapper')
})

wrapper('that loads for long is given the time', async (box) => {
  const { agent } = await wrapped(box, 'load=1.2')
  const began = Date.now()
  const { code, receipt } = await box.put({ version: 'v2' })
  assert.equal([code, receipt.result, receipt.reason || undefined], [0, 'running', undefined])
  assert.ok(seconds(began) > 0.15 + real(1.2), 'SETTLE counts from the end of the loading')
  assert.is(Number(receipt.pid), await agent.ready('v2'))
})

wrapper('that loads does not hide a crash', async (box) => {
  const { agent, bytes } = await wrapped(box, 'load=0.6')
  const { receipt } = await box.put({ version: 'v2', lines: 1, dies: 0.02, code: 3 })
  assert.is(receipt.result, 'rolled-back')
  assert.match(receipt.log ?? '', /line 1 of 1/)
  box.serves(await agent.ready('v1', { nth: 2 }), bytes)
})

wrapper('that holds its program for a while does not hide a crash after it', async (box) => {
  const { agent, bytes } = await wrapped(box, 'hold=2.4', {}, { env: { SETTLE: String(real(1.5)), LIMIT: '20' } })
  const { receipt } = await box.put({ version: 'v2', dies: real(2.8), code: 3 })
  assert.is(receipt.result, 'rolled-back')
  box.serves(await agent.ready('v1', { nth: 2 }), bytes)
})

wrapper('that halts its program keeps it for the debugger', async (box) => {
  box.install({ version: 'v1' })
  const agent = box.agent({ flags: through(box, 'halt'), env: { LIMIT: '20' } })
  const program1 = () => box.carriers().find((pid) => proc.state(pid) === 't') ?? 0
  const first = await until(program1, 5, 'a halted program')
  const began = Date.now()
  const next = program({ version: 'v2' })
  const { code, receipt } = await box.put(next)
  assert.equal([code, receipt.result, receipt.reason, receipt.run], [0, 'running', 'halted', 'wrapped'])
  assert.not(proc.alive(first))
  assert.ok(
    seconds(began) >= 0.1 + real(2) && (await tookLess(seconds(began), 12)),
    `SETTLE and 2 s: ${seconds(began) * pace}`,
  )
  const halted = await until(program1, 1, 'a halted program')
  assert.is(Number(receipt.pid), halted)
  assert.ok(proc.runs(halted, box.bin))
  assert.not(agent.out.toString().includes('ready'))
  const holder = box.carriers().find((pid) => proc.commandLine(pid).startsWith(`${box.wrapper} halt`)) ?? 0
  proc.kill(holder, 'SIGUSR1')
  assert.is(await agent.ready('v2'), halted, 'it goes on when the debugger lets it')
})

wrapper('that halted its program does not delay the swap: KILL at once', async (box) => {
  const { agent, pid, wrapper } = await wrapped(box, 'break', {}, { env: { LIMIT: '20' } })
  proc.kill(wrapper, 'SIGUSR1')
  await until(() => proc.state(pid) === 't', 5, 'the program is halted')
  const { receipt, seconds } = await box.put({ version: 'v2' })
  assert.is(receipt.result, 'running')
  assert.ok(await tookLess(seconds, 10), `it took ${seconds} s`)
  assert.not(proc.alive(pid))
  await agent.ready('v2')
  assert.not(agent.messages().includes('procs never ended'))
})

wrapper('that halts its program in the middle of its stop does not delay the swap either', async (box) => {
  const { pid, wrapper, agent } = await wrapped(box, 'break', { delay: 3 }, { env: { LIMIT: '20' } })
  const putting = box.put({ version: 'v2' })
  await agent.prints('got terminated v1')
  proc.kill(wrapper, 'SIGUSR1')
  await until(() => ['t', ''].includes(proc.state(pid)), 5, 'the program is halted')
  const { receipt, seconds } = await putting
  assert.is(receipt.result, 'running')
  assert.ok(await tookLess(seconds, 10), `it took ${seconds} s`)
})

wrapper('that died leaves a program which runs on without a debugger', async (box) => {
  const { agent } = await wrapped(box, 'survive')
  const putting = box.put({ version: 'v2' })
  await agent.ready('v2')
  const { receipt } = await putting
  assert.is(receipt.result, 'running')
  const debuggers = box.carriers().filter((pid) => proc.commandLine(pid).startsWith(`${box.wrapper} survive`))
  debuggers.forEach((pid) => proc.kill(pid))
  await until(async () => (await box.status()).receipt.reason === 'no debugger', 5, 'reason=no debugger')
  const status = (await box.status()).receipt
  assert.equal([status.result, status.pid], ['running', receipt.pid])
  const next = program({ version: 'v3' })
  const answer = await box.put(next)
  assert.equal([answer.receipt.result, answer.receipt.reason || undefined], ['running', undefined])
  assert.not(proc.alive(Number(receipt.pid)), 'the orphaned program was ended')
  assert.ok(agent.out.toString().includes('bye v2'), 'and asked to')
  box.serves(await agent.ready('v3'), next)
})

wrapper('that dies at the start leaves a program which counts as running', async (box) => {
  box.install({ version: 'v1' })
  const agent = box.agent({ flags: through(box, `dies=${clock(0.3)}`), env: { SETTLE: '1' } })
  await agent.ready('v1')
  const { code, receipt } = await box.put({ version: 'v2' })
  assert.equal([code, receipt.result, receipt.reason], [0, 'running', 'no debugger'])
  assert.is(Number(receipt.pid), await agent.ready('v2'))
  await throughout(2.5, () => proc.alive(Number(receipt.pid)), 'it runs on')
  assert.not(agent.messages().includes('crashed'))
})

wrapper("may restart its program, as an IDE's button does", async (box) => {
  const { agent, wrapper } = await wrapped(box, 'restart', {}, { env: { LIMIT: '20' } })
  proc.kill(wrapper, 'SIGUSR1')
  const again = await agent.ready('v1', { nth: 2 })
  await throughout(2.5, () => proc.alive(again) && proc.alive(wrapper), 'the agent does not step in')
  assert.equal(agent.messages(), ['started'])
  assert.is(Number((await box.status()).receipt.pid), again)
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
  assert.not(proc.alive(again))
})

wrapper('that stays without its program for 2 s is started anew', async (box) => {
  const { agent, pid, wrapper } = await wrapped(box, 'survive')
  proc.kill(pid)
  const gone = Date.now()
  await agent.logged('crashed')
  assert.ok(seconds(gone) > real(1.5), `after ${seconds(gone) * pace} s`)
  const again = await agent.ready('v1', { nth: 2 })
  assert.not(proc.alive(wrapper))
  assert.ok(proc.runs(again, box.bin))
})

wrapper('that ignores TERM is killed after LIMIT', async (box) => {
  const { agent, wrapper } = await wrapped(box, 'stubborn')
  const { receipt } = await box.put({ version: 'v2' })
  assert.is(receipt.result, 'running')
  assert.not(proc.alive(wrapper))
  assert.ok(agent.out.toString().includes('bye v1'), 'the program ended by itself')
})

wrapper('that does not start its program is a crash, and the next upload may do without', async (box) => {
  box.install({ version: 'v1' })
  const agent = box.agent({ flags: ['-r', 'rmdir /nonsense {{binPath}} --'] })
  await agent.logged('crashed')
  const bad = await box.put({ version: 'v2' }, { run: 'wrapped' })
  assert.is(bad.code, 1)
  assert.match(bad.receipt.log ?? '', /nonsense/)
  const plain = await box.put({ version: 'v3' }, { run: 'plain' })
  assert.equal([plain.code, plain.receipt.result, plain.receipt.run], [0, 'running', 'plain'])
  await agent.ready('v3')
})

wrapper('sees TERM to the agent reach the program, and gives the agent its exit code', async (box) => {
  const { agent } = await wrapped(box, 'survive', { delay: 1.5, termCode: 7 })
  agent.kill('SIGTERM')
  assert.is(await agent.end(), 17)
  assert.match(agent.out.toString(), /got terminated v1\nbye v1\n/)
  await box.deserted()
})

wrapper('that halted its program does not keep the agent from leaving', async (box) => {
  const { agent, pid, wrapper } = await wrapped(box, 'break', {}, { env: { LIMIT: '20' } })
  proc.kill(wrapper, 'SIGUSR1')
  await until(() => proc.state(pid) === 't', 5, 'the program is halted')
  const began = Date.now()
  agent.kill('SIGTERM')
  assert.is(await agent.end(), 17)
  assert.ok(await tookLess(seconds(began), 10), `it took ${seconds(began)} s`)
  await box.deserted()
})

wrapper('passes HUP on to the program', async (box) => {
  const { agent } = await wrapped(box, 'survive')
  agent.kill('SIGHUP')
  await agent.prints('got hangup v1')
})

wrapper.run()
