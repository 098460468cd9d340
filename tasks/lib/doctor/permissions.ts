// Permissions: what the tasks do on a cluster, and whether its server lets this user, as kubectl auth can-i says.
import { KubectlError } from '../pods/kubectl.ts'
import { existsSync, readFileSync } from 'node:fs'
import { text } from '../frame/json.ts'
import type { Cluster } from '../pods/target.ts'
import { workloadObjects } from '../yaml/workload-cache.ts'
import { selectionOf, type Meaning } from '../yaml/selection.ts'
import { UserError } from '../frame/talk.ts'
import { groupOf } from '../yaml/workloads.ts'

/** A permission that the tasks need; any one of its verbs will do. */
export interface Need {
  readonly verbs: readonly string[]
  readonly resource: string
  /** What it is for. */
  readonly use: string
}

/** As the Role of docs/security.md gives them. `kinds` are the resources of the manifest's workloads: `deployment.apps`. */
export function needs(kinds: readonly string[]): Need[] {
  const each = (verbs: string, resource: string, use: string) =>
    verbs.split(' ').map((verb) => ({ verbs: [verb], resource, use }))
  return [
    ...each('get list watch', 'pods', 'to find the pods'),
    // SPDY and newer servers ask for create, WebSocket for get
    { verbs: ['create', 'get'], resource: 'pods/exec', use: 'to send a binary' },
    { verbs: ['create', 'get'], resource: 'pods/portforward', use: 'for npm run debug-dev' },
    ...each('get', 'pods/log', 'for npm run logs-dev and npm run dev'),
    ...kinds.flatMap((kind) => each('get create patch', kind, 'for npm run switch-dev and npm run switch-prod')),
  ]
}

/** Whether the server allows it. Throws UserError if it does not say. */
export async function allowed(cluster: Cluster, { verbs, resource }: Need): Promise<boolean> {
  const [kind = '', part] = resource.split('/')
  for (const verb of verbs) {
    const words = ['auth', 'can-i', verb, kind, ...(part === undefined ? [] : [`--subresource=${part}`])]
    const said = await cluster.read(words).catch((error: unknown) => {
      // a no is exit code 1, without a complaint
      if (error instanceof KubectlError && error.complaint.what === '') return 'no' // its answer is an exit code
      throw error
    })
    if (said.trim().split('\n').at(-1) === 'yes') return true
  }
  return false
}

const usual = ['deployments.apps']

/** The resources of the workloads that are meant: `deployments.apps`. Those of the bundled example if they cannot be read. */
export async function kindsOf(file: string, meaning: Meaning): Promise<string[]> {
  try {
    if (!existsSync(file)) return usual
    const objects = await workloadObjects(file, readFileSync(file, 'utf8'))
    return [...new Set(selectionOf({ objects, file }, meaning).mine.map(({ object }) => resourceOf(object)))]
  } catch (error) {
    if (error instanceof UserError) return usual
    throw error
  }
}

/** The resource of an object's kind, as its group names it: `statefulsets.apps`. */
function resourceOf(object: unknown): string {
  const kind = text(object, 'kind').toLowerCase()
  const plural = /(?:s|x|ch|sh)$/.test(kind)
    ? `${kind}es`
    : /[^aeiou]y$/.test(kind)
      ? kind.replace(/y$/, 'ies')
      : `${kind}s`
  return [plural, groupOf(object)].filter((part) => part !== '').join('.')
}
