// One `put` at a time: who is busy, who takes over, and that a deposed one touches nothing.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { sha256 } from './fixtures.ts'
import { cases, header, pause, program, until, type Answer, type Box } from './harness.ts'
import { tookLess } from '../lib/pace.ts'
import * as proc from './proc.ts'

const lock = cases('lock')

/** An upload that has the lock and has sent its first half. */
async function half(box: Box, bytes: Buffer, by = 'jane@laptop') {
  const began = Date.now()
  const upload = box.opened()
  await upload.greeted()
  upload.send(header(bytes, { by }))
  upload.send(bytes.subarray(0, bytes.length >> 1))
  await until(() => box.holders()[0]?.startsWith(`${upload.pid}-`), 10, 'the lock')
  const file = () => fs.statSync(box.part, { throwIfNoEntry: false })
  await until(() => (file()?.mtimeMs ?? 0) >= began && file()?.size, 5, 'its partial file')
  return upload
}

lock('lets one upload through and tells the other whose it is and since when', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '20' } })
  const first = program({ version: 'v2' })
  const upload = await half(box, first)
  const { code, receipt, seconds } = await box.put({ version: 'v3' }, { by: 'joe@desk' })
  assert.equal([code, receipt.result], [4, 'busy'])
  assert.match(receipt.reason ?? '', /jane@laptop/)
  assert.match(receipt.reason ?? '', /\d\d:\d\d:\d\d/)
  assert.ok(await tookLess(seconds, 10), 'it says so at once')
  upload.send(first.subarray(first.length >> 1))
  const answer = await upload.answer()
  assert.equal([answer.code, answer.receipt.result], [0, 'running'])
  box.serves(await agent.ready('v2'), first)
  box.clean()
  assert.not(agent.messages().includes('rejected'), 'busy is no rejection')
})

lock.once('is held by its process: PID and start time', async (box) => {
  await box.serving()
  const upload = await half(box, program({ version: 'v2' }))
  const [holder = ''] = box.holders()
  const [pid, start] = holder.split('-')
  assert.ok(proc.alive(Number(pid)))
  assert.is(proc.startTime(Number(pid)), start)
  upload.kill('SIGKILL')
})

lock('passes to the next one at once when its holder was killed', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '20' } })
  const upload = await half(box, program({ version: 'v2' }))
  const [holder = ''] = box.holders()
  proc.kill(Number(holder.split('-')[0]))
  await until(() => !proc.alive(Number(holder.split('-')[0])), 5, 'its end')
  const next = program({ version: 'v3' })
  const { code, receipt, seconds } = await box.put(next)
  assert.equal([code, receipt.result], [0, 'running'])
  assert.ok(await tookLess(seconds, 18))
  box.serves(await agent.ready('v3'), next)
  upload.kill('SIGKILL')
  await until(() => box.holders().length === 0, 3, 'nobody holds the lock')
  box.clean()
})

lock('passes on when its holder is another process with the same pid', async (box) => {
  await box.serving({}, { env: { LIMIT: '20' } })
  fs.mkdirSync(path.join(box.state, 'lock'), { recursive: true })
  fs.writeFileSync(path.join(box.state, 'lock', `${process.pid}-12345`), 'jane@laptop 10:00:00\n')
  const { code, receipt } = await box.put({ version: 'v2' })
  assert.equal([code, receipt.result], [0, 'running'])
  box.clean()
})

lock.once('that is stale goes to one of ten takers, and only to one', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '20' } })
  fs.mkdirSync(path.join(box.state, 'lock'), { recursive: true })
  fs.writeFileSync(path.join(box.state, 'lock', '4194000-77'), 'jane@laptop 10:00:00\n')
  const files = Array.from({ length: 10 }, (_, i) => program({ version: `v${i + 10}` }))
  const uploads = files.map((file) => ({ file, upload: box.opened() }))
  await Promise.all(uploads.map(({ upload }) => upload.greeted()))
  for (const { file, upload } of uploads) upload.send(header(file, { by: 'taker@here' }))
  await until(() => uploads.filter(({ upload }) => upload.isOver()).length === 9, 20, 'nine are busy')
  await pause(0.3)
  const [winner, ...more] = uploads.filter(({ upload }) => !upload.isOver())
  assert.equal(more, [])
  for (const { upload } of uploads.filter(({ upload }) => upload.isOver())) {
    const { code, receipt } = await upload.answer()
    assert.equal([code, receipt.result], [4, 'busy'])
  }
  assert.is(box.holders().length, 1)
  winner?.upload.send(winner.file)
  const answer = await winner?.upload.answer()
  assert.equal([answer?.code, answer?.receipt.sha256], [0, sha256(winner?.file ?? Buffer.alloc(0))])
  assert.is(agent.messages().filter((message) => message === 'killed & restarted').length, 1)
  box.clean()
})

