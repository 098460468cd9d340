// Sends the built binary to every dev pod, where the agent swaps it in; shows what each pod acknowledged.
import { deliver } from './lib/delivery/retry.ts'
import type { Delivery } from './lib/delivery/put.ts'
import { foreignWord, parcelOf } from './lib/delivery/parcel.ts'
import { newest, remember } from './lib/patches/cache.ts'
import { encodingOf } from './lib/delivery/packing.ts'
import { close, warm } from './lib/patches/patches.ts'
import { atOnce } from './lib/delivery/fleet.ts'
import { slots } from './lib/frame/slots.ts'
import { leftOutWords } from './lib/pods/pod-list.ts'
import type { Pod } from './lib/pods/target.ts'
import { equipper } from './lib/delivery/pod-tool.ts'
import { progress } from './lib/frame/progress.ts'
import { binaryWords, waited, waitWords } from './lib/protocol/receipt.ts'
import { settings } from './lib/settings/settings.ts'
import { task } from './lib/frame/task.ts'
import { print, say, UserError } from './lib/frame/talk.ts'
import { target } from './lib/pods/reach.ts'
import { seconds, size } from './lib/frame/words.ts'

const about = {
  name: 'deploy-dev',
  summary: 'sends the built binary to every dev pod, where the agent swaps it in, and shows what each pod acknowledged',
  options: {
    json: { type: 'boolean', help: 'print one JSON object per pod' },
    encoding: { type: 'string', value: 'NAME', help: 'raw, gzip or delta, instead of ENCODING' },
    'take-over': { type: 'boolean', help: "also replace another developer's binary" },
    verbose: { type: 'boolean', help: 'say which encoding was chosen' },
  },
  more:
    'Prints pod, bytes sent of how many, pid, version and 8 digits of the sha256, seconds. Exit code 1: a pod failed.\n' +
    "A pod that runs another developer's binary is left alone and named, unless your machine has delivered that binary too.",
} as const

await task(about, async ({ flags }) => {
  const chosen = await settings()
  const there = await target(chosen)
  say(there.where)
  if (there.kind === 'kubernetes') there.cluster.guard()
  const encoding = encodingOf(flags.encoding ?? chosen.encoding, there)
  // most likely that is what runs there: the patch is made before a pod has said so
  const last = encoding === 'delta' ? newest(chosen.binary) : undefined
  if (last !== undefined) warm(chosen.binary, last)
  // the binary is read while the cluster is asked
  const finding = there.pods()
  finding.catch(() => undefined) // what is wrong with the binary is said first
  const parcel = { ...(await parcelOf(chosen.binary)), equip: equipper(there, chosen) }
  const word = foreignWord(chosen.binary, parcel)
  if (word !== '') say(word)
  if (last !== undefined) parcel.patch(last).catch(() => undefined) // where it is awaited, it is seen
  const { pods, leftOut } = await finding
  for (const pod of leftOut) say(`${pod.name}: ${leftOutWords(pod)}`)

  const shown = progress(pods.length)
  const busy = slots(atOnce)
  let failed = 0
  const work = async (pod: Pod) => {
    const done = await busy.take()
    const { name } = pod
    try {
      const delivery = await deliver(there, pod, parcel, encoding, {
        sent: (sent, total) => shown.sent(name, sent, total),
        explain: flags.verbose === true,
        takeOver: flags['take-over'] === true,
      })
      if (delivery.from !== undefined) say(`${name}: taken over: ${delivery.from.past}`)
      const waits = delivery.sent === 0 ? undefined : waited(delivery.receipt)
      print(flags.json === true ? JSON.stringify(record(delivery, waits)) : line(delivery))
      if (waits !== undefined && flags.json !== true) say(`${name}: ${waitWords(waits)}`)
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      failed += 1
      if (flags.json === true) print(JSON.stringify({ pod: name, error: error.message }))
      say(`error: ${error.message}`)
    } finally {
      done()
    }
    shown.done()
  }
  await Promise.all(pods.map(work))
  parcel.drop()
  close()
  if (failed < pods.length) remember(chosen.binary, parcel)
  return failed === 0 ? 0 : 1

  function line({ pod, sent, receipt, ms }: Delivery): string {
    const bytes = sent === 0 ? 'already running' : `${size(sent)} of ${size(parcel.bytes.length)}`
    return [`${pod}: ${bytes}`, `pid ${receipt.values.get('pid')}`, binaryWords(receipt), seconds(ms)].join('  ')
  }

  function record({ pod, sent, receipt, ms, from }: Delivery, waits: ReturnType<typeof waited>) {
    const { values } = receipt
    return {
      pod,
      result: sent === 0 ? 'already' : 'running',
      sent,
      size: parcel.bytes.length,
      pid: Number(values.get('pid')),
      version: values.get('version') ?? '',
      sha256: values.get('sha256') ?? '',
      seconds: Math.round(ms) / 1000,
      ...(waits === undefined ? {} : { waited: waits.connections, longestWait: waits.seconds }),
      ...(from === undefined ? {} : { from: from.by }),
    }
  }
})
