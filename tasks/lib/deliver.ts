// Delivery: one binary to one pod, through the agent's put, believed only when its receipt says so.
import { hostname, userInfo } from 'node:os'
import type { Writable } from 'node:stream'
import type { ChildProcess } from 'node:child_process'
import { promisify } from 'node:util'
import { gzip as gzipWithCallback } from 'node:zlib'
import { readBinary, type Binary } from './binary.ts'
import { buildOf, machines, recordMachine } from './builds.ts'
import { has } from './cache.ts'
import { brokenLink, complaint } from './complaint.ts'
import { debuggerFault } from './debug-fault.ts'
import { archOfUname, elf, isUnoptimized } from './elf.ts'
import { obstacles } from './obstacles.ts'
import { claimed, takeOver, type Claim, type Developer } from './owner.ts'
import { decodes, pack, wholeOf, type Encoding, type Packed, type Whole } from './packing.ts'
import { patch } from './patches.ts'
import { receipts, binaryWords, type Receipt } from './receipt.ts'
import { clean, inWords, say, UserError } from './task.ts'
import { noAgent } from './status.ts'
import { withoutPipes, type Pod, type Target } from './target.ts'

const gzip = promisify(gzipWithCallback)

/** A binary that is to be delivered, and by whom. */
export interface Parcel extends Developer, Binary {
  /** Go's word for the machine that it is for. */
  readonly machine: string
  /** It was built for a debugger: it runs through the wrapper. */
  readonly debug: boolean
  readonly version: string
  /** The bytes under an encoding, made once however many pods get them. */
  readonly encoded: (encoding: Whole) => Promise<Buffer>
  /** The patch on the binary with that sha256, made once; undefined where that is not in the cache. */
  readonly patch: (from: string) => Promise<Buffer | undefined>
  /** Brings a tool into a pod that has none: its debugger, the decoder of patches. Throws UserError. */
  readonly equip?: (pod: Pod, tool: 'debugger' | 'decoder', greeting: Receipt) => Promise<void>
  /** Ends an encoding that nobody waits for. */
  readonly drop: () => void
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
const live = 'for the new process to live' // what every put waits for: nothing to say

/** Reads a built binary; the version is the one that its build had. Throws UserError that names the next step where there is none, or it is no Linux program. */
export async function parcelOf(file: string, version?: string): Promise<Parcel> {
  return parcelFrom(file, await binaryAt(file), version)
}

async function binaryAt(file: string): Promise<Binary> {
  try {
    return await readBinary(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new UserError(`there is no ${file} - run npm run build`)
    throw new UserError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The same from one that has been read. */
export function parcelFrom(file: string, { bytes, sha256 }: Binary, version?: string): Parcel {
  const facts = elf(bytes)
  if ('reason' in facts) throw new UserError(`${file} is ${facts.reason} - run npm run build`)
  const made = new Map<string, Promise<Buffer>>()
  const patches = new Map<string, Promise<Buffer | undefined>>()
  let wanted = true
  return {
    machine: facts.machine,
    // what a build meant is recorded; of one from elsewhere, which may hold symbols all the same, Go's own record tells
    debug: buildOf(sha256)?.debug ?? (facts.debug && isUnoptimized(bytes)),
    bytes,
    sha256,
    version: version ?? buildOf(sha256)?.version ?? '',
    by: developer(),
    knows: (known) => has(file, known),
    encoded: (encoding) => {
      const present = made.get(encoding) ?? (encoding === 'raw' ? Promise.resolve(bytes) : gzipped(bytes, () => wanted))
      made.set(encoding, present)
      present.catch(() => undefined) // where it is awaited, it is seen
      return present
    },
    patch: (from) => {
      const present = patches.get(from) ?? patch(file, from, bytes, sha256)
      patches.set(from, present)
      return present
    },
    drop: () => void (wanted = false),
  }
}

/** What is to be said of a binary that was not built by these tasks and looks like one for a debugger; empty where nothing is. */
export function foreignWord(
  file: string,
  { bytes, sha256, debug }: Pick<Parcel, 'bytes' | 'sha256' | 'debug'>,
): string {
  const facts = elf(bytes)
  if (buildOf(sha256) !== undefined || !('debug' in facts) || !facts.debug) return ''
  return debug
    ? `${file} was built elsewhere, without optimization: it runs under the debugger`
    : `${file} was built elsewhere, with symbols and optimized: it runs without a debugger - npm run build-debug makes one for Delve`
}

const members = 16 // of the gzip stream: more than there are threads, so that all of them work to the end
const threads = 4 // of Node's pool

/** Several gzip streams in a row are one: they are made side by side. Rejects where they are not wanted any more. */
async function gzipped(bytes: Buffer, wanted: () => boolean): Promise<Buffer> {
  const size = Math.ceil(bytes.length / members)
  const made: Buffer[] = []
  let next = 0
  const work = async () => {
    for (let at = next++; at < members; at = next++) {
      if (!wanted()) throw new Error('nobody waits for it')
      // level 4 costs a quarter more time than 1 and saves 6 % of the bytes; those above cost more than they save
      made[at] = await gzip(bytes.subarray(at * size, (at + 1) * size), { level: 4 })
    }
  }
  await Promise.all(Array.from({ length: threads }, work))
  return Buffer.concat(made)
}

/** USER@HOST, by which a pod names who deployed there; the uid where that has no name, as in a dev container. */
export function developer(): string {
  return `${word(userName())}@${word(hostname())}`
}

function userName(): string {
  try {
    return userInfo().username || uid()
  } catch {
    return uid() // no passwd entry
  }
}

const uid = () => String(process.getuid?.() ?? '')

/** As a header may hold it. */
function word(text: string): string {
  return text.replace(/[^A-Za-z0-9._+-]/g, '-').slice(0, 64)
}

// Errors of a link, and what they say without the next step: the next try may find it whole.
const links = new WeakMap<Error, string>()
// The same of a pod that did not take a patch: the whole file will do.
const patched = new WeakMap<Error, string>()
// No agent has answered: one may be about to start.
const silent = new WeakSet<Error>()
// An earlier try had arrived, and the pod is still at it: no try of its own.
const underway = new WeakSet<Error>()
// Another binary had come since the greeting: what runs now is looked at anew.
const passed = new WeakSet<Error>()
// Another developer's binary runs there.
const taken = new WeakMap<Error, Claim>()
const looks = 5 // at a pod that keeps changing
const tries = 4 // the first one, and three more
const swapPatience = 60_000 // ms for a swap that an earlier try has set off

/** Whether the pod's agent was not reached, or not heard to the end: the next try may find it. */
export const isUnreached = (error: unknown) => error instanceof Error && (links.has(error) || silent.has(error))

/** Whose binary an error is about that was left in its place; undefined for any other error. */
export const claimOf = (error: unknown) => (error instanceof Error ? taken.get(error) : undefined)

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
      const refusal = error instanceof UserError ? patched.get(error) : undefined
      if (refusal !== undefined && wanted === 'delta') {
        say(`${refusal} - sending the whole file`)
        wanted = wholeOf(target)
        continue
      }
      if (error instanceof UserError && passed.has(error) && looked < looks) {
        looked += 1
        continue
      }
      if (!(error instanceof UserError) || target.kind === 'local' || terms.signal?.aborted === true) throw error
      // a busy pod is our own earlier try's only where there was one
      if (underway.has(error) && (turn > 1 || links.has(error)) && waited < swapPatience) {
        await pause(500)
        waited += 500
        continue
      }
      const trouble = links.get(error)
      if (trouble === undefined || turn >= tries) throw error
      say(`${trouble} - trying again (${turn} of ${tries - 1})`)
      await pause(500 * turn)
      turn += 1
    }
  }
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

function linkError(what: string, next = ''): UserError {
  const error = new UserError(next === '' ? what : `${what} - ${next}`)
  links.set(error, what)
  return error
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
async function attempt(
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
    let waiting = live
    let started = false
    opening.hear((what) => {
      if (what === live && !started) up?.()
      started ||= what === live
      if (what !== waiting) say(`${pod.name}: waiting ${what}`)
      waiting = what
    })
    if (greeting.values.get('swapping') === parcel.sha256) {
      stdin.end()
      const error = linkError('an earlier try is being swapped in')
      underway.add(error)
      throw error
    }
    if (greeting.values.get('sha256') === parcel.sha256 && isUp(greeting)) {
      stdin.end() // before a header: nothing changes
      return { pod: pod.name, sent: 0, receipt: greeting, ms: performance.now() - begin }
    }
    const from = claimed(greeting, parcel)
    if (from !== undefined && over !== true) throw claimError(from)
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
      const error = refused(pod, receipt)
      if (encoding === 'delta' && receipt.values.get('result') === 'rejected')
        patched.set(error, `${pod.name}: rejected: ${receipt.values.get('reason') ?? 'no reason given'}`)
      if (
        receipt.values.get('result') === 'busy' &&
        receipt.values.get('reason')?.includes(`: ${parcel.by} since `) === true
      )
        underway.add(error)
      if (receipt.values.get('reason') === 'another binary runs by now') passed.add(error)
      throw error
    }
    return { pod: pod.name, sent, receipt, ms: performance.now() - begin, from }
  } catch (error) {
    if (error instanceof UserError && error.message.startsWith(`${pod.name}: `)) throw error
    // what fails on this machine (a disk that is full, a file that is gone) is this pod's trouble, and no other's
    const named = new UserError(`${pod.name}: ${inWords(error).message}`)
    if (!(error instanceof UserError)) throw named
    for (const kind of [underway, passed, silent]) if (kind.has(error)) kind.add(named)
    for (const kind of [links, patched]) {
      const what = kind.get(error)
      if (what !== undefined) kind.set(named, `${pod.name}: ${what}`)
    }
    const claim = taken.get(error)
    if (claim !== undefined) taken.set(named, claim)
    throw named
  } finally {
    opening?.close()
  }
}

function claimError(claim: Claim): UserError {
  const error = new UserError(`${claim.words} - ${takeOver}`)
  taken.set(error, claim)
  return error
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

function unheard(pod: Pod, said: Receipt | undefined, ended: Ended): UserError {
  const { how, stderr } = ended
  // an agent that is not there has kubectl or the agent's own script say so; a link that breaks this early is a link still
  if (said === undefined && (how === 'exit code 0' || brokenLink(stderr))) return cut(pod, ended)
  const reason = said?.values.get('reason')
  const error = reason === undefined ? noAgent(pod, how, stderr) : noAgent(pod, reason)
  silent.add(error)
  return error
}

function cut(pod: Pod, { how, stderr }: Ended): UserError {
  const { what, next } = complaint(stderr)
  const again = 'run npm run deploy-dev again'
  return linkError(
    `${pod.name}: the connection ended without a receipt (${what || how})`,
    next === '' ? again : `${next}; then ${again}`,
  )
}

function rejectedRemedy(reason: string): string {
  if (reason.startsWith('disk full')) return 'make room in the pod'
  return reason.includes(' ELF interpreter ') ? 'then run npm run deploy-dev again' : 'run npm run deploy-dev again'
}

/** A receipt that is no success, in words. */
function refused(pod: Pod, receipt: Receipt): UserError {
  const { values, log } = receipt
  const ended = values.get('reason') ?? 'no reason given'
  const reason = ended === 'exit status 0' ? `${ended}: only a program that stays can be swapped in` : ended
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
  return new UserError(`${pod.name}: ${text()}`)
}
