// A plain copy to BINARY-dev, as `kubectl cp` makes it.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { foreign, loaded, sha256 } from './fixtures.ts'
import { cases, pause, program, throughout, until, type Box } from './harness.ts'
import { real } from '../lib/pace.ts'
import * as proc from './proc.ts'

const copy = cases('plain copy')

/** A staged file that is no binary is gone soon, with a row that says so, and the program never noticed. */
async function consumed(box: Box, agent: Awaited<ReturnType<Box['serving']>>['agent'], pid: number, nth = 1) {
  const row = await agent.logged('rejected', nth)
  assert.equal([row.type, row.file, row.events], ['ERR', 'prog-dev', 'CREATE'])
  await until(() => !fs.existsSync(box.staged), 2, 'the staged file is gone')
  assert.ok(proc.alive(pid))
  assert.ok(proc.runs(pid, box.bin))
}

copy('swaps a file that has no execute bit', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const next = program({ version: 'v2' })
  fs.writeFileSync(box.staged, next, { mode: 0o600 })
  const running = await agent.ready('v2')
  const row = await agent.logged('killed & restarted')
  assert.equal([row.type, row.file, row.events], ['INFO', 'prog-dev', 'CREATE'])
  box.serves(running, next)
  box.clean()
  assert.is(fs.statSync(box.bin).mode & 0o777, 0o755)
  assert.not(proc.alive(pid))
  assert.is(sha256(fs.readFileSync(box.prev)), sha256(bytes))
  const { receipt } = await box.status()
  assert.equal([receipt.sha256, Number(receipt.pid)], [sha256(next), running])
  assert.equal([receipt.version || undefined, receipt.by || undefined], [undefined, undefined], 'nobody said a version')
})

copy('waits until a slow copy is whole, however long it takes', async (box) => {
  const { agent, pid, bytes } = await box.serving({}, { env: { LIMIT: '2' } })
  const next = program({ version: 'v2' })
  const file = fs.openSync(box.staged, 'w', 0o755)
  for (let part = 0; part < 8; part++) {
    fs.writeSync(file, next.subarray((next.length * part) >> 3, (next.length * (part + 1)) >> 3))
    await throughout(0.45, () => proc.alive(pid), 'the old program serves')
  }
  box.serves(pid, bytes)
  assert.equal(agent.messages(), ['started'], 'progress counts, not the time')
  fs.closeSync(file)
  box.serves(await agent.ready('v2'), next)
  await agent.logged('killed & restarted')
})

copy('waits for the end of a file that is closed between its parts', async (box) => {
  const { agent, pid } = await box.serving({}, { env: { LIMIT: '3' } })
  const next = program({ version: 'v2' })
  for (let part = 0; part < 4; part++) {
    fs.appendFileSync(box.staged, next.subarray((next.length * part) >> 2, (next.length * (part + 1)) >> 2))
    if (part < 3) await throughout(1.3, () => proc.alive(pid), 'the old program serves')
  }
  box.serves(await agent.ready('v2'), next)
  await agent.logged('killed & restarted')
  assert.equal(agent.messages(), ['started', 'killed & restarted'])
})

copy('gives up a file that is held open without progress, and removes it', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const file = fs.openSync(box.staged, 'w', 0o755)
  fs.writeSync(file, bytes.subarray(0, 1000))
  const row = await agent.logged('never freed file')
  assert.equal([row.type, row.file, row.events], ['ERR', 'prog-dev', 'CREATE'])
  await until(() => !fs.existsSync(box.staged), 2, 'the file is removed')
  fs.closeSync(file)
  await pause(1.2)
  box.serves(pid, bytes)
  assert.equal(agent.messages(), ['started', 'never freed file'])
  fs.writeFileSync(box.staged, program({ version: 'v2' }))
  await agent.ready('v2')
})

copy('never swaps in a file that was cut', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const next = program({ version: 'v2' })
  fs.writeFileSync(box.staged, next.subarray(0, next.length >> 1), { mode: 0o755 })
  await until(() => !fs.existsSync(box.staged), 10, 'it is consumed')
  const row = await until(() => agent.rows()[1], 2, 'a row')
  assert.is(row.type, 'ERR')
  box.serves(pid, bytes)
  await throughout(1.2, () => agent.rows().length === 2, 'one row, no loop')
})

copy('rejects what is no program for this machine', async (box) => {
  const { agent, pid } = await box.serving()
  const files = [
    Buffer.from('#!/bin/sh\nexec sleep 1000\n'),
    foreign(),
    Buffer.from('text'),
    Buffer.alloc(0),
    loaded({ version: 'v2' }, '/lib/ld-elsewhere.so.1'),
  ]
  for (const [i, file] of files.entries()) {
    fs.writeFileSync(box.staged, file, { mode: 0o755 })
    await consumed(box, agent, pid, i + 1)
  }
  await throughout(1.2, () => agent.rows().length === 6, 'one row each')
})

copy('removes a link in the place of the staged file', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const other = path.join(box.dir, 'other')
  box.install({ version: 'planted' }, other)
  fs.symlinkSync(other, box.staged)
  await until(() => !fs.lstatSync(box.staged, { throwIfNoEntry: false }), 10, 'the link is gone')
  await pause(1.2)
  assert.ok(fs.existsSync(other), 'what it points to stays')
  box.serves(pid, bytes)
  assert.not(agent.out.toString().includes('ready planted'))
  fs.writeFileSync(box.staged, program({ version: 'v2' }))
  await agent.ready('v2')
})

