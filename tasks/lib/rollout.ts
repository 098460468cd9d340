// Applies a manifest and waits for its pods: a dry run first, never a delete of what the manifest names.
import { existsSync, statSync } from 'node:fs'
import { items, nameOf, text } from './json.ts'
import type { Cluster } from './kubectl.ts'
import type { Settings } from './settings.ts'
import { statusOf } from './status.ts'
import type { Target } from './target.ts'
import { onEnd, say, UserError } from './task.ts'
import { bringBack, isDev, isUnchanged, keep, keeper, live, production } from './production.ts'
import { awaited, isSame, named, trouble, workloads, type Workload } from './workloads.ts'

const limit = 180_000 // ms: pulling an image takes most of it
const step = 500 // ms
// ms that a fault must stand: what the run before has left (a pod with the old image, a quota that has just gone) may still show
const stands = 10_000

/**
 * Applies the manifest, after a dry run on the server. Where a workload's selector is immutable and differs, that one
 * workload is deleted by name first, which it says. Throws UserError; nothing is changed where the dry run fails.
 * @param before is called once the dry run has gone well, with what it made; after the change where a workload was deleted.
 */
async function apply(
  cluster: Cluster,
  manifest: string,
  before: (then: readonly unknown[]) => Promise<void> = async () => undefined,
): Promise<void> {
  if (!existsSync(manifest))
    throw new UserError(
      `there is no ${manifest} - run npm run generate-deployment-dev, or set MANIFEST and MANIFEST_DEV`,
    )
  cluster.guard()
  const mine = workloads(manifest)
  const tried = async () => {
    const then: unknown = JSON.parse(await cluster.read(['apply', '--dry-run=server', '-o', 'json', '-f', manifest]))
    return text(then, 'kind') === 'List' ? items(then) : [then]
  }
  const applied = async () => {
    for (const line of (await cluster.read(['apply', '-f', manifest])).trim().split('\n')) say(line)
  }
  try {
    await before(await tried())
  } catch (error) {
    const found = error instanceof UserError ? immutable(error.message, mine) : undefined
    if (found === undefined) throw error
    say(`${found.kind} ${found.name} has another selector, which cannot be changed: it is deleted and made anew`)
    await cluster.read(['delete', named(found), '--wait=true', '--timeout=15s'])
    await tried()
    await applied()
    return before([])
  }
  await applied()
}

/** The workload whose selector the server refuses to change; undefined where anything else is wrong too: nothing is deleted. */
function immutable(complaint: string, mine: readonly Workload[]): Workload | undefined {
  const [, kind, name] = /^The (\w+) "([^"]+)" is invalid: spec\.selector: field is immutable$/.exec(complaint) ?? []
  return mine.find((each) => each.kind === kind && each.name === name)
}

/**
 * Waits until every workload is up, says what is awaited when that changes. Throws UserError at the limit,
 * with the reason from the pods' own state.
 * @param stuck is asked now and then why waiting is in vain.
 */
async function settled(
  cluster: Cluster,
  mine: readonly Workload[],
  selector: string,
  stuck: () => Promise<string | undefined> = async () => undefined,
): Promise<void> {
  const names = mine.filter(({ kind }) => kind !== 'Pod').map(named)
  if (names.length === 0) return
  const said = new Set<string>() // a pull that fails says two things in turn
  let [going, hopeful, asked] = [true, Date.now(), Date.now()]
  onEnd(() => void (going = false))
  for (const end = Date.now() + limit; going; await new Promise((resolve) => setTimeout(resolve, step))) {
    const answer: unknown = JSON.parse(await cluster.read(['get', ...names, '-o', 'json']))
    const list = text(answer, 'kind') === 'List' ? items(answer) : [answer]
    const open = list.map(awaited).filter((what) => what !== undefined)
    if (open.length === 0) return
    const pods = items(JSON.parse(await cluster.read(['get', 'pods', '-l', selector, '-o', 'json'])))
    const why = pods.map(trouble).filter((what) => what !== undefined)
    const now = [...open, ...why].join('; ')
    if (!said.has(now)) say(`waiting: ${now}`)
    said.add(now)
    if (!hopeless(now)) hopeful = Date.now()
    if (Date.now() - asked > stands) {
      const fault = await stuck()
      if (fault !== undefined) throw new UserError(fault)
      asked = Date.now()
    }
    if (Date.now() > end || Date.now() - hopeful > stands)
      throw new UserError(`the pods did not come up: ${now} - correct that, then run the command again`)
  }
}

