// Shows what runs in every dev pod, as its agent proves it.
import { settings } from './lib/settings.ts'
import { statusOf, table } from './lib/status.ts'
import { print, say, task, UserError } from './lib/task.ts'
import { target } from './lib/target.ts'

const about = {
  name: 'status-dev',
  summary: 'shows what runs in every dev pod, as its agent proves it',
  options: { json: { type: 'boolean', help: 'print one JSON object per pod: the receipt' } },
} as const

const columns = ['result', 'version', 'sha256', 'pid', 'run', 'started', 'restarts', 'by', 'reason'] as const

const numbers = new Set(['pid', 'restarts', 'free'])

await task(about, async ({ flags }) => {
  const there = await target(settings())
  say(there.where)
  const { pods, leftOut } = await there.pods()
  for (const { name, why } of leftOut) say(`${name}: left out: it is ${why}`)
  let failed = false
  const rows = await Promise.all(
    pods.map(async (pod) => {
      try {
        const { values, log } = await statusOf(there, pod)
        const own = [...values]
          .filter(([key]) => key !== 'pod') // a receipt does not name its pod
          .map(([key, value]) => [key, numbers.has(key) ? Number(value) : value] as const)
        if (flags.json !== true) for (const said of log) say(`${pod.name} | ${said}`)
        if (flags.json === true) print(JSON.stringify({ pod: pod.name, ...Object.fromEntries(own), log }))
        return [pod.name, ...columns.map((key) => shown(key, values.get(key) ?? ''))]
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        say(`error: ${error.message}`)
        failed = true
        return undefined
      }
    }),
  )
  const found = rows.filter((row) => row !== undefined)
  if (flags.json !== true && found.length > 0)
    for (const row of table([['POD', ...columns.map((key) => key.toUpperCase())], ...found])) print(row)
  return failed ? 1 : 0
})

function shown(key: string, value: string): string {
  if (value === '') return '-'
  return key === 'sha256' ? value.slice(0, 8) : value
}
