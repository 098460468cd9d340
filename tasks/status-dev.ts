// Shows what runs in every dev pod, as its agent proves it.
import { leftOutWords } from './lib/pods/pod-list.ts'
import { sha256Of } from './lib/go/builds.ts'
import { fitted, since, width } from './lib/frame/fit.ts'
import { agentVersion, reasonOf, type Receipt } from './lib/protocol/receipt.ts'
import { settings } from './lib/settings/settings.ts'
import { mode, statusOf } from './lib/pods/status.ts'
import { table } from './lib/frame/words.ts'
import { task } from './lib/frame/task.ts'
import { print, say, UserError } from './lib/frame/talk.ts'
import type { Pod } from './lib/pods/target.ts'
import { target } from './lib/pods/reach.ts'

const about = {
  name: 'status-dev',
  summary: 'shows what runs in every dev pod, as its agent proves it',
  options: {
    json: { type: 'boolean', help: 'print one JSON object per pod' },
    wide: { type: 'boolean', help: 'print every column, however wide the table becomes' },
  },
  more:
    'LOCAL: whether the program is the file at BINARY. SINCE: when its process began. DEPLOYED: when it was swapped in.\n' +
    'Without --wide the table fits the terminal; in a pipe or a file it has COLUMNS characters a line, or 80.',
} as const

const wide = [
  'POD',
  'CONTAINER',
  'AGENT',
  'RESULT',
  'VERSION',
  'SHA256',
  'LOCAL',
  'SINCE',
  'MODE',
  'RESTARTS',
  'BY',
  'DEPLOYED',
  'HOLDS',
  'REASON',
] as const
type Cells = Readonly<Record<(typeof wide)[number], string>>

const numbers = new Set(['pid', 'restarts', 'free', 'logfrom'])

await task(about, async ({ flags }) => {
  const chosen = await settings([])
  const there = await target(chosen)
  say(there.where)
  const { pods, leftOut } = await there.pods()
  for (const pod of leftOut) say(`${pod.name}: ${leftOutWords(pod)}`)
  const built = sha256Of(chosen.binary)
  let failed = false
  const rows = await Promise.all(
    pods.map(async (pod) => {
      try {
        const receipt = await statusOf(there, pod)
        if (flags.json === true) print(JSON.stringify(record(pod, receipt, built)))
        else for (const said of receipt.log) say(`${pod.name} | ${said}`)
        return row(pod, receipt, built)
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        if (flags.json === true) print(JSON.stringify({ pod: pod.name, error: error.message }))
        say(`error: ${error.message}`)
        failed = true
        return undefined
      }
    }),
  )
  const all = rows.filter((cells) => cells !== undefined)
  if (flags.json === true || all.length === 0) return failed ? 1 : 0
  const lines =
    flags.wide === true ? table([wide, ...all.map((cells) => wide.map((title) => cells[title]))]) : narrow(all)
  lines.forEach(print)
  return failed ? 1 : 0
})

/** What a person asks for first, in the width that there is; why it is so stands below. */
function narrow(all: readonly Cells[]): string[] {
  const titles = ['POD', 'RESULT', 'VERSION', 'SHA256', 'LOCAL', 'SINCE', 'BY'] as const
  const rows = all.map((cells) => {
    const short = { ...cells, SINCE: since(cells.SINCE, new Date()) }
    return [...titles.map((title) => short[title]), cells.REASON === '-' ? '' : cells.REASON]
  })
  return fitted([...titles, ''], rows, width())
}

/** A pod's cells under their titles. */
function row(pod: Pod, receipt: Receipt, built: string | undefined): Cells {
  const value = (key: string) => receipt.values.get(key) || '-'
  const own = pod.restarts === 0 ? '' : `, container ${pod.restarts}`
  return {
    POD: pod.name,
    CONTAINER: pod.container || '-',
    AGENT: agentVersion(receipt).version || '-',
    RESULT: value('result'),
    VERSION: value('version'),
    SHA256: value('sha256').slice(0, 8),
    LOCAL: isLocal(receipt, built) ? 'yes' : 'no',
    SINCE: value('started'),
    MODE: mode(receipt) || '-',
    RESTARTS: `${value('restarts')}${own}`,
    BY: value('by'),
    DEPLOYED: value('deployed'),
    HOLDS: value('holds'),
    REASON: reasonOf(receipt) || '-',
  }
}

/** The receipt, and what is known beside it. */
function record(pod: Pod, receipt: Receipt, built: string | undefined) {
  return {
    ...Object.fromEntries([...receipt.values].map(([key, value]) => [key, numbers.has(key) ? Number(value) : value])),
    pod: pod.name, // a receipt does not name its pod
    container: pod.container,
    containerRestarts: pod.restarts,
    mode: mode(receipt),
    local: isLocal(receipt, built),
    log: receipt.log,
  }
}

function isLocal({ values }: Receipt, built: string | undefined): boolean {
  return built !== undefined && values.get('sha256') === built
}
