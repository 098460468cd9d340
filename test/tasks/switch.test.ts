import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { program } from '../agent/fixtures.ts'
import * as proc from '../agent/proc.ts'
import { cases, until, where, type Loop } from '../lib/loop.ts'

const change = cases('switch-dev and switch-prod')

const v1 = program({ version: 'v1' })
const talk = (stderr: string) => ({ code: 0, stdout: '', stderr: where + stderr })
const log = (loop: Loop) => readFileSync(join(loop.folder, 'hotswap-dev-hello.log'), 'utf8')

change('switch-dev starts the agent, which outlives the task; again, it runs already', async (loop) => {
  loop.installed(v1)
  assert.equal(await loop.task('switch-dev'), loop.switched('the agent runs, pid N'))
  await until('the program runs', () => loop.receipt().result === 'running')
  const [agent, pid] = [loop.agentPid(), loop.pid()]
  assert.is(proc.session(agent), agent, 'in a session of its own, which no terminal ends')
  assert.equal(await loop.task('switch-dev'), loop.switched('the agent runs already'))
  assert.equal([loop.agentPid(), loop.pid()], [agent, pid])
  loop.runs(pid, v1)
})

change('several at once: one starts the agent, the others say that it runs already', async (loop) => {
  loop.installed(v1)
  for (let round = 0; round < 3; round += 1) {
    const said = await Promise.all(Array.from({ length: 4 }, () => loop.task('switch-dev')))
    const fates = said.map(({ code, stderr }) => `${code} ${stderr.split('\n')[1]}`).sort()
    assert.equal(fates, [
      '0 the agent runs already',
      '0 the agent runs already',
      '0 the agent runs already',
      '0 the agent runs, pid N',
    ])
    await until('the program runs', () => loop.receipt().result === 'running')
    assert.ok(proc.alive(loop.agentPid()), 'the pid file names the one that runs')
    assert.is((await loop.task('switch-prod')).code, 0)
  }
  await loop.quiet()
})

change('while switch-prod ends the agent, switch-dev waits, and then starts a new one', async (loop) => {
  await loop.serving(program({ version: 'v1', delay: 1.5 }))
  const before = loop.agentPid()
  const ended = loop.task('switch-prod')
  await until('its last words', () => log(loop).includes('got terminated'))
  assert.equal(await loop.task('switch-dev'), loop.switched('the agent runs, pid N'))
  assert.is((await ended).code, 0)
  assert.equal([proc.alive(before), proc.alive(loop.agentPid())], [false, true])
  await until('the program runs', () => loop.receipt().result === 'running')
})

change('an agent that no pid file tells of is found by its refusal of a second one', async (loop) => {
  const pid = await loop.serving(v1)
  const agent = loop.agentPid()
  rmSync(join(loop.folder, 'agent.pid'))
  assert.equal(await loop.task('switch-dev'), loop.switched('the agent runs already'))
  assert.equal([loop.agentPid(), loop.pid()], [agent, pid])
})

change('without a binary the agent waits for one', async (loop) => {
  await loop.up()
  const { result, reason } = loop.receipt()
  assert.equal({ result, reason }, { result: 'crashed', reason: 'there is no binary: waiting for one' })
})

change('what follows -- are the arguments of the program, each as it is', async (loop) => {
  loop.installed(program({ version: 'v1', show: true }))
  const args = ['-addr', 'a b', '', '*', '$(id)', '--help', "it's", 'grün']
  await loop.up(['--', ...args])
  await until('the program runs', () => loop.receipt().result === 'running')
  const shown = /^args (.*)$/m.exec(log(loop))?.[1] ?? ''
  assert.equal(JSON.parse(shown), [loop.bin, ...args])
})

change('SETTLE, LIMIT and HOLD reach the agent', async (loop) => {
  Object.assign(loop.env, { SETTLE: '0.25', LIMIT: '7.5', HOLD: '0' })
  loop.installed(program({ version: 'v1', show: true }))
  await loop.up()
  const variables: unknown = await until('its environment', () => /^env (.*)$/m.exec(log(loop))?.[1]).then(JSON.parse)
  assert.ok(Array.isArray(variables) && variables.includes('SETTLE=0.25') && variables.includes('LIMIT=7.5'))
  assert.ok(variables.includes('HOTSWAP_HOLD=0'))
})

change('switch-prod ends the agent and its program, which may clean up', async (loop) => {
  const pid = await loop.serving(program({ version: 'v1', delay: 0.5 }))
  const agent = loop.agentPid()
  assert.equal(await loop.task('switch-prod'), talk('the agent and its program have ended\n'))
  assert.equal([proc.alive(agent), proc.alive(pid)], [false, false])
  assert.match(log(loop), /got terminated v1\nbye v1\n$/)
  await loop.quiet()
  assert.equal(await loop.task('switch-prod'), talk('nothing ran\n'))
})

change('switch-prod where nothing ever ran says so, and makes no folder', async (loop) => {
  assert.equal(await loop.task('switch-prod'), talk('nothing ran\n'))
  assert.not(existsSync(loop.folder))
})

change('after switch-prod and switch-dev the binary that was deployed runs again', async (loop) => {
  const v2 = loop.built(program({ version: 'v2' }))
  await loop.serving(v1)
  assert.is((await loop.task('deploy-dev')).code, 0)
  assert.is((await loop.task('switch-prod')).code, 0)
  await loop.up()
  await until('the program runs', () => loop.receipt().result === 'running')
  loop.runs(loop.pid(), v2)
})

change('a pid that now belongs to another process is left alone', async (loop) => {
  mkdirSync(loop.folder, { recursive: true })
  writeFileSync(join(loop.folder, 'agent.pid'), `${process.pid} 1\n`)
  assert.equal(await loop.task('switch-prod'), talk('nothing ran\n'))
  loop.installed(v1)
  await loop.up()
  await until('the program runs', () => loop.receipt().result === 'running')
})

change('an agent that does not start says why', async (loop) => {
  copyFileSync(loop.agent, join(loop.dir, 'agent/real'))
  loop.copy.file('agent/hotswap-dev', `printf 'hotswap-dev: \\033[31mno luck\\033[0m\\n' >&2\nexit 1\n`)
  const error = 'error: the agent did not start in DIR/.hotswap/local: hotswap-dev: no luck\n'
  assert.equal(await loop.task('switch-dev'), { code: 1, stdout: '', stderr: where + error })
  assert.equal(await loop.task('switch-prod'), talk('nothing ran\n'))
})

change('a program that ignores TERM is named, and nothing waits for ever', async (loop) => {
  loop.env.LIMIT = '0.5'
  const pid = await loop.serving(program({ version: 'v1', term: 'ignore' }))
  const { code, stderr } = await loop.task('switch-prod')
  assert.is(code, 1)
  assert.is(stderr, `${where}error: the agent in DIR/.hotswap/local (pid N) did not end: its program ignores TERM\n`)
  proc.kill(pid)
})

change.run()