copy('moves a folder or a pipe in the place of the staged file aside, once', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  fs.mkdirSync(box.staged)
  fs.writeFileSync(path.join(box.staged, 'file'), 'precious')
  await until(() => !fs.existsSync(box.staged), 10, 'the folder is moved')
  const inside = () => fs.readdirSync(box.app).map((name) => path.join(box.app, name, 'file'))
  const kept = inside().find((file) => fs.existsSync(file)) ?? ''
  assert.is(fs.readFileSync(kept, 'utf8'), 'precious')
  const pipe = box.spawn(['mkfifo', box.staged])
  await pipe.end()
  await until(() => !fs.existsSync(box.staged), 10, 'the pipe is moved')
  await pause(1.2)
  box.serves(pid, bytes)
  const rows = agent.rows().length
  fs.writeFileSync(box.staged, program({ version: 'v2' }))
  await agent.ready('v2')
  await agent.logged('killed & restarted')
  assert.is(
    agent.rows().length - rows,
    agent
      .rows()
      .slice(rows)
      .filter((row) => /started/.test(row.message)).length,
  )
})

copy('lets a put through that meets a folder in the place of the staged file', async (box) => {
  await box.serving()
  fs.mkdirSync(box.staged)
  const { receipt } = await box.put({ version: 'v2' })
  assert.is(receipt.result, 'running')
  box.clean()
})

copy('brings the old binary back when the new one crashes', async (box) => {
  const { agent, bytes } = await box.serving()
  fs.writeFileSync(box.staged, program({ version: 'v2', lines: 3, dies: 0, code: 3 }))
  const running = await agent.ready('v1', { nth: 2 })
  await agent.logged('rolled back')
  box.serves(running, bytes)
  const crash = await agent.logged('crashed')
  assert.equal([crash.type, crash.events], ['ERR', 'CREATE'])
  await until(async () => (await box.status()).receipt.result !== 'starting', 5, 'SETTLE is over')
  const { receipt } = await box.status()
  assert.is(receipt.sha256, sha256(bytes))
  await throughout(1.5, () => proc.alive(running), 'the old program serves on')
  assert.is(agent.messages().filter((message) => message === 'crashed').length, 1, 'the staged file was consumed')
  box.clean()
})

copy('takes a file that arrives during a swap for a swap of its own', async (box) => {
  const { agent } = await box.serving({ delay: 1 }, { env: { LIMIT: '4' } })
  fs.writeFileSync(box.staged, program({ version: 'v2' }))
  await agent.prints('got terminated v1')
  const last = program({ version: 'v3' })
  fs.writeFileSync(box.staged, last)
  box.serves(await agent.ready('v3'), last)
  await agent.logged('killed & restarted', 2)
  assert.match(agent.out.toString(), /bye v1[^]*ready v2[^]*bye v2[^]*ready v3/)
  box.clean()
})

copy('and a put in the middle of one another are a swap each', async (box) => {
  const { agent } = await box.serving({ delay: 1 }, { env: { LIMIT: '4' } })
  fs.writeFileSync(box.staged, program({ version: 'v2', delay: 1 }))
  await agent.prints('got terminated v1')
  const third = await box.put({ version: 'v3', delay: 1 }, { by: 'jane@laptop' })
  assert.equal([third.code, third.receipt.result, third.receipt.by], [0, 'running', 'jane@laptop'])
  const putting = box.put({ version: 'v4' })
  await agent.prints('got terminated v3')
  fs.writeFileSync(box.staged, program({ version: 'v5' }))
  const fourth = await putting
  assert.equal([fourth.code, fourth.receipt.result], [0, 'running'])
  await agent.ready('v5')
  await agent.logged('killed & restarted', 4)
  const swaps = agent.rows().filter((row) => row.message === 'killed & restarted')
  assert.equal(
    swaps.map((row) => row.events),
    ['CREATE', 'PUT', 'PUT', 'CREATE'],
  )
  box.clean()
})

copy('swaps in a file that was renamed into place', async (box) => {
  const { agent } = await box.serving()
  const upload = path.join(box.app, 'upload')
  const next = box.install({ version: 'v2' }, upload)
  fs.renameSync(upload, box.staged)
  box.serves(await agent.ready('v2'), next)
})

copy(
  'gives the file of another user ten seconds where the agent is not root',
  async (box) => {
    const through = ['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups']
    fs.chmodSync(box.dir, 0o755)
    for (const folder of [box.app, box.work]) fs.chownSync(folder, 12345, 12345)
    const { agent, pid } = await box.serving({}, { through, env: { LIMIT: '20' } })
    const next = program({ version: 'v2' })
    fs.writeFileSync(box.staged, next, { mode: 0o644 })
    await throughout(real(8), () => proc.alive(pid), 'the old program serves while nobody can see who writes')
    box.serves(await agent.ready('v2', { limit: 15 }), next)
  },
  { root: true },
)

copy(
  'rejects a file that it may not read, once',
  async (box) => {
    const through = ['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups']
    fs.chmodSync(box.dir, 0o755)
    for (const folder of [box.app, box.work]) fs.chownSync(folder, 12345, 12345)
    const { agent, pid, bytes } = await box.serving({}, { through })
    fs.writeFileSync(box.staged, program({ version: 'v2' }), { mode: 0o600 })
    await until(() => !fs.existsSync(box.staged), 20, 'it is consumed')
    const row = await until(() => agent.rows()[1], 2, 'a row')
    assert.is(row.type, 'ERR')
    await throughout(1.5, () => agent.rows().length === 2, 'no loop')
    box.serves(pid, bytes)
  },
  { root: true },
)

copy.run()
