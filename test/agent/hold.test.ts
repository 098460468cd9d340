// Ports that stay open over a swap: a client that connects again and again meets nobody who refuses.
import { spawnSync } from 'node:child_process'
import net from 'node:net'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { leftOut } from '../lib/needs.ts'
import { pace } from '../lib/pace.ts'
import { helperPath } from './fixtures.ts'
import { cases, pause, throughout, until, type Box } from './harness.ts'
import * as proc from './proc.ts'

/** Why no port can be held on this machine, as the launcher says it; empty if one can. */
function whyNot(): string {
  const state = fs.mkdtempSync(path.join(tmpdir(), 'hotswap-hold-'))
  const said = (name: string) => fs.readFileSync(path.join(state, name), { encoding: 'utf8', flag: 'a+' })
  const agent = `${process.pid}-${proc.startTime(process.pid)}`
  spawnSync(helperPath(), ['launch', state, '/bin/true', agent, '1', '1', '/bin/true'])
  const keeper = Number(said('keeper.pid').split(' ')[0])
  if (keeper > 0) proc.kill(keeper, 'SIGTERM')
  const why = /^no \(((?:the kernel|not on) .*)\)$/.exec(said('holds').trim())?.[1] ?? ''
  fs.rmSync(state, { recursive: true })
  return why
}

const why = whyNot()
if (why !== '') leftOut('hold', `a kernel that lets ports be held (here ${why})`)
const hold = cases('hold', why === '')

/** A port that nobody has. */
const freePort = () =>
  new Promise<number>((resolve, reject) => {
    const server = net.createServer().on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo
      server.close(() => resolve(port))
    })
  })

/** One connection: the version that answers, or what went wrong. */
const ask = (port: number) =>
  new Promise<string>((resolve) => {
    let said = ''
    const socket = net.connect(port, '127.0.0.1')
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
    socket.on('close', () => resolve(said.trim() || 'no answer'))
  })

/** A client that opens a connection every 5 ms, until it is ended: how many ended how, and how long one waited at most. */
function client(port: number) {
  const counts: Record<string, number> = {}
  const open = new Set<Promise<void>>()
  let longest = 0
  const one = async () => {
    const began = Date.now()
    const answer = await ask(port)
    counts[answer] = (counts[answer] ?? 0) + 1
    longest = Math.max(longest, Date.now() - began)
  }
  const timer = setInterval(() => {
    const asked = one().finally(() => open.delete(asked))
    open.add(asked)
  }, 5)
  return async () => {
    clearInterval(timer)
    await Promise.all(open)
    const failed = Object.entries(counts).filter(([answer]) => !/^v\d+$/.test(answer))
    const answered = Object.entries(counts).filter(([answer]) => /^v\d+$/.test(answer))
    return { failed: Object.fromEntries(failed), answered: Object.fromEntries(answered), longest }
  }
}

const refused = async (port: number) => (await ask(port)) === 'ECONNREFUSED'

const holds = async (box: Box) => (await box.status()).receipt.holds ?? ''

const held = (box: Box, port: number) =>
  until(async () => (await holds(box)) === `127.0.0.1:${port}`, 10, 'status has the port')

/** Swaps by TERM, by KILL, crashes that roll back: what one client meets. */
async function eventful(box: Box, env: Record<string, string>, flags: readonly string[] = []) {
  const port = await freePort()
  const serves = `127.0.0.1:${port}`
  const { agent } = await box.serving({ serves }, { env, flags })
  await until(async () => (await ask(port)) === 'v1', 10, 'it answers')
  const end = client(port)
  for (const version of ['v2', 'v3']) {
    const { receipt } = await box.put({ version, serves, starts: 0.2 })
    assert.is(receipt.result, 'running')
  }
  const crash = await box.put({ version: 'v4', serves, dies: 0, code: 3 })
  assert.is(crash.receipt.result, 'rolled-back')
  proc.kill(Number((await box.status()).receipt.pid))
  await agent.logged('crashed', 2)
  await until(async () => (await ask(port)) === 'v3', 10, 'it answers again')
  const { receipt } = await box.put({ version: 'v5', serves, term: 'default' })
  assert.is(receipt.result, 'running')
  assert.is((await box.put({ version: 'v6', serves })).receipt.result, 'running')
  await until(async () => (await ask(port)) === 'v6', 10, 'it answers')
  const met = await end()
  process.stdout.write(
    `${box.shell.name} ${flags.length ? 'wrapped ' : ''}${JSON.stringify(env)}: ${JSON.stringify(met)}\n`,
  )
  return met
}

