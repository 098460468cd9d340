// What the agent does not control: names of processes, cleaners, missing tools, ignored signals, sockets left behind.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { sha256 } from './fixtures.ts'
import { cases, header, program, throughout, until, type Box } from './harness.ts'
import * as proc from './proc.ts'

const outside = cases('outside')

for (const [what, name] of Object.entries({
  'a newline': 'a\nb',
  'a newline at its end': 'a\n',
  'brackets and a state': ') S 1 1 1',
  'fifteen characters': 'fifteen-letters',
  'only spaces': '   ',
}))
  outside(`a process whose name holds ${what} does not end the agent`, async (box) => {
    const sleeper = path.join(box.dir, name)
    fs.copyFileSync('/bin/sleep', sleeper)
    const stranger = box.spawn([sleeper, '300'])
    await until(() => proc.commandLine(stranger.pid).includes('300'), 5, 'the stranger')
    const { agent, pid } = await box.serving()
    const { receipt } = await box.put({ version: 'v2' })
    assert.is(receipt.result, 'running')
    assert.not(proc.alive(pid))
    await throughout(1.5, () => agent.code === undefined, 'the agent goes on')
    assert.ok(proc.alive(stranger.pid), 'a stranger is not touched')
  })

for (const [what, comm] of Object.entries({ nothing: '\\000', 'a tab': 'a\\tb', 'a bracket at its end': 'a)' }))
  outside(`a process whose name is set to ${what} does not end the agent`, async (box) => {
    const stranger = box.spawn(['sh', '-c', `printf '${comm}' >/proc/$$/comm; echo set; read _`])
    await until(() => stranger.out.toString().includes('set'), 5, 'the stranger')
    const { agent, pid } = await box.serving()
    assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
    assert.not(proc.alive(pid))
    await throughout(1.5, () => agent.code === undefined, 'the agent goes on')
    assert.ok(proc.alive(stranger.pid), 'a stranger is not touched')
  })

const ownSigns = (pid: number) =>
  [...fs.readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^SigIgn:\t(\w+)$/gm)].map((match) => match[1])

outside('the program ignores no signal, before and after a swap', async (box) => {
  const { agent, pid } = await box.serving()
  assert.equal(ownSigns(pid), ['0'.repeat(16)])
  await box.put({ version: 'v2' })
  assert.equal(ownSigns(await agent.ready('v2')), ['0'.repeat(16)])
})

for (const taken of ['*', 'agent', 'receipt', 'agent receipt'])
  outside(`a cleaner that takes ${taken} of the state, and not the folder`, async (box) => {
    const { agent, pid } = await box.serving()
    await agent.logged('started')
    const before = (await box.status()).receipt
    const files = taken === '*' ? fs.readdirSync(box.state) : taken.split(' ')
    for (const file of files) fs.rmSync(path.join(box.state, file), { recursive: true, force: true })
    await until(async () => (await box.status()).receipt.pid === String(pid), 4, 'status knows the program again')
    assert.equal((await box.status()).receipt.started, before.started)
    const second = box.agent()
    assert.is(await second.end(5), 1, 'a second agent refuses to start')
    assert.match(second.err.toString(), /runs .* already/)
    assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
    assert.is(agent.code, undefined)
  })

for (const taken of ['the file of the lock', 'the lock', 'the state'])
  outside(`a cleaner that takes ${taken} in the middle of an upload costs nothing`, async (box) => {
    const { agent } = await box.serving()
    await agent.logged('started')
    const next = program({ version: 'v2' })
    const upload = box.opened()
    await upload.greeted()
    upload.send(header(next, { version: 'mine' }))
    upload.send(next.subarray(0, 1000))
    await until(() => box.holders().length === 1 && fs.existsSync(box.part), 5, 'the lock and the partial file')
    const place = { 'the lock': path.join(box.state, 'lock'), 'the state': box.state }[taken]
    fs.rmSync(place ?? path.join(box.state, 'lock', box.holders()[0] ?? ''), { recursive: true })
    upload.send(next.subarray(1000))
    upload.eof()
    const { receipt, code } = await upload.answer()
    assert.equal([code, receipt.result, receipt.version, receipt.sha256], [0, 'running', 'mine', sha256(next)])
    box.clean()
  })

