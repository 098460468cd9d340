// `put`: what a swap proves, and what it refuses.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { gunzipSync, gzipSync } from 'node:zlib'
import { encode, indexed } from '../../tasks/lib/binary/delta.ts'
import { foreign, loaded, sha256 } from './fixtures.ts'
import { cases, header, pause, program, throughout, until, type Box, type Receipt } from './harness.ts'
import { pace, tookLess } from '../lib/pace.ts'
import * as proc from './proc.ts'

const put = cases('put')

const whole = (bytes: Buffer) => ({ bytes, sha256: sha256(bytes) })
const patchOf = (old: Buffer, next: Buffer) => encode(whole(old), indexed(old), whole(next))

/** A refusal: the result, the exit code, a reason, and everything as it was. */
async function refused(box: Box, answer: { code: number; receipt: Receipt }, code: number, pid: number, bytes: Buffer) {
  assert.is(answer.receipt.result, 'rejected')
  assert.is(answer.code, code)
  assert.ok(answer.receipt.reason, 'a refusal says why')
  box.serves(pid, bytes)
  box.clean()
}

for (const [encoding, whole] of [['raw'], ['gzip'], ['gzip', false]] as const) {
  const title = whole === false ? `${encoding}, of an unknown size` : encoding
  const swaps = put.needing(...(encoding === 'gzip' ? ['gzip'] : []))
  swaps(`swaps a binary that comes as ${title}, and proves it`, async (box) => {
    const { agent, pid, bytes } = await box.serving()
    const next = program({ version: 'v2' })
    const { code, receipt } = await box.put(next, {
      encoding,
      whole,
      version: 'v1-3-gabc',
      by: 'jane@laptop',
      run: 'plain',
    })
    assert.is(code, 0)
    assert.is(receipt.result, 'running')
    assert.is(receipt.sha256, sha256(next))
    assert.is(receipt.version, 'v1-3-gabc')
    assert.is(receipt.by, 'jane@laptop')
    assert.is(receipt.run, 'plain')
    assert.is(receipt.proof, 'exe')
    assert.match(receipt.started ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    assert.match(receipt.restarts ?? '', /^\d+$/)
    const running = await agent.ready('v2')
    assert.is(Number(receipt.pid), running)
    assert.is(sha256(proc.executable(running)), sha256(next))
    box.serves(running, next)
    assert.not(proc.alive(pid), 'the old process is gone')
    await agent.prints('bye v1')
    assert.is(sha256(fs.readFileSync(box.prev)), sha256(bytes), 'the old binary is kept')
    box.clean()
    const [started, swapped, ...more] = agent.rows()
    assert.equal([started?.type, started?.file, started?.message], ['INFO', 'prog', 'started'])
    assert.equal(
      [swapped?.type, swapped?.file, swapped?.message, swapped?.events],
      ['INFO', 'prog-dev', 'killed & restarted', 'PUT'],
    )
    assert.equal(more, [])
    assert.match(agent.out.toString(), /\tINFO\t\S+\tprog-dev\tkilled & restarted\tPUT\n/)
    const status = await box.status()
    assert.is(status.code, 0)
    for (const key of ['result', 'pid', 'sha256', 'started', 'version', 'by', 'run', 'proof'])
      assert.is(status.receipt[key], receipt[key], `status and receipt agree on ${key}`)
    assert.is(status.receipt.prev, sha256(bytes))
  })
}

put.needing('gzip', 'setsid')('greets with what runs, what it can decode and where it would write', async (box) => {
  const { pid, bytes } = await box.serving()
  const upload = box.opened()
  await upload.greeted()
  assert.not(upload.isOver(), 'it waits for a header')
  assert.equal(box.holders(), [], 'a greeting takes no lock')
  upload.eof()
  const { code, greeting, raw } = await upload.answer()
  assert.is(code, 0)
  assert.match(raw, /^([^\n]+\n)+\n$/, 'no receipt follows where no header came')
  assert.is(greeting.result, 'running')
  assert.is(Number(greeting.pid), pid)
  assert.is(greeting.sha256, sha256(bytes))
  assert.match(greeting.machine ?? '', /^\w+$/)
  assert.ok(greeting.decodes?.split(',').includes('raw') && greeting.decodes.split(',').includes('gzip'))
  assert.is(greeting.writable, 'yes')
  assert.match(greeting.agent ?? '', /^\S+ \d+$/)
  assert.is(greeting.logfile, path.join(box.work, 'hotswap-dev-prog.log'))
  assert.match(greeting.free ?? '', /^\d+$/)
  assert.is(greeting.wrapper, undefined)
  assert.is(greeting.prev, undefined)
  assert.is(greeting.group, undefined)
  assert.is(greeting.swapping, undefined)
  box.serves(pid, bytes)
  box.clean()
})

put('answers while stdin stays open', async (box) => {
  const { agent } = await box.serving()
  const { code, receipt } = await box.put({ version: 'v2' }, { open: true, limit: 10 })
  assert.is(code, 0)
  assert.is(receipt.result, 'running')
  assert.is(Number(receipt.pid), await agent.ready('v2'))
})

put('refuses while stdin stays open, too', async (box) => {
  const { pid, bytes } = await box.serving()
  const answer = await box.put(Buffer.from('#!/bin/sh\nsleep 100\n'), { open: true, limit: 10 })
  await refused(box, answer, 3, pid, bytes)
})

put.once('takes no byte beyond the announced ones for part of the binary', async (box) => {
  const { agent } = await box.serving()
  const next = program({ version: 'v2' })
  const upload = box.opened()
  upload.send(Buffer.concat([Buffer.from(header(next)), next, Buffer.from('more\n'.repeat(1000))]))
  const { code, receipt } = await upload.answer()
  assert.is(code, 0)
  assert.is(receipt.sha256, sha256(next))
  box.serves(await agent.ready('v2'), next)
})

put.once('reads a header that comes in pieces', async (box) => {
  await box.serving()
  const next = program({ version: 'v2' })
  const upload = box.opened()
  for (const piece of header(next, { by: 'jane@laptop' }).match(/[^]{1,40}/g) ?? []) {
    upload.send(piece)
    await pause(0.05)
  }
  upload.send(next)
  const { code, receipt } = await upload.answer()
  assert.equal([code, receipt.result, receipt.by], [0, 'running', 'jane@laptop'])
})

put.once('ignores keys that it does not know', async (box) => {
  await box.serving()
  const { code, receipt } = await box.put({ version: 'v2' }, { more: 'colour=blue x= future=a=b' })
  assert.is(code, 0)
  assert.is(receipt.result, 'running')
})

put.once('rejects an encoding that it does not know', async (box) => {
  const { pid, bytes } = await box.serving()
  const answer = await box.put({ version: 'v2' }, { encoding: 'brotli' })
  await refused(box, answer, 3, pid, bytes)
  assert.match(answer.receipt.reason ?? '', /brotli/)
})

put.once('rejects a run through a wrapper that the agent does not have', async (box) => {
  const { pid, bytes } = await box.serving()
  const answer = await box.put({ version: 'v2' }, { run: 'wrapped' })
  await refused(box, answer, 3, pid, bytes)
  assert.match(answer.receipt.reason ?? '', /-r/)
})

put.once('leaves everything as it is when stdin ends in the middle', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const next = program({ version: 'v2' })
  for (const share of [0, 0.01, 0.5, 0.99]) {
    const upload = box.opened()
    upload.send(header(next))
    upload.send(next.subarray(0, next.length * share))
    upload.eof()
    await refused(box, await upload.answer(), 3, pid, bytes)
  }
  await agent.logged('rejected', 4)
  assert.is(agent.rows().at(-1)?.type, 'ERR')
  assert.is(agent.rows().at(-1)?.events, 'PUT')
})