for (const wrapped of [false, true])
  hold(`nobody is refused over swaps, a KILL and a rollback${wrapped ? ', under a wrapper' : ''}`, async (box) => {
    const flags = wrapped ? ['-r', `${box.wrapper} survive {{binPath}} --`] : []
    const { failed, answered } = await eventful(box, { LIMIT: '10' }, flags)
    assert.equal(failed, {})
    assert.ok((answered.v6 ?? 0) > 0)
  })

hold('with HOLD=0 connections are refused, and status says why', async (box) => {
  const { failed } = await eventful(box, { LIMIT: '10', HOTSWAP_HOLD: '0' })
  assert.ok((failed.ECONNREFUSED ?? 0) > 0)
  assert.is(await holds(box), 'no (HOLD=0)')
})

hold('a program that must be killed hands its port on as well', async (box) => {
  const port = await freePort()
  const serves = `127.0.0.1:${port}`
  await box.serving({ serves, term: 'ignore' }, { env: { LIMIT: '3' } })
  await held(box, port)
  const end = client(port)
  const { receipt } = await box.put({ version: 'v2', serves, starts: 0.1 })
  assert.is(receipt.result, 'running')
  const [, connections = '', longest = ''] = /^(\d+) (\d+\.\d\d)$/.exec(receipt.waited ?? '') ?? []
  assert.ok(Number(connections) > 10 && Number(longest) > 0.1, receipt.waited)
  await until(async () => (await ask(port)) === 'v2', 10, 'it answers')
  assert.equal((await end()).failed, {})
})

hold('the pod ends: nothing is held, and nothing is left', async (box) => {
  const port = await freePort()
  const { agent } = await box.serving({ serves: `127.0.0.1:${port}`, delay: 1 })
  await held(box, port)
  agent.kill('SIGTERM')
  await agent.prints('got terminated v1')
  await until(() => refused(port), 0.5, 'it is refused while the program ends')
  await agent.end()
  await box.deserted()
})

hold('an agent that is killed leaves no keeper once its program has gone', async (box) => {
  const port = await freePort()
  const { agent, pid } = await box.serving({ serves: `127.0.0.1:${port}` })
  await held(box, port)
  agent.kill('SIGKILL')
  await until(() => !proc.alive(agent.pid), 5, 'its end')
  await pause(0.3)
  proc.kill(pid)
  await until(() => refused(port), 2, 'it is refused')
  await until(
    () => box.carriers().every((one) => !/ (keep|deputy)\b/.test(proc.commandLine(one))),
    3,
    'no keeper is left',
  )
  box.sweep()
})

hold('an agent that comes after one that was killed holds as well', async (box) => {
  const port = await freePort()
  const serves = `127.0.0.1:${port}`
  const { agent } = await box.serving({ serves })
  await held(box, port)
  agent.kill('SIGKILL')
  await until(() => !proc.alive(agent.pid), 5, 'its end')
  await box.started()
  await held(box, port)
  assert.is((await box.put({ version: 'v2', serves })).receipt.result, 'running')
  await held(box, port)
})

hold('crashed for good: connections are refused after LIMIT', async (box) => {
  const port = await freePort()
  const { agent } = await box.serving(
    { serves: `127.0.0.1:${port}`, diesIf: path.join(box.dir, 'die') },
    { env: { LIMIT: '0.5' } },
  )
  await held(box, port)
  fs.writeFileSync(path.join(box.dir, 'die'), '')
  proc.kill(Number((await box.status()).receipt.pid))
  await agent.logged('crashed', 2)
  await until(() => refused(port), 20, 'it is refused')
  fs.rmSync(path.join(box.dir, 'die'))
  await until(async () => (await ask(port)) === 'v1', 20, 'it answers again')
})

