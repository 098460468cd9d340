// Which shell a container has.
import { FOLDER, isInjected } from '../protocol/command.ts'
import { complaint } from './complaint.ts'
import { UserError } from '../frame/talk.ts'
import type { Pod, Target } from './target.ts'

const limit = 20_000 // ms

/** The words that start a shell in the pod. Throws UserError that names the way in if there is none. */
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

/**
 * A conversation with a shell, on the user's terminal or with what stdin says. What its last command ended with is no failure.
 * Throws UserError if there was no shell, or the way to it broke.
 */
export async function conversation(target: Target, pod: Pod, shell: readonly string[]): Promise<void> {
  const child = target.exec(pod, shell, 'terminal')
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4096)
    process.stderr.write(text)
  })
  const why = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    // where stderr is the user's own there is no way that could break
    child.once('close', (code, signal) =>
      resolve(code === 0 || child.stderr === null ? '' : (signal ?? `exit code ${code}`)),
    )
  })
  // kubectl's last word where the shell itself ended so
  if (why === '' || /command terminated with exit code \d+\s*$/.test(said)) return
  throw new UserError(`${pod.name}: the shell is gone (${complaint(said).what || why}) - run npm run shell-dev again`)
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
  return { stdout: stdout.trim(), why: complaint(stderr).what || how }
}
