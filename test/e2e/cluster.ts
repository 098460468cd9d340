// The cluster that the end-to-end tests run on, and what they ask of it: test/cluster, or another one (E2E_KUBECONFIG).
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { root } from '../../tasks/lib/frame/root.ts'

export interface Cluster {
  /** Absolute path. */
  readonly kubeconfig: string
  readonly context: string
  /** It is the one of test/cluster: the pods' addresses are reachable, and images go in by themselves. */
  readonly owned: boolean
}

export interface Namespace {
  /** Unique. */
  readonly name: string
  /** Removes it and all that is in it, and waits until it is gone. */
  remove(): Promise<void>
}

export interface Tool {
  readonly input?: string | Buffer
  /** Seconds, then it is killed; default: 60. */
  readonly limit?: number
}

let memo: Promise<Cluster> | undefined

/** The cluster; starts that of test/cluster where E2E_KUBECONFIG names none, which takes minutes on a new machine. */
export function cluster(): Promise<Cluster> {
  memo ??= findCluster()
  return memo
}

async function findCluster(): Promise<Cluster> {
  const given = environment().E2E_KUBECONFIG ?? ''
  const kubeconfig = given === '' ? await up() : resolve(given)
  const args = ['config', 'current-context', '--kubeconfig', kubeconfig]
  return { kubeconfig, context: (await tool('kubectl', args)).trim(), owned: given === '' }
}

/** Runs kubectl on the cluster; returns its stdout. Throws an Error with its stderr where it fails. */
export async function kubectl(args: readonly string[], options: Tool = {}): Promise<string> {
  const { kubeconfig, context } = await cluster()
  return tool('kubectl', ['--kubeconfig', kubeconfig, '--context', context, ...args], options)
}

/** Runs a tool; returns its stdout. Throws an Error with its stderr where it fails. */
export function tool(command: string, args: readonly string[], { input = '', limit = 60 }: Tool = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: limit * 1000, killSignal: 'SIGKILL', maxBuffer: 256 * 1024 * 1024 } as const
    const child = execFile(command, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const why = error.killed === true ? `killed after ${limit} s` : stderr.trim() || error.message
      reject(new Error(`${command} ${args.join(' ')}: ${why}`))
    })
    child.stdin?.on('error', () => undefined) // it may end without reading
    child.stdin?.end(input)
  })
}

const maker = 'hotswap-dev.test/pid' // label: of the process that made a namespace

/**
 * Makes a namespace whose name begins with a word, and waits until pods can be made in it. On the cluster of test/cluster,
 * those of processes that were killed are removed.
 */
export async function namespace(word: string): Promise<Namespace> {
  if ((await cluster()).owned) await sweep()
  const name = `${word}-${randomBytes(4).toString('hex')}`
  const metadata = { name, labels: { [maker]: String(process.pid) } }
  await kubectl(['create', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata }) })
  await until(`the service account of namespace ${name}`, 30, () =>
    kubectl(['get', 'serviceaccount', 'default', '-n', name, '--ignore-not-found', '-o', 'name']),
  )
  return {
    name,
    async remove() {
      // first, so that nothing puts the pods back; a pod that takes its time to end is not waited for
      await kubectl(['delete', 'namespace', name, '--ignore-not-found', '--wait=false'])
      await kubectl(['delete', 'pods', '--all', '-n', name, '--grace-period=1', '--wait=false'])
      await kubectl(['wait', '--for=delete', `namespace/${name}`, '--timeout=120s'], { limit: 130 })
    },
  }
}

/** Removes the namespaces whose process is gone. */
async function sweep(): Promise<void> {
  const nameAndPid = `{{range .items}}{{.metadata.name}} {{index .metadata.labels "${maker}"}}{{"\\n"}}{{end}}`
  const list = await kubectl(['get', 'namespaces', '-l', maker, '-o', `go-template=${nameAndPid}`])
  const left = list
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, pid]) => pid !== undefined && !existsSync(`/proc/${pid}`))
    .map(([name = '']) => name)
  if (left.length > 0) await kubectl(['delete', 'namespace', ...left, '--ignore-not-found', '--wait=false'])
}

