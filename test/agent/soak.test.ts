// Many swaps in a row leave nothing over.
import fs from 'node:fs'
import * as assert from 'uvu/assert'
import { sha256 } from './fixtures.ts'
import { cases, pause, program } from './harness.ts'
import * as proc from './proc.ts'

const soak = cases('soak')

const swaps = 20 // npm run bench -- --soak does more

soak(
  `${swaps} swaps in a row leave no process, file or descriptor over`,
  async (box) => {
    const { agent } = await box.serving({}, { env: { SETTLE: '0.05' } })
    const files = [program({ version: 'even' }), program({ version: 'odd' })]
    const swap = async (i: number) => {
      const file = files[i % 2] ?? Buffer.alloc(0)
      const { code, receipt } = await box.put(file, { version: `v${i}`, encoding: i % 4 < 2 ? 'raw' : 'gzip' })
      assert.equal([code, receipt.result, receipt.version, receipt.sha256], [0, 'running', `v${i}`, sha256(file)])
      assert.ok(proc.runs(Number(receipt.pid), box.bin))
    }
    // a sleep of the agent's loop comes and goes
    const processes = () => box.carriers().filter((pid) => !/\bsleep\b/.test(proc.commandLine(pid))).length
    const left = () => ({
      files: [box.app, box.work, box.state].map((folder) => fs.readdirSync(folder).sort()),
      descriptors: proc.descriptors(agent.pid).length,
      processes: processes(),
      zombies: proc.children(agent.pid).filter((pid) => proc.state(pid) === 'Z').length,
    })
    await swap(0)
    await swap(1)
    await pause(1.5)
    const before = left()
    for (let i = 2; i < swaps; i++) await swap(i)
    await pause(1.5)
    const stable = (name: string) => name.replace(/\d+/g, 'N') // a pipe may be numbered
    const after = left()
    assert.equal(after.files.flat().map(stable), before.files.flat().map(stable))
    assert.equal({ ...after, files: [] }, { ...before, files: [] })
    assert.is(after.zombies, 0)
    assert.is(agent.messages().filter((message) => message === 'killed & restarted').length, swaps)
    box.clean()
  },
  { limit: 230, tools: ['gzip'] },
)

soak.run()
