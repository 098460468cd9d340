// Applies a manifest and waits for its pods: a dry run first, never a delete of what the manifest names.
import { existsSync, statSync } from 'node:fs'
import { items, text } from './json.ts'
import type { Cluster } from './kubectl.ts'
import type { Settings } from './settings.ts'
import { onEnd, say, UserError } from './task.ts'
import { awaited, trouble, workloads, type Workload } from './workloads.ts'

const limit = 180_000 // ms: pulling an image takes most of it
const step = 500 // ms
// ms that a fault must stand: what the run before has left (a pod with the old image, a quota that has just gone) may still show
const stands = 10_000

/**
 * Applies the manifest, after a dry run on the server. Where a workload's selector is immutable and differs, that one
 * workload is deleted by name first, which it says. Throws UserError; nothing is changed where the dry run fails.
 */
export async function apply(cluster: Cluster, manifest: string): Promise<void> {
  if (!existsSync(manifest))
    throw new UserError(
      `there is no ${manifest} - run npm run generate-deployment-dev, or set MANIFEST and MANIFEST_DEV`,
    )
  cluster.guard()
  const mine = workloads(manifest)
  try {
    await cluster.read(['apply', '--dry-run=server', '-f', manifest])
  } catch (error) {
    const found = error instanceof UserError ? immutable(error.message, mine) : undefined
    if (found === undefined) throw error
    say(`${found.kind} ${found.name} has another selector, which cannot be changed: it is deleted and made anew`)
    await cluster.read(['delete', `${found.kind.toLowerCase()}/${found.name}`, '--wait=true', '--timeout=15s'])
    await cluster.read(['apply', '--dry-run=server', '-f', manifest])
  }
  for (const line of (await cluster.read(['apply', '-f', manifest])).trim().split('\n')) say(line)
}

/** The workload whose selector the server refuses to change; undefined where anything else is wrong too: nothing is deleted. */
function immutable(complaint: string, mine: readonly Workload[]): Workload | undefined {
  const [, kind, name] = /^The (\w+) "([^"]+)" is invalid: spec\.selector: field is immutable$/.exec(complaint) ?? []
  return mine.find((each) => each.kind === kind && each.name === name)
}

/**
 * Waits until every workload of the manifest is up, says what is awaited when that changes. Throws UserError at the limit,
 * with the reason from the pods' own state.
 */
export async function settled(cluster: Cluster, manifest: string, selector: string): Promise<void> {
  const mine = workloads(manifest)
  const names = mine.filter(({ kind }) => kind !== 'Pod').map(({ kind, name }) => `${kind.toLowerCase()}/${name}`)
  if (names.length === 0) return
  const said = new Set<string>() // a pull that fails says two things in turn
  let [going, hopeful] = [true, Date.now()]
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
    if (Date.now() > end || Date.now() - hopeful > stands)
      throw new UserError(`the pods did not come up: ${now} - correct that, then run the command again`)
  }
}

/** What more waiting will not mend. */
function hopeless(now: string): boolean {
  return /ErrImageNeverPull|InvalidImageName|exceeded quota|CreateContainerConfigError|RunContainerError|is forbidden/.test(
    now,
  )
}

/** Applies the dev manifest, and waits for its pods. Throws UserError. */
export async function rollOutDev(
  cluster: Cluster,
  { manifestDev, manifest, selector }: Pick<Settings, 'manifestDev' | 'manifest' | 'selector'>,
): Promise<void> {
  warnIfOlder(manifestDev, manifest)
  await apply(cluster, manifestDev)
  await settled(cluster, manifestDev, selector)
}

/** Warns where the production manifest was edited after the dev manifest was made. */
function warnIfOlder(manifestDev: string, manifest: string): void {
  const [made, source] = [manifestDev, manifest].map((file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs)
  if (made !== undefined && source !== undefined && made < source)
    say(`warning: ${manifest} is newer than ${manifestDev} - run npm run generate-deployment-dev`)
}
