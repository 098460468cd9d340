// Applies a manifest and waits for its pods: a dry run first, never a delete of what the manifest names.
import { KubectlError } from '../pods/kubectl.ts'
import { WAITING_FOR_ONE } from '../protocol/words.ts'
import { existsSync } from 'node:fs'
import { provideDevManifest } from '../manifest/dev-manifest.ts'
import { items, nameOf, text } from '../frame/json.ts'
import type { Cluster, Target } from '../pods/target.ts'
import { selectorFor } from '../yaml/labels.ts'
import type { Settings } from '../settings/table.ts'
import { statusOf } from '../pods/status.ts'
import { say, UserError } from '../frame/talk.ts'
import { manifestOf, type Manifest } from '../yaml/objects.ts'
import {
  bringBack,
  differs,
  isDev,
  isMade,
  isUnchanged,
  keep,
  keeper,
  live,
  noteMade,
  production,
  takeAway,
} from './production.ts'
import { narrowed, selectionOf, type Meaning, type Selection } from '../yaml/selection.ts'
import { withoutPods } from '../manifest/rollout-warnings.ts'
import { isSame, named, podLabels, workloadsIn, type Workload } from '../yaml/workloads.ts'
import { withoutImage } from './workload-state.ts'
import { gone, settled } from './waiting.ts'

/** What kubectl apply gets: a file, or a text on its standard input. */
interface Input {
  readonly from: string
  readonly text?: string
}

/**
 * Applies workloads and other objects, after a dry run on the server. Where a workload's selector is immutable and
 * differs, that one workload is deleted by name first, which it says. Throws UserError; nothing is changed where the dry run fails.
 * @param before is called once the dry run has gone well, with what it made; after the change where a workload was deleted.
 */
async function apply(
  cluster: Cluster,
  input: Input,
  mine: readonly Workload[],
  before: (then: readonly unknown[]) => Promise<void> = async () => undefined,
): Promise<void> {
  const tried = () => dryRun(cluster, input)
  const applied = async () => {
    for (const line of (await cluster.read(['apply', '-f', input.from], input.text)).trim().split('\n')) say(line)
  }
  try {
    await before(await tried())
  } catch (error) {
    const found = error instanceof KubectlError ? immutable(error.complaint.what, mine) : undefined
    if (found === undefined) throw error
    say(`${found.kind} ${found.name} has another selector, which cannot be changed: it is deleted and made anew`)
    await cluster.read(['delete', named(found.object), '--wait=true', '--timeout=15s'])
    await tried()
    await applied()
    return before([])
  }
  await applied()
}

/** What the cluster would make of it. Throws UserError if it would refuse it. */
async function dryRun(cluster: Cluster, { from, text: input }: Input): Promise<readonly unknown[]> {
  const then: unknown = JSON.parse(await cluster.read(['apply', '--dry-run=server', '-o', 'json', '-f', from], input))
  return text(then, 'kind') === 'List' ? items(then) : [then]
}

/**
 * What is to be applied of a manifest: the workloads with what belongs to them alone, and of what others use too what is not
 * there yet. Says what stays as it is. Throws UserError.
 */
async function chosenOf(cluster: Cluster, manifest: Manifest, selection: Selection): Promise<Input> {
  const { mine, own, shared } = selection
  if (mine.length + own.length === manifest.objects.length) return { from: manifest.file }
  const there = await live(cluster, shared).catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error
    if (!(error instanceof KubectlError) || error.complaint.kind !== 'forbidden') return [] // a kind that is not there: apply says so
    say(`warning: what does not belong to ${names(mine)} alone stays as it is: ${error.message}`)
    return shared
  })
  const isThere = (object: unknown) => there.some((each) => isSame(each, object))
  const present = manifest.textOf(shared.filter(isThere))
  // who may not even try it is told nothing of it
  const then = present === '' ? [] : await dryRun(cluster, { from: '-', text: present }).catch(() => [])
  for (const object of there) {
    const after = then.find((each) => isSame(each, object))
    if (after === undefined || !differs(object, after)) continue
    const why = `stays as it is, though ${manifest.file} describes it differently: it does not belong to ${names(mine)} alone`
    say(`warning: ${nameOf(object)} ${why} - kubectl apply -f ${manifest.file} changes it, and all else`)
  }
  const missing = shared.filter((object) => !isThere(object))
  return { from: '-', text: manifest.textOf([...objectsOf(mine), ...own, ...missing]) }
}

