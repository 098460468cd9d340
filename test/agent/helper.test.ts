// The helper: what holds without it, how it comes into a pod, and that nothing is lost where it ends in the middle.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import * as assert from 'uvu/assert'
import { helperPath, sha256 } from './fixtures.ts'
import { agentScript, cases, header, pause, program, throughout, until, type Box } from './harness.ts'
import { helperBody, helperWords, placing } from './placing.ts'
import * as proc from './proc.ts'

const helper = cases('helper')

/** A PATH without it. */
const without = { PATH: process.env.PATH ?? '' }
const bare = { env: without }

const kept = (box: Box) => {
  const folder = path.join(box.state, 'bin')
  return fs.existsSync(folder) ? fs.readdirSync(folder) : []
}

/** What the tasks run to bring it: the words of its sha256 and size, and what is sent. */
function bring(box: Box, words: readonly string[] = helperWords(), body = helperBody(), state = box.state, env = {}) {
  const sent = box.spawn([...placing(box.shell.words, agentScript), state, ...words], { env })
  sent.child.stdin?.write(body)
  return sent
}

const said = async (sent: ReturnType<typeof bring>) => [await sent.end(), sent.out.toString().split('\n')[0]] as const

helper('without it the program runs, crashes, comes back, takes plain copies and signals', async (box) => {
  const { agent, pid } = await box.serving({}, bare)
  agent.kill('SIGHUP')
  await agent.prints('got hangup v1')
  const next = program({ version: 'v2' })
  fs.writeFileSync(box.staged, next)
  box.serves(await agent.ready('v2'), next)
  assert.not(proc.alive(pid))
  await agent.logged('killed & restarted')
  fs.writeFileSync(box.staged, program({ version: 'v3', lines: 3, dies: 0, code: 3 }))
  await agent.logged('rolled back')
  const back = await agent.ready('v2', { nth: 2 })
  for (const file of ['#!/bin/sh\n', '', 'text'])
    await (fs.writeFileSync(box.staged, file), until(() => !fs.existsSync(box.staged), 10, 'it is consumed'))
  await agent.logged('rejected', 3)
  box.serves(back, next)
  proc.kill(back)
  await agent.ready('v2', { nth: 3 })
})

helper('without it status tells what was reported, proves nothing, and put says what is missing', async (box) => {
  const { pid, bytes } = await box.serving({}, bare)
  const status = box.call(['status', box.bin], bare)
  status.eof()
  const { code, greeting } = await status.answer()
  assert.is(code, 0)
  assert.equal(
    [greeting.result, greeting.pid, greeting.run, greeting.helper, greeting.state],
    ['running', String(pid), 'plain', 'missing', box.state],
  )
  assert.match(greeting.agent ?? '', /^\S+ 2$/)
  assert.match(greeting.machine ?? '', /^\w+$/)
  assert.equal(
    [greeting.sha256, greeting.proof, greeting.start, greeting.file],
    [undefined, undefined, undefined, undefined],
  )
  for (const words of [
    ['put', box.bin],
    ['put', box.bin, sha256(bytes)],
    ['tool', box.bin, 'dlv'],
  ]) {
    const put = box.call(words, bare)
    put.send(header(bytes))
    put.eof()
    const answer = await put.answer()
    assert.equal([answer.code, answer.receipt.result, answer.receipt.pid], [3, 'rejected', String(pid)])
    assert.match(answer.receipt.reason ?? '', /helper, is not here - npm run deploy-dev/)
    assert.match(put.err.toString(), /^hotswap-dev: [^\n]+\n$/)
  }
  box.serves(pid, bytes)
  box.clean()
})

helper('without it status says so where the program has just ended', async (box) => {
  const { agent, pid } = await box.serving({}, bare)
  agent.kill('SIGSTOP')
  proc.kill(pid)
  const status = box.call(['status', box.bin], bare)
  status.eof()
  const { greeting } = await status.answer()
  agent.kill('SIGCONT')
  assert.equal([greeting.result, greeting.reason], ['crashed', 'it has just ended'])
})

