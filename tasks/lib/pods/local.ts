// The local target: the agent of the sandbox, reached as if it were a pod.
import { basename, join, relative } from 'node:path'
import { start } from '../frame/children.ts'
import { root } from '../frame/root.ts'
import {
  agent,
  binaryOf,
  commandOf,
  folderOf,
  needLinux,
  runningAgent,
  sandboxEnvironment,
  startTime,
  type Sandbox,
} from './sandbox.ts'
import { UserError } from '../frame/talk.ts'
import type { Pod, Target } from './target.ts'

const glance = 500 // ms between two looks for another agent
const nextStep = 'start one with npm run switch-dev, or see the whole thing once with npm run demo'

/** The local target. Throws UserError if the machine is no Linux. */
export function localTarget(sandbox: Sandbox): Target {
  needLinux()
  const folder = folderOf(sandbox)
  const binary = binaryOf(sandbox)
  const pod = (): Pod => {
    const pid = runningAgent(folder)
    return {
      name: 'local',
      container: '',
      life: pid === undefined ? '' : `${pid} ${startTime(pid)}`,
      restarts: 0,
      agent: ['sh', agent],
      binary,
      debugPort: commandOf(pid)?.debugPort ?? sandbox.debugPort,
    }
  }
  return {
    kind: 'local',
    where: `local · ${relative(root, folder).startsWith('..') ? folder : relative(root, folder)}`,
    pods: async () => {
      if (runningAgent(folder) === undefined) throw new UserError(`nothing runs on local - ${nextStep}`)
      return { pods: [pod()], leftOut: [] }
    },
    anyPods: async () => ({ pods: runningAgent(folder) === undefined ? [] : [pod()], leftOut: [] }),
    watch: (tell) => void setInterval(tell, glance).unref(),
    exec: (_, [command = 'true', ...args], on = 'pipes') =>
      start(command, args, {
        env: sandboxEnvironment(),
        ...(on === 'terminal' ? { stdio: 'inherit', cwd: folder } : { stdio: 'pipe' }),
      }),
    forward: async (_, port) => ({ port, ended: new Promise(() => undefined), close: () => undefined }),
    logs: (_, from) => {
      // the program's output and the table are two files here; a file that is capped meanwhile is followed by its name
      const name = join(folder, `hotswap-dev-${basename(binary)}.log`)
      const [own, table] =
        from === 'start' ? ['-c+1', '-n+1'] : from === 'now' ? ['-n0', '-n0'] : [`-c+${from.byte + 1}`, '-n1']
      const both = 'tail "$1" -F "$2" & tail "$3" -F "$4" & wait'
      return start('sh', ['-c', both, 'logs', own, name, table, join(folder, 'hotswap-dev.log')], {
        stdio: ['ignore', 'pipe', 'ignore'],
        detached: true, // so that the end of the task is the end of both
      })
    },
  }
}
