// One upload: one exec of the agent's put, from its greeting to its receipt.
import { machines, recordMachine } from '../go/builds.ts'
import { archOfUname } from '../binary/elf.ts'
import { obstacles } from './obstacles.ts'
import { send } from './exec.ts'
import { open, type Opening } from './opening.ts'
import { claimed, takeOver, type Claim } from './owner.ts'
import { pack, wholeOf, type Packed } from './packing.ts'
import type { Parcel } from './parcel.ts'
import { pause } from '../frame/pause.ts'
import type { Encoding, Receipt } from '../protocol/receipt.ts'
import { TO_LIVE } from '../protocol/words.ts'
import { inWords, say, UserError } from '../frame/talk.ts'
import type { Pod, Target } from '../pods/target.ts'
import { cut, refused, Undelivered } from './failure.ts'

/** What a pod acknowledged. */
export interface Delivery {
  readonly pod: string
  /** Bytes that went over the link; 0 where the pod ran this very binary. */
  readonly sent: number
  readonly receipt: Receipt
  /** From the first byte to the receipt. */
  readonly ms: number
  /** Whose binary it took the place of. */
  readonly from?: Claim | undefined
}

/** Who is told of a delivery, and what it may begin with. */
export interface Terms {
  /** Bytes that the pod took, of how many. */
  readonly sent?: (count: number, total: number) => void
  /** The new process is there; whether it stays, the receipt says. */
  readonly up?: () => void
  /** A receipt that is no success; default: its log is said. */
  readonly refused?: (receipt: Receipt) => void
  /** The first try goes through it. */
  readonly opening?: Opening | undefined
  /** Says which encoding was chosen, and why. */
  readonly explain?: boolean
  /** Takes the place of another developer's binary too. */
  readonly takeOver?: boolean
  /** Ends the delivery for as long as there are bytes to go: the pod then changes nothing. */
  readonly signal?: AbortSignal
}

const cutPatience = 3_000 // ms for a pod to notice that an upload has ended

/** One exec of put. */
export async function attempt(
  target: Target,
  pod: Pod,
  parcel: Parcel,
  wanted: Encoding,
  { sent: progress, up, refused: unhappy, opening: given, signal, explain, takeOver: over }: Terms,
): Promise<Delivery> {
  const begin = performance.now()
  let opening = given
  if (wanted !== 'delta') void parcel.encoded(wanted) // while the exec opens
  try {
    if (opening?.greeting.values.get('sha256') === parcel.sha256) {
      // what ran when it was opened need not run any more
      opening.close()
      opening = undefined
    }
    opening ??= await open(target, pod, parcel.machine)
    const { greeting, stdin, next, watch } = opening
    watch.alive()
    let waiting = TO_LIVE // what every put waits for: nothing to say
    let started = false
    opening.hear((what) => {
      if (what === TO_LIVE && !started) up?.()
      started ||= what === TO_LIVE
      if (what !== waiting) say(`${pod.name}: waiting ${what}`)
      waiting = what
    })
    if (greeting.values.get('swapping') === parcel.sha256) {
      stdin.end()
      throw new Undelivered('swapping', 'an earlier try is being swapped in')
    }
    if (greeting.values.get('sha256') === parcel.sha256 && isUp(greeting)) {
      stdin.end() // before a header: nothing changes
      return { pod: pod.name, sent: 0, receipt: greeting, ms: performance.now() - begin }
    }
    const from = claimed(greeting, parcel)
    if (from !== undefined && over !== true)
      throw new Undelivered('taken', `${from.words} - ${takeOver}`, from.words, from)
    const machine = archOfUname(greeting.values.get('machine') ?? '')
    // the sandbox is this machine, whatever the cluster's nodes are
    if (machine !== undefined && target.kind === 'kubernetes') recordMachine(machine)
    const wrapped = parcel.debug && greeting.values.get('wrapper') !== undefined
    const planned = { size: parcel.bytes.length, machine: parcel.machine, machines: machines(), wrapped }
    const [obstacle] = obstacles(pod, planned, greeting)
    if (obstacle !== undefined) throw new UserError(obstacle.why)
    if (wrapped && greeting.values.get('debugger') === 'missing') {
      watch.done() // the agent waits; a debugger that is built first takes longer than a silence may
      await parcel.equip?.(pod, greeting)
      watch.alive()
    }
    if (parcel.debug && !wrapped)
      say(
        `${pod.name}: no debugger there: the agent runs without -r - run npm run switch-dev, which starts it with one`,
      )
    const packed = await pack(parcel, wanted, wholeOf(target), greeting)
    const { encoding, body } = packed
    if (explain === true) say(`${pod.name}: encoding ${encoding}${packed.why}`)
    const overtaken = () => signal?.aborted === true
    if (overtaken()) throw new UserError('overtaken by a newer build')
    const answer = next()
    let sent = 0
    const sending = send(
      stdin,
      Buffer.from(header(parcel, body.length, packed, wrapped ? 'wrapped' : 'plain', over === true ? 'any' : greeting)),
      body,
      (count) => {
        sent = count
        watch.alive()
        progress?.(count, body.length)
      },
      signal,
    )
    // a refusal comes while bytes are still to go, and nobody reads them any more
    await Promise.race([answer, sending])
    if (overtaken() && sent < body.length) {
      stdin.end() // it finds the upload cut, and gives its lock back
      await Promise.race([watch.ended, pause(cutPatience)])
      throw new UserError('overtaken by a newer build')
    }
    const receipt = await answer
    if (receipt === undefined) throw cut(pod, await Promise.race([watch.ended, watch.stalled]))
    if (receipt.values.get('result') !== 'running' || receipt.values.get('sha256') !== parcel.sha256) {
      if (unhappy === undefined) for (const line of receipt.log) say(`${pod.name} | ${line}`)
      unhappy?.(receipt)
      throw refused(pod, parcel, encoding, receipt)
    }
    return { pod: pod.name, sent, receipt, ms: performance.now() - begin, from }
  } catch (error) {
    if (error instanceof UserError && error.message.startsWith(`${pod.name}: `)) throw error
    // what fails on this machine (a disk that is full, a file that is gone) is this pod's trouble, and no other's
    throw error instanceof Undelivered ? error.of(pod) : new UserError(`${pod.name}: ${inWords(error).message}`)
  } finally {
    opening?.close()
  }
}

/** The header line of put. It is refused where by then another binary runs than the greeting says. */
export function header(
  { bytes, sha256, version, by }: Pick<Parcel, 'bytes' | 'sha256' | 'version' | 'by'>,
  length: number,
  { encoding, base }: Pick<Packed, 'encoding' | 'base'>,
  run: 'plain' | 'wrapped',
  greeting: Receipt | 'any' = 'any',
): string {
  const on = base === undefined ? '' : ` base=${base}`
  const of = encoding === 'raw' ? '' : ` whole=${bytes.length}`
  const over = greeting === 'any' ? '' : ` over=${greeting.values.get('sha256') ?? 'none'}`
  return `sha256=${sha256} size=${length} encoding=${encoding}${on}${of} run=${run} version=${version} by=${by}${over}\n`
}

function isUp({ values }: Receipt): boolean {
  return ['running', 'starting', 'rolled-back'].includes(values.get('result') ?? '') && !values.has('swapping')
}