helper.needing('gzip')('is kept under a name that holds its sha256, and put goes to it', async (box) => {
  await box.serving({}, bare)
  const [hash = ''] = helperWords()
  assert.equal(await said(bring(box)), [0, 'result=installed'])
  assert.equal(kept(box), [`hotswap-helper-${hash}`])
  assert.is(fs.statSync(path.join(box.state, 'bin')).mode & 0o777, 0o700)
  const next = program({ version: 'v2' })
  const put = box.call(['put', box.bin, hash], bare)
  put.send(header(next))
  put.send(next)
  const { code, receipt } = await put.answer()
  assert.equal([code, receipt.result, receipt.sha256, receipt.proof], [0, 'running', sha256(next), 'exe'])
  const other = box.call(['put', box.bin, 'f'.repeat(64)], bare)
  other.eof()
  assert.is((await other.answer()).greeting.helper, 'missing', 'another version does not do')
})

helper.needing('gzip')('that is cut, damaged, another or no program leaves nothing', async (box) => {
  const { pid, bytes } = await box.serving({}, bare)
  const [hash = '', size = ''] = helperWords()
  const body = helperBody()
  const flipped = Buffer.from(body)
  flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 0xff
  for (const [words, sent] of [
    [[hash, String(body.length >> 1)], body],
    [[hash, size], flipped],
    [[sha256(body), size], body],
    [[hash, size], Buffer.alloc(Number(size), 'no gzip')],
  ] as const) {
    const [code, line] = await said(bring(box, words, sent))
    assert.equal([code, line], [3, 'result=rejected'])
    assert.equal(kept(box), [])
  }
  const cut = bring(box, helperWords(), body.subarray(0, body.length >> 1))
  await until(() => kept(box).length === 1, 5, 'its first half')
  cut.child.stdin?.end()
  assert.is(await cut.end(), 3)
  assert.equal(kept(box), [])
  const killed = bring(box, helperWords(), body.subarray(0, body.length >> 1))
  await until(() => kept(box).length === 1, 5, 'its first half')
  killed.kill('SIGKILL')
  await killed.end()
  assert.equal(await said(bring(box)), [0, 'result=installed'])
  assert.equal(kept(box), [`hotswap-helper-${hash}`], 'the half of a killed one goes with the next')
  box.serves(pid, bytes)
})

helper('is asked for as it is if there is no gzip', async (box) => {
  if (box.shell.name === 'ash') return // it has its own
  const { agent } = await box.serving({}, bare)
  const PATH = path.join(box.dir, 'tools')
  fs.mkdirSync(PATH)
  for (const tool of ['cat', 'chmod', 'head', 'ls', 'mkdir', 'mv', 'rm', 'sha256sum', 'tail', ...box.shell.words]) {
    const found = spawnSync('sh', ['-c', 'command -v "$1"', '-', tool], { encoding: 'utf8' }).stdout.trim()
    fs.symlinkSync(found, path.join(PATH, tool))
  }
  const bytes = fs.readFileSync(helperPath())
  const packed = bring(box, helperWords(), helperBody(), box.state, { PATH })
  assert.is(await packed.end(), 3)
  assert.is(packed.out.toString(), 'result=rejected\nreason=there is no gzip\nwants=raw\n\n')
  const words = [sha256(bytes), String(bytes.length), 'raw']
  assert.equal(await said(bring(box, words, bytes, box.state, { PATH })), [0, 'result=installed'])
  const next = program({ version: 'v2' })
  assert.is((await box.put(next, bare)).receipt.proof, 'exe')
  box.serves(await agent.ready('v2'), next)
})

