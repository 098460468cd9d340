// Sends the built binary to every dev pod, where the agent swaps it in; shows what each pod acknowledged.
import { deliver, parcelOf, type Delivery } from './lib/deliver.ts'
import { binaryWords } from './lib/receipt.ts'
import { settings } from './lib/settings.ts'
import { print, say, task, UserError } from './lib/task.ts'
import { target } from './lib/target.ts'
import { seconds, size } from './lib/words.ts'

const about = {
  name: 'deploy-dev',
  summary: 'sends the built binary to every dev pod, where the agent swaps it in, and shows what each pod acknowledged',
  options: { json: { type: 'boolean', help: 'print one JSON object per pod' } },
  more: 'Prints pod, bytes sent of how many, pid, version and 8 digits of the sha256, seconds. Exit code 1: a pod failed.',
} as const

await task(about, async ({ flags }) => {
  const chosen = settings()
  const there = await target(chosen)
  say(there.where)
  const parcel = parcelOf(chosen.binary)
  if (there.kind === 'kubernetes') there.cluster.guard()
  const { pods, leftOut } = await there.pods()
  for (const { name, why } of leftOut) say(`${name}: left out: it is ${why}`)
  const near = there.kind === 'local' || there.cluster.local
  const encoding = chosen.encoding === 'raw' || (chosen.encoding === 'auto' && near) ? 'raw' : 'gzip'

  const results = await Promise.all(
    pods.map(async (pod) => {
      try {
        const delivery = await deliver(there, pod, parcel, encoding)
        print(flags.json === true ? JSON.stringify(record(delivery)) : line(delivery))
        return true
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        if (flags.json === true) print(JSON.stringify({ pod: pod.name, error: error.message }))
        say(`error: ${error.message}`)
        return false
      }
    }),
  )
  return results.every((done) => done) ? 0 : 1

  function line({ pod, sent, receipt, ms }: Delivery): string {
    const bytes = sent === 0 ? 'already running' : `${size(sent)} of ${size(parcel.bytes.length)}`
    return [`${pod}: ${bytes}`, `pid ${receipt.values.get('pid')}`, binaryWords(receipt), seconds(ms)].join('  ')
  }

  function record({ pod, sent, receipt: { values }, ms }: Delivery) {
    return {
      pod,
      result: sent === 0 ? 'already' : 'running',
      sent,
      size: parcel.bytes.length,
      pid: Number(values.get('pid')),
      version: values.get('version') ?? '',
      sha256: values.get('sha256') ?? '',
      seconds: Math.round(ms) / 1000,
    }
  }
})