/** What more waiting will not mend. */
function hopeless(now: string): boolean {
  return /ErrImageNeverPull|InvalidImageName|exceeded quota|CreateContainerConfigError|RunContainerError|is forbidden|\(hotswap-dev: /.test(
    now,
  )
}

type OnCluster = Extract<Target, { kind: 'kubernetes' }>
type Chosen = Pick<Settings, 'manifestDev' | 'manifest' | 'selector'>

/** Applies the dev manifest, keeps what was there before, and waits for its pods. Throws UserError. */
export async function rollOutDev(there: OnCluster, { manifestDev, manifest, selector }: Chosen): Promise<void> {
  const { cluster } = there
  warnIfOlder(manifestDev, manifest)
  const mine = workloads(manifestDev)
  const found = await live(cluster, mine)
  for (const object of found) {
    const { who, first } = keeper(object) ?? {}
    if (who !== undefined) say(`warning: ${nameOf(object)} ${who} - ${first}`)
  }
  await apply(cluster, manifestDev, (then) => keep(cluster, found, then, mine))
  await settled(cluster, mine, selector, () => withoutBinary(there))
}

/** An agent that has nothing to run, and how to give it something; undefined where there is none. */
async function withoutBinary(there: OnCluster): Promise<string | undefined> {
  for (const pod of (await there.anyPods()).pods) {
    const reason = await statusOf(there, pod).then(
      ({ values }) => values.get('reason') ?? '',
      () => '', // it does not answer yet
    )
    if (!/: waiting for one$/.test(reason)) continue
    const remedy =
      'put the path of the program in its image into .env (BINARY_PATH), then npm run generate-deployment-dev'
    return `${pod.name}: ${reason} - ${remedy} and npm run switch-dev; or give it one: npm run build && npm run deploy-dev`
  }
  return undefined
}

/**
 * Brings back what was there before switch-dev, exactly; the production manifest is applied where that is not known, or it
 * has changed since. Waits for the pods. Throws UserError.
 */
export async function rollOutProduction(cluster: Cluster, { manifestDev, manifest, selector }: Chosen): Promise<void> {
  cluster.guard()
  const [mine = [], theirs = []] = [manifestDev, manifest].map((file) => (existsSync(file) ? workloads(file) : []))
  const isNamed = (object: unknown) => theirs.some((each) => isSame(each.object, object))
  const own = await live(cluster, mine)
  // where the dev manifest came from a cluster or a pipe, MANIFEST may be another service's
  const foreign = own.length > 0 && !own.some(isNamed)
  const others = theirs.filter((each) => !own.some((object) => isSame(each.object, object)))
  const found = foreign ? own : [...own, ...(await live(cluster, others))]
  const lost = found.find((object) => isDev(object) && production(object) === undefined && !isNamed(object))
  if (lost !== undefined)
    throw new UserError(
      `${nameOf(lost)} runs the agent, and neither it nor ${manifest} says what it was before - put its production manifest into .env: MANIFEST=PATH`,
    )
  const back = await bringBack(cluster, found)
  const isBack = ({ object }: Workload) => back.some((each) => isSame(each, object) && isUnchanged(each, object))
  if (foreign) say(`${manifest} names none of it: it is not applied`)
  else if (theirs.length === 0 || !theirs.every(isBack)) await apply(cluster, manifest)
  for (const object of found) {
    const { who, then } = keeper(object) ?? { then: '' }
    if (then !== '') say(`warning: ${nameOf(object)} ${who} - once you have production back: ${then}`)
  }
  await settled(cluster, foreign ? mine : theirs, selector)
}

/** Warns where the production manifest was edited after the dev manifest was made. */
function warnIfOlder(manifestDev: string, manifest: string): void {
  const [made, source] = [manifestDev, manifest].map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs)
  if (made !== undefined && source !== undefined && made < source)
    say(`warning: ${manifest} is newer than ${manifestDev} - run npm run generate-deployment-dev`)
}
