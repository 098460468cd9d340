// The doctor on local: what it prints, that it changes nothing, and the faults that a machine alone can have.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { newestGo, delveFault } from '../../tasks/lib/go/delve-versions.ts'
import { probeChecks } from '../../tasks/lib/doctor/pod-checks.ts'
import { probe } from '../../tasks/lib/doctor/probe.ts'
import { programState } from '../../tasks/lib/doctor/program.ts'
import type { Pod, Target } from '../../tasks/lib/pods/target.ts'
import { loaded, program } from '../agent/fixtures.ts'
import { objects } from '../lib/json.ts'
import { cases, until, type Loop } from '../lib/loop.ts'

const doctor = cases('doctor-dev')
const v1 = program({ version: 'v1' })
const dying = program({ version: 'v1', lines: 2, dies: 0, code: 3 })

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
    'decoders',
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
  const PATH = join(loop.dir, 'without-go')
  mkdirSync(PATH)
  for (const folder of (process.env.PATH ?? '').split(':').filter((path) => existsSync(path)))
    for (const tool of readdirSync(folder))
      if (tool !== 'go' && !existsSync(join(PATH, tool))) symlinkSync(join(folder, tool), join(PATH, tool))
  const { all, of } = await checks(loop, { GO_ARCH: other, PATH })
  const faults = all.filter(({ result }) => result === 'fault')
  for (const check of ['tool go', 'architecture']) assert.ok(of('fault').includes(check), JSON.stringify(faults))
  for (const { remedy } of faults) assert.ok(remedy, JSON.stringify(faults))
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

doctor(
  'a pod without the helper: a note says that it is sent, and the folder and its disk are looked at all the same',
  async (loop) => {
    loop.built(v1)
    const folder = join(loop.folder, 'usr/local/bin')
    loop.mount(folder, 'size=64m')
    const pid = await loop.serving(v1)
    rmSync(join(folder, '.hotswap-hello/bin'), { recursive: true })
    const before = readdirSync(folder).sort()
    const { all, of } = await checks(loop)
    const found = (check: string) => all.find((each) => each.check === check)
    assert.is(found('decoders')?.remedy, 'the helper, which receives uploads, is sent when it is needed')
    assert.ok(of('note').includes('decoders'))
    for (const check of ['folder', 'disk']) assert.ok(of('ok').includes(check), JSON.stringify(all))
    assert.match(String(found('disk')?.found), /^[\d.]+ MB are free for a binary$/)
    for (const [options, check, why] of [
      ['remount,noexec', 'folder', / is mounted noexec$/],
      ['remount,exec,size=4m', 'disk', /^disk full: /],
    ] as const) {
      loop.mounting(['-o', options, folder])
      const now = await checks(loop)
      assert.equal(now.of('fault'), [check], JSON.stringify(now.all))
      assert.match(String(now.all.find((each) => each.check === check)?.found), why)
    }
    assert.equal(readdirSync(folder).sort(), before, 'nothing was sent, nothing is left')
    loop.runs(pid, v1)
  },
  { root: true },
)

doctor('before the first build and switch-dev there is a next step, and no fault', async (loop) => {
  const { all, of } = await checks(loop)
  assert.equal([of('fault'), of('note')], [[], ['binary', 'pods']])
  assert.match(String(all.at(-1)?.remedy), /npm run switch-dev/)
  assert.not(statSync(loop.folder, { throwIfNoEntry: false }))
})

doctor('a pod of production, which has no agent, is no fault; one whose agent is silent is', async (loop) => {
  await loop.serving(v1)
  const missing = 'OCI runtime exec failed: exec: \\"hotswap-dev\\": executable file not found in $PATH'
  const table = [
    [`echo "${missing}" >&2; exit 126`, 'note'],
    ['exit 9', 'fault'],
  ] as const
  for (const [script, result] of table) {
    loop.disguised('status', script)
    const found = (await checks(loop)).all.find(({ check }) => check === 'agent')
    assert.equal([found?.result, found?.remedy], [result, 'run npm run switch-dev'], script)
  }
})

doctor(
  'a program that has crashed is a fault with a remedy, one that waits for its first binary is none',
  async (loop) => {
    await loop.up()
    const program = async () => {
      const { all, of } = await checks(loop)
      assert.not.match(JSON.stringify(all.find(({ check }) => check === 'agent')), /crashed/)
      const { result, found, remedy } = all.find(({ check }) => check === 'program') ?? {}
      return { result, found, remedy, faults: of('fault') }
    }
    const waits = await program()
    assert.equal([waits.result, waits.faults], ['note', []])
    assert.match(
      `${waits.found} - ${waits.remedy}`,
      /^none yet: .*waiting for one - npm run build && npm run deploy-dev$/,
    )
    loop.installed(dying)
    // from the third crash on the back-off leaves seconds to look
    await until('the third crash', () => loop.receipt().result === 'crashed' && Number(loop.receipt().restarts) >= 2)
    const crashed = await program()
    assert.equal([crashed.result, crashed.faults], ['fault', ['program']])
    assert.match(
      `${crashed.found} - ${crashed.remedy}`,
      /^crashed \(exit status 3\).* - npm run logs-dev .*deploy-dev$/,
    )
  },
)

