// Which cluster a task may change: its context, its namespace, and the guard in front of each change.
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { environment } from '../frame/environment.ts'
import { at, text } from '../frame/json.ts'
import { kubectl, KubectlError } from './kubectl.ts'
import { workloadObjects } from '../yaml/workload-cache.ts'
import { namespacesOf, type Meaning } from '../yaml/selection.ts'
import type { Settings } from '../settings/table.ts'
import { UserError } from '../frame/talk.ts'
import type { Cluster } from './target.ts'
import { find, need } from '../frame/tools.ts'

const timeout = '--request-timeout=20s'
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

/** KUBE_CONTEXT, else the current context; empty if there is none, or no kubectl. */
export async function contextOf({ kubeContext }: Pick<Settings, 'kubeContext'>): Promise<string> {
  if (kubeContext !== '' || find('kubectl') === undefined) return kubeContext
  return kubectl(['config', 'current-context']).then(
    (name) => name.trim(),
    () => '',
  )
}

/** What there is to choose from, in the place of where to look for it. */
async function noContext(error: unknown): Promise<never> {
  if (!(error instanceof KubectlError) || error.complaint.kind !== 'no context') throw error
  const names = (await kubectl(['config', 'get-contexts', '-o', 'name'])).trim().split('\n').join(', ')
  const { KUBECONFIG = '' } = environment()
  const where = KUBECONFIG === '' ? 'is KUBECONFIG set?' : `is KUBECONFIG right? It is ${KUBECONFIG}`
  const there = names === '' ? `there is none: ${where}` : `there are ${names}`
  const { what, next } = error.complaint
  throw new UserError(`${what}: ${there} - ${next}`)
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

/** KUBE_NAMESPACE, else the manifest's, else the context's. Throws UserError (2) if the first two differ. */
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
