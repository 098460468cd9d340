// The kubernetes target: kubectl's words, what its answers mean, and which of a pod's containers runs the agent.
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { meaning } from './complaint.ts'
import { at, text } from './json.ts'
import { sorted } from './pods.ts'
import { workloadObjects } from './remembered.ts'
import { namespacesOf, type Meaning } from './selection.ts'
import { environment, type Settings } from './settings.ts'
import { start, UserError } from './task.ts'
import type { Forward, LeftOut, Target } from './target.ts'
import { find, need } from './tools.ts'

/** A cluster, resolved once per task, so that a switch of context in another window changes nothing. */
export interface Cluster {
  readonly context: string
  readonly namespace: string
  /** Named and addressed like a cluster on this machine. */
  readonly local: boolean
  /** Throws UserError (2) unless the context is a local one or KUBE_CONTEXT names it: to be called before each change. */
  readonly guard: () => void
  /** Runs kubectl there and returns its stdout. Throws UserError that says what it means. */
  readonly read: (args: readonly string[], input?: string) => Promise<string>
}

const timeout = '--request-timeout=20s'
const watchPause = 2_000 // ms before a watch that has ended is begun again
const localNames = /^(kind-.*|k3d-.*|minikube|docker-desktop|rancher-desktop|colima.*|orbstack|microk8s)$/

/** The cluster that the settings name. Throws UserError. */
export async function cluster(settings: Settings): Promise<Cluster> {
  need('kubectl', 'to reach the pods')
  const named = settings.kubeContext
  // config view works without a connection; the manifest is read meanwhile
  const [view, inManifest] = await Promise.all([
    kubectl(['config', 'view', '--minify', '-o', 'json', ...(named === '' ? [] : ['--context', named])]).catch(
      noContext,
    ),
    namespacesIn([settings.manifestDev, settings.manifest], settings),
  ])
  const config: unknown = JSON.parse(view)
  const context = text(config, 'current-context') || named
  const server = text(at(config, 'clusters', 0), 'cluster', 'server')
  const local = localNames.test(context) && isLocalServer(server)
  const namespace = namespaceOf(
    settings,
    inManifest,
    text(at(config, 'contexts', 0), 'context', 'namespace') || 'default',
  )
  return {
    context,
    namespace,
    local,
    guard: () => {
      if (named === '' && !local)
        throw new UserError(
          `context ${context} (${server}) is not a cluster of this machine - if you mean to change it, put KUBE_CONTEXT=${context} in .env`,
          2,
        )
    },
    read: (args, input) => kubectl(['--context', context, '--namespace', namespace, timeout, ...args], input),
  }
}

/** KUBE_CONTEXT, else the current context; empty where there is none, or no kubectl. */
export async function contextOf({ kubeContext }: Pick<Settings, 'kubeContext'>): Promise<string> {
  if (kubeContext !== '' || find('kubectl') === undefined) return kubeContext
  return kubectl(['config', 'current-context']).then(
    (name) => name.trim(),
    () => '',
  )
}

/** What there is to choose from, in the place of where to look for it. */
async function noContext(error: unknown): Promise<never> {
  if (!(error instanceof UserError) || !error.message.includes('kubectl config get-contexts')) throw error
  const names = (await kubectl(['config', 'get-contexts', '-o', 'name'])).trim().split('\n').join(', ')
  const { KUBECONFIG = '' } = environment()
  const where = KUBECONFIG === '' ? 'is KUBECONFIG set?' : `is KUBECONFIG right? It is ${KUBECONFIG}`
  const there = names === '' ? `there is none: ${where}` : `there are ${names}`
  throw new UserError(error.message.replace(/ - (?=see kubectl config)/, `: ${there} - `))
}

/** Loopback, private (RFC 1918, RFC 4193, link-local) or a name that only a local network knows. */
export function isLocalServer(server: string): boolean {
  let host: string
  try {
    host = new URL(server).hostname.replace(/^\[|\]$/g, '').toLowerCase()
  } catch {
    return false
  }
  if (host === 'localhost' || /\.(internal|local|localhost)$/.test(host)) return true
  if (isIP(host) === 4) return /^(127|10)\.|^192\.168\.|^172\.(1[6-9]|2\d|3[01])\.|^169\.254\./.test(host)
  return isIP(host) === 6 && /^(::1$|f[cd]|fe[89ab])/.test(host)
}

interface Named {
  readonly manifest: string
  readonly found: readonly string[]
}

/** Those that the first manifest names that names any. The parser of YAML takes 0.1 s to load: only where there is a name to be found. */
async function namespacesIn([manifest = '', ...others]: readonly string[], meaning: Meaning): Promise<Named> {
  let found: string[] = []
  const source = existsSync(manifest) ? readFileSync(manifest, 'utf8') : ''
  if (source.includes('namespace')) {
    found = namespacesOf({ objects: await workloadObjects(manifest, source) }, meaning)
  }
  return found.length > 0 || others.length === 0 ? { manifest, found } : namespacesIn(others, meaning)
}

