// The agent's helper: agent/hotswap-helper, built here by the Go that builds the program, for the pod's machine.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ownGoEnv } from './go-env.ts'
import { madeOnce } from '../frame/once.ts'
import { root } from '../frame/root.ts'
import { UserError } from '../frame/talk.ts'
import { need, run } from '../frame/tools.ts'

/** A helper that was built. */
export interface Helper {
  readonly path: string
  /** A pod has it under a name that ends in this, so that those of two versions do not meet. */
  readonly sha256: string
}

const source = join(root, 'agent', 'hotswap-helper')
const tools = join(root, '.hotswap', 'tools')
const known = new Map<string, Helper>()

/** The helper for Linux and the architecture, built on first use. Throws UserError where it cannot be built. */
export async function helper(arch: string): Promise<Helper> {
  const present = known.get(arch)
  if (present !== undefined && existsSync(present.path)) return present
  const made = await make(arch)
  known.set(arch, made)
  return made
}

/** The name under which a pod has it. */
export function helperName({ sha256 }: Pick<Helper, 'sha256'>): string {
  return `hotswap-helper-${sha256}`
}

async function make(arch: string): Promise<Helper> {
  const hash = createHash('sha256')
  for (const file of readdirSync(source).filter((name) => /^(?:[^_]+\.go|go\.mod)$/.test(name)))
    hash.update(readFileSync(join(source, file)))
  const path = await madeOnce(join(tools, `hotswap-helper-${hash.digest('hex').slice(0, 8)}-${arch}`), (part) =>
    build(part, arch),
  )
  return { path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') }
}

async function build(part: string, arch: string): Promise<void> {
  need('go', "to build the agent's helper")
  const { exitCode } = await run('go', ['build', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', '-o', part, '.'], {
    cwd: source,
    env: await ownGoEnv(arch),
    output: 'show',
  })
  if (exitCode !== 0) throw new UserError("the agent's helper could not be built - mend what Go says above")
}