put('leaves nothing behind when its client is killed', async (box) => {
  const { pid, bytes } = await box.serving()
  const next = program({ version: 'v2' })
  const upload = box.opened()
  await upload.greeted()
  upload.send(header(next))
  upload.send(next.subarray(0, next.length / 2))
  await until(() => fs.existsSync(box.part), 5, 'the partial file')
  for (const stream of upload.child.stdio) stream?.destroy()
  await until(() => !proc.alive(upload.pid), 10, 'the end of put')
  await until(() => box.holders().length === 0 && !fs.existsSync(box.part), 2, 'a clean folder')
  box.serves(pid, bytes)
  assert.is((await box.put({ version: 'v3' })).receipt.result, 'running')
})

put.once('rejects header lines that are not valid, and runs no word of them', async (box) => {
  const { pid, bytes } = await box.serving()
  const hex = sha256(bytes)
  const bait = path.join(box.dir, 'bait')
  const valid = `sha256=${hex} size=10 encoding=raw`
  const hostile: Record<string, string> = {
    'a whole that is no number': `sha256=${hex} size=10 encoding=gzip whole=1e9`,
    'an empty line': '',
    'no key at all': 'GET / HTTP/1.1',
    'no size': `sha256=${hex} encoding=raw`,
    'no sha256': 'size=10 encoding=raw',
    'a short sha256': 'sha256=abc size=10 encoding=raw',
    'a sha256 of other letters': `sha256=${'z'.repeat(64)} size=10 encoding=raw`,
    'a negative size': `sha256=${hex} size=-1 encoding=raw`,
    'a size in another notation': `sha256=${hex} size=0x10 encoding=raw`,
    'a size beyond all numbers': `sha256=${hex} size=${'9'.repeat(40)} encoding=raw`,
    'a size that is an expression': `sha256=${hex} size=a[$(touch${'\t'}${bait})] encoding=raw`,
    'a command in version': `${valid} version=$(touch\${IFS}${bait})`,
    'a command in by': `${valid} by=\`touch\${IFS}${bait}\``,
    'a semicolon in version': `${valid} version=v1;touch\${IFS}${bait}`,
    'a path in version': `${valid} version=../../etc/passwd`,
    'an escape in by': `${valid} by=\x1b[31mred`,
    'a carriage return': `${valid} version=v1\r`,
    'another way to run': `${valid} run=$(touch\${IFS}${bait})`,
    'a glob in version': `${valid} version=*`,
  }
  for (const [what, line] of Object.entries(hostile)) {
    const upload = box.opened()
    upload.send(`${line}\n`)
    upload.send(Buffer.alloc(10))
    const answer = await upload.answer(10)
    assert.is(answer.receipt.result, 'rejected', `${what}: ${answer.raw}`)
    assert.is(answer.code, 2, what)
    assert.not(answer.receipt.version?.includes('touch'), what)
  }
  assert.not(fs.existsSync(bait), 'no command ran')
  box.serves(pid, bytes)
  box.clean()
  assert.is((await box.put({ version: 'v2' })).code, 0)
})

