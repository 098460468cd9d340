// The seed document's chapters in their order, on a real cluster, for a Debian base and one that has busybox alone.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { loadImage, until } from './cluster.ts'
import { production, project, timedDeploy, type Project } from './project.ts'

for (const base of ['local/debian:1', 'local/busybox:1']) {
  const walk = suite<{ it: Project }>(`walkthrough on ${base}`)
  walk.before(async (context) => void (context.it = await project('walk', base)))
  walk.after(async ({ it }) => it.remove())

  walk('the production deployment serves, and has no agent', async ({ it }) => {
    await production(it, base)
    await it.kubectl(['apply', '-f', join(it.checkout.dir, 'manifests/deployment.yml')])
    await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
    const [pod = ''] = await it.pods()
    assert.match(await it.answer(pod), /^hello, version /)
    const { stdout, stderr } = await it.run('deploy-dev', [], { code: 1 })
    assert.is(stdout, '')
    assert.match(stderr, new RegExp(`error: ${pod}: no agent answers \\(.*\\) - run npm run switch-dev\n$`))
  })

  walk('container-dev builds the dev image, and prints it', async ({ it }) => {
    const { stdout } = await it.run('container-dev', [], { limit: 300 })
    assert.is(stdout, `local/${it.namespace}-dev:1\n`)
    await loadImage(`local/${it.namespace}-dev:1`)
  })

  walk('generate-deployment-dev writes the dev manifest, and again the same', async ({ it }) => {
    const { stdout, stderr } = await it.run('generate-deployment-dev')
    assert.is(stdout, 'manifests-dev/deployment-dev.yml\n')
    assert.match(stderr, /1 of 1 containers changed\n$/)
  })

  walk('switch-dev brings up the dev pod, whose agent answers', async ({ it }) => {
    const { stderr } = await it.run('switch-dev')
    const [pod = ''] = await it.pods()
    assert.match(stderr, new RegExp(`${pod}: the agent answers \\(running, agent `))
    assert.match(await it.answer(pod), /^hello, version /)
    const { stdout } = await it.run('status-dev')
    assert.match(stdout, new RegExp(`^${pod} +hello +\\S+ +running `, 'm'))
  })

  walk(
    'an edit, build and deploy-dev: the pod serves the new version, and the receipt names the file',
    async ({ it }) => {
      it.edit('good morning, version ')
      await it.run('build')
      const sha256 = createHash('sha256')
        .update(readFileSync(join(it.checkout.dir, 'bin/hello')))
        .digest('hex')
      const { stdout } = await timedDeploy(it, 'good morning, version ', ['--encoding', 'delta'])
      const [pod = ''] = await it.pods()
      assert.match(
        stdout,
        new RegExp(`^${pod}: [\\d.]+ kB of [\\d.]+ MB  pid \\d+  \\S+ ${sha256.slice(0, 8)}  [\\d.]+ s\n$`),
      )
      assert.match(await it.answer(pod), /^good morning, version /)
      const { stdout: json } = await it.run('status-dev', ['--json'])
      const status: { sha256: string; proof: string; restarts: number } = JSON.parse(json)
      assert.equal([status.sha256, status.proof, status.restarts], [sha256, 'exe', 0])
    },
  )

  walk('the log table stands in kubectl logs and in hotswap-dev.log, the output in hello.log', async ({ it }) => {
    const [pod = ''] = await it.pods()
    const rows = (text: string) => text.split('\n').filter((line) => /\tkilled & restarted\t/.test(line))
    const logs = await it.kubectl(['logs', pod])
    assert.match(logs, /^DATE\tTYPE\tUSER\tFILE\tMESSAGE\tEVENTS$/m)
    assert.match(
      rows(logs)[0] ?? '',
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\tINFO\troot\thello-dev\tkilled & restarted\tPUT$/,
    )
    assert.equal(rows(await it.kubectl(['exec', pod, '--', 'cat', '/hotswap-dev.log'])), rows(logs))
    assert.match(await it.kubectl(['exec', pod, '--', 'cat', '/hello.log']), /version \S+: ready on/)
  })

  walk('a plain kubectl cp of BINARY-dev works too', async ({ it }) => {
    // kubectl cp needs tar in the container, which a base of busybox has
    it.edit('good evening, version ')
    await it.run('build')
    const [pod = ''] = await it.pods()
    await it.kubectl(['cp', join(it.checkout.dir, 'bin/hello'), `${pod}:/usr/local/bin/hello-dev`])
    assert.match(await it.answer(pod, (body) => body.startsWith('good evening')), /^good evening, version /)
    // the row comes once the program has lived SETTLE
    await until('the row', 20, async () =>
      /\thello-dev\tkilled & restarted\tCREATE$/m.test(await it.kubectl(['logs', pod])),
    )
  })

  walk('an exec session outlives a swap, and the files are where the README says', async ({ it }) => {
    const [pod = ''] = await it.pods()
    const session = it.kubectl(['exec', pod, '--', 'sh', '-c', 'sleep 6; echo still here'])
    it.edit('good night, version ')
    await it.run('build')
    await it.run('deploy-dev')
    assert.match(await it.answer(pod), /^good night, version /)
    assert.is(await session, 'still here\n')
    const places = ['', '-prev'].map((end) => `/usr/local/bin/hello${end}`)
    const logs = ['/hello.log', '/hotswap-dev.log', '/usr/local/bin/.hotswap-hello']
    const all = [...places, ...logs]
    assert.is(await it.kubectl(['exec', pod, '--', 'ls', '-d', ...all]), `${[...all].sort().join('\n')}\n`)
    const left = await it.kubectl(['exec', pod, '--', 'ls', '/usr/local/bin'])
    assert.not.match(left, /^hello-dev/m)
  })

  walk('the agent of a manifest with -t5 swaps as well, and is more patient', async ({ it }) => {
    const dev = join(it.checkout.dir, 'manifests-dev/deployment-dev.yml')
    const patient = it.checkout
      .read('manifests-dev/deployment-dev.yml')
      .replace('[hotswap-dev, -r,', '[hotswap-dev, -t5, -r,')
    assert.match(patient, /\[hotswap-dev, -t5, /)
    it.checkout.file('manifests-dev/deployment-dev.yml', patient)
    await it.kubectl(['apply', '-f', dev])
    await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
    await it.run('switch-dev')
    await it.run('deploy-dev')
    const [pod = ''] = await it.pods()
    assert.match(await it.answer(pod), /^good night, version /)
    assert.match(await it.kubectl(['exec', pod, '--', 'cat', '/usr/local/bin/.hotswap-hello/agent']), /^limit=1500$/m)
  })

  walk('a crash is rolled back, and says its last words', async ({ it }) => {
    const main = it.checkout.read('examples/hello/main.go')
    it.checkout.file('examples/hello/main.go', main.replace('addr := flag', 'panic("a bug")\n\taddr := flag'))
    await it.run('build')
    const { stderr } = await it.run('deploy-dev', [], { code: 1 })
    it.checkout.file('examples/hello/main.go', main)
    const [pod = ''] = await it.pods()
    assert.match(stderr, new RegExp(`${pod} \\| panic: a bug\n`))
    assert.match(stderr, /error: .* it crashed \(exit status 2\); the previous binary .* is back - fix it/)
    assert.match(await it.answer(pod), /^good night, version /)
  })

  walk(
    'a debug build runs under Delve, which is sent where there is none, and crashes are rolled back there too',
    async ({ it }) => {
      const [pod = ''] = await it.pods()
      await it.kubectl(['exec', pod, '--', 'rm', '/usr/local/bin/dlv']) // an image of one's own may have none
      it.edit('debugged, version ')
      await it.run('build-debug')
      const { stderr: sent } = await it.run('deploy-dev')
      assert.match(sent, new RegExp(`${pod}: has no dlv: [\\d.]+ MB are sent, once\n`))
      assert.match(await it.answer(pod), /^debugged, version /)
      const { stdout } = await it.run('status-dev', ['--json'])
      assert.is(JSON.parse(stdout).run, 'wrapped')
      assert.not.match((await it.run('deploy-dev')).stderr, /dlv/)
      const main = it.checkout.read('examples/hello/main.go')
      it.checkout.file('examples/hello/main.go', main.replace('addr := flag', 'os.Exit(3)\n\taddr := flag'))
      await it.run('build-debug')
      const { stderr } = await it.run('deploy-dev', [], { code: 1 })
      it.checkout.file('examples/hello/main.go', main)
      assert.match(stderr, /error: .* it crashed \(.*\); the previous binary .* is back/)
      assert.match(await it.answer(pod), /^debugged, version /)
    },
  )

  walk('switch-prod brings the production pod back, and kubectl diff is empty', async ({ it }) => {
    await it.run('switch-prod')
    const [pod = ''] = await it.pods()
    assert.match(await it.answer(pod), /^hello, version /)
    assert.is(await it.kubectl(['diff', '-f', join(it.checkout.dir, 'manifests/deployment.yml')]), '')
  })

  walk.run()
}
