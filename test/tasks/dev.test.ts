import { readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { clean } from '../../tasks/lib/frame/talk.ts'
import { program } from '../agent/fixtures.ts'
import * as proc from '../agent/proc.ts'
import { objects } from '../lib/json.ts'
import { freePort } from '../../tasks/lib/frame/free-port.ts'
import { cases, colleague, pause, until, type Loop } from '../lib/loop.ts'

const dev = cases('dev')

const main = 'examples/hello/main.go'
const line =
  /^\d\d:\d\d:\d\d \S+ [0-9a-f]{8} \d\.\d MB of \d\.\d MB 1\/1 pods \d+\.\d\d s \(build \d+\.\d\d, send \d+\.\d\d, swap \d+\.\d\d\) ok$/

/** npm run dev on the example, and what it has said so far. */
async function running(loop: Loop, args: readonly string[] = []) {
  const port = await freePort()
  loop.env.HELLO_ADDR = `127.0.0.1:${port}`
  const { child, said } = loop.launch('dev', args)
  let [out, err] = ['', '']
  child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => void (err += chunk.toString()))
  const told = {
    lines: () => out.split('\n').slice(0, -1),
    err: () => err,
    /** The lines of stdout, once there are so many. */
    until: async (count: number) => {
      await until(`line ${count} of stdout`, () => told.lines().length >= count, 60)
      return told.lines()
    },
    answer: () =>
      fetch(`http://127.0.0.1:${port}/`).then(
        async (response) => (await response.text()).trim(),
        () => '',
      ),
    answers: (begin: string) => until(`the answer ${begin}`, async () => (await told.answer()).startsWith(begin), 60),
    end: async (signal: NodeJS.Signals = 'SIGINT') => {
      child.kill(signal)
      return said
    },
  }
  await told.until(args.includes('--json') ? 2 : 1)
  return told
}

