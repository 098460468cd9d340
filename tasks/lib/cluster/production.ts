// What was there before switch-dev: kept at the object itself, in the cluster, so that everybody can bring it back.
import { isDeepStrictEqual } from 'node:util'
import { runsAgent } from '../protocol/command.ts'
import { CLUSTER_ANNOTATIONS, CLUSTER_METADATA, LAST_APPLIED, MADE, PRODUCTION } from '../protocol/annotations.ts'
import { at, isRecord, items, jsonOf, nameOf, text } from '../frame/json.ts'
import type { Cluster } from '../pods/target.ts'
import { say, UserError } from '../frame/talk.ts'
import { agentContainers, isSame, named, type Workload } from '../yaml/workloads.ts'

/** The objects that are in the cluster, as it has them. Throws UserError. */
export async function live(cluster: Cluster, wanted: readonly unknown[]): Promise<unknown[]> {
  return there(cluster, wanted.filter((object) => text(object, 'metadata', 'name') !== '').map(named))
}

/** Those of these names that are there. */
async function there(cluster: Cluster, names: readonly string[]): Promise<unknown[]> {
  if (names.length === 0) return []
  const answer = await cluster.read(['get', ...names, '--ignore-not-found', '-o', 'json'])
  if (answer.trim() === '') return []
  const found: unknown = JSON.parse(answer)
  return text(found, 'kind') === 'List' ? [...items(found)] : [found]
}

/** Whether its pods run the agent. */
export function isDev(object: unknown): boolean {
  return agentContainers(object).length > 0
}

/** An object as it could be made again. Pure. */
export function kept(object: unknown): unknown {
  const metadata = without(at(object, 'metadata'), CLUSTER_METADATA)
  const annotations = without(at(object, 'metadata', 'annotations'), CLUSTER_ANNOTATIONS)
  const own = Object.keys(annotations).length > 0 ? { annotations } : {}
  return { ...without(object, ['status']), metadata: { ...without(metadata, ['annotations']), ...own } }
}

/** What an object was before switch-dev; undefined if nothing says it. Throws UserError if that is damaged. */
export function production(object: unknown): unknown {
  const then = 'npm run switch-prod then applies MANIFEST'
  return written(object, PRODUCTION, then, (value) => isSame(value, object))
}

/** What switch-dev alone has made with a workload, by its name for kubectl, with its uid. Throws UserError if that is damaged. */
export function madeWith(object: unknown): ReadonlyMap<string, string> {
  const made = written(object, MADE, 'what switch-dev has made with it then stays')
  return new Map(Object.entries(made ?? {}).map(([name, uid]) => [name, String(uid)]))
}

/**
 * The map that an annotation holds as JSON; undefined if there is none. Somebody may have edited it: throws UserError then.
 * @param then what taking the annotation away leads to.
 */
function written(
  object: unknown,
  key: string,
  then: string,
  fits: (value: unknown) => boolean = () => true,
): Record<string, unknown> | undefined {
  const json = annotation(object, key)
  if (json === undefined) return undefined
  const value = typeof json === 'string' ? jsonOf(json) : undefined
  if (isRecord(value) && fits(value)) return value
  const space = text(object, 'metadata', 'namespace')
  const remove = `kubectl annotate ${space === '' ? '' : `-n ${space} `}${named(object)} ${key}-`
  throw new UserError(
    `${nameOf(object)}: its annotation ${key} is damaged, it does not hold what was written there - take it away (${remove}); ${then}`,
  )
}

/** Whether switch-dev alone has made a workload: nothing was there before. */
export function isMade(object: unknown): boolean {
  return isDev(object) && production(object) === undefined && madeWith(object).has(named(object))
}

/** Whether what is made once is never taken away: others may have put something into it. */
const stays = (object: unknown): boolean =>
  /^(?:Namespace|PersistentVolume(?:Claim)?|CustomResourceDefinition)$/.test(text(object, 'kind'))

/**
 * Notes at a workload what was made with it, so that switch-prod takes it away; `wanted` are those objects as the manifest has
 * them. Throws UserError.
 */