put.once('takes no header beyond 4 KiB, and reads none without an end for ever', async (box) => {
  const { pid, bytes } = await box.serving()
  const long = box.opened()
  long.send(`${header(bytes).trimEnd()} more=${'x'.repeat(4096)}\n`)
  await refused(box, await long.answer(10), 2, pid, bytes)
  const cut = box.opened()
  cut.send('x'.repeat(100_000))
  cut.eof()
  await refused(box, await cut.answer(10), 2, pid, bytes)
  const endless = box.opened()
  endless.send('x'.repeat(40_000_000))
  await refused(box, await endless.answer(20), 2, pid, bytes)
})

put.once('over: takes the place of that binary alone, and of none where none is named', async (box) => {
  const { pid, bytes } = await box.serving()
  const next = program({ version: 'v2' })
  for (const over of [sha256(next), 'none']) {
    const { code, receipt } = await box.put(next, { more: `over=${over}`, by: 'jane@laptop' })
    assert.equal([code, receipt.result, receipt.reason], [4, 'busy', 'another binary runs by now'])
    assert.is(receipt.sha256, sha256(bytes))
    box.serves(pid, bytes)
    box.clean()
  }
  assert.is((await box.put(next, { more: 'over=some' })).code, 2)
  assert.is((await box.put(next, { more: `over=${sha256(bytes)}` })).code, 0)
  assert.is((await box.put(bytes)).code, 0)
})

