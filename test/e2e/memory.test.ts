// A container with a tight memory limit: a plain deploy never gets it killed, and Delve is not begun where it would be.
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { devPods, project, ways, type Project } from './project.ts'

for (const mode of ways) {
  const memory = suite<{ it: Project }>(`memory with ${mode.title}`)
  memory.before(async (context) => {
    const it = await project('memory', mode)
    context.it = it
    // hello takes 4 MiB; 32 more are what a deploy may count on
    const manifest = it.checkout.read('manifests/deployment.yml')
    it.checkout.file('manifests/deployment.yml', `${manifest}            limits:\n              memory: 36Mi\n`)
    await devPods(it)
    const limit = ['get', 'deployment', 'hello', '-o', 'jsonpath={..containers[0].resources.limits.memory}']
    assert.is(await it.kubectl(limit), '36Mi')
  })
  memory.after(async ({ it }) => it.remove())

  memory('ten plain deploys, raw and gzip, into 36 MiB: no container is killed', async ({ it }) => {
    const [pod = ''] = await it.pods()
    for (let turn = 1; turn <= 10; turn += 1) {
      it.edit(`turn ${turn}, version `)
      await it.run('build')
      await it.run('deploy-dev', ['--encoding', turn % 2 === 0 ? 'raw' : 'gzip'])
    }
    assert.match(await it.answer(pod), /^turn 10, version /)
    const restarts = ['get', 'pod', pod, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}']
    assert.is(await it.kubectl(restarts), '0')
  })

  memory(
    'a debug build for which Delve needs more is refused before a byte is sent, and the limit is named',
    async ({ it }) => {
      const [pod = ''] = await it.pods()
      await it.run('build-debug')
      const { stdout, stderr } = await it.run('deploy-dev', [], { code: 1 })
      assert.is(stdout, '')
      assert.match(
        stderr,
        new RegExp(
          `error: ${pod}: the memory limit of its container is 36 MiB, this binary takes \\d+ MiB for Delve, .* - raise resources\\.limits\\.memory in MANIFEST`,
        ),
      )
      assert.match(await it.answer(pod), /^turn 10, version /)
    },
  )

  memory.run()
}
