// Pairs of the same change: deploy-dev, and kubectl cp with the classical agent, one after the other, over the same link.
import { spawn } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { delve } from '../tasks/lib/protocol/command.ts'
import { environment } from '../tasks/lib/frame/environment.ts'
import { root } from '../tasks/lib/frame/root.ts'
import { onEnd } from '../tasks/lib/frame/ending.ts'
import { say } from '../tasks/lib/frame/talk.ts'
import { cluster, podURL, until } from '../test/e2e/cluster.ts'
import { Link } from '../test/e2e/link.ts'
import { project, switched, type Project } from '../test/e2e/project.ts'
import { ended, type Ended } from '../test/lib/checkout.ts'
import { edits, Service, type Edit } from './edits.ts'
import { answered, deployment } from './pods.ts'

export const links = {
  direct: undefined,
  '50': { rate: 50e6 / 8, delay: 10 },
  '10': { rate: 10e6 / 8, delay: 20 },
} as const
export type LinkName = keyof typeof links
/** In their order; that of a literal's keys would have the numbers first. */
export const linkNames: readonly LinkName[] = ['direct', '50', '10']

export const sides = ['kubectl cp', 'deploy-dev'] as const
export type Side = (typeof sides)[number]

/** One comparison: so many pairs under the same conditions. */
export interface Cell {
  readonly link: LinkName
  readonly build: 'release' | 'debug'
  readonly replicas: number
  readonly pairs: number
  /** The CPU limit of the pods, as Kubernetes writes it; absent: none. */
  readonly cpu?: string
}

/** How one deploy went. */
export interface Sample extends Cell {
  readonly edit: Edit
  readonly side: Side
  readonly encoding: string
  /** Bytes of the binary. */
  readonly size: number
  /** From the command being typed to the new version answering, on all pods. */
  readonly seconds: number
  /** Bytes that went up the link; absent on the direct one. */
  readonly up?: number
  /** Seconds of processor time in each pod, of all that runs there, until the command had ended. */
  readonly used: number
}

const binary = '/usr/local/bin/service'
const classical = { release: 'classic', debug: 'classic-debug' } as const
const patience = 900 // seconds

/** Runs the cells in order; each sample is told at once. Without an encoding: raw on the direct link, else gzip. */
export async function pairs(
  cells: readonly Cell[],
  encoding: string | undefined,
  told: (sample: Sample) => void,
): Promise<void> {
  const it = await project('bench')
  onEnd(() => it.remove())
  const service = new Service(join(it.checkout.dir, 'service'))
  const settings = { GO_DIR: 'service', GO_MAIN: '.', BINARY: 'bin/service', BINARY_PATH: binary, VERSION_VAR: '' }
  it.set(settings)
  const most = Math.max(...cells.map(({ replicas }) => replicas))
  it.checkout.file('manifests/deployment.yml', deployment('hello', `local/${it.namespace}:1`, [binary]))
  await it.run('build', [], { limit: 600 })
  await switched(it)
  const agent = readFileSync(join(root, 'bench/classical-agent'), 'utf8')
  for (const [build, name] of Object.entries(classical)) {
    const wrapper = build === 'debug' ? delve(2345, false).replace(' {{binPath}} --', '').split(' ') : []
    const command = ['sh', '-c', agent, 'classical-agent', binary, ...wrapper]
    await it.kubectl(['apply', '-f', '-'], deployment(name, `local/${it.namespace}-dev:1`, command))
  }
  say(`${cells.reduce((sum, { pairs: count }) => sum + count, 0)} pairs, up to ${most} replicas`)

  for (const cell of cells) {
    for (const name of ['hello', ...Object.values(classical)]) {
      await it.kubectl(['set', 'resources', `deployment/${name}`, `--limits=cpu=${cell.cpu ?? 0}`])
      await it.kubectl(['rollout', 'status', `deployment/${name}`, '--timeout=300s'])
    }
    const apps = { 'deploy-dev': 'hello', 'kubectl cp': classical[cell.build] } as const
    const pods = {
      'deploy-dev': await scaled(it, 'hello', cell.replicas),
      'kubectl cp': await scaled(it, apps['kubectl cp'], cell.replicas),
    }
    const shape = links[cell.link]
    const link = shape === undefined ? undefined : await Link.open(shape)
    const direct = (await cluster()).kubeconfig
    const kubeconfig = link === undefined ? direct : it.checkout.file('link.json', link.kubeconfig)
    const task = cell.build === 'debug' ? 'build-debug' : 'build'
    // what runs before the first pair is of the same build, as in the middle of a day's work
    service.edit('line')
    await it.run(task, [], { limit: 600 })
    await finished(deployDev(it, direct, 'raw'))
    const chosen = encoding ?? (cell.link === 'direct' ? 'raw' : 'gzip')

    for (let pair = 0; pair < cell.pairs; pair += 1) {
      const edit = edits[pair % edits.length] ?? 'line'
      const answer = service.edit(edit)
      await it.run(task, [], { limit: 600 })
      const size = statSync(join(it.checkout.dir, 'bin/service')).size
      // each is first as often as second
      for (const side of pair % 2 === 0 ? sides : [...sides].reverse()) {
        const before = link?.up ?? 0
        const idle = await used(it, pods[side])
        const begin = performance.now()
        const commands =
          side === 'deploy-dev'
            ? [deployDev(it, kubeconfig, chosen)]
            : pods[side].map(({ name }) => copy(it, kubeconfig, name))
        const answers = pods[side].map(({ url }) => answered(url, answer, patience))
        const seconds = (Math.max(...(await Promise.all(answers))) - begin) / 1000
        await Promise.all(commands.map(finished))
        const up = link === undefined ? {} : { up: link.up - before }
        const cpu = { used: (await used(it, pods[side])) - idle }
        told({ ...cell, edit, side, encoding: side === 'deploy-dev' ? chosen : 'raw', size, seconds, ...up, ...cpu })
      }
    }
    link?.cut()
  }
}

