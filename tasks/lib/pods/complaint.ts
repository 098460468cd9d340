// What kubectl and the runtimes behind it complain of, in one line with the next step. Pure.
import { clean } from '../frame/talk.ts'

/** What callers tell apart. */
export type ComplaintKind = 'no program' | 'no context' | 'forbidden'

export interface Complaint {
  /** Empty: it says nothing. */
  readonly what: string
  /** Empty: none is known. */
  readonly next: string
  readonly kind?: ComplaintKind | undefined
}

/** What a tool's stderr says, in one line, with the next step where it is a known one; empty if it says nothing. */
export function meaning(stderr: string): string {
  return sentence(complaint(stderr))
}

/** A complaint in one sentence. */
export function sentence({ what, next }: Complaint): string {
  return next === '' ? what : `${what} - ${next}`
}

/** The same, for who puts it into a sentence of another next step. */
export function complaint(stderr: string): Complaint {
  const lines = clean(stderr)
    .split('\n')
    .map((line) => line.trim())
    // client-go's own log lines come before the sentence that counts
    .filter((line) => line !== '' && !/^[EIWF]\d{4} /.test(line))
  const line = (lines.find((each) => /error|forbidden|unable|refused|invalid/i.test(each)) ?? lines[0] ?? '')
    .replace(/^error: /i, '')
    .replace(/ - did you specify the right host or port\?$/, '')
  const what = (words: string, next = '', kind?: ComplaintKind): Complaint => ({ what: words, next, kind })

  const invalid = lines.findIndex((each) => /^The \w+ "[^"]+" is invalid:/.test(each))
  if (invalid >= 0) {
    // one fault stands on the same line, several below it; the values between field and reason can be pages
    const [head = '', first = ''] = (lines[invalid] ?? '').split(/(?<= is invalid): ?/, 2)
    const faults = [first, ...lines.slice(invalid + 1)].filter((fault) => fault !== '')
    return what(
      `${head}: ${faults.map((fault) => `${fault.replace(/^\* /, '').split(': ')[0]}: ${fault.split(': ').at(-1)}`).join('; ')}`,
    )
  }
  const own = kubeconfig(lines)
  if (own !== undefined) return own
  const [, space] = /namespaces "([^"]+)" not found/.exec(line) ?? []
  if (space !== undefined)
    return what(
      `there is no namespace ${space}`,
      `kubectl create namespace ${space}, or name another one in .env: KUBE_NAMESPACE=…`,
    )
  if (/pods? "[^"]+" not found/i.test(line)) return what('the pod is gone')
  if (/executable file .*not found|(?:exec|runtime)\b.*no such file or directory/i.test(line))
    return what(
      `there is no such program in the container: ${/(?:exec: "?|executable file `)([^":`]+)/.exec(line)?.[1] ?? shortened(line)}`,
      '',
      'no program',
    )
  if (/context .* does not exist|cannot locate context|no context exists|current-context/i.test(line))
    return what(
      line.replace(/^current-context .*/, 'no context is chosen'),
      'see kubectl config get-contexts, and set KUBE_CONTEXT in .env',
      'no context',
    )
  if (/x509: /.test(line))
    return what(
      `the cluster's certificate is not accepted (${line})`,
      'is the kubeconfig of this cluster, and not of one before it? kubectl cluster-info',
    )
  if (/unauthorized|must be logged in|provide credentials|token.*expired|expired/i.test(line))
    return what(`the cluster does not accept the credentials (${line})`, 'log in again, then kubectl auth whoami')
  if (/forbidden/i.test(line))
    return what(line, "ask the cluster's administrator for that permission (docs/security.md)", 'forbidden')
  if (/refused|no such host|i\/o timeout|unable to connect|no route|TLS handshake|deadline exceeded/i.test(line))
    return what(`the cluster cannot be reached (${line})`, 'is it up? kubectl cluster-info')
  return what(shortened(line))
}

const renew =
  'write the kubeconfig anew (kind export kubeconfig, minikube update-context, or log in again), or set KUBE_CONTEXT in .env'

/** What kubectl has against its own configuration: no cluster and no pod was asked. */
function kubeconfig(lines: readonly string[]): Complaint | undefined {
  const all = (form: RegExp) =>
    lines.flatMap((line) => [form.exec(line)?.slice(1) ?? []]).filter((found) => found.length > 0)
  const unread = [
    ...all(/unable to read (?:client-cert|client-key|certificate-authority) (.+) for .+ due to .*?([^:]+)$/),
    ...all(/^error: open (\/.+): (no such file or directory|permission denied)$/i),
  ]
  const [[, why = ''] = []] = unread
  if (unread.length > 0) {
    const files = unread.map(([file]) => file).join(', ')
    return {
      what: `the kubeconfig names ${unread.length > 1 ? 'files' : 'a file'} that cannot be read: ${files} (${why.trim()})`,
      next: renew,
    }
  }
  const [[file, fault] = []] = all(/error loading config file "(.+?)": (.+)$/)
  if (file !== undefined)
    return {
      what: `the kubeconfig ${file} cannot be read: ${shortened(fault?.split('; ')[0] ?? '')}`,
      next: 'correct it, or set KUBECONFIG to another',
    }
  const [[gone] = []] = all(/cannot locate ((?:cluster|user) .+)$/)
  if (gone !== undefined) return { what: `the kubeconfig has no ${gone}, which its context names`, next: renew }
  const [[plugin] = []] = all(/getting credentials: exec: executable (.+) not found$/)
  if (plugin !== undefined)
    return { what: `${plugin} is not on PATH: the kubeconfig gets its credentials from it`, next: 'install it' }
  const [[failure] = []] = all(/getting credentials: (?:exec: executable )?(.+)$/)
  if (failure !== undefined)
    return { what: `kubectl has got no credentials (${failure})`, next: 'log in again, then kubectl auth whoami' }
  const [[removed] = []] = all(/^(?:error: )?(the .+ auth plugin has been removed)/i)
  if (removed !== undefined)
    return { what: `${removed} from kubectl`, next: `install the one that has taken its place; then ${renew}` }
  const [[certificate] = []] = all(
    /^(?:error: )?((?:unable to load root certificates|tls: (?:failed to find|private key)).*)$/i,
  )
  if (certificate !== undefined)
    return { what: `the kubeconfig has certificates that cannot be read (${certificate})`, next: renew }
  return undefined
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
