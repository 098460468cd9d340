// Ports that stay open over a swap, in real pods: a client that connects again and again, and the same without holding beside it.
import net from 'node:net'
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { cluster, podIP, until } from './cluster.ts'
import { devPods, project, ways, type Mode, type Project } from './project.ts'

const every = 5 // ms between two connections

// SWAPS=50 CRASHES=10 KILLS=10 npm run test:e2e -- hold: so many of each, for each way and build
const count = (name: string, otherwise: number) => Number(process.env[name] ?? otherwise)
const [swapCount, crashCount, killCount] = [count('SWAPS', 2), count('CRASHES', 1), count('KILLS', 1)]

/** One request on a connection of its own: nothing, or what went wrong. */
const ask = (host: string) =>
  new Promise<string>((resolve) => {
    let said = ''
    const socket = net.connect(8080, host, () => socket.write('GET / HTTP/1.0\r\n\r\n'))
    socket.on('data', (chunk: Buffer) => (said += chunk.toString()))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
    socket.on('close', () => resolve(said.startsWith('HTTP/1.0 200') ? '' : 'no answer'))
  })

/** A client until it is ended: how many asked, what went wrong how often, and how long one waited at most. */
function client(host: string) {
  const failed: Record<string, number> = {}
  const open = new Set<Promise<void>>()
  let asked = 0
  let longest = 0
  const one = async () => {
    const began = Date.now()
    const why = await ask(host)
    asked++
    if (why !== '') failed[why] = (failed[why] ?? 0) + 1
    longest = Math.max(longest, Date.now() - began)
  }
  const timer = setInterval(() => {
    const asking = one().finally(() => open.delete(asking))
    open.add(asking)
  }, every)
  return async () => {
    clearInterval(timer)
    await Promise.all(open)
    return { asked, failed, longest }
  }
}

const status = async (it: Project) =>
  JSON.parse((await it.run('status-dev', ['--json'])).stdout) as {
    pod: string
    pid: number
    holds: string
    run: string
  }

/** What one client meets over swaps and crashes that are rolled back, and another one over KILLs from elsewhere. */
async function eventful(it: Project, how: string, debug: boolean) {
  const build = debug ? 'build-debug' : 'build'
  const tag = `${how}${debug ? ', under Delve' : ''}`
  let edits = 0
  const swap = async () => {
    it.edit(`${tag} ${edits++} `)
    await it.run(build)
    await it.run('deploy-dev')
  }
  await swap() // of a helper that has only just come the next start knows
  const [pod = ''] = await it.pods()
  const host = await podIP(it.namespace, pod)
  const answers = () => until('an answer', 30, async () => (await ask(host)) === '')
  await answers()
  const overSwaps = client(host)
  for (let n = 0; n < swapCount; n++) await swap()
  const good = it.checkout.read('examples/hello/main.go')
  for (let n = 0; n < crashCount; n++) {
    const crash = `func main() {\n\tif true {\n\t\tos.Exit(${3 + n})\n\t}`
    it.checkout.file('examples/hello/main.go', good.replace('func main() {', crash))
    await it.run(build)
    await it.run('deploy-dev', [], { code: 1 })
  }
  it.checkout.file('examples/hello/main.go', good)
  await answers()
  const swaps = await overSwaps()
  const overKill = client(host)
  for (let n = 0; n < killCount; n++) {
    if (n > 0) await swap() // else the next start after a crash waits longer than ports are held
    const { pid, run } = await status(it)
    assert.is(run, debug ? 'wrapped' : 'plain')
    await it.sh(pod, `kill -KILL ${pid}`)
    await until('the program after a KILL', 60, async () => {
      const now = await status(it)
      return now.pid !== undefined && now.pid !== pid
    })
    await answers()
  }
  const kill = await overKill()
  process.stderr.write(`\nmeasured: ${it.mode.title}, ${tag}: ${JSON.stringify({ swaps, kill })}\n`)
  return { swaps, kill }
}

const titles = (mode: Mode) => (mode.inject ? `${mode.title}, PodSecurity restricted with RuntimeDefault` : mode.title)

for (const mode of ways) {
  const hold = suite<{ it: Project }>(`ports that stay open: ${titles(mode)}`)
  hold.before(async (context) => {
    context.it = await project('hold', mode)
    await devPods(context.it)
  })
  hold.after(async ({ it }) => it.remove())

  hold('nobody is refused over swaps, a rollback and a KILL, plain and under Delve', async ({ it }) => {
    if (!(await cluster()).owned) return // the pods of another cluster cannot be reached
    for (const debug of [false, true]) {
      const { swaps, kill } = await eventful(it, 'held', debug)
      assert.match((await status(it)).holds, /:8080\b/)
      assert.equal(swaps.failed, {})
      const { ECONNREFUSED: refused = 0, ...inFlight } = kill.failed // what a killed program was at is lost
      assert.is(refused, 0)
      assert.ok(Object.values(inFlight).reduce((a, b) => a + b, 0) <= 2 * killCount, JSON.stringify(inFlight))
    }
  })

  hold('with HOLD=0 they are refused, and status says why', async ({ it }) => {
    if (!(await cluster()).owned || mode.inject) return
    it.set({ HOLD: '0' })
    await it.run('generate-deployment-dev')
    await it.run('switch-dev')
    const { swaps, kill } = await eventful(it, 'not held', false)
    assert.is((await status(it)).holds, 'no (HOLD=0)')
    assert.ok((swaps.failed.ECONNREFUSED ?? 0) > 0)
    assert.ok((kill.failed.ECONNREFUSED ?? 0) > 0)
  })

  hold.run()
}
