// One upload: one exec of the agent's put, from its greeting to its receipt.
import type { ChildProcess } from 'node:child_process'
import type { Writable } from 'node:stream'
import { machines, recordMachine } from '../go/builds.ts'
import { brokenLink, complaint } from '../pods/complaint.ts'
import { debuggerFault } from '../protocol/debugger-fault.ts'
import { archOfUname } from '../binary/elf.ts'
import { obstacles } from './obstacles.ts'
import { claimed, takeOver, type Claim } from './owner.ts'
import { pack, wholeOf, type Packed } from './packing.ts'
import type { Parcel } from './parcel.ts'
import { pause } from '../frame/pause.ts'
import { binaryWords, decodes, receipts, type Encoding, type Receipt } from '../protocol/receipt.ts'
import { ANOTHER_RUNS, DISK_FULL, EXIT_STATUS, NEEDS_LOADER, SINCE, TO_LIVE } from '../protocol/words.ts'
import { noAgent } from '../pods/status.ts'
import { clean, inWords, say, UserError } from '../frame/talk.ts'
import { withoutPipes, type Pod, type Target } from '../pods/target.ts'

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

/** An exec of put whose greeting has been read. It holds nobody's lock, and waits for a header as long as it may. */
export interface Opening {
  readonly greeting: Receipt
  /** When that was, as performance.now() tells it. */
  readonly at: number
  /** Nothing has ended it. */
  readonly alive: () => boolean
  readonly stdin: Writable
  /** The next block that the pod says; undefined at the end. */
  readonly next: () => Promise<Receipt | undefined>
  readonly watch: ReturnType<typeof watched>
  /** Tells of wait= lines from now on. */
  readonly hear: (wait: (what: string) => void) => void
  /** Before a header: nothing changes. */
  readonly close: () => void
}

const idle = 30_000 // ms without a byte taken or a line said
const piece = 256 * 1024 // bytes a write
const cutPatience = 3_000 // ms for a pod to notice that an upload has ended

function linkError(what: string, next = ''): Undelivered {
  return new Undelivered('link', next === '' ? what : `${what} - ${next}`, what)
}