hold('a keeper that is killed is said once; the program goes on, and the next start holds again', async (box) => {
  const port = await freePort()
  const serves = `127.0.0.1:${port}`
  const { agent, pid } = await box.serving({ serves }, { env: { LIMIT: '10' } })
  await held(box, port)
  const keeper = box.carriers().find((one) => / keep\b/.test(proc.commandLine(one))) ?? 0
  proc.kill(keeper)
  const row = await agent.logged('holds no port')
  assert.is(row.reason, 'its keeper was killed')
  assert.is(await holds(box), 'no (its keeper was killed)')
  await throughout(2, () => agent.messages().filter((one) => one === 'holds no port').length === 1, 'it is said once')
  assert.ok(proc.alive(pid))
  assert.is(await ask(port), 'v1')
  assert.is((await box.put({ version: 'v2', serves })).receipt.result, 'running')
  await held(box, port)
  const end = client(port)
  assert.is((await box.put({ version: 'v3', serves })).receipt.result, 'running')
  await until(async () => (await ask(port)) === 'v3', 10, 'it answers')
  assert.equal((await end()).failed, {})
})

hold('the keeper and its deputy take little memory, and no time at rest', async (box) => {
  const port = await freePort()
  const serves = `127.0.0.1:${port}`
  await box.serving({ serves })
  await box.put({ version: 'v2', serves })
  await held(box, port)
  const both = box.carriers().filter((one) => / (keep|deputy)\b/.test(proc.commandLine(one)))
  assert.is(both.length, 2)
  const said = (pid: number, file: string, pattern: RegExp) =>
    Number(pattern.exec(fs.readFileSync(`/proc/${pid}/${file}`, 'utf8'))?.[1])
  const ran = (pid: number) =>
    fs
      .readdirSync(`/proc/${pid}/task`)
      .map((thread) => said(pid, `task/${thread}/schedstat`, /^(\d+)/))
      .reduce((a, b) => a + b, 0) / 1e6 // ms
  const before = both.map(ran)
  const began = Date.now()
  await pause(4)
  const share = both.map((pid, i) => (ran(pid) - (before[i] ?? 0)) / (Date.now() - began))
  const shares = both.map((pid) => said(pid, 'smaps_rollup', /^Pss:\s+(\d+) kB$/m))
  const resident = both.map((pid) => said(pid, 'status', /^VmRSS:\s+(\d+) kB$/m))
  assert.ok((shares[0] ?? NaN) + (shares[1] ?? NaN) < 6000, `${shares.join(' + ')} kB`)
  for (const kB of resident) assert.ok(kB < 6000, `${kB} kB`)
  for (const part of share) assert.ok(part < 0.01 * pace, `${part * 100} % of a processor`)
  process.stdout.write(`${box.shell.name}: RSS ${resident}, PSS ${shares} kB, ${share.map((part) => part * 100)} %\n`)
})

hold('a port that the new program does not bind is refused', async (box) => {
  const [one, two] = [await freePort(), await freePort()]
  await box.serving({ serves: `127.0.0.1:${one}` })
  await held(box, one)
  await box.put({ version: 'v2', serves: `127.0.0.1:${two}` })
  await until(() => refused(one), 5, 'it is refused')
  assert.is(await ask(two), 'v2')
  await held(box, two)
})

hold.needing('setcap')('a binary with file capabilities runs without', async (box) => {
  const port = await freePort()
  box.install({ version: 'v1', serves: `127.0.0.1:${port}` })
  const set = box.spawn(['setcap', 'cap_net_bind_service=+ep', box.bin])
  assert.is(await set.end(), 0)
  await box.started()
  await until(async () => (await ask(port)) === 'v1', 10, 'it answers')
  assert.is(await holds(box), 'no (prog has file capabilities)')
})

hold.run()
