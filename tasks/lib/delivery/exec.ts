// An exec in a pod that is talked to: what it says comes in blocks, its silence is bounded, and its end is known.
import type { ChildProcess } from 'node:child_process'
import type { Writable } from 'node:stream'
import { clean, UserError } from '../frame/talk.ts'
import { withoutPipes, type Pod, type Target } from '../pods/target.ts'
import { receipts, type Receipt } from '../protocol/receipt.ts'
import { linkError, type Ended } from './failure.ts'

/** An exec that runs. */
export interface Exec {
  /** Nothing has ended it. */
  readonly alive: () => boolean
  readonly stdin: Writable
  /** The next block that the pod says; undefined at the end. */
  readonly next: () => Promise<Receipt | undefined>
  readonly watch: ReturnType<typeof watched>
  /** Tells of wait= lines from now on. */
  readonly hear: (wait: (what: string) => void) => void
  readonly close: () => void
}

const idle = 30_000 // ms without a byte taken or a line said
const piece = 256 * 1024 // bytes a write

/** Runs a command in a pod. Throws UserError where this machine has no pipes for it. */
export function exec(target: Target, pod: Pod, command: readonly string[]): Exec {
  const child = target.exec(pod, command)
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
  if (!child.stdout || !child.stdin) {
    close()
    throw new UserError(`${pod.name}: ${withoutPipes}`)
  }
  child.stdin.on('error', () => undefined) // a reader that left has said why, or its end is seen below
  const blocks = receipts(child.stdout, (what) => {
    watch.alive()
    wait(what)
  })
  return {
    alive: () => child.exitCode === null && child.signalCode === null,
    stdin: child.stdin,
    next: async () => {
      const block = await Promise.race([blocks.next(), watch.stalled])
      watch.alive()
      return block.done === true ? undefined : block.value
    },
    watch,
    hear: (told) => (wait = told),
    close,
  }
}

/** Writes all of it, unless it is aborted. */
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
