// The decoder of patches: agent/hotswap-patch, built here by the Go that builds the program, for the pod's machine.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ownGoEnv } from './go-env.ts'
import { madeOnce } from '../frame/once.ts'
import { root } from '../frame/root.ts'
import { UserError } from '../frame/talk.ts'
import { need, run } from '../frame/tools.ts'

const source = join(root, 'agent', 'hotswap-patch')
const tools = join(root, '.hotswap', 'tools')

/** The path of hotswap-patch for Linux and the architecture, built on first use. Throws UserError where it cannot be built. */
export async function patcher(arch: string): Promise<string> {
  const hash = createHash('sha256')
    .update(readFileSync(join(source, 'main.go')))
    .digest('hex')
  const kept = join(tools, `hotswap-patch-${hash.slice(0, 8)}-${arch}`)
  return madeOnce(kept, (part) => build(part, arch))
}

async function build(part: string, arch: string): Promise<void> {
  need('go', 'to build the decoder of deltas')
  const { exitCode } = await run('go', ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', part, '.'], {
    cwd: source,
    env: await ownGoEnv(arch),
    output: 'show',
  })
  if (exitCode !== 0)
    throw new UserError(
      'the decoder of deltas could not be built - mend what Go says above, or do without deltas: ENCODING=gzip in .env',
    )
}
