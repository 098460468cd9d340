// An exec of the agent that has greeted. A pod that has no helper yet, to which put is handed over, gets it before.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip as gzipWithCallback } from 'node:zlib'
import { archOfUname } from '../binary/elf.ts'
import { root } from '../frame/root.ts'
import { say, UserError } from '../frame/talk.ts'
import { size } from '../frame/words.ts'
import { helper, type Helper } from '../go/helper.ts'
import type { Pod, Target } from '../pods/target.ts'
import { agentShell } from '../protocol/command.ts'
import { agentVersion, protocol, type Receipt } from '../protocol/receipt.ts'
import { exec, send, type Exec } from './exec.ts'
import { cut, unheard } from './failure.ts'

const gzip = promisify(gzipWithCallback)
const keeping = readFileSync(join(root, 'tasks/lib/delivery/helper.sh'), 'utf8')

/** An exec of put whose greeting has been read. It holds nobody's lock, and waits for a header as long as it may. Closed before one, it changes nothing. */
export interface Opening extends Exec {
  readonly greeting: Receipt
  /** When that was, as performance.now() tells it. */
  readonly at: number
}

/**
 * Opens an exec of put, or of another verb of the agent that greets, and reads its greeting. A pod of that machine, as Go calls
 * it, has the helper of these tasks then. Throws UserError where no agent greets, or the helper cannot be kept.
 */
export async function open(target: Target, pod: Pod, machine: string, words = ['put', pod.binary]): Promise<Opening> {
  const wanted = await helper(machine)
  const first = await greeted(target, pod, [...words, wanted.sha256])
  const { values } = first.greeting
  const isOther =
    archOfUname(values.get('machine') ?? '') !== machine || agentVersion(first.greeting).protocol < protocol
  if (values.get('helper') !== 'missing' || isOther) return first // what is of no use there is not sent
  first.close()
  await sendHelper(target, pod, wanted, values.get('state') ?? '')
  return greeted(target, pod, [...words, wanted.sha256])
}

async function greeted(target: Target, pod: Pod, words: readonly string[]): Promise<Opening> {
  const opened = exec(target, pod, [...pod.agent, ...words])
  try {
    const greeting = await opened.next()
    if (greeting?.values.get('agent') === undefined)
      throw unheard(pod, greeting, await Promise.race([opened.watch.ended, opened.watch.stalled]))
    opened.watch.done() // the agent waits for a header without a limit
    return { ...opened, greeting, at: performance.now() }
  } catch (error) {
    opened.close()
    throw error
  }
}

/** Sends the helper; the pod keeps it in the folder of the agent's state. One that has no gzip gets it as it is. */
async function sendHelper(
  target: Target,
  pod: Pod,
  made: Helper,
  state: string,
  encoding: 'gzip' | 'raw' = 'gzip',
): Promise<void> {
  const bytes = readFileSync(made.path)
  const body = encoding === 'gzip' ? await gzip(bytes) : bytes
  say(`${pod.name}: has no hotswap-helper: ${size(body.length)} are sent, once`)
  const script = pod.agent.at(-1) ?? ''
  const words = [...agentShell(pod.agent), '-c', keeping, script, state, made.sha256, String(body.length), encoding]
  const { stdin, next, watch, close } = exec(target, pod, words)
  try {
    const answer = next()
    await Promise.race([answer, send(stdin, Buffer.alloc(0), body, watch.alive)])
    const receipt = await answer
    if (receipt?.values.get('result') === 'installed') return
    if (receipt?.values.get('wants') === 'raw') return await sendHelper(target, pod, made, state, 'raw')
    const reason = receipt?.values.get('reason')
    if (reason === undefined) throw cut(pod, await Promise.race([watch.ended, watch.stalled]))
    throw new UserError(
      `${pod.name}: the agent's helper cannot be kept in ${state} (${reason}) - make room there, and let it take and run a file; or put the helper into the image: npm run container-dev, then npm run switch-dev`,
    )
  } finally {
    close()
  }
}
