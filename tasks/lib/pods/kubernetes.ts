// The kubernetes target: how kubectl is told to list, exec, forward and follow.
import { start } from '../frame/children.ts'
import { meaning } from './complaint.ts'
import { cluster } from './context.ts'
import { environment } from '../frame/environment.ts'
import { sorted } from './pod-list.ts'
import type { Settings } from '../settings/table.ts'
import { UserError } from '../frame/talk.ts'
import type { Cluster, Forward, LeftOut, Target } from './target.ts'

const watchPause = 2_000 // ms before a watch that has ended is begun again
/** The kubernetes target: the pods that SELECTOR finds. Throws UserError. */
export async function kubernetesTarget(settings: Settings): Promise<Target> {
  const there = await cluster(settings)
  const { context, namespace } = there
  const place = ['--context', context, '--namespace', namespace]
  const anyPods = async () => {
    const list: unknown = JSON.parse(await there.read(['get', 'pods', '-l', settings.selector, '-o', 'json']))
    return sorted(list, settings)
  }
  return {
    cluster: there,
    kind: 'kubernetes',
    where: `kubernetes · context ${context} · namespace ${namespace} · ${settings.selector}`,
    pods: async () => {
      const found = await anyPods()
      if (found.pods.length === 0) throw nothingRuns(settings, there, found.leftOut)
      return found
    },
    anyPods,
    watch: (tell) => {
      // each line is a change; the server ends a watch after an hour or so, and one that is forbidden at once
      const again = () => {
        const child = start('kubectl', [...place, 'get', 'pods', '-l', settings.selector, '-o', 'name', '--watch'], {
          stdio: ['ignore', 'pipe', 'ignore'],
          env: environment(),
        })
        child.stdout?.on('data', tell)
        child.once('error', () => undefined)
        child.once('close', () => setTimeout(again, watchPause).unref())
      }
      again()
    },
    exec: (pod, command, on = 'pipes') => {
      const how = on === 'terminal' && process.stdin.isTTY ? ['-i', '-t'] : ['-i']
      return start('kubectl', [...place, 'exec', ...how, pod.name, '-c', pod.container, '--', ...command], {
        // what kubectl says of the end is read; a terminal's output comes on stdout alone
        stdio: on === 'terminal' ? ['inherit', 'inherit', 'pipe'] : 'pipe',
        env: environment(),
      })
    },
    forward: (pod, port) =>
      forward([...place, 'port-forward', '--address', '127.0.0.1', `pod/${pod.name}`, `:${port}`]),
    logs: (pod, from) => {
      const since = from === 'start' ? [] : from === 'now' ? ['--tail=0'] : ['--since-time', from.time]
      const words = ['logs', '--follow', '--timestamps', pod.name, '-c', pod.container, ...since]
      return start('kubectl', [...place, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env: environment() })
    },
  }
}

function nothingRuns({ selector }: Settings, { namespace }: Cluster, leftOut: readonly LeftOut[]): UserError {
  if (leftOut.length === 0)
    return new UserError(
      `no pod matches ${selector} in namespace ${namespace} - run npm run switch-dev, or set SELECTOR and KUBE_NAMESPACE in .env`,
    )
  const states = leftOut.map(({ name, why }) => `${name} is ${why}`).join(', ')
  const remedy = leftOut.find((pod) => pod.remedy !== undefined)?.remedy
  return new UserError(
    `no pod of ${selector} in namespace ${namespace} can be reached: ${states} - ${remedy ?? 'see kubectl describe pod'}`,
    remedy === undefined ? 1 : 2,
  )
}

// kubectl as the child of a shell that ends it when its own stdin does: also where this task is killed
const tied =
  'exec 3<&0; kubectl "$@" </dev/null 3<&- & child=$!; trap "kill $child" TERM; { read -r _ <&3; kill $child; } >/dev/null 2>&1 & exec 3<&-; wait $child'

/** Starts kubectl port-forward and waits for its port. */
async function forward(args: readonly string[]): Promise<Forward> {
  const child = start('sh', ['-c', tied, 'kubectl', ...args], { stdio: ['pipe', 'pipe', 'pipe'], env: environment() })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (part: string) => (said = (said + part).slice(-4096)))
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code) => resolve(meaning(said) || `kubectl port-forward ended with ${code}`))
  })
  const port = new Promise<number>((resolve) => {
    let out = ''
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      out = (out + part).slice(-4096)
      const [, found] = /Forwarding from 127\.0\.0\.1:(\d+)/.exec(out) ?? []
      if (found !== undefined) resolve(Number(found))
    })
  })
  const first = await Promise.race([port, ended])
  if (typeof first === 'string') throw new UserError(first)
  return { port: first, ended, close: () => void child.kill() }
}
