// The environment of a container is the program's: the agent has names of its own there, and ends for none of it.
import fs from 'node:fs'
import path from 'node:path'
import * as assert from 'uvu/assert'
import { cases, until } from './harness.ts'

const environment = cases('environment')

environment('LIMIT and SETTLE of the program, which are no seconds, are said and left', async (box) => {
  box.install({ version: 'v1' })
  const agent = box.agent({ through: ['env', 'LIMIT=100MB', 'SETTLE=soon'] })
  await agent.ready('v1')
  const row = () => /\tERR\t.*\tignored\t-\t.*/.exec(agent.out.toString())?.[0]
  const said = await until(row, 5, 'a row about it')
  assert.match(said, /LIMIT=100MB is no number of seconds, SETTLE=soon is no number of seconds/)
  agent.kill('SIGTERM')
  await agent.end()
})

environment('the names of the agent come before those that a program may have', async (box) => {
  box.install({ version: 'v1' })
  const agent = box.agent({ through: ['env', 'LIMIT=3000', 'HOTSWAP_LIMIT=7.5'] })
  await agent.ready('v1')
  assert.match(fs.readFileSync(path.join(box.state, 'agent'), 'utf8'), /^limit=750$/m)
  assert.not.match(agent.out.toString(), 'ignored')
  agent.kill('SIGTERM')
  await agent.end()
})

environment.run()