/** Opens an exec of put, or of another verb of the agent that greets, and reads its greeting. Throws UserError where no agent greets. */
export async function open(target: Target, pod: Pod, words = ['put', pod.binary]): Promise<Opening> {
  const child = target.exec(pod, [...pod.agent, ...words])
  const watch = watched(child)
  let wait: (what: string) => void = () => undefined
  const close = () => {
    // an exec whose remote side has stopped reading hangs for ever (containerd 1.6, kubectl 1.29 to 1.33)
    watch.end()
    child.kill()
    // what the child has started may hold them open for long
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  try {
    if (!child.stdout || !child.stdin) throw new UserError(`${pod.name}: ${withoutPipes}`)
    child.stdin.on('error', () => undefined) // a reader that left has said why, or its end is seen below
    const blocks = receipts(child.stdout, (what) => {
      watch.alive()
      wait(what)
    })
    const next = async () => {
      const block = await Promise.race([blocks.next(), watch.stalled])
      watch.alive()
      return block.done === true ? undefined : block.value
    }
    const greeting = await next()
    if (greeting === undefined || greeting.values.get('agent') === undefined)
      throw unheard(pod, greeting, await Promise.race([watch.ended, watch.stalled]))
    watch.done() // the agent waits for a header without a limit
    return {
      greeting,
      at: performance.now(),
      alive: () => child.exitCode === null && child.signalCode === null,
      stdin: child.stdin,
      next,
      watch,
      hear: (told) => (wait = told),
      close,
    }
  } catch (error) {
    close()
    throw error
  }
}

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
    opening ??= await open(target, pod)
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
    const equip = async (tool: 'debugger' | 'decoder') => {
      watch.done() // the agent waits; a tool that is built first takes longer than a silence may
      await parcel.equip?.(pod, tool, greeting)
      watch.alive()
    }
    if (wrapped && greeting.values.get('debugger') === 'missing') await equip('debugger')
    if (parcel.debug && !wrapped)
      say(
        `${pod.name}: no debugger there: the agent runs without -r - run npm run switch-dev, which starts it with one`,
      )
    const packed = await pack(parcel, wanted, wholeOf(target), greeting)
    const { encoding, body } = packed
    if (encoding === 'delta' && !decodes(greeting, 'delta')) await equip('decoder')
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

export async function send(
  stdin: Writable,
  head: Buffer,
  body: Buffer,
  taken: (count: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const write = (bytes: Buffer) => new Promise<void>((resolve) => stdin.write(bytes, () => resolve()))
  await write(head)
  for (let at = 0; at < body.length; at += piece) {
    if (stdin.destroyed || signal?.aborted === true) return
    await write(body.subarray(at, at + piece))
    taken(Math.min(at + piece, body.length))
  }
}

function isUp({ values }: Receipt): boolean {
  return ['running', 'starting', 'rolled-back'].includes(values.get('result') ?? '') && !values.has('swapping')
}

interface Ended {
  /** `exit code 1` or `SIGKILL`. */
  readonly how: string
  readonly stderr: string
}

/** Watches a child for silence and for its end. */
function watched(child: ChildProcess) {
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4096)
  })
  let fail: (error: Error) => void = () => undefined
  const stalled = new Promise<never>((_, reject) => (fail = reject))
  stalled.catch(() => undefined)
  const expire = () => fail(linkError(`no answer for ${idle / 1000} s: is the pod still there? (npm run status-dev)`))
  let timer = setTimeout(expire, idle)
  let over = false
  return {
    stalled,
    ended: new Promise<Ended>((resolve) => {
      child.once('error', (error) => resolve({ how: 'not started', stderr: error.message }))
      child.once('close', (code, signal) =>
        resolve({ how: signal ?? `exit code ${code}`, stderr: clean(stderr).trim() }),
      )
    }),
    alive: () => {
      clearTimeout(timer)
      if (!over) timer = setTimeout(expire, idle)
    },
    /** It may be silent for as long as it likes, until the next word of life. */
    done: () => clearTimeout(timer),
    /** For good: bytes of an upload that nobody takes any more may still be on their way, and hold no task up. */
    end: () => {
      over = true
      clearTimeout(timer)
    },
  }
}

function unheard(pod: Pod, said: Receipt | undefined, ended: Ended): Undelivered {
  const { how, stderr } = ended
  // an agent that is not there has kubectl or the agent's own script say so; a link that breaks this early is a link still
  if (said === undefined && (how === 'exit code 0' || brokenLink(stderr))) return cut(pod, ended)
  const reason = said?.values.get('reason')
  return new Undelivered('silent', (reason === undefined ? noAgent(pod, how, stderr) : noAgent(pod, reason)).message)
}

function cut(pod: Pod, { how, stderr }: Ended): Undelivered {
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
function refused(pod: Pod, { by }: Parcel, encoding: Encoding, receipt: Receipt): UserError {
  const { values, log } = receipt
  const ended = values.get('reason') ?? 'no reason given'
  const reason = ended === `${EXIT_STATUS} 0` ? `${ended}: only a program that stays can be swapped in` : ended
  const runs = values.has('pid') ? `${binaryWords(receipt)} runs on` : 'nothing runs there now'
  const fault = debuggerFault(ended, log)
  const text = () => {
    switch (values.get('result')) {
      case 'rolled-back':
        if (fault !== undefined) return `the previous binary ${binaryWords(receipt)} is back: ${fault}`
        return `it crashed (${reason}); the previous binary ${binaryWords(receipt)} is back - fix it, then npm run build and npm run deploy-dev`
      case 'crashed':
        if (fault !== undefined) return `nothing runs there now: ${fault}`
        return `it crashed (${reason}) and nothing runs there now - fix it, then npm run build and npm run deploy-dev`
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