function names(all: readonly Workload[]): string {
  return all.map(({ object }) => nameOf(object)).join(', ')
}

/** Names the workloads that are not meant. */
function sayOthers({ mine, others }: Pick<Selection, 'mine' | 'others'>, { selector, container }: Meaning): void {
  const left = workloadsIn(others)
  if (left.length === 0 || mine.length === 0) return
  const means = `SELECTOR=${selector}${container === '' ? '' : ` CONTAINER=${container}`}`
  say(`left as they are: ${names(left)} (${means} means ${names(mine)})`)
}

/** The workload whose selector the server refuses to change; undefined if anything else is wrong too: nothing is deleted. */
function immutable(complaint: string, mine: readonly Workload[]): Workload | undefined {
  const [, kind, name] = /^The (\w+) "([^"]+)" is invalid: spec\.selector: field is immutable$/.exec(complaint) ?? []
  return mine.find((each) => each.kind === kind && each.name === name)
}

type OnCluster = Extract<Target, { kind: 'kubernetes' }>
type Chosen = Pick<Settings, 'manifestDev' | 'manifest'> & Meaning

/**
 * Applies what the dev manifest has of the workload that is meant, keeps what was there before, and waits for its pods. Makes
 * the dev manifest first if it is missing or outdated. Throws UserError.
 */
export async function rollOutDev(there: OnCluster, chosen: Settings): Promise<void> {
  const { cluster } = there
  const { manifestDev, selector } = chosen
  cluster.guard()
  provideDevManifest(chosen)
  const dev = manifestOf(manifestDev)
  const selection = selectionOf(dev, chosen)
  const { mine, own } = selection
  sayOthers(selection, chosen)
  const found = await live(cluster, objectsOf(mine))
  const missing = await missingOf(cluster, [...objectsOf(mine), ...own])
  for (const object of found) {
    const { who, first } = keeper(object) ?? {}
    if (who !== undefined) say(`warning: ${nameOf(object)} ${who} - ${first}`)
  }
  await apply(cluster, await chosenOf(cluster, dev, selection), mine, (then) => keep(cluster, found, then, mine))
  const [first] = mine
  for (const { object } of mine) {
    const made = missing.filter((each) => each === object || (object === first?.object && own.includes(each)))
    if (made.length > 0) await noteMade(cluster, object, made)
  }
  const up = await settled(cluster, mine, selector, async (pods) => unpulled(pods, chosen) ?? withoutBinary(there))
  const empty = up.map(withoutPods)
  const [why] = empty
  if (why !== undefined && !empty.includes(undefined)) throw new UserError(why)
  const { pods, leftOut } = await there.anyPods()
  if (up.length > 0 && pods.length + leftOut.length === 0) throw unmatched(mine, selector)
}

/** Those objects that are not in the cluster: they are named, as they will be made. */
async function missingOf(cluster: Cluster, objects: readonly unknown[]): Promise<readonly unknown[]> {
  const there = await live(cluster, objects).catch((error: unknown) => {
    if (error instanceof UserError) return objects // apply says it better
    throw error
  })
  const missing = objects.filter((object) => !there.some((each) => isSame(each, object)))
  if (missing.length > 0)
    say(`not in namespace ${cluster.namespace} yet, to be made there: ${missing.map(nameOf).join(', ')}`)
  return missing
}

/** What is up has other labels. */
function unmatched(mine: readonly Workload[], selector: string): UserError {
  const own = selectorFor(podLabels(mine[0]?.object), [])
  const way = own === undefined ? 'give its pods labels in MANIFEST' : `put into .env: SELECTOR=${own}`
  return new UserError(`${names(mine)}: up, and SELECTOR=${selector} matches none of its pods - ${way}`, 2)
}

/** An image of the settings that the nodes do not get, by its key; undefined if there is none. */
function unpulled(pods: readonly unknown[], { injectImage, devImage }: Settings): string | undefined {
  for (const { image, why } of pods.flatMap(withoutImage)) {
    if (image === injectImage && devImage === '')
      return `INJECT_IMAGE=${image} cannot be pulled (${why}) - put an image with a static busybox into .env that the nodes can pull: INJECT_IMAGE=REGISTRY/busybox:stable-musl, then npm run switch-dev`
    if (image === devImage)
      return `DEV_IMAGE=${image} cannot be pulled (${why}) - npm run container-dev, with IMAGE_TO in .env as the cluster gets its images, then npm run switch-dev`
  }
  return undefined
}

