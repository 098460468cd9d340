// Outside tools: whether they are there, and zx set up so that nothing from outside changes it.
import { accessSync, constants, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { getSystemErrorMap } from 'node:util'
import { dropZxVariables, environment } from './environment.ts'
import { onEnd, unlessEnding } from './ending.ts'
import { UserError } from './talk.ts'

/** Where a tool is on PATH, or the tool itself where it is a path already; undefined if there is none. */
export function find(tool: string): string | undefined {
  if (tool.includes('/')) return isProgram(tool) ? tool : undefined
  const folders = (environment().PATH ?? '').split(':').filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, tool)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** Where a tool is on PATH. Throws UserError (1) that says what it is needed for: `need('go', 'to build the service')`. */
export function need(tool: string, what: string): string {
  const path = find(tool)
  if (path === undefined) throw new UserError(`${tool} is not on PATH: it is needed ${what}`)
  return path
}

export interface Run {
  /** Folder to run in. */
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  /** `show`: the tool speaks to the user, all of it on stderr; `read`: its output is the value. */
  readonly output: 'show' | 'read'
  /** Ends the tool, and what it has started, before its time. */
  readonly signal?: AbortSignal
}

export interface Ran {
  /** 128 + the signal's number if a signal ended it. */
  readonly exitCode: number
  /** Empty if the output was shown. */
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a tool of the developer's machine through zx, with an empty stdin, and ends it when the task ends. Its arguments
 * are one word each, whatever they hold. A tool that fails is an outcome; a missing one, or bash or ps, which zx needs,
 * a UserError; so is, without words, one that the body asks for after Ctrl-C.
 */
export async function run(tool: string, args: readonly string[], { cwd, env, output, signal }: Run): Promise<Ran> {
  const path = need(tool, 'by this task')
  const bash = need('bash', `by zx, which runs ${tool}`)
  need('ps', `by zx, which ends ${tool} and its children when you press Ctrl-C`)
  dropZxVariables()
  const { $ } = await import('zx/core')
  unlessEnding()
  const shell = $({
    shell: bash,
    prefix: 'set -euo pipefail;',
    postfix: '',
    verbose: false,
    quiet: true,
    nothrow: true,
    preferLocal: false,
    detached: signal !== undefined, // a group of its own, so that all of it can be ended at once
    cwd,
    // a BASH_ENV would run before the tool
    env: { ...(env ?? environment()), BASH_ENV: '' },
    stdio: output === 'show' ? ['ignore', 2, 2] : ['ignore', 'pipe', 'pipe'],
  })
  // the whole path, since the shell may have been handed a function of that name
  const running = shell`${path} ${[...args]}`
  const end = async () => {
    try {
      if (signal === undefined) await running.kill('SIGTERM')
      else if (running.pid !== undefined) process.kill(-running.pid, 'SIGTERM')
    } catch {
      // it has just ended, or could not be started
    }
    await running
  }
  const takeBack = onEnd(end)
  signal?.addEventListener('abort', () => void end(), { once: true })
  if (signal?.aborted === true) void end()
  const { exitCode, signal: by, stdout, stderr } = await running
  takeBack()
  // zx gives what the system says of one that it could not start as a negative number
  if (exitCode !== null && exitCode < 0) {
    const why = getSystemErrorMap().get(exitCode)?.join(', ') ?? exitCode
    throw new UserError(`${tool} could not be started in ${resolve(cwd)}: ${why}`)
  }
  return { exitCode: exitCode ?? (by === 'SIGKILL' ? 137 : 143), stdout, stderr }
}
