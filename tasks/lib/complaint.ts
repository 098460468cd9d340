// What kubectl and the runtimes behind it complain of, in one line with the next step. Pure.
import { clean } from './task.ts'

/** What a tool's stderr says, in one line, with the next step where it is a known one; empty where it says nothing. */
export function meaning(stderr: string): string {
  const lines = clean(stderr)
    .split('\n')
    .map((line) => line.trim())
    // client-go's own log lines come before the sentence that counts
    .filter((line) => line !== '' && !/^[EIWF]\d{4} /.test(line))
  const line = (lines.find((each) => /error|forbidden|unable|refused|invalid/i.test(each)) ?? lines[0] ?? '').replace(
    /^error: /i,
    '',
  )
  const invalid = lines.findIndex((each) => /^The \w+ "[^"]+" is invalid:/.test(each))
  if (invalid >= 0) {
    // one fault stands on the same line, several below it; the values between field and reason can be pages
    const [head = '', first = ''] = (lines[invalid] ?? '').split(/(?<= is invalid): ?/, 2)
    const faults = [first, ...lines.slice(invalid + 1)].filter((fault) => fault !== '')
    return `${head}: ${faults.map((fault) => `${fault.replace(/^\* /, '').split(': ')[0]}: ${fault.split(': ').at(-1)}`).join('; ')}`
  }
  if (/pods? "[^"]+" not found/i.test(line)) return 'the pod is gone'
  if (/executable file not found|no such file or directory/i.test(line))
    return `there is no such program in the container: ${/exec: "?([^":]+)/.exec(line)?.[1] ?? shortened(line)}`
  if (/context .* does not exist|cannot locate context|no context exists|current-context is not set/i.test(line))
    return `${line} - see kubectl config get-contexts, and set KUBE_CONTEXT in .env`
  if (/unauthorized|must be logged in|provide credentials|token.*expired|expired/i.test(line))
    return `the cluster does not accept the credentials (${line}) - log in again, then kubectl auth whoami`
  if (/forbidden/i.test(line))
    return `${line} - ask the cluster's administrator for that permission (README: permissions)`
  if (/refused|no such host|i\/o timeout|unable to connect|no route|TLS handshake|deadline exceeded/i.test(line))
    return `the cluster cannot be reached (${line}) - is it up? kubectl cluster-info`
  return shortened(line)
}

/** Whether a tool complains of the way to the cluster: another try may find it whole. */
export function brokenLink(stderr: string): boolean {
  return /\bEOF\b|reset by peer|broken pipe|refused|i\/o timeout|use of closed network connection|lost connection|websocket: close/i.test(
    stderr,
  )
}

/** A runtime wraps each cause in the one before: the first and the last say it. */
export function shortened(message: string): string {
  const parts = message.split(': ')
  return message.length <= 160 ? message : `${parts[0]}: … ${parts.at(-1)}`.slice(0, 240)
}
