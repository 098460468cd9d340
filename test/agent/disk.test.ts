// Disks that are full, read-only, noexec or another's.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { sha256, type Plan } from './fixtures.ts'
import { cases, program, throughout, until, type Box, type Start } from './harness.ts'
import * as proc from './proc.ts'

const disk = cases('disk')

const uid = 54321 // without an entry in /etc/passwd
const asNobodyKnown = ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']

/** The program on a small file system of its own, under the agent. */
async function mounted(box: Box, options: string, plan: Plan = {}, start: Start = {}) {
  const at = box.mount('disk', options)
  const bin = path.join(at, 'prog')
  return { at, bin, ...(await box.serving(plan, { ...start, bin })) }
}

const fill = (file: string) => {
  const block = Buffer.alloc(65536)
  const out = fs.openSync(file, 'w')
  try {
    for (;;) fs.writeSync(out, block)
  } catch {
    fs.closeSync(out)
  }
}

const names = (folder: string) => fs.readdirSync(folder).filter((name) => !name.startsWith('.'))

const mib = (count: number) => count * 1024 * 1024

disk(
  'that is full for the upload: refused with the reason, nothing left, the old one serves',
  async (box) => {
    const { at, bin, pid, agent, bytes } = await mounted(box, 'size=8m')
    for (const encoding of ['raw', 'gzip']) {
      const answer = await box.put(program({ version: 'v2' }, mib(12)), { bin, encoding })
      assert.equal([answer.code, answer.receipt.result], [3, 'rejected'], answer.raw)
      assert.match(answer.receipt.reason ?? '', /full|space|free/i)
      assert.ok(proc.alive(pid) && proc.runs(pid, bin))
      assert.equal(names(at), ['prog'])
    }
    await agent.logged('rejected', 2)
    const next = program({ version: 'v2' })
    const { receipt } = await box.put(next, { bin })
    const previous = sha256(fs.readFileSync(`${bin}-prev`))
    assert.equal([receipt.result, receipt.sha256, previous], ['running', sha256(next), sha256(bytes)])
  },
  { root: true },
)

disk(
  'without a free block: put and status answer whole, and the agent goes on',
  async (box) => {
    const { at, bin, pid, agent } = await mounted(box, 'size=8m')
    fill(path.join(at, 'filler'))
    const before = (await box.status({ bin })).receipt
    assert.equal([before.result, Number(before.pid)], ['running', pid])
    const answer = await box.put({ version: 'v2' }, { bin })
    assert.equal([answer.code, answer.receipt.result], [3, 'rejected'], answer.raw)
    assert.match(answer.raw, /\n\n$/)
    proc.kill(pid)
    const again = await agent.ready('v1', { nth: 2 })
    await until(async () => (await box.status({ bin })).receipt.pid === String(again), 5, 'status knows the new pid')
    fs.rmSync(path.join(at, 'filler'))
    assert.is((await box.put({ version: 'v2' }, { bin })).receipt.result, 'running')
  },
  { root: true },
)

disk(
  'that fills up during a swap: the receipt still comes',
  async (box) => {
    const { at, bin, agent } = await mounted(box, 'size=12m', { delay: 1.5 }, { env: { LIMIT: '5' } })
    const putting = box.put({ version: 'v2' }, { bin, version: 'new' })
    await agent.prints('got terminated v1')
    fill(path.join(at, 'filler'))
    const { code, receipt } = await putting
    const running = await agent.ready('v2')
    assert.equal([code, receipt.result, receipt.pid, receipt.version], [0, 'running', String(running), 'new'])
    const status = (await box.status({ bin })).receipt
    assert.equal([status.result, status.pid, status.version], ['running', String(running), 'new'])
  },
  { root: true },
)

