// Tools on demand: a program that the agent needs in a pod whose image has none, sent once, compressed and verified.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { gzip as gzipWithCallback } from 'node:zlib'
import { open } from './opening.ts'
import { send } from './exec.ts'
import { header } from './put.ts'
import type { Parcel } from './parcel.ts'
import { delve } from '../go/delve.ts'
import { archOfUname } from '../binary/elf.ts'
import type { Receipt } from '../protocol/receipt.ts'
import type { Settings } from '../settings/table.ts'
import { say, UserError } from '../frame/talk.ts'
import type { Pod, Target } from '../pods/target.ts'
import { size } from '../frame/words.ts'

const gzip = promisify(gzipWithCallback)

/** What brings the debugger to a pod whose greeting shows it to be missing. Throws UserError. */
export function equipper(target: Target, settings: Settings): NonNullable<Parcel['equip']> {
  return (pod, greeting) => sendDelve(target, settings, pod, greeting)
}

/** Sends the debugger that the agent's -r names to a pod whose greeting says that it is missing. Throws UserError. */
export async function sendDelve(target: Target, settings: Settings, pod: Pod, { values }: Receipt): Promise<void> {
  const wanted = (values.get('wrapper') ?? '').trim().split(/\s/)[0] ?? ''
  const arch = archOfUname(values.get('machine') ?? '')
  if (wanted !== 'dlv' || arch === undefined)
    throw new UserError(
      `${pod.name}: the debugger ${wanted} is not there - put it into the image, or generate the dev manifest anew`,
    )
  await sendTool(target, pod, arch, wanted, await delve(settings, arch))
}

/** Sends a program; the pod keeps it, for as long as its container lives, under that name. Throws UserError. */
async function sendTool(target: Target, pod: Pod, machine: string, name: string, file: string): Promise<void> {
  const bytes = readFileSync(file)
  const { stdin, next, watch, close } = await open(target, pod, machine, ['tool', pod.binary, name])
  try {
    watch.alive()
    const body = await gzip(bytes)
    say(`${pod.name}: has no ${name}: ${size(body.length)} are sent, once`)
    const parcel = { bytes, sha256: createHash('sha256').update(bytes).digest('hex'), version: basename(file), by: '' }
    const answer = next()
    const head = Buffer.from(header(parcel, body.length, { encoding: 'gzip' }, 'plain'))
    await Promise.race([answer, send(stdin, head, body, watch.alive)])
    const receipt = await answer
    if (receipt?.values.get('result') === 'installed') return
    const { how, stderr } =
      receipt === undefined ? await Promise.race([watch.ended, watch.stalled]) : { how: '', stderr: '' }
    throw new UserError(
      `${pod.name}: ${name} could not be sent (${receipt?.values.get('reason') ?? (stderr || how)}) - put it into the image: npm run container-dev, then npm run switch-dev`,
    )
  } finally {
    close()
  }
}
