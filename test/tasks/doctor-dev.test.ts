// The doctor on local: what it prints, that it changes nothing, and the faults that a machine alone can have.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { newestGo, delveFault } from '../../tasks/lib/delve-versions.ts'
import { probeChecks } from '../../tasks/lib/pod-checks.ts'
import { program } from '../agent/fixtures.ts'
import { objects } from '../lib/json.ts'
import { cases, type Loop } from '../lib/loop.ts'

const doctor = cases('doctor-dev')
const v1 = program({ version: 'v1' })

/** The checks of doctor-dev --json, by their result. */
async function checks(loop: Loop, env: Record<string, string> = {}) {
  const { code, stdout } = await loop.task('doctor-dev', ['--json'], { env })
  const all = objects('doctor-dev', stdout)
  const of = (result: string) => all.filter((each) => each.result === result).map(({ check }) => String(check))
  assert.is(code, of('fault').length === 0 ? 0 : 1, stdout)
  return { all, of }
}

doctor('all is well: a line for each check, exit code 0, and nothing changed', async (loop) => {
  loop.built(v1)
  const pid = await loop.serving(v1)
  const state = () => readdirSync(join(loop.folder, 'usr/local/bin'), { recursive: true }).sort()
  loop.receipt() // the first look remembers the sha256
  const before = state()
  const { code, stdout, stderr } = await loop.task('doctor-dev')
  assert.equal([code, stderr], [0, 'local · .hotswap/local\n'])
  for (const check of [
    'settings',
    'tool go',
    'binary',
    'pods',
    'agent',
    'architecture',
    'folder',
    'disk',
    'uid',
    'clock',
  ])
    assert.match(stdout, new RegExp(`^ok +${check} `, 'm'))
  assert.match(
    stdout,
    /^ok +speed +local: an exec begins after N\.N s, a line there and back takes [\d.]+ ms, 2\.0 MB take N\.N s$/m,
  )
  assert.equal(state(), before)
  loop.runs(pid, v1)
})

doctor('a tool that is missing, a machine that is another: named, with the remedy', async (loop) => {
  loop.built(v1)
  await loop.serving(v1)
  const other = process.arch === 'x64' ? 'arm64' : 'amd64'
  const { all, of } = await checks(loop, { GO_ARCH: other, PATH: `${loop.dir}/fakes:/usr/bin:/bin` })
  const faults = all.filter(({ result }) => result === 'fault')
  assert.ok(of('fault').includes('architecture'), JSON.stringify(faults))
  for (const { remedy } of faults) assert.is.not(remedy, '')
})

doctor(
  'a disk that is full',
  async (loop) => {
    loop.built(v1)
    loop.mount(join(loop.folder, 'usr/local/bin'), `size=${Math.ceil(v1.length / 1e6) + 1}m`)
    await loop.serving(v1)
    assert.equal((await checks(loop)).of('fault'), ['disk'])
  },
  { root: true },
)

doctor('nothing runs, and nothing is built', async (loop) => {
  const { of } = await checks(loop)
  assert.equal([of('fault'), of('note')], [['pods'], ['binary']])
  assert.not(statSync(loop.folder, { throwIfNoEntry: false }))
})

doctor('ptrace: only what the kernel refuses is a fault', async () => {
  const pod = { name: 'p', container: '', life: '', restarts: 0, agent: [], binary: '', debugPort: 0 }
  const receipt = { values: new Map([['wrapper', 'dlv exec']]), log: [] }
  const plan = { size: 1, machine: 'amd64', debug: false, goVersion: 'go1.26.8', dlvVersion: 'v1.27.2' }
  const judge = (said: string) => {
    const probe = { values: new Map([['ptrace', said]]), ahead: 0, exec: 0, trip: 0, upload: 0 }
    return probeChecks(pod, plan, receipt, probe).find(({ check }) => check === 'ptrace')?.result
  }
  assert.is(judge('yes'), 'ok')
  assert.is(judge('could not launch process: could not read debug info (decoding dwarf section info)'), 'ok')
  assert.is(judge('could not launch process: fork/exec /bin/true: operation not permitted'), 'fault')
})

doctor('which Go a Delve knows', async () => {
  const known = {
    '1.19.0': 19,
    'v1.20.1': 20,
    '1.22.1': 22,
    '1.25.0': 24,
    '1.25.1': 25,
    'v1.27.2': 27,
    none: undefined,
  }
  for (const [delve, go] of Object.entries(known)) assert.is(newestGo(delve), go, delve)
  assert.is(delveFault('1.27.2', 'go1.26.8'), undefined)
  assert.is(delveFault('1.24.0', 'devel go1.99'), undefined)
  assert.match(
    delveFault('1.24.0', 'go1.26.8') ?? '',
    /^Delve 1\.24\.0 there knows Go up to 1\.24, .* go1\.26\.8 - npm run container-dev/,
  )
})

doctor.run()
