// Delivery: one binary to one pod, tried again where the next try may find the way whole.
import type { Claim } from './owner.ts'
import type { Parcel } from './parcel.ts'
import { wholeOf } from './packing.ts'
import { pause } from '../frame/pause.ts'
import { attempt, type Delivery, type Terms } from './put.ts'
import { Undelivered } from './failure.ts'
import type { Encoding } from '../protocol/receipt.ts'
import { say } from '../frame/talk.ts'
import type { Pod, Target } from '../pods/target.ts'

const looks = 5 // at a pod that keeps changing
const tries = 4 // the first one, and three more
const swapPatience = 60_000 // ms for a swap that an earlier try has set off

/** Whether the pod's agent was not reached, or not heard to the end: the next try may find it. */
export function isUnreached(error: unknown): boolean {
  return error instanceof Undelivered && ['link', 'silent', 'swapping'].includes(error.kind)
}

/** Whose binary an error is about that was left in its place; undefined for any other error. */
export function claimOf(error: unknown): Claim | undefined {
  return error instanceof Undelivered ? error.claim : undefined
}

/**
 * Sends a parcel to a pod and waits for the receipt; over a link that is cut, again, up to three times. Throws UserError,
 * which says why the pod does not run it, what it runs instead, and the next step.
 */
export async function deliver(
  target: Target,
  pod: Pod,
  parcel: Parcel,
  encoding: Encoding,
  terms: Terms = {},
): Promise<Delivery> {
  const begin = performance.now()
  let sent = 0
  const told = (count: number, total: number) => {
    sent = count
    terms.sent?.(count, total)
  }
  let wanted = encoding
  let waited = 0
  let { opening } = terms
  let looked = 1
  for (let turn = 1; ;) {
    try {
      const delivery = await attempt(target, pod, parcel, wanted, { ...terms, sent: told, opening })
      // a try that was cut after all had arrived: what runs there is what it sent
      return { ...delivery, sent: turn > 1 ? sent : delivery.sent, ms: performance.now() - begin }
    } catch (error) {
      opening = undefined
      if (!(error instanceof Undelivered)) throw error
      const { kind, what } = error
      if (kind === 'unpatched' && wanted === 'delta') {
        say(`${what} - sending the whole file`)
        wanted = wholeOf(target)
        continue
      }
      if (kind === 'passed' && looked < looks) {
        looked += 1
        continue
      }
      if (target.kind === 'local' || terms.signal?.aborted === true) throw error
      // a busy pod is our own earlier try's only where there was one
      if ((kind === 'swapping' || (kind === 'underway' && turn > 1)) && waited < swapPatience) {
        await pause(500)
        waited += 500
        continue
      }
      if ((kind !== 'link' && kind !== 'swapping') || turn >= tries) throw error
      say(`${what} - trying again (${turn} of ${tries - 1})`)
      await pause(500 * turn)
      turn += 1
    }
  }
}
