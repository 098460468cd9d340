// What goes wrong with one save or one pod is told, and ends nothing: dev goes on, and the next save works.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { find } from '../../tasks/lib/frame/tools.ts'
import { freePort } from '../../tasks/lib/frame/free-port.ts'
import { cases, until, type Loop } from '../lib/loop.ts'

const dev = cases('dev goes on')

const main = 'svc/main.go'

/** The folder, or if go is in it, one with links to all else. */
function withoutGo(folder: string, place: string): string {
  if (find(join(folder, 'go')) === undefined) return folder
  mkdirSync(place)
  for (const name of readdirSync(folder)) if (name !== 'go') symlinkSync(join(folder, name), join(place, name))
  return place
}

/** dev on a module of its own, with a PATH and a TMPDIR of its own, after its first edit. */
async function running(loop: Loop) {
  loop.copy.file('svc/go.mod', 'module svc\n\ngo 1.21\n')
  loop.copy.file(main, loop.copy.read('examples/hello/main.go'))
  mkdirSync(join(loop.dir, 'tmp'))
  symlinkSync(find('go') ?? '', join(loop.dir, 'fakes/go'))
  const others = (process.env.PATH ?? '')
    .split(':')
    .map((folder, at) => withoutGo(folder, join(loop.dir, `tools${at}`)))
  Object.assign(loop.env, {
    PATH: [join(loop.dir, 'fakes'), ...others].join(':'),
    TMPDIR: join(loop.dir, 'tmp'),
    HELLO_ADDR: `127.0.0.1:${await freePort()}`,
    GO_DIR: 'svc',
    GO_MAIN: '.',
    BINARY: 'out/hello',
    BINARY_PATH: loop.binaryPath,
    MANIFEST: 'manifests/hello.yaml',
  })
  const { child, said, pid } = loop.launch('dev')
  let [out, err] = ['', '']
  child.stdout?.on('data', (text: Buffer) => void (out += text.toString()))
  child.stderr?.on('data', (text: Buffer) => void (err += text.toString()))
  const see = (what: string, fact: () => boolean) =>
    until(what, () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`dev has ended: ${out}${err}`)
      return fact()
    })
  let turn = 0
  return {
    pid,
    said: () => out + err,
    end: async () => {
      child.kill('SIGINT')
      return (await said).code
    },
    /** Saves an edit, and waits for what is then said of it. */
    save: async (expected: RegExp) => {
      const [before, errBefore] = [out.length, err.length]
      const text = loop.copy.read(main)
      loop.copy.file(
        main,
        text.replace(/Fprintf\(w, "[^"]*version |"[^"]*, version "/, `"greeting ${(turn += 1)}, version "`),
      )
      await see(`${expected} in what dev says`, () => expected.test(out.slice(before) + err.slice(errBefore)))
    },
    see,
  }
}

const ok = / 1\/1 pods .* ok\n/

const troubles: readonly [what: string, cause: (loop: Loop) => void, mend: (loop: Loop) => void, says: RegExp][] = [
  [
    'go is gone from PATH',
    ({ dir }) => renameSync(join(dir, 'fakes/go'), join(dir, 'fakes/gone')),
    ({ dir }) => renameSync(join(dir, 'fakes/gone'), join(dir, 'fakes/go')),
    /^error: go is not on PATH/m,
  ],
  [
    'there is no folder for temporary files',
    ({ dir }) => renameSync(join(dir, 'tmp'), join(dir, 'moved')),
    ({ dir }) => renameSync(join(dir, 'moved'), join(dir, 'tmp')),
    /^error: ENOENT: .*mkdtemp/m,
  ],
  [
    'a file is in the place of the folder of BINARY',
    (loop) => {
      rmSync(join(loop.dir, 'out'), { recursive: true })
      loop.copy.file('out', '')
    },
    ({ dir }) => rmSync(join(dir, 'out')),
    /^error: E\w+: .*out/m,
  ],
  [
    'the records cannot be written',
    ({ dir }) => {
      rmSync(join(dir, '.hotswap/builds.json'))
      mkdirSync(join(dir, '.hotswap/builds.json/full'), { recursive: true })
    },
    ({ dir }) => rmSync(join(dir, '.hotswap/builds.json'), { recursive: true }),
    /^warning: .hotswap keeps no record of this: E/m,
  ],
]

dev('whatever keeps a save from being built, and deploys the next one', async (loop) => {
  const told = await running(loop)
  await told.see('the first edit', () => ok.test(told.said()))
  for (const [what, cause, mend, says] of troubles) {
    cause(loop)
    await told.save(says).catch((error: Error) => {
      throw new Error(`${what}: ${error.message}`)
    })
    mend(loop)
    await told.save(ok)
  }
  for (const name of ['cache', 'tools', 'builds.json', 'machine', 'tasks']) {
    const path = join(loop.dir, '.hotswap', name)
    // away in one step: dev may still write there
    if (existsSync(path)) renameSync(path, join(loop.dir, `gone-${name}`))
  }
  await told.save(ok)
  assert.is(await told.end(), 130)
})

if (spawnSync('prlimit', ['--version']).status === 0)
  dev('where no file can be opened any more, and deploys once that is over', async (loop) => {
    const told = await running(loop)
    await told.see('the first edit', () => ok.test(told.said()))
    const limited = (count: number) => spawnSync('prlimit', [`--pid=${told.pid}`, `--nofile=${count}:4096`])
    limited(readdirSync(`/proc/${told.pid}/fd`).length)
    await told.save(/^error: \w+ could not be started in .*: EMFILE, too many open files$/m)
    limited(4096)
    await told.save(ok)
    assert.is(await told.end(), 130)
  })

dev('without the folder of the code, and deploys once that is back', async (loop) => {
  const told = await running(loop)
  await told.see('the first edit', () => ok.test(told.said()))
  renameSync(join(loop.dir, 'svc'), join(loop.dir, 'away'))
  await told.see('the folder is missed', () => /^error: GO_DIR is no folder/m.test(told.said()))
  renameSync(join(loop.dir, 'away'), join(loop.dir, 'svc'))
  await told.see('it is back', () => /the same binary/.test(told.said()))
  await told.save(ok)
  assert.is(await told.end(), 130)
})

dev('where the binary cannot be put into a pod, and deploys the next one', async (loop) => {
  const told = await running(loop)
  await told.see('the first edit', () => ok.test(told.said()))
  // the agent's script is away for as long as a save takes
  const [agent, away] = [join(loop.dir, 'agent/hotswap-dev'), join(loop.dir, 'agent/away')]
  renameSync(agent, away)
  await told.save(/no agent answers/)
  renameSync(away, agent)
  await told.save(ok)
  assert.is(await told.end(), 130)
})

dev.run()
