// Tools on demand: a program that the agent needs in a pod whose image has none, sent once, compressed and verified.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { gzip as gzipWithCallback } from 'node:zlib'
import { header, send, watched } from './deliver.ts'
import { delve } from './delve.ts'
import { archOfUname } from './elf.ts'
import { patcher } from './patcher.ts'
import { receipts, type Receipt } from './receipt.ts'
import type { Settings } from './settings.ts'
import { say, UserError } from './task.ts'
import type { Pod, Target } from './target.ts'
import { size } from './words.ts'

const gzip = promisify(gzipWithCallback)

/** Sends what the greeting of a pod shows to be missing: its debugger, or the decoder of patches. Throws UserError. */
export async function equip(
  target: Target,
  settings: Settings,
  pod: Pod,
  tool: 'debugger' | 'decoder',
  greeting: Receipt,
): Promise<void> {
  if (tool === 'debugger') return sendDelve(target, settings, pod, greeting)
  const arch = archOfUname(greeting.values.get('machine') ?? '')
  if (arch === undefined) throw new UserError(`${pod.name}: its machine is unknown - set ENCODING=gzip in .env`)
  return sendTool(target, pod, 'hotswap-patch', await patcher(arch))
}

/** Sends the debugger that the agent's -r names to a pod whose greeting says that it is missing. Throws UserError. */
export async function sendDelve(target: Target, settings: Settings, pod: Pod, { values }: Receipt): Promise<void> {
  const wanted = (values.get('wrapper') ?? '').trim().split(/\s/)[0] ?? ''
  const arch = archOfUname(values.get('machine') ?? '')
  if (wanted !== 'dlv' || arch === undefined)
    throw new UserError(
      `${pod.name}: the debugger ${wanted} is not there - put it into the image, or generate the dev manifest anew`,
    )
  await sendTool(target, pod, wanted, await delve(settings, arch))
}

/** Sends a program; the pod keeps it, for as long as its container lives, under that name. Throws UserError. */
export async function sendTool(target: Target, pod: Pod, name: string, file: string): Promise<void> {
  const bytes = readFileSync(file)
  const body = await gzip(bytes)
  const child = target.exec(pod, [...pod.agent, 'tool', pod.binary, name])
  const watch = watched(child)
  try {
    if (child.stdout === null || child.stdin === null) throw new Error('an exec without pipes')
    child.stdin.on('error', () => undefined) // a reader that left has said why
    const blocks = receipts(child.stdout, watch.alive)
    const next = async () => {
      const block = await Promise.race([blocks.next(), watch.stalled])
      return block.done === true ? undefined : block.value
    }
    const greeting = await next()
    const packed = greeting?.values.get('decodes')?.split(',').includes('gzip') === true
    say(`${pod.name}: has no ${name}: ${size((packed ? body : bytes).length)} are sent, once`)
    const parcel = { sha256: createHash('sha256').update(bytes).digest('hex'), version: basename(file), by: '' }
    const head = header(parcel, (packed ? body : bytes).length, { encoding: packed ? 'gzip' : 'raw' }, 'plain')
    const answer = next()
    await Promise.race([answer, send(child.stdin, Buffer.from(head), packed ? body : bytes, watch.alive)])
    const receipt = await answer
    if (receipt?.values.get('result') === 'installed') return
    const { how, stderr } =
      receipt === undefined ? await Promise.race([watch.ended, watch.stalled]) : { how: '', stderr: '' }
    throw new UserError(
      `${pod.name}: ${name} could not be sent (${receipt?.values.get('reason') ?? (stderr || how)}) - put it into the image: npm run container-dev, then npm run switch-dev`,
    )
  } finally {
    watch.done()
    child.kill()
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
}