/** An agent that has nothing to run, and how to give it something; undefined if there is none. */
async function withoutBinary(there: OnCluster): Promise<string | undefined> {
  for (const pod of (await there.anyPods()).pods) {
    const reason = await statusOf(there, pod).then(
      ({ values }) => values.get('reason') ?? '',
      () => '', // it does not answer yet
    )
    if (!reason.endsWith(WAITING_FOR_ONE)) continue
    const remedy =
      'put the path of the program in its image into .env (BINARY_PATH), then npm run generate-deployment-dev'
    return `${pod.name}: ${reason} - ${remedy} and npm run switch-dev; or give it one: npm run build && npm run deploy-dev`
  }
  return undefined
}

const nothing: Selection = { mine: [], own: [], shared: [], others: [] }

/**
 * Brings back what the workload that is meant was before switch-dev, exactly; the production manifest is applied where that is
 * not known, or it has changed since. What switch-dev alone has made is taken away. Waits for the pods; returns whether there
 * is a production. Throws UserError.
 */
export async function rollOutProduction(cluster: Cluster, chosen: Chosen): Promise<boolean> {
  cluster.guard()
  const { manifestDev, manifest, selector } = chosen
  const [dev, prod] = [manifestDev, manifest].map((file) => (existsSync(file) ? manifestOf(file) : undefined))
  const { mine, others } = dev === undefined ? nothing : selectionOf(dev, chosen)
  const own = await live(cluster, objectsOf(mine))
  const isNamed = (object: unknown) => workloadsIn(prod?.objects ?? []).some((each) => isSame(each.object, object))
  // where the dev manifest came from a cluster or a pipe, MANIFEST may be another service's
  const foreign = own.length > 0 && !own.some(isNamed)
  const theirs = prod === undefined || foreign ? nothing : selectionOf(prod, chosen, mine)
  sayOthers(foreign ? { mine, others } : theirs, chosen)
  const rest = theirs.mine.filter((each) => !own.some((object) => isSame(each.object, object)))
  const found = [...own, ...inDev(await live(cluster, objectsOf(rest)), chosen)]
  const [made, before] = parted(found, isMade)
  const lost = before.find((object) => isDev(object) && production(object) === undefined && !isNamed(object))
  if (lost !== undefined)
    throw new UserError(
      `${nameOf(lost)} runs the agent, and neither it nor ${manifest} says what it was before - put its production manifest into .env: MANIFEST=PATH`,
    )
  const back = await bringBack(cluster, before)
  for (const object of found) await takeAway(cluster, object)
  const isGone = ({ object }: Workload) => made.some((each) => isSame(each, object))
  const isBack = ({ object }: Workload) => back.some((each) => isSame(each, object) && isUnchanged(each, object))
  // what ran as production beside a dev one is nobody's business here
  const isOther = ({ object }: Workload) =>
    back.length > 0 && found.some((each) => isSame(each, object) && !isDev(each))
  const open = theirs.mine.filter((each) => !isBack(each) && !isOther(each) && !isGone(each))
  if (foreign) say(`${manifest} has none of these workloads, so it is not applied`)
  else if (prod === undefined)
    throw new UserError(`there is no ${manifest} - put the production manifest into .env: MANIFEST=PATH`)
  else if (open.length > 0 || (theirs.mine.length === 0 && made.length === 0)) {
    await missingOf(cluster, [...objectsOf(open), ...theirs.own])
    await apply(cluster, await chosenOf(cluster, prod, { ...theirs, mine: open }), open)
  }
  for (const object of before) {
    const { who, then } = keeper(object) ?? { then: '' }
    if (then !== '') say(`warning: ${nameOf(object)} ${who} - once you have production back: ${then}`)
  }
  const stays = (foreign ? mine : theirs.mine).filter((each) => !isGone(each))
  await settled(cluster, stays, selector)
  await gone(cluster, made)
  return stays.length > 0 || made.length === 0
}

function parted<T>(list: readonly T[], test: (each: T) => boolean): [T[], T[]] {
  return [list.filter(test), list.filter((each) => !test(each))]
}

/** Of several workloads those that run the agent: a colleague may have another one of the same labels. */
function inDev(objects: readonly unknown[], chosen: Chosen): readonly unknown[] {
  return objectsOf(narrowed(workloadsIn(objects), chosen))
}

function objectsOf(workloads: readonly Workload[]): unknown[] {
  return workloads.map(({ object }) => object)
}
