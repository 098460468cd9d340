import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import * as assert from 'uvu/assert'
import { cases, until, type Loop } from '../lib/loop.ts'
import { pace, tookLess } from '../lib/pace.ts'

const demo = cases('demo')

const limit = 110_000 // ms

/** A checkout under git with a settings file that the demo must not heed, and a folder for temporary files. */
async function prepared(loop: Loop) {
  loop.copy.file('.env', 'TARGET=kubernetes\nKUBE_CONTEXT=nowhere\nGO_MAIN=./nothing\nwhat is this\n')
  loop.copy.file('.gitignore', 'node_modules\n.hotswap/tasks\nfakes\ntmp\n')
  loop.copy.file('tmp/.keep', '')
  const tmp = join(loop.dir, 'tmp')
  const git = (...args: string[]) =>
    loop.spawn(['git', '-c', 'user.name=t', '-c', 'user.email=t@localhost', ...args]).said
  for (const args of ['init -q', 'add .', 'commit -q -m x']) assert.is((await git(...args.split(' '))).code, 0)
  const state = async () =>
    (await git('status', '--porcelain', '--ignored')).stdout + (await git('log', '--oneline')).stdout
  await loop.task('demo', ['--help']) // compiles it
  const before = await state()
  return {
    tmp,
    async isUnchanged() {
      assert.is(await state(), before, 'the checkout is unchanged, what git ignores too')
      const left = readdirSync(tmp).filter((name) => name !== '.keep')
      assert.equal(left, [], 'no temporary file is left')
      await loop.quiet()
    },
  }
}

/** The output with what differs from run to run replaced. */
const steady = (stdout: string) =>
  stdout
    .replace(/hotswap-demo-\w+/g, 'SCRATCH')
    .replace(/\b[0-9a-f]{64}\b/g, 'SHA256')
    .replace(/\b[0-9a-f]{8}\b/g, 'SHA8')
    .replace(/\d+\.\d MB/g, 'N.N MB')
    .replace(/pid=\d+/g, 'pid=N')
    .replace(/by=\S+/g, 'by=USER@HOST')
    .replace(/main\.go:\d+/g, 'main.go:N')

const receipt = (version: string) =>
  `sent N.N MB in N.N s. The receipt, made by the agent from the process that runs now:
  result=running
  pid=N
  sha256=SHA256
  proof=exe
  started=YYYY-MM-DDTHH:MM:SSZ
  version=${version}
  by=USER@HOST
`

demo('plays the whole job, explains it, and leaves nothing behind', async (loop) => {
  const { tmp, isUnchanged } = await prepared(loop)
  const begin = performance.now()
  const { code, stdout, stderr } = await loop.task('demo', [], { env: { TMPDIR: tmp }, limit })
  const took = (performance.now() - begin) / 1000
  assert.is(code, 0, stderr)
  assert.is(
    steady(stdout),
    `hotswap-dev replaces the binary inside a running pod. This demo plays it through on this machine: a scratch copy of
examples/hello is the service, the folder DIR/tmp/SCRATCH is the pod.

1. Build the service, as npm run build does
DIR/tmp/SCRATCH/bin/hello  v1  N.N MB  SHA8  N.N s

2. Start the agent, the main process of a dev pod; it waits for a binary, and gets the one just built
${receipt('v1')}GET / answers: hello, version v1

3. Edit a line
main.go:N: "hello, version " becomes "good morning, version "

4. Build and deploy: only the process is replaced, the pod stays
DIR/tmp/SCRATCH/bin/hello  v2  N.N MB  SHA8  N.N s
${receipt('v2')}GET / answers: good morning, version v2

5. Deploy a version that panics at its start
main.go:N: addr := flag becomes panic("a bug"); addr := flag
DIR/tmp/SCRATCH/bin/hello  v3  N.N MB  SHA8  N.N s
local: it crashed (exit status 2); the previous binary v2 SHA8 is back - fix it, then npm run build and npm run deploy-dev
GET / answers: good morning, version v2

That is the job. With a cluster, the same commands do it in a real pod; README.md says how.
`,
  )
  assert.match(
    stderr,
    /^local \| panic: a bug\nlocal \| \nlocal \| goroutine 1 \[running\]:\nlocal \| main\.main\(\)\nlocal \| \t\S+main\.go:\d+ \S+\n$/,
  )
  assert.ok(await tookLess(took / pace, 60), `it took ${took} s`)
  await isUnchanged()
})

demo('works where git fails, and says that there is no version', async (loop) => {
  loop.copy.fake('git', 'exit 1')
  const TMPDIR = dirname(loop.copy.file('tmp/.keep', ''))
  const { code, stdout, stderr } = await loop.task('demo', [], { env: { TMPDIR }, limit })
  assert.is(code, 0, stderr)
  assert.match(stderr, /^the version is 'unknown': git describe ended with 1$/m)
  assert.match(stdout, /GET \/ answers: good morning, version unknown\n\nThat is the job/)
})

demo('under a hook of git, whose variables name a repository, it leaves that one alone', async (loop) => {
  const { tmp, isUnchanged } = await prepared(loop)
  const GIT_DIR = join(loop.dir, '.git')
  const env = { TMPDIR: tmp, GIT_DIR, GIT_WORK_TREE: loop.dir, GIT_INDEX_FILE: join(GIT_DIR, 'index') }
  const { code, stderr } = await loop.task('demo', [], { env, limit })
  assert.is(code, 0, stderr)
  await isUnchanged()
})

demo('Ctrl-C ends what it started and takes its folder away', async (loop) => {
  const { tmp, isUnchanged } = await prepared(loop)
  for (const moment of ['1. Build', '4. Build']) {
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, ...loop.env, TMPDIR: tmp }
    const running = loop.spawn(['sh', 'tasks/run', 'demo'], { detached: true, env })
    let stdout = ''
    running.child.stdout?.on('data', (chunk: Buffer) => void (stdout += chunk.toString()))
    await until(moment, () => stdout.includes(moment), 60)
    process.kill(-running.pid, 'SIGINT')
    const { code, stderr } = await running.said
    assert.equal({ code, stderr }, { code: 130, stderr: '' }, moment)
    await isUnchanged()
  }
})

demo.run()