for (const how of ['ends', 'is killed'] as const)
  helper.needing('gzip')(
    `whose sender ${how} at any byte is kept whole or not at all, and the next one is`,
    async (box) => {
      const { pid, bytes } = await box.serving({}, bare)
      const [hash = ''] = helperWords()
      const body = helperBody()
      const file = path.join(box.state, 'bin', `hotswap-helper-${hash}`)
      for (const at of [0, 1, 9, 10, 4096, body.length >> 1, body.length - 9, body.length - 8, body.length - 1]) {
        const cut = bring(box, helperWords(), body.subarray(0, at))
        if (how === 'is killed') {
          await until(
            () => cut.code !== undefined || kept(box).some((name) => name.startsWith('.')),
            5,
            'its beginning',
          )
          cut.kill('SIGKILL')
        }
        cut.child.stdin?.end()
        const code = await cut.end()
        // all of its bytes can be there, and right, before the end of the stream is
        if (fs.existsSync(file)) assert.is(sha256(fs.readFileSync(file)), hash, `cut at ${at}`)
        else assert.is.not(code, 0, `cut at ${at}`)
        if (how === 'ends') assert.equal(kept(box), fs.existsSync(file) ? [path.basename(file)] : [], `cut at ${at}`)
        fs.rmSync(file, { force: true })
      }
      assert.equal(await said(bring(box)), [0, 'result=installed'])
      assert.equal(kept(box), [path.basename(file)])
      box.serves(pid, bytes)
    },
  )

helper.needing('gzip')(
  'of two developers with two versions who send at once is kept twice, and each gets its own',
  async (box) => {
    await box.serving({}, bare)
    const other = Buffer.concat([fs.readFileSync(helperPath()), Buffer.from('another version')])
    const packed = gzipSync(other)
    const both = [
      { words: helperWords(), body: helperBody() },
      { words: helperWords(), body: helperBody() },
      { words: [sha256(other), String(packed.length), 'gzip'], body: packed },
    ]
    const sent = both.map(({ words, body }) => bring(box, words, body.subarray(0, body.length >> 1)))
    await until(() => kept(box).length === sent.length, 5, 'the first half of each')
    sent.forEach((each, index) => {
      const body = both[index]?.body ?? Buffer.alloc(0)
      each.child.stdin?.write(body.subarray(body.length >> 1))
    })
    for (const each of sent) assert.equal(await said(each), [0, 'result=installed'])
    const names = both.map(({ words: [hash = ''] }) => `hotswap-helper-${hash}`)
    assert.equal(kept(box), [...new Set(names)].sort())
    for (const {
      words: [hash = ''],
    } of both) {
      const put = box.call(['put', box.bin, hash], bare)
      await put.greeted()
      assert.is(fs.readlinkSync(`/proc/${put.pid}/exe`), path.join(box.state, 'bin', `hotswap-helper-${hash}`))
      put.eof()
      assert.equal([(await put.answer()).code, (await put.answer()).greeting.helper], [0, undefined])
    }
  },
)

helper.needing('gzip')('stays beside two others, and the oldest goes', async (box) => {
  await box.serving({}, bare)
  fs.mkdirSync(path.join(box.state, 'bin'))
  for (const [age, name] of ['a', 'b', 'c'].entries()) {
    const file = path.join(box.state, 'bin', `hotswap-helper-${name.repeat(64)}`)
    fs.writeFileSync(file, '', { mode: 0o755 })
    fs.utimesSync(file, 1000 - age, 1000 - age)
  }
  await bring(box).end()
  const [hash = ''] = helperWords()
  assert.equal(
    kept(box)
      .map((name) => name.slice(-64))
      .sort(),
    ['a'.repeat(64), 'b'.repeat(64), hash].sort(),
  )
})

for (const [what, options, why] of [
  ['is noexec', 'size=16m,noexec', /denied/i],
  ['is full', 'size=1m', /space/i],
  ['is read-only', 'size=16m,ro', /read-only/i],
] as const)
  helper(
    `cannot be kept where the folder ${what}: it says so, and nothing is changed`,
    async (box) => {
      const { pid, bytes } = await box.serving({}, bare)
      const sent = bring(box, helperWords(), helperBody(), box.mount('elsewhere', options))
      const [code, line] = await said(sent)
      assert.equal([code, line], [3, 'result=rejected'])
      assert.match(/^reason=(.*)$/m.exec(sent.out.toString())?.[1] ?? '', why)
      assert.is(sent.out.toString().split('\n').length, 4, 'a block of two lines')
      const left = path.join(box.dir, 'elsewhere/bin')
      assert.equal(fs.existsSync(left) ? fs.readdirSync(left) : [], [])
      box.serves(pid, bytes)
    },
    { root: true, tools: ['gzip'] },
  )

