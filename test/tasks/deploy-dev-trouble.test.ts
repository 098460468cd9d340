// What goes wrong with a deploy: each error in its words, and what runs afterwards.
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { hostArch } from '../../tasks/lib/binary/elf.ts'
import { foreign, program, sha256 } from '../agent/fixtures.ts'
import * as proc from '../agent/proc.ts'
import { cases, delivered, failed, pause, short, until, where, type Loop } from '../lib/loop.ts'

const deploy = cases('deploy-dev')

const v1 = program({ version: 'v1' })
const v2 = program({ version: 'v2' })
const crashing = program({ version: 'v2', lines: 3, dies: 0, code: 3 })
const crashLines = 'local | line 1 of 3\nlocal | line 2 of 3\nlocal | line 3 of 3\n'
const next = 'fix it, then npm run build and npm run deploy-dev'
const elsewhere = hostArch() === 'amd64' ? 'arm64' : 'amd64' // what foreign() is for

/** Opens a put past the tasks, as a colleague's deploy would, and sends the first half of the binary. */
async function halfAnUpload(loop: Loop, bytes: Buffer) {
  const put = loop.spawn(['sh', loop.agent, 'put', loop.bin])
  put.child.stdin?.write(`sha256=${sha256(bytes)} size=${bytes.length} encoding=raw run=plain by=alice@laptop\n`)
  put.child.stdin?.write(bytes.subarray(0, bytes.length / 2))
  await until('the partial file grows', () => existsSync(`${loop.bin}-dev.part`))
  return put
}

deploy('a binary for another machine stops nothing', async (loop) => {
  loop.built(foreign())
  const pid = await loop.serving(v1)
  assert.equal(
    await loop.task('deploy-dev'),
    failed(
      `local: the binary is for ${elsewhere}, the pod is ${hostArch()} - set GO_ARCH=${hostArch()} in .env, or leave it out, and run npm run build`,
    ),
  )
  loop.runs(pid, v1)
})

deploy(
  'a binary that crashes at its start is told with its last words, and the previous one comes back',
  async (loop) => {
    loop.built(crashing)
    const before = await loop.serving(v1)
    assert.equal(
      await loop.task('deploy-dev'),
      failed(`local: it crashed (exit status 3); the previous binary ${short(v1)} is back - ${next}`, crashLines),
    )
    assert.is.not(loop.pid(), before)
    loop.runs(loop.pid(), v1)
    await loop.clean()

    const pid = loop.pid()
    loop.built(v1)
    const stdout = `local: already running  pid N  ${short(v1)}  N.N s\n`
    assert.equal(await loop.task('deploy-dev'), { code: 0, stdout, stderr: where })
    loop.built(v2)
    assert.equal(await loop.task('deploy-dev'), delivered(v2))
    assert.not(proc.alive(pid))
  },
)

deploy(
  'a binary that crashes where nothing ran before leaves nothing running, and the next one mends it',
  async (loop) => {
    loop.built(crashing)
    await loop.up()
    const error = failed(`local: it crashed (exit status 3) and nothing runs there now - ${next}`, crashLines)
    assert.equal(await loop.task('deploy-dev'), error)
    assert.is(loop.receipt().result, 'crashed')
    assert.equal(await loop.task('deploy-dev'), error, 'sent again, since it does not run')
    loop.built(v1)
    assert.equal(await loop.task('deploy-dev'), delivered(v1))
  },
)

deploy('where the previous binary crashes too, both are told', async (loop) => {
  const flag = join(loop.dir, 'flag')
  await loop.serving(program({ version: 'v1', diesIf: flag }))
  writeFileSync(flag, '')
  loop.built(crashing)
  assert.equal(
    await loop.task('deploy-dev'),
    failed(
      `local: it crashed (exit status 3; the previous binary too: exit status 4) and nothing runs there now - ${next}`,
      'local | dies because of DIR/flag\n',
    ),
  )
})

deploy('what a dying program prints cannot reach into the terminal', async (loop) => {
  // the trailer says version: what it prints of it is hostile
  loop.built(program({ version: '\x1b]0;owned\x07\x1b[2J\x1b[31mred\rover\u009b5n', panics: true }))
  await loop.serving(v1)
  const { code, stdout, stderr } = await loop.task('deploy-dev')
  assert.equal({ code, stdout }, { code: 1, stdout: '' })
  assert.match(stderr, /^local \| panic: boom redover$/m)
  assert.not.match(stderr, /[\x00-\x08\x0b-\x1f\x7f-\x9f]/)
})

deploy('busy: whose upload it is, and since when', async (loop) => {
  loop.env.LIMIT = '20'
  loop.built(v2)
  const pid = await loop.serving(v1)
  const put = await halfAnUpload(loop, program({ version: 'v3' }))
  assert.equal(
    await loop.task('deploy-dev'),
    failed(
      `local: busy: another put is at work: alice@laptop since HH:MM:SS UTC; ${short(v1)} runs on - try again when it is done`,
    ),
  )
  loop.runs(pid, v1)
  put.child.stdin?.end()
  assert.is((await put.said).code, 3)
  await loop.clean()
  assert.equal(await loop.task('deploy-dev'), delivered(v2))
})

