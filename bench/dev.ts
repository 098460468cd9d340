// Measures the daily loop on the test cluster: from saving a file to the new version answering in all pods, against the
// plain go build of the same edit; then many edits with saves at random moments, and what they leave behind.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { goBuildArgs } from '../tasks/lib/go/go.ts'
import { goBuildEnv } from '../tasks/lib/go/go-env.ts'
import { defaults } from '../tasks/lib/settings/table.ts'
import { environment } from '../tasks/lib/frame/environment.ts'
import { task } from '../tasks/lib/frame/task.ts'
import { onEnd } from '../tasks/lib/frame/ending.ts'
import { print, say, UserError } from '../tasks/lib/frame/talk.ts'
import { run } from '../tasks/lib/frame/tools.ts'
import { cluster, kubectl, podURL, until } from '../test/e2e/cluster.ts'
import { Link } from '../test/e2e/link.ts'
import { project, switched, type Project } from '../test/e2e/project.ts'
import { Service } from './edits.ts'
import { linkNames, links } from './pairs.ts'
import { answered, deployment } from './pods.ts'
import { median } from './report.ts'

const about = {
  name: 'bench/dev',
  summary: 'measures the daily loop on the test cluster, with a service that links client-go',
  options: {
    edits: { type: 'string', value: 'N', help: 'edits that are timed; default: 10' },
    replicas: { type: 'string', value: 'N', help: 'pods; default: 1' },
    encoding: { type: 'string', value: 'NAME', help: 'how dev sends: raw, gzip, delta; default: auto' },
    link: { type: 'string', value: 'NAME', help: 'direct, 50 or 10 (Mbit/s); default: direct' },
    storm: { type: 'string', value: 'N', help: 'edits in a row with random saves during the builds; default: 0' },
  },
} as const

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const s = (ms: number) => (ms / 1000).toFixed(2)

await task(about, async ({ flags }) => {
  const number = (name: 'edits' | 'replicas' | 'storm', otherwise: number) => Number(flags[name] ?? otherwise)
  const it = await project('devloop')
  onEnd(() => it.remove())
  const service = new Service(join(it.checkout.dir, 'service'))
  const settings = { GO_DIR: 'service', GO_MAIN: '.', BINARY: 'bin/service', BINARY_PATH: '/usr/local/bin/service' }
  it.set({ ...settings, VERSION_VAR: '', ENCODING: String(flags.encoding ?? 'auto') })
  const replicas = number('replicas', 1)
  it.checkout.file(
    'manifests/deployment.yml',
    deployment('hello', `local/${it.namespace}:1`, [settings.BINARY_PATH], replicas),
  )
  await it.run('build', [], { limit: 600 })
  await switched(it)
  const urls = await until('the pods', 60, async () => {
    const names = await it.pods()
    return names.length === replicas && Promise.all(names.map((name) => podURL(it.namespace, name, 8080)))
  })

  const { PATH, HOME } = environment()
  const name = linkNames.find((each) => each === (flags.link ?? 'direct'))
  if (name === undefined) throw new UserError(`--link is ${linkNames.join(', ')}`, 2)
  const shape = links[name]
  const link = shape === undefined ? undefined : await Link.open(shape)
  if (link !== undefined) onEnd(() => link.cut())
  const KUBECONFIG = link === undefined ? (await cluster()).kubeconfig : it.checkout.file('link.json', link.kubeconfig)
  const dev = spawn('sh', ['tasks/run', 'dev', '--json'], {
    cwd: it.checkout.dir,
    env: { PATH, HOME, KUBECONFIG },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  onEnd(() => void dev.kill())
  const events: Record<string, unknown>[] = []
  let rest = ''
  dev.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    events.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>))
  })
  const edits = () => events.filter(({ event }) => event === 'edit')
  await until('the first edit', 120, async () => edits().length > 0)

  const [plain, loop]: [number[], number[]] = [[], []]
  for (let turn = 0; turn < number('edits', 10); turn += 1) {
    await pause(1500)
    const before = edits().length
    const begin = performance.now()
    const answer = service.edit('line')
    await Promise.all(urls.map((url) => answered(`${url}/`, answer, 60)))
    loop.push(performance.now() - begin)
    await until('the end of the edit', 60, async () => edits().length > before)
    const { build, send, swap, seconds } = edits().at(-1) ?? {}
    dev.kill('SIGSTOP') // so that the plain build has the machine for itself
    service.edit('line')
    plain.push(await plainBuild(it))
    const [whole, bare] = [loop.at(-1) ?? 0, plain.at(-1) ?? 0]
    print(
      `edit ${turn + 1}: saving to answering ${s(whole)} s, plain go build ${s(bare)} s, over it ${s(whole - bare)} s (dev says ${String(seconds)}: build ${String(build)}, send ${String(send)}, swap ${String(swap)})`,
    )
    const told = edits().length
    dev.kill('SIGCONT')
    await until('the edit of the plain build', 60, async () => edits().length > told)
  }
  if (loop.length > 0)
    print(
      `median of ${loop.length}: saving to answering ${s(median(loop))} s, plain go build ${s(median(plain))} s, over it ${s(median(loop.map((ms, at) => ms - (plain[at] ?? 0))))} s`,
    )

  const storm = number('storm', 0)
  if (storm > 0) {
    print(`before: ${await inUse(it)}`)
    let answer = ''
    for (let turn = 0; turn < storm; turn += 1) {
      answer = service.edit('line')
      await pause(Math.random() < 0.5 ? Math.random() * 1500 : 2500)
      if ((turn + 1) % 25 === 0) say(`${turn + 1} edits: ${await inUse(it)}`)
    }
    const begin = performance.now()
    await Promise.all(urls.map((url) => answered(`${url}/`, answer, 60)))
    print(
      `after ${storm} edits: the newest answers in ${urls.length} pods ${s(performance.now() - begin)} s after the last`,
    )
    await pause(5000)
    print(`after: ${await inUse(it)}`)
    const results = edits().map(({ result }) => String(result))
    print(
      `edits told: ${[...new Set(results)].map((word) => `${results.filter((each) => each === word).length} ${word}`).join(', ')}`,
    )
  }
})

/** The same build, by go alone; returns milliseconds. */
async function plainBuild(it: Project): Promise<number> {
  const output = join(it.checkout.dir, 'bin/plain')
  const args = goBuildArgs({ ...defaults(), goMain: '.', versionVar: '' }, { debug: false, version: '', output })
  const env = goBuildEnv(environment(), process.arch === 'x64' ? 'amd64' : 'arm64')
  const begin = performance.now()
  await run('go', args, { cwd: join(it.checkout.dir, 'service'), env, output: 'show' })
  return performance.now() - begin
}

/** Processes and memory of the agents and their children but the program, in each pod. */
async function inUse(it: Project): Promise<string> {
  const script =
    'n=0 kb=0; for p in /proc/[0-9]*; do read -r name <$p/comm || continue; [ "$name" != service ] || continue; n=$((n+1)); while read -r k v _; do [ "$k" != VmRSS: ] || kb=$((kb+v)); done <$p/status; done 2>/dev/null; echo "$n processes, $kb kB"'
  const told = []
  for (const pod of await it.pods())
    told.push((await kubectl(['-n', it.namespace, 'exec', pod, '--', 'sh', '-c', script])).trim())
  return told.join('; ')
}