export async function noteMade(cluster: Cluster, workload: unknown, wanted: readonly unknown[]): Promise<void> {
  const made = await live(
    cluster,
    wanted.filter((object) => !stays(object)),
  )
  const [own] = await live(cluster, [workload])
  if (made.length === 0 || own === undefined) return
  const all = [...madeWith(own), ...made.map((object) => [named(object), text(object, 'metadata', 'uid')])]
  const patch = { metadata: { annotations: { [MADE]: JSON.stringify(Object.fromEntries(all)) } } }
  await cluster.read(['patch', named(workload), '--type=merge', '--patch', JSON.stringify(patch)])
}

/**
 * Takes away what switch-dev alone has made with a workload, and is still that; the workload itself where it is one of it.
 * Throws UserError.
 */
export async function takeAway(cluster: Cluster, workload: unknown): Promise<void> {
  const made = madeWith(workload)
  const own = named(workload)
  const gone = (await there(cluster, [...made.keys()])).filter((object) => {
    const isItself = named(object) === own
    return isItself ? isMade(workload) : made.get(named(object)) === text(object, 'metadata', 'uid')
  })
  for (const object of gone) {
    const how = ['--ignore-not-found', '--cascade=foreground', '--wait=false', '-o', 'name']
    const name = (await cluster.read(['delete', named(object), ...how])).trim()
    if (name !== '') say(`${name} is gone: switch-dev had made it`)
  }
}

/**
 * Keeps what production objects are, each in an annotation of its own object. `then` is what the cluster would make of
 * `manifests`: a probe that would stay is put into what kubectl apply takes for its own, so that it goes. Throws UserError.
 */
export async function keep(
  cluster: Cluster,
  found: readonly unknown[],
  then: readonly unknown[],
  manifests: readonly Workload[],
): Promise<void> {
  for (const object of found) {
    // one that is made anew has no annotation any more
    const before = then.length > 0 ? [] : [PRODUCTION, MADE].filter((key) => annotation(object, key) !== undefined)
    const own = isDev(object)
      ? Object.fromEntries(before.map((key) => [key, annotation(object, key)]))
      : {
          [PRODUCTION]: JSON.stringify(kept(object)),
          ...(annotation(object, MADE) === undefined ? {} : { [MADE]: null }),
        }
    const after = then.find((each) => isSame(each, object))
    const meant = manifests.find((each) => isSame(each.object, object))
    const applied = after === undefined || meant === undefined ? undefined : lastApplied(object, after, meant.object)
    const annotations = { ...own, ...(applied === undefined ? {} : { [LAST_APPLIED]: JSON.stringify(applied) }) }
    if (Object.keys(annotations).length === 0) continue
    const patch = JSON.stringify({ metadata: { annotations } })
    await cluster.read(['patch', named(object), '--type=merge', '--patch', patch])
  }
}

/**
 * What kubectl apply has to take for its own, so that the probes that the manifest has not go; undefined if they go anyway:
 * it removes nothing that it has not written itself. Pure.
 */
export function lastApplied(object: unknown, after: unknown, meant: unknown): unknown {
  const stays = ['containers', 'initContainers'].flatMap((list) =>
    items(at(after, 'spec', 'template', 'spec'), list).flatMap((container) => {
      const name = text(container, 'name')
      const wanted = items(at(meant, 'spec', 'template', 'spec'), list).find((each) => text(each, 'name') === name)
      if (wanted === undefined || !runsAgent(wanted)) return []
      return (['livenessProbe', 'startupProbe'] as const)
        .filter((probe) => at(container, probe) !== undefined && at(wanted, probe) === undefined)
        .map((probe) => ({ list, name, probe, value: at(container, probe) }))
    }),
  )
  if (stays.length === 0) return undefined
  const name = text(object, 'metadata', 'name')
  const none = { apiVersion: text(object, 'apiVersion'), kind: text(object, 'kind'), metadata: { name } }
  let applied: unknown = appliedLast(object) ?? none
  for (const { list, name, probe, value } of stays) {
    const containers = items(at(applied, 'spec', 'template', 'spec'), list)
    const there = containers.find((each) => text(each, 'name') === name)
    const others = containers.filter((each) => each !== there)
    applied = withAt(
      applied,
      ['spec', 'template', 'spec', list],
      [...others, { ...record(there), name, [probe]: value }],
    )
  }
  return applied
}

