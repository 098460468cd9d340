// The children of a task: each of them ends with it.
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { onEnd } from './ending.ts'

const grace = 2_000 // ms between TERM and KILL

/**
 * Spawns a tool without a shell, registered so that it is ended (TERM, KILL after 2 s) when the task ends. With
 * `detached` its whole process group is. Fails as spawn does: with an 'error' event, for which the caller listens.
 */
export function start(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  const child = spawn(command, [...args], options)
  if (child.pid === undefined) return child
  const target = options.detached === true ? -child.pid : child.pid
  const takeBack = onEnd(() => ended(child, target))
  child.once('exit', takeBack)
  return child
}

function ended(child: ChildProcess, target: number): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    const timer = setTimeout(() => kill(target, 'SIGKILL'), grace)
    child.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    child.stdin?.destroy() // what reads there sees its end and cleans up, such as an upload
    kill(target, 'SIGTERM')
  })
}

function kill(target: number, signal: NodeJS.Signals): void {
  try {
    process.kill(target, signal)
  } catch {
    // it has just ended
  }
}