/** KUBE_NAMESPACE, else the manifest's, else the context's. Throws UserError (2) where the first two differ. */
function namespaceOf({ kubeNamespace }: Settings, { manifest, found }: Named, otherwise: string): string {
  if (kubeNamespace !== '') {
    if (found.length > 0 && !found.includes(kubeNamespace))
      throw new UserError(
        `KUBE_NAMESPACE is ${kubeNamespace}, but ${manifest} has namespace ${found.join(', ')} - make them the same, or leave KUBE_NAMESPACE empty`,
        2,
      )
    return kubeNamespace
  }
  if (found.length > 1)
    throw new UserError(
      `${manifest} has workloads in ${found.join(' and ')} - choose one: KUBE_NAMESPACE=${found[0]}`,
      2,
    )
  return found[0] ?? otherwise
}

/** The kubernetes target: the pods that SELECTOR finds. Throws UserError. */
export async function kubernetesTarget(settings: Settings): Promise<Target> {
  const there = await cluster(settings)
  const { context, namespace } = there
  const place = ['--context', context, '--namespace', namespace]
  const anyPods = async () => {
    const list: unknown = JSON.parse(await there.read(['get', 'pods', '-l', settings.selector, '-o', 'json']))
    return sorted(list, settings)
  }
  return {
    cluster: there,
    kind: 'kubernetes',
    where: `kubernetes · context ${context} · namespace ${namespace} · ${settings.selector}`,
    pods: async () => {
      const found = await anyPods()
      if (found.pods.length === 0) throw nothingRuns(settings, there, found.leftOut)
      return found
    },
    anyPods,
    watch: (tell) => {
      // each line is a change; the server ends a watch after an hour or so, and one that is forbidden at once
      const again = () => {
        const child = start('kubectl', [...place, 'get', 'pods', '-l', settings.selector, '-o', 'name', '--watch'], {
          stdio: ['ignore', 'pipe', 'ignore'],
          env: environment(),
        })
        child.stdout?.on('data', tell)
        child.once('error', () => undefined)
        child.once('close', () => setTimeout(again, watchPause).unref())
      }
      again()
    },
    exec: (pod, command, on = 'pipes') => {
      const how = on === 'terminal' && process.stdin.isTTY ? ['-i', '-t'] : ['-i']
      return start('kubectl', [...place, 'exec', ...how, pod.name, '-c', pod.container, '--', ...command], {
        // what kubectl says of the end is read; a terminal's output comes on stdout alone
        stdio: on === 'terminal' ? ['inherit', 'inherit', 'pipe'] : 'pipe',
        env: environment(),
      })
    },
    forward: (pod, port) =>
      forward([...place, 'port-forward', '--address', '127.0.0.1', `pod/${pod.name}`, `:${port}`]),
    logs: (pod, from) => {
      const since = from === 'start' ? [] : from === 'now' ? ['--tail=0'] : ['--since-time', from.time]
      const words = ['logs', '--follow', '--timestamps', pod.name, '-c', pod.container, ...since]
      return start('kubectl', [...place, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env: environment() })
    },
  }
}

function nothingRuns({ selector }: Settings, { namespace }: Cluster, leftOut: readonly LeftOut[]): UserError {
  if (leftOut.length === 0)
    return new UserError(
      `no pod matches ${selector} in namespace ${namespace} - run npm run switch-dev, or set SELECTOR and KUBE_NAMESPACE in .env`,
    )
  const states = leftOut.map(({ name, why }) => `${name} is ${why}`).join(', ')
  const remedy = leftOut.find((pod) => pod.remedy !== undefined)?.remedy
  return new UserError(
    `no pod of ${selector} in namespace ${namespace} can be reached: ${states} - ${remedy ?? 'see kubectl describe pod'}`,
    remedy === undefined ? 1 : 2,
  )
}

// kubectl as the child of a shell that ends it when its own stdin does: also where this task is killed
const tied =
  'exec 3<&0; kubectl "$@" </dev/null 3<&- & child=$!; trap "kill $child" TERM; { read -r _ <&3; kill $child; } >/dev/null 2>&1 & exec 3<&-; wait $child'

/** Starts kubectl port-forward and waits for its port. */
async function forward(args: readonly string[]): Promise<Forward> {
  const child = start('sh', ['-c', tied, 'kubectl', ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: environment() })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (part: string) => (said = (said + part).slice(-4096)))
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code) => resolve(meaning(said) || `kubectl port-forward ended with ${code}`))
  })
  const port = new Promise<number>((resolve) => {
    let out = ''
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      out = (out + part).slice(-4096)
      const [, found] = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(out) ?? []
      if (found !== undefined) resolve(Number(found))
    })
  })
  const first = await Promise.race([port, ended])
  if (typeof first === 'string') throw new UserError(first)
  return { port: first, ended, close: () => void child.kill() }
}

async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const child = start('kubectl', args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: environment(),
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => (stdout += part))
  child.stderr?.setEncoding('utf8').on('data', (part: string) => (stderr += part))
  child.stdin?.on('error', () => undefined).end(input)
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      stderr += error.message
      resolve(1)
    })
    child.once('close', resolve)
  })
  if (code !== 0) throw new UserError(meaning(stderr) || `kubectl ${args.join(' ')} ended with ${code}`)
  return stdout
}