put.once('changes nothing for a header that is cut short', async (box) => {
  const { pid, bytes } = await box.serving()
  const upload = box.opened()
  upload.send(header(program({ version: 'v2' })).slice(0, 60))
  upload.eof()
  const { receipt } = await upload.answer()
  assert.is.not(receipt.result, 'running')
  box.serves(pid, bytes)
  box.clean()
})

put.once('makes the binary of a patch, on what runs and on the one before', async (box) => {
  const { agent, bytes } = await box.serving()
  const [second, third] = [program({ version: 'v2' }), program({ version: 'v3' })]
  const send = async (base: Buffer, next: Buffer, body = patchOf(base, next), named = sha256(base)) => {
    const upload = box.opened()
    upload.send(header(next, { encoding: 'delta', size: body.length, more: `base=${named}` }))
    upload.send(body)
    upload.eof()
    return upload.answer()
  }
  assert.is((await box.status()).receipt.decodes, 'raw,gzip,delta')

  const patched = await send(bytes, second)
  assert.equal([patched.code, patched.receipt.result, patched.receipt.sha256], [0, 'running', sha256(second)])
  assert.ok(patchOf(bytes, second).length < 1000)
  const onPrevious = await send(bytes, third)
  assert.equal([onPrevious.code, onPrevious.receipt.sha256], [0, sha256(third)])
  const pid = await agent.ready('v3')
  box.serves(pid, third)
  box.clean()

  const good = patchOf(third, second)
  const flipped = Buffer.from(good)
  flipped[120] = (flipped[120] ?? 0) ^ 1
  const unnamed = await send(third, second, good, '0'.repeat(64))
  await refused(box, unnamed, 3, pid, third)
  assert.match(unnamed.receipt.reason ?? '', /base is neither what runs nor the binary before it/)
  for (const body of [patchOf(bytes, second), good.subarray(0, good.length - 20), flipped, second])
    await refused(box, await send(third, second, body), 3, pid, third)
})

/** The gzip with a bit flipped that matters: in a run of equal bytes a distance may change, and the file stays the same. */
function damagedGzip(squeezed: Buffer, whole: Buffer): Buffer {
  for (let at = squeezed.length >> 1; ; at += 1) {
    const damaged = Buffer.from(squeezed)
    damaged[at] = (damaged[at] ?? 0) ^ 4
    try {
      if (!gunzipSync(damaged).equals(whole)) return damaged
    } catch {
      return damaged
    }
  }
}

put.once('rejects what is not the announced binary', async (box) => {
  const { agent, pid, bytes } = await box.serving()
  const next = program({ version: 'v2' })
  const flipped = Buffer.from(next)
  flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 4
  const squeezed = gzipSync(next, { level: 1 })
  const damaged = damagedGzip(squeezed, next)
  const whole = sha256(next)
  const uploads: Record<string, [string, Buffer]> = {
    'another sha256': [header(next, { sha256: sha256(bytes) }), next],
    nothing: [header(next, { size: 0 }), Buffer.alloc(0)],
    'a bit flipped': [header(next), flipped],
    'one byte less, announced so': [header(next, { size: next.length - 1 }), next],
    'one byte less than announced': [header(next), next.subarray(1)],
    'the first half, announced so': [header(next, { size: next.length >> 1 }), next],
    'gzip of something else': [header(bytes, { encoding: 'gzip', size: squeezed.length }), squeezed],
    'gzip with a bit flipped': [header(next, { encoding: 'gzip', size: damaged.length }), damaged],
    'gzip without its end': [header(next, { encoding: 'gzip', size: 5000 }), squeezed],
    'no gzip at all': [header(next, { encoding: 'gzip' }), next],
    'raw bytes that are gzip': [header(next, { size: squeezed.length }), squeezed],
  }
  for (const [what, [line, body]] of Object.entries(uploads)) {
    assert.ok(line.includes(whole) || line.includes(sha256(bytes)))
    const upload = box.opened()
    upload.send(line)
    upload.send(body)
    upload.eof()
    const answer = await upload.answer()
    assert.is(answer.receipt.result, 'rejected', what)
    await refused(box, answer, 3, pid, bytes)
  }
  await agent.logged('rejected', Object.keys(uploads).length)
  assert.not(agent.messages().includes('killed & restarted'))
  for (const encoding of ['gzip', 'raw']) {
    const taken = await box.put({ version: encoding }, { encoding })
    assert.is(taken.receipt.result, 'running', encoding)
  }
})