helper('of an agent of before this one answers too: the files are the same', async (box) => {
  const { agent } = await box.serving()
  const file = path.join(box.state, 'agent')
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/^(agent=\S+) \d+$/m, '$1 1'))
  const next = program({ version: 'v2' })
  const { greeting, receipt } = await box.put(next)
  assert.match(greeting.agent ?? '', / 1$/)
  assert.is(receipt.result, 'running')
  box.serves(await agent.ready('v2'), next)
})

helper.once('of an agent that came later refuses, and says what to update', async (box) => {
  const { pid, bytes } = await box.serving()
  const file = path.join(box.state, 'agent')
  fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/^(agent=\S+) \d+$/m, '$1 9'))
  const { code, receipt } = await box.put({ version: 'v2' })
  assert.equal([code, receipt.result], [3, 'rejected'])
  assert.match(receipt.reason ?? '', /the agent speaks protocol 9, its helper 2: update .*git pull/)
  box.serves(pid, bytes)
  box.clean()
})

for (const phase of [
  'it has greeted',
  'half of it has come',
  'half of a tool has come',
  'all of it has come',
  'the old program ends',
  'the new one has to live',
])
  helper(`that is killed when ${phase} costs nothing`, async (box) => {
    const SETTLE = phase === 'the new one has to live' ? '1.5' : '0.2'
    const { agent, bytes, pid } = await box.serving({ delay: 1 }, { env: { LIMIT: '4', SETTLE } })
    const next = program({ version: 'v2' })
    const half = phase.startsWith('half')
    const upload = box.opened(phase.includes('tool') ? { tool: 'dlv' } : {})
    await upload.greeted()
    if (phase === 'all of it has come') agent.kill('SIGSTOP')
    if (phase !== 'it has greeted') {
      upload.send(header(next, { version: 'mine' }))
      upload.send(half ? next.subarray(0, next.length >> 1) : next)
    }
    if (half) await until(() => fs.existsSync(box.part), 5, 'the partial file')
    else if (phase === 'all of it has come') await until(() => fs.existsSync(box.staged), 10, 'the staged file')
    else if (phase === 'the old program ends') await agent.prints('got terminated v1')
    else if (phase === 'the new one has to live') await agent.ready('v2')
    upload.kill('SIGKILL')
    await upload.end()
    if (half || phase === 'it has greeted') {
      await until(() => !fs.existsSync(box.part) && box.holders().length === 0, 5, 'the agent has cleaned up')
      box.serves(pid, bytes)
      assert.equal(agent.messages(), ['started'])
    } else {
      agent.kill('SIGCONT')
      box.serves(await agent.ready('v2'), next)
      await agent.logged('killed & restarted')
      const status = (await box.status()).receipt
      assert.equal([status.result, status.version, status.sha256], ['running', 'mine', sha256(next)])
    }
    const third = program({ version: 'v3' })
    assert.is((await box.put(third)).receipt.result, 'running')
    box.serves(await agent.ready('v3'), third)
    await pause(1.2)
    const left = fs.readdirSync(box.state).filter((name) => /^(?:answer|lock|rejected|sha256\.|offer\.)/.test(name))
    assert.equal(left, [], 'nothing is left of it')
  })

