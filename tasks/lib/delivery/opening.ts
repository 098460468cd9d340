// An exec of the agent that has greeted: what to read and write, whether it lives, and how it ends.
import type { ChildProcess } from 'node:child_process'
import type { Writable } from 'node:stream'
import { clean, UserError } from '../frame/talk.ts'
import { withoutPipes, type Pod, type Target } from '../pods/target.ts'
import { receipts, type Receipt } from '../protocol/receipt.ts'
import { linkError, unheard, type Ended } from './failure.ts'

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
