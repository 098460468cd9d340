// What runs in a pod now, as its agent says it.
import { pause } from '../frame/pause.ts'
import { HALTED, NO_DEBUGGER } from '../protocol/words.ts'
import { complaint } from './complaint.ts'
import { receipts, type Receipt } from '../protocol/receipt.ts'
import { UserError } from '../frame/talk.ts'
import { withoutPipes, type Pod, type Target } from './target.ts'

const limit = 20_000 // ms
const step = 200 // ms between two looks at a process that has just begun

/** The pod answers, and has no agent: one of production. */
export class NoAgent extends UserError {}

/** The receipt of what runs in the pod. Throws UserError if no agent answers, NoAgent if there is none. */
export async function statusOf(target: Target, pod: Pod): Promise<Receipt> {
  const child = target.exec(pod, [...pod.agent, 'status', pod.binary])
  child.stdin?.on('error', () => undefined).end()
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-4096)))
  let timer: NodeJS.Timeout | undefined
  // why there is no answer; not before stderr has ended too, or time is up
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`))
    timer = setTimeout(() => {
      resolve(`no answer for ${limit / 1000} s`)
      child.stdout?.destroy()
    }, limit)
  })
  try {
    if (!child.stdout) throw new UserError(`${pod.name}: ${withoutPipes}`)
    const first = await receipts(child.stdout)
      .next()
      .catch((error: unknown) => {
        if (error instanceof UserError) throw new UserError(`${pod.name}: ${error.message}`)
        return undefined // the pipe was closed from here: ended says why
      })
    const receipt = first === undefined || first.done === true ? undefined : first.value
    if (receipt?.values.has('agent')) return receipt
    if (receipt !== undefined) throw noAgent(pod, receipt.values.get('reason') ?? 'it says something else')
    throw noAgent(pod, await ended, stderr)
  } finally {
    clearTimeout(timer)
    child.kill()
    // what the child has started may hold them open for long
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
}

/**
 * No agent has answered: how the exec ended, and what its stderr says. Where that names a next step of its own, the trouble is
 * none of the agent.
 */
export function noAgent(pod: Pod, how: string, stderr = ''): UserError {
  const { what, next, kind } = complaint(stderr)
  if (next !== '') return new UserError(`${pod.name}: ${what} - ${next}`)
  const Kind = kind === 'no program' ? NoAgent : UserError
  return new Kind(`${pod.name}: no agent answers (${what || how}) - run npm run switch-dev`)
}

/** The same once the new process has lived SETTLE or has not, or after `patience` ms as it then is. Throws UserError as statusOf does. */
export async function settledStatus(target: Target, pod: Pod, patience: number): Promise<Receipt> {
  for (const end = Date.now() + patience; ; await pause(step)) {
    const receipt = await statusOf(target, pod)
    if (receipt.values.get('result') !== 'starting' || Date.now() > end) return receipt
  }
}

/** How the program runs: plain, under a debugger, halted by it, left by it; empty if nothing runs. */
export function mode({ values }: Receipt): string {
  if (!values.has('pid')) return ''
  const reason = values.get('reason') ?? ''
  if (reason === HALTED || reason === NO_DEBUGGER) return reason
  if (values.get('run') !== 'wrapped') return 'plain'
  const wrapper = (values.get('wrapper') ?? '').trim().split(/\s/)[0]?.split('/').at(-1) ?? ''
  return `under ${wrapper === 'dlv' ? 'Delve' : wrapper || 'a wrapper'}`
}
