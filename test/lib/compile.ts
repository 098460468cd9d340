// The tasks as npm run has them: compiled, each to one file.
import { spawnSync } from 'node:child_process'
import { root } from '../../tasks/lib/frame/root.ts'

/** The variable by which test/run.ts tells its files that each task is compiled: none of them has to ask again. */
export const COMPILED = 'HOTSWAP_TEST_COMPILED'

/** Compiles a task of this checkout, if it is not compiled as it is now. Throws Error. */
export function compile(task: string): void {
  const { status, stderr } = spawnSync('sh', ['tasks/run', task, '--help'], { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`tasks/run ${task}: ${stderr}`)
}