for (const taken of ['the offer', 'the answer'])
  outside(`a cleaner that takes ${taken} does not change what is said`, async (box) => {
    const { agent } = await box.serving()
    await agent.logged('started')
    const next = program({ version: 'v2' })
    const upload = box.opened()
    await upload.greeted()
    agent.kill('SIGSTOP')
    upload.send(header(next, { version: 'mine' }))
    upload.send(next)
    upload.eof()
    await until(() => fs.existsSync(box.staged), 10, 'the staged file')
    if (taken === 'the offer') fs.rmSync(path.join(box.state, 'offer'))
    else upload.kill('SIGSTOP')
    agent.kill('SIGCONT')
    if (taken === 'the answer') {
      const answer = () => fs.readdirSync(box.state).find((name) => /^answer\.\d+-\d+$/.test(name))
      fs.rmSync(path.join(box.state, await until(answer, 20, 'the answer')))
      upload.kill('SIGCONT')
    }
    const { receipt, code } = await upload.answer()
    assert.equal([code, receipt.result, receipt.sha256], [0, 'running', sha256(next)])
    assert.is(receipt.version, 'mine')
  })

outside('a cleaner that takes the log: the next row comes with the header', async (box) => {
  const { agent } = await box.serving()
  await agent.logged('started')
  fs.rmSync(box.table)
  await box.put({ version: 'v2' })
  await agent.logged('killed & restarted')
})

outside(
  "without a place for its state the agent touches no user's file, and the program runs",
  async (box) => {
    // a root of the box's own, so that /agent and /spare are the test's
    const root = box.mount('root', 'size=64m')
    const mine = ['agent', 'spare', 'receipt', 'swapping']
    for (const name of mine) fs.writeFileSync(path.join(root, name), "a user's")
    const bind = ['bin', 'usr', 'lib', 'lib64', 'proc', 'dev', 'etc']
    const parts = bind.filter((name) => fs.existsSync(`/${name}`))
    const agentCopy = path.join(root, 'hotswap-dev')
    fs.copyFileSync(path.resolve('agent/hotswap-dev'), agentCopy)
    fs.mkdirSync(path.join(root, 'app'))
    fs.mkdirSync(path.join(root, 'tmp'))
    box.install({ version: 'v1' }, path.join(root, 'app/prog'))
    const mounts = parts.map((name) => `mkdir -p ${root}/${name}; mount --rbind /${name} ${root}/${name}`).join('\n')
    const readOnly = ['app', 'tmp'].map(
      (n) => `mount --bind ${root}/${n} ${root}/${n}; mount -o remount,bind,ro ${root}/${n}`,
    )
    const all = `mount --make-rprivate /\n${mounts}\nmount -t tmpfs -o ro,size=1m none ${root}/dev/shm\n${readOnly.join('\n')}\nexec chroot ${root} "$@"`
    const spawned = box.spawn(
      ['unshare', '-m', 'sh', '-c', all, '-', ...box.shell.words, '/hotswap-dev', '--', '/app/prog'],
      { env: { SETTLE: '0.2' } },
    )
    await until(() => spawned.out.toString().includes('ready v1'), 20, 'the program')
    await until(() => spawned.out.toString().includes('\tstarted'), 10, 'it has settled')
    spawned.kill('SIGTERM')
    assert.is(await spawned.end(10), 0)
    for (const name of mine)
      assert.is(fs.readFileSync(path.join(root, name), 'utf8'), "a user's", `/${name} is as it was`)
  },
  { root: true },
)

/** A PATH with all of this machine's commands but one. */
function without(box: Box, tool: string): string {
  const folder = path.join(box.dir, 'tools')
  fs.mkdirSync(folder)
  for (const from of ['/usr/bin', '/bin', '/usr/sbin', '/sbin'])
    for (const name of fs.existsSync(from) ? fs.readdirSync(from) : [])
      if (name !== tool && !fs.existsSync(path.join(folder, name)))
        spawnLink(path.join(from, name), path.join(folder, name))
  return folder
}
const spawnLink = (target: string, link: string) => {
  try {
    fs.symlinkSync(target, link)
  } catch {
    // a link that leads nowhere is there already
  }
}

for (const tool of [
  'dd',
  'tee',
  'tail',
  'od',
  'df',
  'stat',
  'mkfifo',
  'mv',
  'date',
  'id',
  'sha256sum',
  'setsid',
  'sleep',
])
  outside(`without ${tool} the program's output comes, and the agent rests`, async (box) => {
    if (box.shell.name === 'ash') return // it has its own
    const PATH = without(box, tool)
    box.install({ version: 'v1', lines: 50 })
    const agent = box.agent({ env: { PATH } })
    const pid = await agent.ready('v1')
    for (let i = 1; i <= 50; i++) assert.match(agent.out.toString(), `line ${i} of 50`)
    await throughout(1.5, () => agent.code === undefined && proc.alive(pid), 'both go on')
    const ticks = () => {
      const text = fs.readFileSync(`/proc/${agent.pid}/stat`, 'utf8')
      const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
      return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0)
    }
    const before = ticks()
    await throughout(2, () => agent.code === undefined, 'the agent goes on')
    assert.ok(ticks() - before < 100, `it took ${ticks() - before} hundredths of CPU time`)
  })

