// Checks the sources: prettier, shellcheck on every sh script, the types, and which module imports which.
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import { task } from '../tasks/lib/frame/task.ts'
import { print, say } from '../tasks/lib/frame/talk.ts'
import { need, run } from '../tasks/lib/frame/tools.ts'
import { faultsOf } from './rooms.ts'

const about = {
  name: 'lint',
  summary: 'checks the sources with prettier, shellcheck and tsc, and which module imports which',
} as const

await task(about, async () => {
  need('shellcheck', 'to check the sh scripts (Debian: apt-get install shellcheck)')
  const files = await sources()
  const checks: readonly (readonly [name: string, tool: string, args: readonly string[]])[] = [
    ['prettier', 'node_modules/.bin/prettier', ['--check', '--log-level', 'warn', '.']],
    ['shellcheck', 'shellcheck', files.filter(isShellScript)],
    ['tsc', 'node_modules/.bin/tsc', ['--noEmit']],
  ]
  let failed = 0
  for (const [name, tool, args] of checks) {
    const { exitCode } = await run(tool, args, { cwd: '.', output: 'show' })
    if (exitCode !== 0) failed += 1
    print(`${exitCode === 0 ? 'ok  ' : 'FAIL'}  ${name}`)
  }
  const modules = files.filter((file) => /^tasks\/.*\.ts$/.test(file) && existsSync(file))
  const faults = faultsOf(new Map(modules.map((file) => [file, readFileSync(file, 'utf8')])))
  for (const fault of faults) say(fault)
  print(`${faults.length === 0 ? 'ok  ' : 'FAIL'}  imports`)
  return failed === 0 && faults.length === 0 ? 0 : 1
})

/** The files of this repository, those that are not added yet too, without those that git ignores. */
async function sources(): Promise<string[]> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const { stdout } = await run('git', args, { cwd: '.', output: 'read' })
  return stdout.split('\0').filter((file) => file !== '')
}

function isShellScript(file: string): boolean {
  const head = Buffer.alloc(32)
  try {
    const descriptor = openSync(file, 'r')
    readSync(descriptor, head, 0, head.length, 0)
    closeSync(descriptor)
  } catch {
    return false // removed, and not committed yet; or a link to a folder
  }
  return /^#!\/bin\/(ba|da)?sh\b/.test(head.toString('latin1'))
}