disk(
  'that holds two binaries: the previous one goes first',
  async (box) => {
    const size = mib(4)
    const at = box.mount('disk', 'size=10m')
    const bin = path.join(at, 'prog')
    const first = box.install(program({ version: 'v1' }, size), bin)
    const { agent } = await box.started({ bin })
    assert.is((await box.put(program({ version: 'v2' }, size), { bin })).receipt.result, 'running')
    assert.is(sha256(fs.readFileSync(`${bin}-prev`)), sha256(first))
    for (const [version, encoding] of [
      ['v3', 'raw'],
      ['v4', 'gzip'],
    ] as const) {
      const next = program({ version }, size)
      const { code, receipt } = await box.put(next, { bin, encoding })
      assert.equal([code, receipt.result, receipt.sha256], [0, 'running', sha256(next)], receipt.reason)
      assert.ok(proc.runs(await agent.ready(version), bin))
    }
    const bad = await box.put(program({ version: 'v5', dies: 0, code: 3 }, size), { bin })
    assert.is(bad.receipt.result, 'rolled-back')
    await agent.ready('v4', { nth: 2 })
  },
  { root: true },
)

disk(
  'of the log that is full: the program and the agent go on, and all is on stdout',
  async (box) => {
    const cwd = box.mount('logs', 'size=64k')
    fill(path.join(cwd, 'filler'))
    const { agent, pid } = await box.serving({}, { cwd })
    await agent.prints('\tstarted')
    agent.kill('SIGHUP')
    await agent.prints('got hangup v1')
    assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
    assert.not(proc.alive(pid))
    await agent.prints('\tkilled & restarted\tPUT')
    const bad = await box.put({ version: 'v3', lines: 3, dies: 0, code: 3 })
    assert.is(bad.receipt.result, 'rolled-back')
    await agent.ready('v2', { nth: 2 })
  },
  { root: true },
)

disk(
  'of the log that fills up while the program writes: nothing hangs, nothing is lost on stdout',
  async (box) => {
    const cwd = box.mount('logs', 'size=512k')
    const { agent, pid } = await box.serving({ flood: mib(4) }, { cwd })
    await until(() => agent.out.bytes > mib(4), 10, 'all bytes on stdout')
    assert.ok(proc.alive(pid))
    assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
  },
  { root: true },
)

disk(
  'that is read-only: status says so, put is refused, the program goes on',
  async (box) => {
    const at = box.mount('disk', 'size=16m')
    const bin = path.join(at, 'prog')
    box.install({ version: 'v1' }, bin)
    box.remount(at, 'ro')
    const flat = `.hotswap${bin.replaceAll('/', '%')}`
    box.also(path.join('/tmp', flat), path.join('/dev/shm', flat))
    const { agent, pid } = await box.started({ bin })
    const { receipt } = await box.status({ bin })
    assert.match(receipt.writable ?? '', /read-only/i)
    assert.ok(fs.statSync(path.join('/tmp', flat)).isDirectory(), 'the state is in /tmp')
    assert.is(fs.statSync(path.join('/tmp', flat)).mode & 0o777, 0o700)
    const answer = await box.put({ version: 'v2' }, { bin })
    assert.equal([answer.code, answer.receipt.result], [3, 'rejected'])
    assert.match(answer.receipt.reason ?? '', /read-only/i)
    assert.ok(proc.alive(pid))
    await agent.logged('rejected')
    box.remount(at, 'rw')
    assert.is((await box.put({ version: 'v2' }, { bin })).receipt.result, 'running')
  },
  { root: true },
)

disk(
  'that is noexec: refused before anything stops',
  async (box) => {
    const { at, bin, pid } = await mounted(box, 'size=16m')
    box.remount(at, 'noexec')
    assert.match((await box.status({ bin })).receipt.writable ?? '', /noexec/)
    const answer = await box.put({ version: 'v2' }, { bin })
    assert.equal([answer.code, answer.receipt.result], [3, 'rejected'])
    assert.match(answer.receipt.reason ?? '', /noexec/)
    assert.ok(proc.alive(pid) && proc.runs(pid, bin))
    assert.equal(names(at), ['prog'])
    box.remount(at, 'exec')
    assert.is((await box.put({ version: 'v2' }, { bin })).receipt.result, 'running')
  },
  { root: true },
)

