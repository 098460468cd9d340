// kubectl, run once for an answer.
import { start } from '../frame/children.ts'
import { complaint, sentence, type Complaint } from './complaint.ts'
import { environment } from '../frame/environment.ts'
import { UserError } from '../frame/talk.ts'

/** kubectl has failed. */
export class KubectlError extends UserError {
  constructor(
    message: string,
    /** What it says; empty: nothing. */
    readonly complaint: Complaint,
  ) {
    super(message)
  }
}

/** Runs kubectl with these arguments and returns its stdout. Throws KubectlError that says what it means. */
export async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const child = start('kubectl', args, {
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: environment(),
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (part: string) => (stdout += part))
  child.stderr?.setEncoding('utf8').on('data', (part: string) => (stderr += part))
  child.stdin?.on('error', () => undefined).end(input)
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      stderr += error.message
      resolve(1)
    })
    child.once('close', resolve)
  })
  if (code === 0) return stdout
  const said = complaint(stderr)
  throw new KubectlError(sentence(said) || `kubectl ${args.join(' ')} ended with ${code}`, said)
}
