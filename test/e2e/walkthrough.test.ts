// The seed document's chapters in their order, on a real cluster: for a Debian base, for one that has busybox alone, and for
// an agent that is injected into an image that has nothing but the program.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { stopsAt } from '../lib/debugged.ts'
import { suite } from '../lib/suite.ts'
import { cluster, loadImage, until } from './cluster.ts'
import { Debugging } from './debugging.ts'
import { modes, production, project, timedDeploy, type Project } from './project.ts'

const limits = '            limits:\n              memory: 64Mi\n'

for (const mode of modes) {
  const { inject, folder, logs } = mode
  const walk = suite<{ it: Project }>(`walkthrough with ${mode.title}`)
  walk.before(async (context) => void (context.it = await project('walk', mode)))
  walk.after(async ({ it }) => it.remove())

  walk('the production deployment serves, and has no agent', async ({ it }) => {
    await production(it)
    const manifest = it.checkout.read('manifests/deployment.yml')
    it.checkout.file('manifests/deployment.yml', `${manifest}${limits}`)
    await it.kubectl(['apply', '-f', join(it.checkout.dir, 'manifests/deployment.yml')])
    await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
    const [pod = ''] = await it.pods()
    assert.match(await it.answer(pod), /^hello, version /)
    const { stdout, stderr } = await it.run('deploy-dev', [], { code: 1 })
    assert.is(stdout, '')
    assert.match(stderr, new RegExp(`error: ${pod}: no agent answers \\(.*\\) - run npm run switch-dev\n$`))
  })

  walk('container-dev builds the dev image, and prints it', async ({ it }) => {
    if (inject) {
      const { stderr } = await it.run('container-dev', [], { code: 2 })
      assert.match(stderr, /error: DEV_IMAGE is empty: there is no image to build/)
      return
    }
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
    assert.match(stdout, new RegExp(`^${pod}\\s+running `, 'm'))
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
        // without container-dev nothing here knows the binary that the pod begins with
        new RegExp(
          `^${pod}: [\\d.]+ ${inject ? 'M' : 'k'}B of [\\d.]+ MB  pid \\d+  \\S+ ${sha256.slice(0, 8)}  [\\d.]+ s\n$`,
        ),
      )
      assert.match(await it.answer(pod), /^good morning, version /)
      const { stdout: json } = await it.run('status-dev', ['--json'])
      const status: { sha256: string; proof: string; restarts: number } = JSON.parse(json)
      assert.equal([status.sha256, status.proof, status.restarts], [sha256, 'exe', 0])
    },
  )

  walk(
    'the log table stands in kubectl logs and in hotswap-dev.log, the output in hotswap-dev-hello.log',
    async ({ it }) => {
      const [pod = ''] = await it.pods()
      const rows = (text: string) => text.split('\n').filter((line) => /\tkilled & restarted\t/.test(line))
      const said = await it.kubectl(['logs', pod])
      assert.match(said, /^DATE\tTYPE\tUSER\tFILE\tMESSAGE\tEVENTS$/m)
      assert.match(
        rows(said)[0] ?? '',
        /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\tINFO\t(?:root|4321)\thello-dev\tkilled & restarted\tPUT$/,
      )
      const log = (name: string) => it.sh(pod, `while IFS= read -r line; do echo "$line"; done <${logs}/${name}.log`)
      assert.equal(rows(await log('hotswap-dev')), rows(said))
      assert.match(await log('hotswap-dev-hello'), /version \S+: ready on/)
    },
  )

  walk('a plain kubectl cp of BINARY-dev works too', async ({ it }) => {
    it.edit('good evening, version ')
    await it.run('build')
    const [pod = ''] = await it.pods()
    const binary = join(it.checkout.dir, 'bin/hello')
    // kubectl cp needs tar in the container, which a base of busybox has, and an image without a shell has not
    const copy = `/hotswap/bin/cat >${folder}/hello-dev; echo done`
    if (inject) assert.is(await it.sh(pod, copy, readFileSync(binary)), 'done\n')
    else await it.kubectl(['cp', binary, `${pod}:${folder}/hello-dev`])
    assert.match(await it.answer(pod, (body) => body.startsWith('good evening')), /^good evening, version /)
    // the row comes once the program has lived SETTLE
    await until('the row', 20, async () =>
      /\thello-dev\tkilled & restarted\tCREATE$/m.test(await it.kubectl(['logs', pod])),
    )
  })

  walk('an exec session outlives a swap, and the files are where the README says', async ({ it }) => {
    const [pod = ''] = await it.pods()
    const session = it.sh(pod, `${mode.shell.length > 1 ? '/hotswap/bin/busybox ' : ''}sleep 6; echo still here`)
    it.edit('good night, version ')
    await it.run('build')
    await it.run('deploy-dev')
    assert.match(await it.answer(pod), /^good night, version /)
    assert.is(await session, 'still here\n')
    const places = ['hello', 'hello-prev', '.hotswap-hello'].map((name) => `${folder}/${name}`)
    const all = [...places, `${logs}/hotswap-dev-hello.log`, `${logs}/hotswap-dev.log`]
    const there = 'for file; do [ ! -e "$file" ] || echo "$file"; done'
    const asked = (paths: readonly string[]) => it.sh(pod, `set -- ${paths.join(' ')}; ${there}`)
    assert.is(await asked(all), `${all.join('\n')}\n`)
    assert.is(await asked([`${folder}/hello-dev*`]), '')
  })

  walk('shell-dev runs what stdin says, with tools', async ({ it }) => {
    const { stdout } = await it.run('shell-dev', [], { input: `ls -d ${folder}/hello; exit\n` })
    assert.is(stdout, `${folder}/hello\n`)
  })

  walk('the agent of a manifest with -t5 swaps as well, and is more patient', async ({ it }) => {
    const dev = join(it.checkout.dir, 'manifests-dev/deployment-dev.yml')
    const patient = it.checkout
      .read('manifests-dev/deployment-dev.yml')
      .replace(/(command: \[.*?), -r,/, '$1, -t5, -r,')
    assert.match(patient, / -t5, /)
    it.checkout.file('manifests-dev/deployment-dev.yml', patient)
    await it.kubectl(['apply', '-f', dev])
    await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
    await it.run('switch-dev')
    await it.run('deploy-dev')
    const [pod = ''] = await it.pods()
    assert.match(await it.answer(pod), /^good night, version /)
    const state = `while read -r line; do echo "$line"; done <${folder}/.hotswap-hello/agent`
    assert.match(await it.sh(pod, state), /^limit=1500$/m)
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
      if (!inject) await it.sh(pod, `rm ${folder}/dlv`) // an image of one's own may have none
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

  walk('a breakpoint is hit under debug-dev', async ({ it }) => {
    it.edit('hello, version ')
    const debug = new Debugging(it, (await cluster()).kubeconfig)
    try {
      debug.edit('looked at', 1)
      await debug.swap()
      await debug.begin()
      const client = await debug.attach()
      assert.equal(await stopsAt(client, () => debug.ask()), {
        reason: 'breakpoint',
        line: debug.line,
        value: '"looked at"',
        answer: 'looked at',
      })
      client.kill()
    } finally {
      await debug.end()
    }
  })

  walk(
    'a container that was restarted is back on the binary of the image, or on yours where it has a volume',
    async ({ it }) => {
      const [pod = ''] = await it.pods()
      const restarts = () =>
        it.kubectl(['get', 'pod', pod, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}'])
      await it.sh(pod, 'kill -TERM 1').catch(() => undefined) // it takes the exec along
      await until('the new container', 60, async () => (await restarts()) === '1')
      assert.match(await it.answer(pod), inject ? /^looked at/ : /^hello, version /)
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