/** npm run deploy-dev, as it is typed. */
const deployDev = (it: Project, kubeconfig: string, encoding: string) =>
  command(it, ['npm', 'run', 'deploy-dev', '--', '--encoding', encoding], kubeconfig)

const copy = (it: Project, kubeconfig: string, pod: string) =>
  command(it, ['kubectl', 'cp', 'bin/service', `${it.namespace}/${pod}:${binary}-dev`], kubeconfig)

function command(it: Project, [name = '', ...args]: readonly string[], KUBECONFIG: string): Promise<Ended> {
  const { PATH, HOME } = environment()
  const child = spawn(name, args, {
    cwd: it.checkout.dir,
    env: { PATH, HOME, KUBECONFIG },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onEnd(() => void child.kill())
  return ended(child, patience * 1000)
}

async function finished(command: Promise<Ended>): Promise<void> {
  const { code, stdout, stderr } = await command
  if (code !== 0) throw new Error(`a command of the bench ended with ${code}:\n${stdout}${stderr}`)
}

// version 1 of cgroups counts in nanoseconds, version 2 in microseconds
const count = `cd /sys/fs/cgroup && if [ -e cpuacct/cpuacct.usage ]; then read -r n <cpuacct/cpuacct.usage; echo $((n / 1000)); else read -r _ n <cpu.stat; echo "$n"; fi`

/** Seconds of processor time that a pod has used, on average. The exec that asks counts too, as much on both sides. */
async function used(it: Project, pods: readonly { readonly name: string }[]): Promise<number> {
  const counts = pods.map(async ({ name }) => Number(await it.kubectl(['exec', name, '--', 'sh', '-c', count])) / 1e6)
  return (await Promise.all(counts)).reduce((sum, each) => sum + each, 0) / pods.length
}

/** Brings a deployment to so many pods; returns them once they answer. */
async function scaled(it: Project, name: string, replicas: number) {
  await it.kubectl(['scale', `deployment/${name}`, `--replicas=${replicas}`])
  const template = '{{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}} {{end}}{{end}}'
  const args = [
    'get',
    'pods',
    '-l',
    `app=${name}`,
    '--field-selector=status.phase=Running',
    '-o',
    `go-template=${template}`,
  ]
  const names = await until(`${replicas} pods of ${name}`, 120, async () => {
    const found = (await it.kubectl(args)).split(' ').filter((pod) => pod !== '')
    return found.length === replicas && found
  })
  const pods = []
  for (const pod of names) pods.push({ name: pod, url: `${await podURL(it.namespace, pod, 8080)}/` })
  await Promise.all(pods.map(({ url }) => answered(url, '', patience)))
  return pods
}