helper('that is halted for longer than LIMIT finds that another took over, and touches nothing', async (box) => {
  const { agent } = await box.serving({}, { env: { LIMIT: '1' } })
  const first = program({ version: 'v2' })
  const upload = box.opened()
  await upload.greeted()
  upload.send(header(first, { by: 'jane@laptop' }))
  upload.send(first.subarray(0, first.length >> 1))
  await until(() => fs.existsSync(box.part), 5, 'its partial file')
  upload.kill('SIGSTOP')
  upload.send(first.subarray(first.length >> 1))
  await pause(2)
  const second = program({ version: 'v3' })
  assert.is((await box.put(second, { by: 'joe@desk' })).receipt.result, 'running')
  upload.kill('SIGCONT')
  const { code, receipt } = await upload.answer()
  assert.equal([code, receipt.result, receipt.sha256], [4, 'busy', sha256(second)])
  await throughout(1, () => !agent.out.toString().includes('ready v2'), 'it is not swapped in')
  box.serves(await agent.ready('v3'), second)
  box.clean()
})

for (const phase of [
  'before the header',
  'while it comes',
  'while the old program ends',
  'while the new one has to live',
  'while the new one is about to crash',
])
  helper(
    `on a disk that fills up ${phase} answers truly, and the next put works`,
    async (box) => {
      const at = box.mount('disk', 'size=12m')
      const bin = path.join(at, 'prog')
      const filler = path.join(at, 'filler')
      const staged = phase.startsWith('while the')
      const crashes = phase.endsWith('crash')
      const { agent, bytes } = await box.serving({ delay: 1 }, { bin, env: { LIMIT: '4', SETTLE: '1.5' } })
      const next = program({ version: 'v2', ...(crashes ? { dies: 1, code: 3 } : {}) })
      const fill = () => {
        const out = fs.openSync(filler, 'w')
        try {
          for (;;) fs.writeSync(out, Buffer.alloc(4096))
        } catch {
          fs.closeSync(out)
        }
      }
      const upload = box.opened({ bin })
      await upload.greeted()
      if (phase === 'before the header') fill()
      upload.send(header(next))
      upload.send(next.subarray(0, 100_000))
      if (phase === 'while it comes') {
        await until(() => fs.existsSync(`${bin}-dev.part`), 5, 'the partial file')
        fill()
      }
      upload.send(next.subarray(100_000))
      if (staged) {
        await (phase === 'while the old program ends' ? agent.prints('got terminated v1') : agent.ready('v2'))
        fill()
      }
      const { code, receipt, raw } = await upload.answer()
      if (crashes) {
        assert.equal([code, receipt.result, receipt.sha256], [1, 'rolled-back', sha256(bytes)], raw)
        assert.ok(proc.runs(await agent.ready('v1', { nth: 2 }), bin))
      } else if (staged) {
        assert.equal([code, receipt.result, receipt.sha256], [0, 'running', sha256(next)], raw)
      } else {
        assert.equal([code, receipt.result], [3, 'rejected'], raw)
        assert.match(receipt.reason ?? '', /^disk full|^the disk of .* is full/)
        assert.is(receipt.sha256, sha256(bytes))
        assert.equal(
          fs
            .readdirSync(at)
            .filter((name) => !name.startsWith('.'))
            .sort(),
          ['filler', 'prog'],
        )
      }
      fs.rmSync(filler)
      const third = program({ version: 'v3' })
      assert.is((await box.put(third, { bin })).receipt.result, 'running')
      assert.ok(proc.runs(await agent.ready('v3'), bin))
    },
    { root: true },
  )

helper.once('takes at most 16 MB of memory, also for a large file', async (box) => {
  await box.serving({}, { env: { SETTLE: '0.1' } })
  const next = program({ version: 'v2' }, 40_000_000)
  const upload = box.opened()
  await upload.greeted()
  upload.send(header(next))
  upload.send(next)
  let seen = 0
  const look = () => {
    const file = `/proc/${upload.pid}/status`
    const said = upload.isOver() || !fs.existsSync(file) ? '' : fs.readFileSync(file, 'utf8')
    seen = Math.max(seen, Number(/^VmHWM:\s+(\d+) kB$/m.exec(said)?.[1] ?? 0))
    return fs.existsSync(box.staged) || upload.out.toString().includes('wait=') || upload.isOver()
  }
  await until(look, 20, 'all of it')
  assert.is((await upload.answer()).receipt.result, 'running')
  assert.ok(seen > 0 && seen < 16_000, `${seen} kB`)
})

helper.run()