put.once('rejects what is no program for this machine', async (box) => {
  const { pid, bytes } = await box.serving()
  const narrow = Buffer.from(bytes)
  narrow[4] = 1 // 32 bits
  const files: Record<string, Buffer> = {
    'a script': Buffer.from('#!/bin/sh\nexec sleep 1000\n'),
    'an empty file': Buffer.alloc(0),
    text: Buffer.from('hello\n'),
    'an ELF file of another machine': foreign(),
    'an ELF file of another width': narrow,
    'the magic number alone': bytes.subarray(0, 4),
    'half an ELF file': bytes.subarray(0, bytes.length >> 1),
  }
  for (const [what, file] of Object.entries(files)) {
    const answer = await box.put(file)
    assert.is(answer.receipt.result, 'rejected', `${what}: ${answer.raw}`)
    await refused(box, answer, 3, pid, bytes)
  }
})

put.once(
  'rejects what needs a loader that is not there, with its name and the way out; takes one whose loader is',
  async (box) => {
    const { agent, pid, bytes } = await box.serving()
    const answer = await box.put(loaded({ version: 'v2' }, '/lib/ld-elsewhere.so.1'))
    await refused(box, answer, 3, pid, bytes)
    assert.is(
      answer.receipt.reason,
      'it needs the ELF interpreter /lib/ld-elsewhere.so.1, which this container does not have: build it with CGO_ENABLED=0 and -buildmode=exe, or take a base image that has it',
    )
    const there = fs.readFileSync('/proc/self/maps', 'latin1').match(/\/\S*\/ld-\S+/)?.[0]
    if (there === undefined) return
    const next = loaded({ version: 'v3' }, there)
    assert.is((await box.put(next)).receipt.result, 'running')
    box.serves(await agent.ready('v3'), next)
  },
)

put('rows prints the table', async (box) => {
  const { agent } = await box.serving()
  await box.put({ version: 'v2' })
  await agent.logged('killed & restarted')
  const said = box.call(['rows', box.bin])
  assert.is(await said.end(), 0)
  assert.is(said.out.toString(), fs.readFileSync(box.table, 'latin1'))
})

put.once('follows no link that somebody planted at the partial file', async (box) => {
  const { agent } = await box.serving()
  const victim = path.join(box.dir, 'victim')
  fs.writeFileSync(victim, 'precious')
  const plant: (() => void)[] = [() => fs.symlinkSync(victim, box.part), () => fs.linkSync(victim, box.part)]
  for (const [i, link] of plant.entries()) {
    link()
    const next = program({ version: `v${i + 2}` })
    const answer = await box.put(next)
    assert.is(answer.receipt.result, 'running')
    box.serves(await agent.ready(`v${i + 2}`), next)
    assert.is(fs.readFileSync(victim, 'utf8'), 'precious')
    assert.ok(fs.lstatSync(box.bin).isFile(), 'BINARY is a file, no link')
    box.clean()
  }
})

put.once('shares the partial file with no older writer', async (box) => {
  const { agent } = await box.serving()
  const older = fs.openSync(box.part, 'w')
  fs.writeSync(older, 'older')
  const next = program({ version: 'v2' })
  const upload = box.opened()
  upload.send(header(next))
  upload.send(next.subarray(0, 100_000))
  await until(() => fs.existsSync(box.part) && fs.statSync(box.part).size > 5, 5, 'the new partial file')
  fs.writeSync(older, 'garbage', 10)
  upload.send(next.subarray(100_000))
  const { receipt } = await upload.answer()
  fs.closeSync(older)
  assert.is(receipt.result, 'running')
  box.serves(await agent.ready('v2'), next)
})

