// The guard: a small script that runs in the pod while debug-dev does. It says whether Delve's port is open, proves that
// the link is alive, and lets the program run on where debug-dev vanishes (guard.sh).
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { agentShell } from '../protocol/command.ts'
import type { Pod, Target } from '../pods/target.ts'
import { root } from '../frame/root.ts'
import { clean } from '../frame/talk.ts'

export interface Guard {
  /** Whether Delve's port takes connections now; false once the guard has ended. */
  readonly open: () => Promise<boolean>
  /** Says whether an IDE is there: only then is there something to let go. */
  readonly busy: (whether: boolean) => void
  /** Settles when the link to the pod is gone; says why. */
  readonly ended: Promise<string>
  /** Takes leave, and waits until the guard has gone. */
  readonly close: () => Promise<void>
}

const script = readFileSync(join(root, 'tasks/lib/debug/guard.sh'), 'utf8')
const rhythm = 2_000 // ms between beats; the script knows it
const deadline = 8_000 // ms without an answer: the link is cut, whatever TCP thinks; before the pod's own patience is over

/** Starts the guard. `dlv` is the word that runs Delve there; `changed` is told when another Delve listens, or none any more. */
export function guard(target: Target, pod: Pod, dlv: string, changed: () => void): Guard {
  const words = [
    ...agentShell(pod.agent),
    '-c',
    script,
    'debug-guard',
    String(pod.debugPort),
    dlv,
    pod.binary,
    ...pod.agent,
  ]
  const child = target.exec(pod, words)
  const waiting: ((open: boolean) => void)[] = []
  let stderr = ''
  let rest = ''
  let heard = Date.now()
  let over = ''
  let presence = 'idle'
  let last: string | undefined
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-2048)))
  child.stdin?.on('error', () => undefined)
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    heard = Date.now()
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      waiting.shift()?.(line !== 'closed')
      if (last !== undefined && last !== line) changed()
      last = line
    }
  })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', () =>
      resolve(over || clean(stderr).trim().split('\n').at(-1) || 'the pod ended the connection'),
    )
  })
  const ask = (word: string) =>
    new Promise<boolean>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null || over !== '') return resolve(false)
      waiting.push(resolve)
      child.stdin?.write(`${word}\n`)
    })
  let ticked = Date.now()
  const timer = setInterval(() => {
    const now = Date.now()
    // if this machine has slept, the pod may have let the program go in the meantime
    const silent = Math.max(now - heard, now - ticked)
    ticked = now
    if (silent > deadline) {
      over = `no answer for ${Math.round(silent / 1000)} s`
      child.kill('SIGKILL')
    } else void ask(presence)
  }, rhythm)
  void ended.then(() => {
    clearInterval(timer)
    for (const answer of waiting.splice(0)) answer(false)
  })
  return {
    open: () => ask('look'),
    busy: (whether) => {
      presence = whether ? 'busy' : 'idle'
      void ask(presence)
    },
    ended,
    close: async () => {
      over = 'closed'
      child.stdin?.end('bye\n')
      const late = setTimeout(() => child.kill('SIGKILL'), 1000)
      await ended
      clearTimeout(late)
    },
  }
}