outside('without od, and without the helper, a plain copy is swapped in', async (box) => {
  if (box.shell.name === 'ash') return // it has its own
  const { agent } = await box.serving({}, { env: { PATH: without(box, 'od') } })
  fs.writeFileSync(box.staged, '')
  await agent.logged('rejected')
  await agent.prints('\trejected\tCREATE\tit is empty\n')
  const next = program({ version: 'v2' })
  fs.writeFileSync(box.staged, next)
  box.serves(await agent.ready('v2'), next)
})

outside('a bare name with -c makes no folder', async (box) => {
  const agent = box.agent({ flags: ['-c', '/bin/true'], bin: 'no-such-program' })
  assert.is(await agent.end(5), 2)
  assert.not(fs.existsSync(path.join(box.work, 'no-such-program')))
})

outside('the answer and the lock of a sender that was killed go while the agent runs', async (box) => {
  await box.serving()
  fs.writeFileSync(path.join(box.state, 'answer.4194300-1'), 'result=running\n')
  fs.mkdirSync(path.join(box.state, 'lock'))
  fs.writeFileSync(path.join(box.state, 'lock/4194300-1'), 'me 00:00:00\n')
  fs.writeFileSync(box.part, 'half')
  await until(() => !fs.existsSync(path.join(box.state, 'answer.4194300-1')), 5, 'the answer is gone')
  await until(() => !fs.existsSync(path.join(box.state, 'lock')) && !fs.existsSync(box.part), 5, 'the lock is gone')
})

outside(
  'a tool does not cost BINARY-prev, and a refused one is logged as a tool',
  async (box) => {
    const at = box.mount('disk', 'size=12m')
    const bin = path.join(at, 'prog')
    const size = 4 * 1024 * 1024
    const first = box.install(program({ version: 'v1' }, size), bin)
    const { agent } = await box.started({ bin })
    assert.is((await box.put(program({ version: 'v2' }, size), { bin })).receipt.result, 'running')
    const answer = await box.put(program({ version: 'tool' }, size + 1024 * 1024), { bin, tool: 'big-tool' })
    assert.is(answer.code, 3)
    assert.is(sha256(fs.readFileSync(`${bin}-prev`)), sha256(first))
    assert.is((await agent.logged('tool rejected')).file, 'big-tool')
  },
  { root: true },
)

for (const way of ['put', 'a plain copy', 'a crash'])
  for (const listens of ['own.sock', './own.sock', '/']) {
    const where = { 'own.sock': 'a bare name', './own.sock': 'a relative path', '/': 'a path' }[listens]
    outside(`a socket at ${where} that a killed program leaves goes at ${way}`, async (box) => {
      const socket = listens === '/' ? path.join(box.work, 'own.sock') : listens
      const { agent, pid } = await box.serving({ listens: socket, term: way === 'a crash' ? undefined : 'ignore' })
      const next = program({ version: 'v2', listens: socket })
      await agent.logged('started')
      if (way === 'put') assert.is((await box.put(next)).receipt.result, 'running')
      else if (way === 'a plain copy') fs.writeFileSync(box.staged, next)
      else {
        await throughout(2, () => agent.code === undefined, 'the agent has looked')
        proc.kill(pid)
        await agent.ready('v1', { nth: 2 })
        return
      }
      await agent.ready('v2')
      assert.not(agent.messages().includes('crashed'))
    })
  }

for (const spelling of ['absolute', 'relative', 'through a link'])
  outside(`a socket that somebody else has bound meanwhile stays: ${spelling}`, async (box) => {
    const socket = path.join(box.work, 'own.sock')
    fs.symlinkSync(box.work, path.join(box.dir, 'link'))
    const { agent } = await box.serving({ listens: socket })
    await throughout(2, () => agent.code === undefined, 'the agent has looked')
    fs.rmSync(socket)
    const listens = { absolute: socket, relative: 'own.sock', 'through a link': path.join(box.dir, 'link/own.sock') }
    const other = path.join(box.dir, 'other')
    box.install({ version: 'other', listens: listens[spelling as 'absolute'] }, other)
    const spawned = box.spawn([other])
    await until(() => spawned.out.toString().includes('ready other'), 10, 'the other')
    const { ino } = fs.statSync(socket)
    assert.is((await box.put({ version: 'v2' })).receipt.result, 'running')
    assert.is(fs.statSync(socket).ino, ino)
  })

outside.run()
