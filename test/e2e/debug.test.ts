// A debug session on the cluster, on one socket, with a service whose debug build has 40 MB: twenty swaps, one from a breakpoint, a crash, a plain build, a colleague's swap, and the end.
import { copyFileSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { root } from '../../tasks/lib/frame/root.ts'
import { checkout } from '../lib/checkout.ts'
import { DapClient, stopsAt, stopsInTheEnd } from '../lib/debugged.ts'
import { suite } from '../lib/suite.ts'
import { cluster } from './cluster.ts'
import { Debugging } from './debugging.ts'
import { deployOn, devPods, project, ways, type Project } from './project.ts'

const swaps = 20

const imports = '\t_ "k8s.io/apiserver/pkg/server/healthz"\n\t_ "go.etcd.io/etcd/client/v3"\n'

/** hello with what a real service links: it goes through the modules that test/cluster has already. */
function heavy({ checkout }: Project): void {
  for (const name of ['go.mod', 'go.sum']) checkout.file(name, readFileSync(join(root, 'test/cluster', name), 'utf8'))
  const main = checkout.read('examples/hello/main.go')
  checkout.file('examples/hello/main.go', main.replace('import (\n', `import (\n${imports}`))
}

for (const mode of ways) {
  const session = suite<{ it: Project; debug: Debugging; client: DapClient }>(
    `a debug session on the cluster with ${mode.title}`,
  )

  session.before(async (context) => {
    context.it = await project('debug', mode)
    heavy(context.it)
    await devPods(context.it)
    context.debug = new Debugging(context.it, (await cluster()).kubeconfig)
    context.debug.edit('value 0', 0)
    await context.debug.swap()
    await context.debug.begin()
    context.client = await context.debug.attach()
  })

  session.after(async ({ it, debug }) => {
    process.stderr.write(`--- debug-dev said\n${debug.talk}---\n`)
    await debug.end()
    await it.remove()
  })

  session(
    `${swaps} swaps: the breakpoint hits in the new code each time, where the edit has moved it`,
    async (context) => {
      const { client, debug } = context
      const waits: number[] = []
      for (let turn = 1; turn <= swaps; turn += 1) {
        debug.edit(`value ${turn}`, turn % 5)
        const before = client.configurations
        const receipt = await debug.swap()
        await client.until('armed again', () => client.configurations > before)
        waits.push(Date.now() - receipt)
        assert.equal(await stopsAt(client, () => debug.ask()), {
          reason: 'breakpoint',
          line: debug.line,
          value: `"value ${turn}"`,
          answer: `value ${turn}`,
        })
      }
      await client.until(
        'the last note',
        () => client.notes.filter((line) => line.includes('swapped:')).length === swaps,
      )
      const median = waits.sort((a, b) => a - b)[swaps / 2] ?? Infinity
      const megabytes = statSync(join(context.it.checkout.dir, 'bin/hello')).size / 1e6
      const what = `from the receipt to the armed session, a debug build of ${megabytes.toFixed(0)} MB`
      process.stderr.write(`\nmeasured: ${what}: median ${median} ms, longest ${waits.at(-1)} ms\n`)
      assert.ok(megabytes >= 40, what)
      assert.ok(median < 1500, `${median} ms`)
      assert.equal(client.events.filter(({ event }) => event === 'exited' || event === 'terminated').length, 0)
    },
  )

  session('a swap while the program is stopped at the breakpoint', async ({ client, debug }) => {
    const lost = debug.ask()
    assert.is((await client.stop('value')).reason, 'breakpoint')
    debug.edit('from a breakpoint', 7)
    const before = client.configurations
    await debug.swap()
    await client.until('armed again', () => client.configurations > before)
    assert.match(await lost, /^error: /)
    assert.equal(await stopsAt(client, () => debug.ask()), {
      reason: 'breakpoint',
      line: debug.line,
      value: '"from a breakpoint"',
      answer: 'from a breakpoint',
    })
  })

  session('a crash is rolled back under the session', async ({ client, debug, it }) => {
    // two imports less, one line more in main, one more in front of the breakpoint: it stands where the old code has it
    debug.edit('crashed', 8, '	os.Exit(3)\n')
    // where the cores are busy, 40 MB need 0.5 s until main (0.1 s else): with SETTLE over, the program would have lived
    it.checkout.file('examples/hello/main.go', it.checkout.read('examples/hello/main.go').replace(imports, ''))
    await debug.swap(1)
    await client.until('the note', () => client.notes.some((line) => /crashed .* is back/.test(line)))
    assert.is((await stopsInTheEnd(client, () => debug.ask())).value, '"from a breakpoint"')
  })

  session(
    'a plain build says how to get a debugger, and a debug build brings it back',
    async ({ client, debug, it }) => {
      debug.edit('plain', 2)
      await it.run('build')
      await it.run('deploy-dev')
      await client.until('the note', () =>
        client.notes.some((line) => line.includes('npm run build-debug && npm run deploy-dev')),
      )
      assert.is(await debug.ask(), 'plain')
      debug.edit('again', 3)
      const before = client.configurations
      await debug.swap()
      await client.until('armed again', () => client.configurations > before)
      assert.is((await stopsAt(client, () => debug.ask())).value, '"again"')
    },
  )

  session("a colleague's swap is told as one's own is, with their name", async ({ client, debug, it }) => {
    debug.edit('from a colleague', 4)
    await it.run('build-debug')
    const colleague = checkout()
    try {
      colleague.file('.env', it.checkout.read('.env'))
      copyFileSync(join(it.checkout.dir, 'bin/hello'), colleague.file('bin/hello', ''))
      const before = client.configurations
      const { code, stdout, stderr } = await deployOn('colleague', colleague, ['--take-over'])
      assert.is(code, 0, stdout + stderr)
      await client.until('the note', () => client.notes.some((line) => /swapped by \S+@colleague: /.test(line)))
      await client.until('armed again', () => client.configurations > before)
    } finally {
      colleague.remove()
    }
    assert.match(debug.talk, /swapped by \S+@colleague: /)
    assert.equal(await stopsAt(client, () => debug.ask()), {
      reason: 'breakpoint',
      line: debug.line,
      value: '"from a colleague"',
      answer: 'from a colleague',
    })
  })

  session('an IDE that is killed at the breakpoint: the service answers within 3 s', async ({ client, debug }) => {
    const hangs = debug.ask()
    await client.stop('value')
    const begin = Date.now()
    client.kill()
    assert.is(await hangs, 'from a colleague')
    process.stderr.write(`killed → answered: ${Date.now() - begin} ms\n`)
    assert.ok(Date.now() - begin < 3000, `${Date.now() - begin} ms`)
  })

  session.run()
}