put.once('moves a folder away that stands at the partial file', async (box) => {
  await box.serving()
  fs.mkdirSync(path.join(box.part, 'folder'), { recursive: true })
  assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
  box.clean()
})

put('says that it waits while the old process takes its time', async (box) => {
  const { agent } = await box.serving({ delay: 2.3 }, { env: { LIMIT: '5' } })
  const { code, receipt, raw, seconds } = await box.put({ version: 'v2' })
  assert.is(code, 0)
  assert.is(receipt.result, 'running')
  const waits = raw.split('\n').filter((line) => line.startsWith('wait='))
  assert.ok(waits.length >= 1 && waits.length <= seconds * pace + 2, `a line each second: ${raw}`)
  assert.ok(raw.indexOf('wait=') < raw.indexOf('result=running', raw.indexOf('\n\n')), 'before the result')
  assert.match(agent.out.toString(), /bye v1[^]*ready v2/, 'the two were never alive at once')
  assert.not(agent.messages().includes('procs never ended'))
})

put('says that the binary is there and the pod slow while the agent does not get to it', async (box) => {
  const { agent } = await box.serving()
  agent.kill('SIGSTOP')
  const putting = box.put({ version: 'v2' })
  await until(() => fs.existsSync(box.staged), 5, 'the upload')
  await throughout(1.5, () => fs.existsSync(box.staged), 'it is not taken')
  agent.kill('SIGCONT')
  const { raw, receipt } = await putting
  assert.is(receipt.result, 'running')
  assert.match(raw, /^wait=for the swap to begin: the binary is there, the pod is slow$/m)
  assert.not.match(raw, /^wait=for the agent/m)
})

put('shows during a swap what is being swapped in', async (box) => {
  await box.serving({ delay: 1.5 }, { env: { LIMIT: '5' } })
  const next = program({ version: 'v2' })
  const putting = box.put(next)
  await until(async () => (await box.status()).receipt.swapping === sha256(next), 5, 'swapping=HEX')
  assert.is((await putting).receipt.result, 'running')
  assert.is((await box.status()).receipt.swapping, undefined)
})

put('calls a program starting until it has lived SETTLE', async (box) => {
  box.install({ version: 'v1' })
  const agent = box.agent({ env: { SETTLE: '2' } })
  await agent.ready('v1')
  assert.is(await until(async () => (await box.status()).receipt.result, 2, 'a result'), 'starting')
  await agent.prints('\tstarted\t')
  assert.is((await box.status()).receipt.result, 'running')
})

