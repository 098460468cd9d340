// Which shell a container has.
import { FOLDER, isInjected } from './agent-command.ts'
import { meaning } from './complaint.ts'
import { UserError } from './task.ts'
import type { Pod, Target } from './target.ts'

const limit = 20_000 // ms

/** The words that start a shell in the pod. Throws UserError that names the way in where there is none. */
export async function shellOf(target: Target, pod: Pod): Promise<readonly string[]> {
  // the agent's own shell, where it brought one
  const shells = [['sh'], pod.agent.slice(0, -1)].filter((words) => words.length > 0)
  let why = ''
  for (const shell of shells) {
    const answer = await said(target, pod, [...shell, '-c', 'command -v bash || echo sh'])
    if (answer.stdout === '') why ||= answer.why
    else if (shell[0] !== 'sh' && isInjected(pod.agent)) return withTools(shell)
    else return answer.stdout.includes('bash') ? [answer.stdout] : shell
  }
  const place =
    target.kind === 'local' ? '' : ` --context ${target.cluster.context} --namespace ${target.cluster.namespace}`
  throw new UserError(
    `${pod.name}: no shell answers in container ${pod.container} (${why}) - bring one: kubectl${place} debug -it ${pod.name} --image=busybox --target=${pod.container}`,
  )
}

/** The shell that was injected, with the tools that came along. */
function withTools(shell: readonly string[]): string[] {
  return [...shell, '-c', `PATH=$PATH:${FOLDER}/bin exec ${shell.join(' ')}`]
}

async function said(target: Target, pod: Pod, command: readonly string[]) {
  const child = target.exec(pod, command)
  child.stdin?.on('error', () => undefined).end()
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const how = await new Promise<string>((resolve) => {
    const timer = setTimeout(() => {
      resolve(`no answer for ${limit / 1000} s`)
      child.kill()
    }, limit)
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve(`exit code ${code}`)
    })
  })
  return { stdout: stdout.trim(), why: meaning(stderr) || how }
}