lock('serves ten whole uploads at once: every answer is true', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '20' } })
  const files = Array.from({ length: 10 }, (_, i) => program({ version: `v${i + 10}` }))
  const answers = await Promise.all(files.map((file) => box.put(file)))
  const done = answers.flatMap(({ code }, i) => (code === 0 ? [i] : []))
  assert.ok(done.length >= 1)
  answers.forEach(({ code, receipt }, i) => {
    if (code === 0) assert.equal([receipt.result, receipt.sha256], ['running', sha256(files[i] ?? Buffer.alloc(0))])
    else assert.equal([code, receipt.result], [4, 'busy'])
  })
  await agent.logged('killed & restarted', done.length)
  const { receipt } = await box.status()
  const last = done.find((i) => sha256(files[i] ?? Buffer.alloc(0)) === receipt.sha256)
  assert.is.not(last, undefined, 'what runs is one of those that succeeded')
  assert.is(agent.messages().filter((message) => message === 'killed & restarted').length, done.length)
  box.clean()
})

lock('passes on when its holder has sent nothing for LIMIT, and the deposed one touches nothing', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '2' } })
  const first = program({ version: 'v2' })
  const upload = await half(box, first)
  assert.is((await box.put({ version: 'early' })).code, 4, 'not before LIMIT')
  await pause(3.1)
  const next = program({ version: 'v3' })
  const second = await half(box, next, 'joe@desk')
  upload.send(first.subarray(first.length >> 1))
  const deposed = await upload.answer()
  assert.is.not(deposed.code, 0)
  assert.is.not(deposed.receipt.result, 'running')
  assert.is(box.holders().length, 1, 'the lock is still held')
  assert.ok(fs.existsSync(box.part), 'by one whose partial file is there')
  second.send(next.subarray(next.length >> 1))
  const answer = await second.answer()
  assert.equal([answer.code, answer.receipt.sha256], [0, sha256(next)])
  box.serves(await agent.ready('v3'), next)
  assert.not(agent.out.toString().includes('ready v2'))
  box.clean()
})

lock('stays with a holder that is slow but goes on', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '2' } })
  const first = program({ version: 'v2' })
  const upload = await half(box, first, '')
  const rest = first.subarray(first.length >> 1)
  const others: Promise<Answer>[] = []
  for (let part = 0; part < 12; part++) {
    upload.send(rest.subarray(Math.floor((rest.length * part) / 12), Math.floor((rest.length * (part + 1)) / 12)))
    if (part > 7 && part < 11) others.push(box.put({ version: 'v3' }))
    await pause(0.4)
  }
  for (const { code, receipt } of await Promise.all(others)) {
    assert.is(code, 4)
    // a header need not say by whom
    assert.match(receipt.reason ?? '', /^another put is at work: somebody since \d\d:\d\d:\d\d UTC$/)
  }
  const answer = await upload.answer()
  assert.equal([answer.code, answer.receipt.result], [0, 'running'])
  box.serves(await agent.ready('v2'), first)
})

lock(
  'that was a killed sender’s goes on, and the binary keeps its name where the next one comes and falls back',
  async (box) => {
    const { agent } = await box.serving({ delay: 4 }, { env: { LIMIT: '20' } })
    const first = program({ version: 'v2' })
    const upload = box.opened()
    await upload.greeted()
    upload.send(header(first, { by: 'jane@laptop' }))
    upload.send(first)
    await until(() => fs.existsSync(path.join(box.state, 'swapping')), 10, 'the end of the old program to begin')
    upload.kill('SIGKILL')
    const { code, receipt } = await box.put({ version: 'v3', dies: 0, code: 3 }, { by: 'joe@desk' })
    assert.equal([code, receipt.result, receipt.by], [1, 'rolled-back', 'jane@laptop'])
    box.serves(await agent.ready('v2', { nth: 2 }), first)
  },
)

lock.once('is not taken by one that only reads the greeting', async (box) => {
  await box.serving()
  const idle = box.opened()
  await idle.greeted()
  const partial = box.opened()
  partial.send('sha256=')
  await partial.greeted()
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
  assert.not(idle.isOver())
})

lock.once('is free again after a refusal', async (box) => {
  await box.serving()
  for (const file of [Buffer.from('no program'), program({ version: 'v2', dies: 0, code: 3 })]) {
    assert.is.not((await box.put(file)).code, 0)
    box.clean()
  }
})

lock('does not keep a plain copy from being swapped in', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '20' } })
  const first = program({ version: 'v2' })
  const upload = await half(box, first)
  const copied = program({ version: 'v3' })
  fs.writeFileSync(box.staged, copied)
  box.serves(await agent.ready('v3'), copied)
  upload.send(first.subarray(first.length >> 1))
  const answer = await upload.answer()
  assert.equal([answer.code, answer.receipt.sha256], [0, sha256(first)])
  box.serves(await agent.ready('v2'), first)
  box.clean()
})

lock.run()