disk(
  'of a user without a passwd entry: everything works, and USER is the number',
  async (box) => {
    fs.chmodSync(box.dir, 0o755)
    for (const folder of [box.app, box.work]) fs.chownSync(folder, uid, uid)
    const { agent, bytes } = await box.serving({}, { through: asNobodyKnown })
    const next = program({ version: 'v2' })
    const { code, receipt } = await box.put(next, { through: asNobodyKnown })
    assert.equal([code, receipt.result, receipt.sha256], [0, 'running', sha256(next)])
    await agent.ready('v2')
    const bad = await box.put({ version: 'v3', dies: 0, code: 3 }, { through: asNobodyKnown })
    assert.is(bad.receipt.result, 'rolled-back')
    assert.is(sha256(fs.readFileSync(box.bin)), sha256(next))
    assert.is.not(sha256(next), sha256(bytes))
    for (const row of agent.rows()) assert.is(row.user, String(uid))
    assert.is((await box.status({ through: asNobodyKnown })).receipt.writable, 'yes')
  },
  { root: true },
)

disk(
  'of another owner: status says so, put is refused, the state is elsewhere',
  async (box) => {
    fs.chmodSync(box.dir, 0o755)
    fs.chownSync(box.work, uid, uid)
    const flat = `.hotswap${box.bin.replaceAll('/', '%')}`
    box.also(path.join('/tmp', flat), path.join('/dev/shm', flat))
    const { pid, bytes, agent } = await box.serving({}, { through: asNobodyKnown })
    const { receipt } = await box.status({ through: asNobodyKnown })
    assert.match(receipt.writable ?? '', /owner/)
    const answer = await box.put({ version: 'v2' }, { through: asNobodyKnown })
    assert.equal([answer.code, answer.receipt.result], [3, 'rejected'])
    assert.match(answer.receipt.reason ?? '', /owner/)
    await agent.logged('rejected')
    box.serves(pid, bytes)
  },
  { root: true },
)

disk(
  "of another owner with the sticky bit: put does not try to replace root's file",
  async (box) => {
    fs.chmodSync(box.dir, 0o755)
    fs.chmodSync(box.app, 0o1777)
    fs.chownSync(box.work, uid, uid)
    const { pid, bytes } = await box.serving({}, { through: asNobodyKnown })
    assert.is.not((await box.status({ through: asNobodyKnown })).receipt.writable, 'yes')
    const answer = await box.put({ version: 'v2' }, { through: asNobodyKnown })
    assert.equal([answer.code, answer.receipt.result], [3, 'rejected'])
    box.serves(pid, bytes)
  },
  { root: true },
)

disk(
  'with a working directory that takes no file: the logs are in /tmp, and status says where',
  async (box) => {
    fs.chmodSync(box.dir, 0o755)
    fs.chownSync(box.app, uid, uid)
    const bin = path.join(box.app, `prog-${process.pid}-${box.shell.name}`)
    const log = `/tmp/hotswap-dev-${path.basename(bin)}.log`
    box.also(log, '/tmp/hotswap-dev.log')
    const { agent } = await box.serving({}, { through: asNobodyKnown, bin })
    const { receipt } = await box.status({ through: asNobodyKnown, bin })
    assert.is(receipt.logfile, log)
    assert.ok(fs.readFileSync(log, 'utf8').includes('ready v1'))
    assert.is((await box.put({ version: 'v2' }, { through: asNobodyKnown, bin })).receipt.result, 'running')
    await agent.ready('v2')
  },
  { root: true },
)

disk('that somebody cleans: the state folder is removed while the agent runs', async (box) => {
  const { agent, pid } = await box.serving()
  const removed = () => {
    try {
      fs.rmSync(box.state, { recursive: true })
      return true
    } catch {
      return false // the agent has written there in between; maxRetries would not look for what is new
    }
  }
  await until(removed, 10, 'the folder is gone')
  await throughout(1.5, () => proc.alive(pid) && agent.code === undefined, 'the agent and the program go on')
  await until(async () => (await box.status()).receipt.pid === String(pid), 4, 'status knows the program again')
  fs.writeFileSync(box.staged, program({ version: 'v2' }))
  await agent.ready('v2')
})

disk.run()
