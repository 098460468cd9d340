// Why a pod does not run a binary that was sent to it: in words, and with what a next try can make of it.
import { brokenLink, complaint } from '../pods/complaint.ts'
import { noAgent } from '../pods/status.ts'
import type { Pod } from '../pods/target.ts'
import { debuggerFault } from '../protocol/debugger-fault.ts'
import { isInjected } from '../protocol/command.ts'
import { binaryWords, type Encoding, type Receipt } from '../protocol/receipt.ts'
import { ANOTHER_RUNS, DISK_FULL, EXIT_STATUS, NEEDS_LOADER, SINCE, WRONG_USE } from '../protocol/words.ts'
import { UserError } from '../frame/talk.ts'
import type { Claim } from './owner.ts'
import type { Parcel } from './parcel.ts'

/** What a next try can make of a failure. */
type Kind =
  /** The link: it may be whole again. */
  | 'link'
  /** No agent has answered: one may be about to start. */
  | 'silent'
  /** What an earlier try has sent is being swapped in. */
  | 'swapping'
  /** The pod is still at an upload of this developer: an earlier try's, if there was one. */
  | 'underway'
  /** Another binary has come since the greeting: what runs there is to be looked at anew. */
  | 'passed'
  /** The pod did not take a patch: the whole file will do. */
  | 'unpatched'
  /** Another developer's binary runs there. */
  | 'taken'

/** A delivery that failed in a way that a next try depends on. */
export class Undelivered extends UserError {
  constructor(
    readonly kind: Kind,
    message: string,
    /** The message without a next step. */
    readonly what = message,
    readonly claim?: Claim,
  ) {
    super(message)
  }

  /** The same, of a pod. */
  of({ name }: Pod): Undelivered {
    return new Undelivered(this.kind, `${name}: ${this.message}`, `${name}: ${this.what}`, this.claim)
  }
}

export const NOTHING_RUNS = 'nothing runs there now'

/** How an exec has ended. */
export interface Ended {
  /** `exit code 1` or `SIGKILL`. */
  readonly how: string
  readonly stderr: string
}

/** The link broke, or is silent. */
export function linkError(what: string, next = ''): Undelivered {
  return new Undelivered('link', next === '' ? what : `${what} - ${next}`, what)
}

/** The agent does not know what these tasks say to it; `spoken` is what it says of itself, if it says anything. */
export function outdated({ agent, container }: Pick<Pod, 'agent' | 'container'>, spoken?: string): string {
  const text = isInjected(agent)
    ? 'npm run generate-deployment-dev and '
    : container === ''
      ? ''
      : 'npm run container-dev and '
  return `the agent${spoken === undefined ? '' : ` (${spoken})`} is older than these tasks - run ${text}npm run switch-dev`
}

/** No agent has greeted. */
export function unheard(pod: Pod, said: Receipt | undefined, ended: Ended): Undelivered {
  const { how, stderr } = ended
  if (said === undefined && stderr.includes(WRONG_USE))
    return new Undelivered('silent', `${pod.name}: ${outdated(pod)}`)
  // an agent that is not there has kubectl or the agent's own script say so; a link that breaks this early is a link still
  if (said === undefined && (how === 'exit code 0' || brokenLink(stderr))) return cut(pod, ended)
  const reason = said?.values.get('reason')
  return new Undelivered('silent', (reason === undefined ? noAgent(pod, how, stderr) : noAgent(pod, reason)).message)
}

/** The connection ended before the receipt. */
export function cut(pod: Pod, { how, stderr }: Ended): Undelivered {
  const { what, next } = complaint(stderr)
  const again = 'run npm run deploy-dev again'
  return linkError(
    `${pod.name}: the connection ended without a receipt (${what || how})`,
    next === '' ? again : `${next}; then ${again}`,
  )
}

function rejectedRemedy(reason: string): string {
  if (reason.startsWith(DISK_FULL)) return 'make room in the pod'
  return reason.startsWith(NEEDS_LOADER) ? 'then run npm run deploy-dev again' : 'run npm run deploy-dev again'
}

/** A receipt that is no success, in words. */
export function refused(pod: Pod, { by }: Parcel, encoding: Encoding, receipt: Receipt): UserError {
  const { values, log } = receipt
  const ended = values.get('reason') ?? 'no reason given'
  const reason = ended === `${EXIT_STATUS} 0` ? `${ended}: only a program that stays can be swapped in` : ended
  const runs = values.has('pid') ? `${binaryWords(receipt)} runs on` : NOTHING_RUNS
  const fault = debuggerFault(ended, log)
  const text = () => {
    switch (values.get('result')) {
      case 'rolled-back':
        if (fault !== undefined) return `the previous binary ${binaryWords(receipt)} is back: ${fault}`
        return `it crashed (${reason}); the previous binary ${binaryWords(receipt)} is back - fix it, then npm run build and npm run deploy-dev`
      case 'crashed':
        if (fault !== undefined) return `${NOTHING_RUNS}: ${fault}`
        return `it crashed (${reason}) and ${NOTHING_RUNS} - fix it, then npm run build and npm run deploy-dev`
      case 'busy':
        return `busy: ${reason}; ${runs} - try again when it is done`
      case 'rejected':
        return `rejected: ${reason}; ${runs} - ${rejectedRemedy(reason)}`
      default:
        return `it does not run the new binary: ${values.get('result') ?? 'no result'} (${reason}); ${runs}`
    }
  }
  const message = `${pod.name}: ${text()}`
  const is = (result: string) => values.get('result') === result
  if (is('rejected') && encoding === 'delta')
    return new Undelivered('unpatched', message, `${pod.name}: rejected: ${ended}`)
  if (is('busy') && ended.includes(`: ${by} ${SINCE} `)) return new Undelivered('underway', message)
  if (ended === ANOTHER_RUNS) return new Undelivered('passed', message)
  return new UserError(message)
}