deploy('an upload that stands still for longer than LIMIT is taken over', async (loop) => {
  loop.env.LIMIT = '1'
  loop.built(v2)
  await loop.serving(v1)
  const put = await halfAnUpload(loop, program({ version: 'v3' }))
  await pause(2.2) // the age of a file is told in whole seconds
  assert.equal(await loop.task('deploy-dev'), delivered(v2))
  put.child.stdin?.end()
  const { code, stdout } = await put.said
  assert.is(code, 4)
  assert.match(stdout, /\n\nresult=busy\nreason=another put took over, as nothing had come for long/)
  loop.runs(loop.pid(), v2)
  await loop.clean()
})

deploy('Ctrl-C in the middle of an upload leaves nothing behind, and the next one works', async (loop) => {
  loop.built(v2)
  const pid = await loop.serving(v1)
  const go = join(loop.dir, 'go')
  const script = loop.copy.read('agent/hotswap-dev')
  loop.copy.file('agent/hotswap-dev.real', script)
  for (const whole of [true, false]) {
    // takes the header and the first bytes of the upload, and no more until the file is there
    loop.copy.file(
      'agent/hotswap-dev',
      `#!/bin/sh\n[ "$1" = put ] || exec sh "$0.real" "$@"\n{ IFS= read -r line && printf '%s\\n' "$line"; head -c 100000; until [ -e '${go}' ]; do sleep .05; done; cat; } | sh "$0.real" "$@"\n`,
    )
    const words = ['sh', 'tasks/run', 'deploy-dev']
    const running = loop.spawn(words, { detached: true })
    const part = `${loop.bin}-dev.part`
    await until('the upload is in its middle', () => existsSync(part) && statSync(part).size === 100_000)
    // from a terminal to the group; npm, and whoever knows its pid, to the task alone
    process.kill(whole ? -running.pid : running.pid, 'SIGINT')
    await pause(0.2)
    writeFileSync(go, '')
    assert.equal(await running.said, { code: 130, stdout: '', stderr: where })
    const left = () => loop.carriers().filter((process) => proc.group(process) === running.pid)
    await until('nothing of it is left', () => left().length === 0, 5) // but for the moment that the script above takes
    await loop.clean()
    loop.runs(pid, v1)
    rmSync(go)
  }
  loop.copy.file('agent/hotswap-dev', script)
  assert.equal(await loop.task('deploy-dev'), delivered(v2))
})

deploy('says so while an old process takes its time to end', async (loop) => {
  loop.env.LIMIT = '10'
  loop.built(v2)
  await loop.serving(program({ version: 'v1', delay: 2.5 }))
  const { child, said } = loop.launch('deploy-dev')
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  assert.equal(await said, delivered(v2))
  assert.match(stderr, /^local · .hotswap\/local\nlocal: waiting for the old process to end\n/)
})

deploy(
  'a folder that takes no file is told before a byte is sent',
  async (loop) => {
    loop.built(v2)
    loop.mount(dirname(loop.bin), 'size=16m')
    loop.installed(v1)
    loop.mounting(['-o', 'remount,ro', dirname(loop.bin)])
    await loop.up()
    await until('the program runs', () => loop.receipt().result === 'running')
    const pid = loop.pid()
    assert.equal(
      await loop.task('deploy-dev'),
      failed(
        'local: the binary there cannot be replaced: DIR/.hotswap/local/usr/local/bin is read-only - mount an emptyDir over its folder, or run as a user who may write there',
      ),
    )
    loop.runs(pid, v1)
  },
  { root: true },
)

deploy(
  'a full disk is told before a byte is sent, and also where it fills up meanwhile',
  async (loop) => {
    loop.built(program({ version: 'v2' }, 5_000_000))
    loop.mount(dirname(loop.bin), 'size=6m')
    const pid = await loop.serving(v1)
    const { code, stdout, stderr } = await loop.task('deploy-dev')
    assert.equal({ code, stdout }, { code: 1, stdout: '' })
    const told = /^error: local: disk full: the binary has 5\.0 MB, 3\.\d MB are free there - make room in the pod\n$/
    assert.match(stderr.replace(where, ''), told)
    loop.runs(pid, v1)

    loop.disguised('put', `sh "$real" "$@" | sed -u 's/^free=.*/free=900000000/'`)
    const later = await loop.task('deploy-dev')
    assert.is(later.code, 1)
    assert.match(
      later.stderr.replace(where, ''),
      new RegExp(
        `^error: local: rejected: disk full: 5000000 bytes are needed in DIR/\\S+/bin, 3\\d{6} are free; ${short(v1)} runs on - make room in the pod\n$`,
      ),
    )
    loop.runs(pid, v1)
    await loop.clean()
  },
  { root: true },
)

const older = `sh "$real" "$@" | while IFS= read -r line; do
  case $line in agent=*) line='agent=0.0.9 0' ;; esac
  printf '%s\\n' "$line"
done`

deploy('an agent that is older than the tasks is named', async (loop) => {
  loop.built(v2)
  const pid = await loop.serving(v1)
  loop.disguised('put', older)
  assert.equal(
    await loop.task('deploy-dev'),
    failed('local: the agent (0.0.9 0) is older than these tasks - run npm run switch-dev'),
  )
  loop.runs(pid, v1)
})

deploy.run()