/** Brings back each dev object as it was; returns what they are now. Throws UserError. */
export async function bringBack(cluster: Cluster, found: readonly unknown[]): Promise<unknown[]> {
  const back = found.filter(isDev).flatMap((object) => production(object) ?? [])
  for (const object of back) {
    // whole parts in the place of others: apply would leave what it has not written itself
    const parts = [['spec'], ['metadata', 'labels'], ['metadata', 'annotations']]
    const patch = parts.map((path) => ({ op: 'add', path: `/${path.join('/')}`, value: at(object, ...path) ?? {} }))
    const how = ['--type=json', '--patch', JSON.stringify(patch)]
    say(`${(await cluster.read(['patch', named(object), ...how, '-o', 'name'])).trim()} is as it was before`)
  }
  return back
}

/** Whether a manifest says of an object what kubectl apply made it from, or something else made it. Pure. */
export function isUnchanged(object: unknown, manifest: unknown): boolean {
  const applied = appliedLast(object)
  if (applied === undefined) return true
  const same = (...path: string[]) => isDeepStrictEqual(plain(at(applied, ...path)), plain(at(manifest, ...path)))
  return same('spec') && same('metadata', 'labels') && same('metadata', 'annotations')
}

/** What kubectl apply has made an object from; undefined if it has not. Throws UserError if that is damaged. */
function appliedLast(object: unknown): Record<string, unknown> | undefined {
  return written(object, LAST_APPLIED, 'the next kubectl apply writes it anew')
}

/** Whether two states of an object say different things of what it is for: what a cluster adds is no matter. Pure. */
export function differs(a: unknown, b: unknown): boolean {
  const own = (object: unknown) => without(object, ['metadata', 'status'])
  const said = (object: unknown, key: string) => at(object, 'metadata', key)
  const same = (key: string) => isDeepStrictEqual(plain(said(a, key)), plain(said(b, key)))
  return !isDeepStrictEqual(own(a), own(b)) || !same('labels')
}

/** Who else sees to it that an object is as it should be. */
export interface Keeper {
  /** Completes "Deployment hello". */
  readonly who: string
  /** What to do before switch-dev. */
  readonly first: string
  /** What to do after switch-prod; empty: nothing. */
  readonly then: string
}

/** Who will take a change of the object back, by its labels and annotations; undefined if nobody does. Pure. */
export function keeper(object: unknown): Keeper | undefined {
  const label = (key: string) => text(object, 'metadata', 'labels', key)
  const annotation = (key: string) => text(object, 'metadata', 'annotations', key)
  // https://argo-cd.readthedocs.io/en/stable/user-guide/resource_tracking/
  const app = annotation('argocd.argoproj.io/tracking-id').split(':')[0] || label('argocd.argoproj.io/instance')
  if (app !== '')
    return {
      who: `is kept by Argo CD (application ${app}), which undoes this change if it syncs by itself`,
      first: `argocd app set ${app} --sync-policy none`,
      then: `argocd app set ${app} --sync-policy automated`,
    }
  // https://fluxcd.io/flux/cmd/flux_suspend/
  for (const [kind, word] of [
    ['kustomize', 'kustomization'],
    ['helm', 'helmrelease'],
  ] as const) {
    const [name, space] = [label(`${kind}.toolkit.fluxcd.io/name`), label(`${kind}.toolkit.fluxcd.io/namespace`)]
    if (name === '' || annotation(`${kind}.toolkit.fluxcd.io/reconcile`) === 'disabled') continue
    const what = `${word} ${name}${space === '' ? '' : ` -n ${space}`}`
    const who = `is kept by Flux (${word} ${name}), which undoes this change`
    return { who, first: `flux suspend ${what}`, then: `flux resume ${what}` }
  }
  // https://github.com/helm/helm/blob/main/pkg/action/validate.go
  const release = annotation('meta.helm.sh/release-name')
  if (release === '' && label('app.kubernetes.io/managed-by') !== 'Helm') return undefined
  const of = release === '' ? '' : ` (release ${release})`
  const who = `is kept by Helm${of}: its next upgrade or rollback undoes this change`
  return { who, first: 'run npm run switch-prod before one', then: '' }
}

function annotation(object: unknown, key: string): unknown {
  return at(object, 'metadata', 'annotations', key)
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}

function without(value: unknown, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record(value)).filter(([key]) => !keys.includes(key)))
}

function withAt(value: unknown, [key, ...rest]: readonly string[], last: unknown): unknown {
  return key === undefined ? last : { ...record(value), [key]: withAt(at(value, key), rest, last) }
}

/** As JSON has it; what is not there is empty: kubectl apply writes empty annotations. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? {}))
}
