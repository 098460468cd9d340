// A debug session on the cluster over what happens to the way there: a deleted pod, cut links, kills, and what is left then.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { DapClient, stopsAt } from '../lib/debugged.ts'
import { suite } from '../lib/suite.ts'
import { cluster, kubectl, tool, until } from './cluster.ts'
import { Debugging } from './debugging.ts'
import { Link } from './link.ts'
import { devPods, project, type Project } from './project.ts'

const session = suite<{ it: Project; debug: Debugging; client: DapClient; link: Link }>('the link of a debug session')

session.before(async (context) => {
  const { kubeconfig } = await cluster()
  context.it = await project('link')
  await devPods(context.it)
  context.debug = new Debugging(context.it, kubeconfig)
  context.debug.edit('one', 1)
  await context.debug.swap()

  context.link = await Link.open()
  const linked = context.it.checkout.file('kubeconfig', context.link.kubeconfig)
  await context.debug.begin([], linked)
  context.client = await context.debug.attach()
})

session.after(async ({ it, debug, link }) => {
  process.stderr.write(`--- debug-dev said\n${debug?.before}${debug?.talk}---\n`)
  await debug?.end()
  link?.cut()
  await it.remove()
})

session('a link that is closed, while the program is stopped: the session comes back', async (context) => {
  const { client, debug, link } = context
  assert.is((await stopsAt(client, () => debug.ask())).value, '"one"')
  const before = client.configurations
  const hangs = debug.ask()
  await client.stop('value')
  link.cut()
  const answer = await hangs
  link.mend()
  assert.is(answer, 'one', 'the pod lets the program go by itself')
  await client.until('armed again', () => client.configurations > before, 20)
  assert.is((await stopsAt(client, () => debug.ask())).value, '"one"')
})

session(
  'a link that is silent (a laptop that sleeps): the program is let go, and the session comes back',
  async (context) => {
    const { client, debug, link } = context
    const before = client.configurations
    const begin = Date.now()
    const hangs = debug.ask()
    await client.stop('value')
    link.silence()
    const answer = await hangs
    process.stderr.write(`silent → let go: ${Date.now() - begin} ms\n`)
    link.mend()
    assert.is(answer, 'one')
    await client.until('armed again', () => client.configurations > before, 40)
    assert.is((await stopsAt(client, () => debug.ask())).value, '"one"')
  },
)

session('a deleted pod: the session goes on with the one that takes its place', async ({ client, debug, it }) => {
  const [pod = ''] = await it.pods()
  const before = client.configurations
  await it.kubectl(['delete', 'pod', pod, '--wait=false'])
  await client.until('armed again', () => client.configurations > before, 60)
  const [next = ''] = await until('the next pod', 30, async () => {
    const pods = await it.pods()
    return pods.length === 1 && pods[0] !== pod ? pods : undefined
  })
  await client.until(
    'the note',
    () => client.notes.some((line) => line.startsWith(`${next}: this pod is debugged from now on`)),
    30,
  )
  debug.edit('two', 2)
  const count = client.configurations
  await debug.swap()
  await client.until('armed again', () => client.configurations > count)
  const { line, value } = await stopsAt(client, () => debug.ask())
  assert.equal([line, value], [debug.line, '"two"'])
})

session('dlv connect finds the same port before and after a swap', async ({ client, debug, it }) => {
  await client.request('disconnect', {})
  const tools = join(it.checkout.dir, '.hotswap/tools')
  const dlv = join(tools, readdirSync(tools).find((name) => name.startsWith('dlv-')) ?? '')
  const init = it.checkout.file('init', 'funcs ^main.greeting$\nexit -c\n')
  // not spawnSync: the link is in this process
  const connected = () => tool(dlv, ['connect', `127.0.0.1:${debug.port}`, '--init', init], { limit: 30 })
  assert.match(await connected(), /main\.greeting/)
  debug.edit('three', 3)
  await debug.swap()
  assert.match(await connected(), /main\.greeting/)
  assert.is(await debug.ask(), 'three')
})

session('debug-dev is killed at a breakpoint: the service answers, and no kubectl is left', async ({ debug, it }) => {
  const client = await debug.attach()
  const hangs = debug.ask()
  await client.stop('value')
  const begin = Date.now()
  process.kill(debug.pid, 'SIGKILL')
  assert.is(await hangs, 'three')
  process.stderr.write(`debug-dev killed → answered: ${Date.now() - begin} ms\n`)
  const left = () =>
    spawnSync('ps', ['-eo', 'pid,args'], { encoding: 'utf8' })
      .stdout.split('\n')
      .filter((line) => line.includes('kubectl') && line.includes(it.namespace) && !line.includes(' delete '))
  await until(
    () => `the children of debug-dev to end: ${left().join('; ')}`,
    10,
    async () => left().length === 0,
  )
  const inPod = await kubectl([
    '-n',
    it.namespace,
    'exec',
    'deployment/hello',
    '--',
    'sh',
    '-c',
    'cat /proc/[0-9]*/cmdline',
  ])
  assert.not.match(inPod.replace(/cat \/proc.*/, ''), /debug-guard/)
})

session('two replicas: the newest is taken, the other is named, and --pod takes it', async ({ debug, it }) => {
  await it.kubectl(['scale', 'deployment/hello', '--replicas=2'])
  await until('two pods', 60, async () => (await it.pods()).length === 2)
  await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
  const [newest = '', other = ''] = await it.pods()
  await debug.begin()
  assert.match(debug.talk, new RegExp(`^${newest}: Delve's port there is 2345$`, 'm'))
  assert.match(debug.talk, new RegExp(`^${other}: also receive requests, .*--pod ${other}$`, 'm'))
  await debug.end()
  await debug.begin(['--pod', other])
  assert.match(debug.talk, new RegExp(`^${other}: Delve's port there is 2345$`, 'm'))
  await debug.end()
  const { stderr } = await it.run('debug-dev', ['--pod', 'nobody'], { code: 1 })
  assert.match(stderr, new RegExp(`error: there is no dev pod nobody: there are ${newest}, ${other}\n$`))
})

session.run()