doctor('how a program is: each state in its own words', async () => {
  const table: readonly [Record<string, string>, string, RegExp][] = [
    [{ result: 'running', version: 'v1' }, 'ok', /^running, v1$/],
    [{ result: 'running', reason: 'halted' }, 'note', /^running, halted by its debugger$/],
    [{ result: 'running', reason: 'no debugger' }, 'ok', /^running \(no debugger\)$/],
    [
      { result: 'rolled-back', reason: 'exit status 2', version: 'v1' },
      'note',
      /crashed \(exit status 2\).*back: running, v1$/,
    ],
    [{ result: 'starting' }, 'note', /^still starting$/],
    [{ result: 'crashed', reason: 'exit status 2' }, 'fault', /^crashed \(exit status 2\)$/],
    [{ result: 'crashed', reason: 'there is no binary: waiting for one' }, 'note', /^none yet: there is no binary/],
    [{ result: 'crashed', reason: 'not started by its wrapper (exit status 1)' }, 'note', /debugger did not start it/],
    [{}, 'note', /^its agent says nothing of it$/],
  ]
  for (const [values, result, found] of table) {
    const state = programState({ values: new Map(Object.entries(values)), log: [] })
    assert.is(state.result, result, JSON.stringify(values))
    assert.match(state.found, found)
  }
})

const pod = { name: 'p', container: '', life: '', restarts: 0, agent: ['sh', 'agent'], binary: '', debugPort: 0 }
const receipt = { values: new Map([['wrapper', 'dlv exec']]), log: [] }
const plan = { size: 1, machine: 'amd64', debug: false, goVersion: 'go1.26.8', dlvVersion: 'v1.27.2' }
const judged = (values: Iterable<readonly [string, string]>) => {
  const said = probeChecks(pod, plan, receipt, { values: new Map(values), ahead: 0, exec: 0, trip: 0, upload: 0 })
  return (name: string) => said.find(({ check }) => check === name)
}

doctor('ptrace: only what the kernel refuses is a fault', async () => {
  const judge = (said: string) => judged([['ptrace', said]])('ptrace')?.result
  assert.is(judge('yes'), 'ok')
  assert.is(judge('could not launch process: could not read debug info (decoding dwarf section info)'), 'ok')
  assert.is(judge('could not launch process: fork/exec /bin/true: operation not permitted'), 'fault')
})

doctor(
  'a Delve that is not there, one that has no room to be tried, one that does not run: three findings',
  async (loop) => {
    const dlv = join(loop.dir, 'there/.hotswap-hello/bin/dlv')
    const there: Pick<Target, 'exec'> = {
      exec: (_, [command = '', ...args]) => spawn(command, args, { stdio: 'pipe', env: { PATH: '/usr/bin:/bin' } }),
    }
    const asked = async (limit: number) => {
      const memory = { limit } as Pod['memory']
      const { values } = await probe(there as Target, { ...pod, binary: join(loop.dir, 'there/hello'), memory })
      const of = judged(values)
      return [of('debugger'), of('ptrace')].map((found) => `${found?.result}: ${found?.found}`)
    }
    const none = [
      'ok: none there yet: Delve v1.27.2 is sent when it is needed',
      'skipped: no Delve is there yet to try it',
    ]
    assert.equal(await asked(Infinity), none)
    assert.equal(await asked(1), none)
    loop.copy.file('there/.hotswap-hello/bin/dlv', '#!/bin/sh\n[ "$1" != version ] || echo "Version: 1.27.2"\n')
    chmodSync(dlv, 0o755)
    assert.equal(await asked(Infinity), ['ok: Delve 1.27.2 for go1.26.8', 'ok: Delve may hold a process'])
    for (const line of await asked(1))
      assert.match(line, /^skipped: Delve is there, and was not tried: it may take 64\.0 MB/)
    loop.copy.file('there/.hotswap-hello/bin/dlv', '#!/bin/sh\necho "cannot run" >&2; exit 1\n')
    const broken = await asked(Infinity)
    assert.equal(broken, [
      'fault: Delve is there and does not run (cannot run)',
      'skipped: the Delve that is there does not run',
    ])
  },
)

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

doctor('a loader that the binary needs and the pod does not have is a fault', async (loop) => {
  loop.built(loaded({ version: 'v2' }, '/lib/ld-elsewhere.so.1'))
  await loop.serving(v1)
  const { all, of } = await checks(loop, {})
  assert.ok(of('fault').includes('interpreter'), JSON.stringify(all))
})

doctor.run()