put.once('status is of one report, also while another takes its place', async (box) => {
  await box.serving()
  await until(async () => (await box.status()).receipt.result === 'running', 5, 'running') // a moment after its row
  const file = path.join(box.state, 'receipt')
  const running = fs.readFileSync(file, 'utf8')
  // as it is while a wrapper has not started the program yet
  const starting = running.replace('result=running', 'result=starting').replace(/^(pid|pidstart)=.*$/gm, '$1=')
  assert.not(starting.includes('running'))
  let going = true
  const turns = (async () => {
    for (let turn = 0; going; turn++) {
      fs.writeFileSync(`${file}.test`, turn % 2 === 0 ? starting : running)
      fs.renameSync(`${file}.test`, file)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })()
  const seen = new Set<string>()
  try {
    for (let look = 0; look < 20; look++) {
      const { result, pid, sha256 } = (await box.status()).receipt
      seen.add([result, pid && 'a pid', sha256 && 'a sha256'].join(', '))
    }
  } finally {
    going = false
    await turns
    fs.writeFileSync(file, running)
  }
  assert.equal([...seen].sort(), ['running, a pid, a sha256', 'starting, , '])
})

put('answers with exit code 5 where no agent runs, and so does status', async (box) => {
  box.install({ version: 'v1' })
  const upload = box.opened()
  upload.eof()
  for (const answer of [await upload.answer(), await box.status()]) {
    assert.is(answer.code, 5)
    assert.match(answer.raw, /^reason=.+$/m)
  }
  const { agent } = await box.serving()
  agent.kill('SIGTERM')
  await agent.end()
  assert.is((await box.status()).code, 5, 'an agent that has left does not count')
  const again = await box.put({ version: 'v2' })
  assert.is(again.code, 5)
})

put('calls a wrong use by its name, with exit code 2', async (box) => {
  box.install({ version: 'v1' })
  const uses = [
    [],
    ['put'],
    ['put', box.bin, 'no/name'],
    ['status'],
    ['-x', '--', box.bin],
    ['-t', 'soon', '--', box.bin],
  ]
  for (const words of [...uses, ['-t'], ['-r'], ['--']]) {
    const call = box.call(words)
    call.eof()
    assert.is(await call.end(5), 2, words.join(' '))
    assert.match(call.err.toString(), /^hotswap-dev: .+\n/, words.join(' '))
    assert.is(call.out.toString(), '', words.join(' '))
  }
  const help = box.call(['--help'])
  assert.is(await help.end(5), 0)
  assert.match(help.out.toString(), /hotswap-dev put BINARY/)
})

put.once('swaps a large binary', async (box) => {
  const { agent } = await box.serving({}, { env: { SETTLE: '0.1' } })
  const next = program({ version: 'v2' }, 40_000_000)
  const { code, receipt, seconds } = await box.put(next)
  assert.is(code, 0)
  assert.is(receipt.sha256, sha256(next))
  assert.ok(await tookLess(seconds, 20), `it took ${seconds} s`)
  box.serves(await agent.ready('v2'), next)
})

put('is not put off by signals, whenever they come, and neither is the agent', async (box) => {
  const { agent } = await box.serving()
  for (const version of ['v2', 'v3', 'v4', 'v5']) {
    const next = program({ version })
    const upload = box.opened()
    await upload.greeted()
    let over = false
    const storm = (async () => {
      for (let i = 0; !over; i++) {
        upload.kill('SIGUSR1') // as the agent does when it has an answer
        agent.kill('SIGUSR1') // as a put does that has staged a file
        await pause((i % 7) / 1000)
      }
    })()
    upload.send(header(next))
    upload.send(next)
    const { code, receipt } = await upload.answer().finally(() => (over = true))
    await storm
    assert.equal([code, receipt.result, upload.err.toString()], [0, 'running', ''])
    box.serves(await agent.ready(version), next)
  }
  assert.is(agent.err.toString(), '')
})

put('works where paths have spaces', async (box) => {
  const folder = path.join(box.dir, 'my apps * $HOME')
  fs.mkdirSync(folder)
  const bin = path.join(folder, "it's a program")
  const { agent } = await box.serving({}, { bin, cwd: folder })
  const next = program({ version: 'v2' })
  assert.is((await box.put(next, { bin })).receipt.result, 'running')
  assert.ok(proc.runs(await agent.ready('v2'), bin))
  fs.copyFileSync(bin, path.join(folder, 'copy'))
  fs.writeFileSync(`${bin}-dev`, program({ version: 'v3' }))
  assert.ok(proc.runs(await agent.ready('v3'), bin))
  const crash = await box.put({ version: 'v4', dies: 0, code: 3 }, { bin })
  assert.is(crash.receipt.result, 'rolled-back')
  assert.is((await box.status({ bin })).receipt.logfile, path.join(folder, "hotswap-dev-it's a program.log"))
})

put('works with a path that is relative, or found through a link', async (box) => {
  fs.symlinkSync(box.app, path.join(box.dir, 'link'))
  box.install({ version: 'v1' })
  const agent = box.agent({ bin: '../app/prog' })
  await agent.ready('v1')
  const { receipt } = await box.put({ version: 'v2' }, { bin: path.join(box.dir, 'link', 'prog') })
  assert.is(receipt.result, 'running')
  assert.is(Number(receipt.pid), await agent.ready('v2'))
})

put.run()