/** Brings an image from the Docker engine into the cluster, as the one that its pods use. */
export async function loadImage(image: string): Promise<void> {
  const { context, owned } = await cluster()
  const kind = /^kind-(.+)$/.exec(context)?.[1]
  if (owned) await up(image)
  else if (kind !== undefined) await tool('kind', ['load', 'docker-image', image, '--name', kind], { limit: 300 })
  // into any other cluster the images are brought beforehand, by whoever runs the tests there
}

/**
 * Removes images from the Docker engine; says what it could not. Their untagged parents stay until test/cluster/down: a build
 * in another file shares them, and Docker's own builder fails where one goes that it has just found (unknown parent image ID).
 */
export async function removeImages(...images: string[]): Promise<void> {
  await tool('docker', ['rmi', '-f', '--no-prune', ...images]).catch((error: Error) => console.error(error.message))
}

/** The address of a pod, once it has one. */
export function podIP(namespace: string, pod: string, limit = 60): Promise<string> {
  return until(`the address of pod ${pod}`, limit, () =>
    kubectl(['get', 'pod', pod, '-n', namespace, '-o', 'jsonpath={.status.podIP}']),
  )
}

/** What to put before a path to ask a pod over HTTP: its address, or a way through the API server of another cluster. */
export async function podURL(namespace: string, pod: string, port: number): Promise<string> {
  const { owned } = await cluster()
  if (owned) return `http://${await podIP(namespace, pod)}:${port}`
  return `${await proxy()}/api/v1/namespaces/${namespace}/pods/${pod}:${port}/proxy`
}

/** Asks a URL again and again until the answer is good and pleases; returns it. Throws after `limit` seconds (30). */
export async function httpGet(url: string, pleases = (_body: string) => true, limit = 30): Promise<string> {
  let last = 'no answer'
  return until(
    () => `an answer of ${url} (last: ${last})`,
    limit,
    async () => {
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(2000) })
        const body = await response.text()
        last = `${response.status} ${body.slice(0, 200)}`
        return response.ok && pleases(body) ? { body } : undefined
      } catch (error) {
        last = error instanceof Error ? `${error.message} ${error.cause ?? ''}`.trim() : String(error)
        return undefined
      }
    },
  ).then(({ body }) => body)
}

/** Asks every 0.1 s until there is a value that is neither undefined, false nor empty; throws after `limit` seconds. */
export async function until<T>(
  what: string | (() => string),
  limit: number,
  ask: () => Promise<T | undefined | false | ''>,
): Promise<T> {
  const end = performance.now() + limit * 1000
  for (;;) {
    const value = await ask()
    if (value !== undefined && value !== false && value !== '') return value
    if (performance.now() > end)
      throw new Error(`waited ${limit} s in vain for ${typeof what === 'string' ? what : what()}`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** Starts the cluster of test/cluster if it does not run, and loads images into it; returns its kubeconfig. */
function up(...images: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    // its progress goes to the developer; it has limits of its own
    const child = spawn(join(root, 'test/cluster/up'), images, { stdio: ['ignore', 'pipe', 'inherit'] })
    let path = ''
    child.stdout.on('data', (chunk: Buffer) => void (path += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) =>
      code === 0 ? resolve(path.trim()) : reject(new Error(`test/cluster/up ended with ${code}`)),
    )
  })
}

let proxied: Promise<string> | undefined

/** The address of a kubectl proxy, which lives as long as this process. */
function proxy(): Promise<string> {
  proxied ??= cluster().then(
    ({ kubeconfig, context }) =>
      new Promise((resolve, reject) => {
        const args = ['--kubeconfig', kubeconfig, '--context', context, 'proxy', '--port=0']
        const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'inherit'] })
        child.once('error', reject)
        child.once('exit', (code) => reject(new Error(`kubectl proxy ended with ${code}`)))
        child.stdout.on('data', (chunk: Buffer) => {
          const address = /127\.0\.0\.1:\d+/.exec(chunk.toString())?.[0]
          if (address === undefined) return
          resolve(`http://${address}`)
          child.stdout.destroy()
        })
        child.unref() // a test file ends although this lives
        process.once('exit', () => child.kill())
      }),
  )
  return proxied
}