let turn = 0
/** Changes the greeting; returns how the answer begins from then on. */
function greet(loop: Loop): string {
  const greeting = `greeting ${(turn += 1)}`
  const text = loop.copy.read(main)
  loop.copy.file(main, text.replace(/Fprintf\(w, "[^"]*version |"[^"]*, version "/, `"${greeting}, version "`))
  return greeting
}

dev('deploys on a save, in a line per edit, and leaves the program running after Ctrl-C', async (loop) => {
  const told = await running(loop)
  assert.match(told.lines()[0] ?? '', line)
  assert.match(told.err(), /^local · \.hotswap\/local\nthe agent runs, pid \d+\nwatching 3 files of /)
  await told.answers('hello')
  const greeting = greet(loop)
  const [, second = ''] = await told.until(2)
  assert.match(second, line)
  assert.match(await told.answer(), new RegExp(`^${greeting}`))
  await until('what the program prints', () => /^local \| hello, version \S+: ready on /m.test(told.err()))
  assert.match(told.err(), /^local \| ── \d\d:\d\d:\d\d \S+ [0-9a-f]{8} ──$/m, 'with a mark where it was swapped')
  const pid = loop.pid()
  const { code, stderr } = await told.end()
  assert.is(code, 130)
  assert.match(stderr, /local: \S+ [0-9a-f]{8} runs on - npm run switch-prod ends it\n$/)
  assert.ok(proc.alive(pid))
  await until('the agent and its program alone are left', () => loop.strangers().length === 0, 5)
})

dev('shows a compile error as Go prints it, goes on, and deploys the fix', async (loop) => {
  const told = await running(loop)
  const text = loop.copy.read(main)
  loop.copy.file(main, `${text}\nfunc broken() { return 1 }\n`)
  const [, failed = ''] = await told.until(2)
  assert.match(failed, /^\d\d:\d\d:\d\d the build failed \d+\.\d\d s; \S+ [0-9a-f]{8} runs on$/)
  assert.match(
    told.err(),
    /^# hotswap-dev\/examples\/hello\nexamples\/hello\/main\.go:\d+:\d+: too many return values/m,
  )
  assert.match(await told.answer(), /^hello/)
  loop.copy.file(main, text)
  const [, , same = ''] = await told.until(3)
  assert.match(same, /the same binary: nothing to deploy$/)
  const greeting = greet(loop)
  assert.match((await told.until(4))[3] ?? '', line)
  await told.answers(greeting)
  assert.is((await told.end('SIGTERM')).code, 143)
})

dev('shows the panic with file and line, and the rollback', async (loop) => {
  const told = await running(loop)
  const text = loop.copy.read(main)
  loop.copy.file(main, text.replace('	addr := flag', '	panic("a bug")\n	addr := flag'))
  const [, back = ''] = await told.until(2)
  assert.match(back, / 0\/1 pods .* rolled back$/)
  const at = text.slice(0, text.indexOf('	addr := flag')).split('\n').length
  const error = new RegExp(
    `^error: local: panic: a bug at examples/hello/main\\.go:${at}; \\S+ [0-9a-f]{8} is back$`,
    'm',
  )
  await until('the error', () => error.test(told.err()))
  // the table is followed: its row may come after the receipt
  await until('the row', () => /^local \| ── rolled back: exit status 2 ──$/m.test(told.err()))
  await told.answers('hello')
  loop.copy.file(main, text)
  assert.match((await told.until(3))[2] ?? '', / nothing sent 1\/1 pods .* ok$/)
  assert.is((await told.end()).code, 130)
})

dev(
  'watches what the build reads: new files, packages not yet written, embedded files; and nothing else',
  async (loop) => {
    const told = await running(loop)
    const text = loop.copy.read(main)
    loop.copy.file('examples/hello/notes.txt', 'not embedded')
    loop.copy.file('examples/hello/main_test.go', 'package main\n')
    loop.copy.file('examples/hello/.main.go.swp', 'an editor')
    await pause(2)
    assert.is(told.lines().length, 1, told.lines().join('\n'))
    loop.copy.file('examples/hello/more.go', 'package main\n\nfunc init() { println("more") }\n')
    assert.match((await told.until(2))[1] ?? '', line)
    assert.match(told.err(), /^local \| more$/m)

    loop.copy.file(main, text.replace('import (', 'import (\n\t_ "hotswap-dev/examples/hello/inner/deep"\n'))
    assert.match((await told.until(3))[2] ?? '', /the build failed/)
    loop.copy.file(
      'examples/hello/inner/deep/deep.go',
      'package deep\n\nimport _ "embed"\n\n//go:embed word.txt\nvar word string\n\nfunc init() { println("deep", word) }\n',
    )
    loop.copy.file('examples/hello/inner/deep/word.txt', 'one')
    await until('the package', () => /^local \| deep one$/m.test(told.err()), 20)
    const before = told.lines().length
    loop.copy.file('examples/hello/inner/deep/word.txt', 'two')
    await told.until(before + 1)
    await until('the embedded file', () => /^local \| deep two$/m.test(told.err()), 20)
    rmSync(join(loop.dir, 'examples/hello/more.go'))
    assert.match((await told.until(before + 2)).at(-1) ?? '', line)
    assert.is((await told.end()).code, 130)
  },
)

dev('--json without a terminal: every event documented; a save during a build starts the newest', async (loop) => {
  loop.env.TMPDIR = dirname(loop.copy.file('tmp/.keep', ''))
  const told = await running(loop, ['--json'])
  let greeting = ''
  for (let save = 0; save < 8; save += 1) {
    greeting = greet(loop)
    await pause(save === 3 ? 1.5 : Math.random() * 0.4)
  }
  await told.answers(greeting)
  const last = () => JSON.parse(told.lines().at(-1) ?? '{}') as { result?: string; version?: string }
  await until('the last edit', () => last().result === 'ok')
  const now = new Date()
  utimesSync(join(loop.dir, main), now, now)
  await until('the same binary', () => last().result === 'same')
  const text = loop.copy.read(main)
  loop.copy.file(main, `${text}}`)
  await until('the failed build', () => last().result === 'build-failed')
  loop.copy.file(main, text.replace('	addr := flag', '	panic("a bug")\n	addr := flag'))
  await until('the crash', () => last().result === 'rolled-back')
  const { code, stdout } = await told.end()
  assert.is(code, 130)
  const events = objects('dev', stdout)
  assert.equal(events[0], { event: 'watching', files: 3, pods: ['local'] })
  assert.is(events.at(-1)?.event, 'end')
  assert.match(JSON.stringify(events.at(-2)), /"crash":"panic: a bug","at":"examples\/hello\/main\.go:\d+"/)
  const left = readdirSync(loop.env.TMPDIR).filter((name) => /build/.test(name))
  assert.equal(left, [], 'no build that was ended has left its folder')
})

dev('whenever Ctrl-C comes, end is the last event, and an edit before it is whole', async (loop) => {
  loop.env.HELLO_ADDR = `127.0.0.1:${await freePort()}`
  loop.installed(program({ version: 'v1' }))
  let ends = 0
  for (let ms = 0; ms < 2400; ms += 200) {
    loop.copy.file(main, `${loop.copy.read(main)}\n// ${ms}\n`)
    const { child, said } = loop.launch('dev', ['--json'])
    await new Promise((resolve) => child.stdout?.once('data', resolve)) // the sources are watched, the first build begins
    await pause(ms / 1000)
    child.kill('SIGINT')
    const { code, stdout } = await said
    assert.is(code, 130)
    const events = objects('dev', stdout).map(({ event }) => event)
    assert.is(events.indexOf('end'), events.length - 1, `after ${ms} ms: ${stdout}`)
    assert.not.match(stdout, /"build-failed"/, `after ${ms} ms`)
    ends += 1
  }
  assert.is(ends, 12)
})

dev.needing('script')(
  'on a terminal of 80 columns the line of an edit fits, without what it can spare',
  async (loop) => {
    loop.env.HELLO_ADDR = `127.0.0.1:${await freePort()}`
    for (const [columns, words, tells] of [
      [80, '', /^\d\d:\d\d:\d\d \S+ [0-9a-f]{8} \d\.\d MB of \d\.\d MB 1\/1 pods \d+\.\d\d s ok$/],
      [50, '', /^\d\d:\d\d:\d\d \S+ [0-9a-f]{8} 1\/1 pods \d+\.\d\d s ok$/],
      [80, ' --wide', line],
    ] as const) {
      loop.copy.file(main, `${loop.copy.read(main)}\n// ${columns}${words}\n`)
      const { child, said } = loop.spawn([
        'script',
        '-qec',
        `stty cols ${columns}; sh tasks/run dev${words}`,
        '/dev/null',
      ])
      let out = ''
      child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()))
      await until('the edit', () => /\x1b\[1;32m[^\x1b]* ok\x1b\[0m\r?\n/.test(out), 60)
      child.stdin?.write('\x03')
      await said
      // each drawing of the open line begins anew
      const found = out
        .split(/[\r\n]/)
        .map(clean)
        .find((each) => each.endsWith(' ok'))
      assert.match(found ?? '', tells)
    }
  },
)

dev('brings the newest binary to a pod that starts anew', async (loop) => {
  const told = await running(loop)
  const greeting = greet(loop)
  await told.until(2)
  loop.env.GO_DIR = '.' // the tasks below are another developer's
  assert.is((await loop.task('switch-prod')).code, 0)
  rmSync(loop.bin)
  assert.is((await loop.task('switch-dev')).code, 0)
  const [, , late = ''] = await told.until(3)
  assert.match(late, /^\d\d:\d\d:\d\d local: \S+ [0-9a-f]{8} \d\.\d MB \d+\.\d\d s ok$/)
  await told.answers(greeting)
  assert.is((await told.end()).code, 130)
})

dev('a colleague takes over: it says so at once, deploys no more, and goes on when told', async (loop) => {
  const told = await running(loop)
  await told.answers('hello')
  const theirs = program({ version: 'theirs' })
  assert.match(loop.colleague(theirs, 'v9'), /^result=running$/m)
  const words = `${colleague}'s v9 [0-9a-f]{8} has run there since \\S+`
  const line = new RegExp(
    `^taken over: local: ${words}; nothing is deployed any more - agree with them, then npm run`,
    'm',
  )
  await until('the news', () => line.test(told.err()), 10)
  const pid = loop.pid()
  const greeting = greet(loop)
  const [, kept = ''] = await told.until(2)
  assert.match(kept, new RegExp(`^\\d\\d:\\d\\d:\\d\\d \\S+ [0-9a-f]{8} built, not deployed: local: ${words} - `))
  loop.runs(pid, theirs)
  assert.is((await loop.task('deploy-dev', ['--take-over'])).code, 0)
  assert.match((await told.until(3))[2] ?? '', / nothing sent 1\/1 pods .* ok$/)
  assert.match(told.err(), /^the pods are yours again: each save is deployed$/m)
  await told.answers(greeting)
  const next = greet(loop)
  await told.answers(next)
  assert.is((await told.end()).code, 130)
})

dev("--json: begun on a colleague's binary, it deploys nothing", async (loop) => {
  const theirs = program({ version: 'theirs' })
  await loop.up()
  assert.match(loop.colleague(theirs, 'v9'), /^result=running$/m)
  const pid = loop.pid()
  const told = await running(loop, ['--json'])
  const events = await told.until(3)
  const [watching, taken, edit] = objects('dev', `${events.join('\n')}\n`)
  assert.is(watching?.event, 'watching')
  assert.equal([taken?.event, taken?.pod, taken?.by], ['taken', 'local', colleague])
  assert.equal([edit?.event, edit?.result], ['edit', 'taken'])
  assert.is((await told.end()).code, 130)
  loop.runs(pid, theirs)
})

dev('one’s own swap is no news, however long SETTLE is; a plain copy is, and so is a line like a row', async (loop) => {
  loop.env.SETTLE = '4'
  const told = await running(loop)
  const text = loop.copy.read(main)
  const like = '2026-11-30 10:00:00 UTC\tINFO\troot\thello\tstarted\t-'
  const print = `\tfmt.Println(${JSON.stringify(like)})\n\taddr := flag`
  loop.copy.file(main, text.replace('\taddr := flag', print))
  await told.until(2)
  await until('a line that only looks like a row', () => told.err().includes(`\nlocal | ${like}\n`))
  assert.not.match(told.err(), /killed & restarted|── started ──/)
  writeFileSync(`${loop.bin}-dev`, program({ version: 'copied' }), { mode: 0o755 })
  await until('the copy', () => /^local \| ── killed & restarted ──$/m.test(told.err()))
  assert.is((await told.end()).code, 130)
})

dev("one's own swap costs no call of the agent", async (loop) => {
  const log = loop.copy.file('asked', '')
  const agent = loop.copy.read('agent/hotswap-dev')
  loop.copy.file('agent/hotswap-dev', agent.replace('\n', `\ncase $1 in rows | status) echo "$1" >>'${log}' ;; esac\n`))
  const told = await running(loop)
  await told.until(1)
  const settled = async () => {
    const before = loop.copy.read('asked')
    await pause(1.5)
    return before === loop.copy.read('asked')
  }
  await until('an agent that is asked no more, about its start', settled)
  const before = loop.copy.read('asked')
  loop.copy.file(main, `${loop.copy.read(main)}\n// own\n`)
  await told.until(2)
  await until('an agent that is asked no more', settled)
  assert.is(loop.copy.read('asked'), before)
  assert.is((await told.end()).code, 130)
})

dev('a GO_MAIN that is none ends it', async (loop) => {
  const { code, stdout, stderr } = await loop.task('dev', [], { env: { GO_MAIN: './nowhere' } })
  assert.is(code, 1, stderr)
  assert.is(stdout, '')
  assert.match(stderr, /error: go list names no source of GO_MAIN=\.\/nowhere .*directory not found/)
})

dev.run()
