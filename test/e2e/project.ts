// A developer's checkout that works on the test cluster: a namespace, images, settings, and what it asks of the pods.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { root } from '../../tasks/lib/frame/root.ts'
import { checkout, ended, type Checkout, type Ended } from '../lib/checkout.ts'
import { cluster, httpGet, kubectl, loadImage, namespace, podURL, removeImages, tool, until } from './cluster.ts'

/** How dev pods come about, and where they then have what. */
export interface Mode {
  readonly title: string
  /** What the production image is built on. */
  readonly base: string
  /** The production image stays as it is, under all that a cluster may forbid; else container-dev builds one on the base. */
  readonly inject: boolean
  readonly shell: readonly string[]
  /** The folder of the binary, and that of the logs. */
  readonly folder: string
  readonly logs: string
}

const built = { inject: false, shell: ['sh'], folder: '/usr/local/bin', logs: '' } as const

/** The columns of the cases: an image of container-dev on two bases, and an agent that is injected into an image without a shell. */
export const modes: readonly [Mode, Mode, Mode] = [
  { title: 'an image of Debian', base: 'local/debian:1', ...built },
  { title: 'an image of busybox', base: 'local/busybox:1', ...built },
  {
    title: 'an injected agent',
    base: 'scratch',
    inject: true,
    shell: ['/hotswap/bin/busybox', 'sh'],
    folder: '/hotswap/hello',
    logs: '/tmp',
  },
]

/** The two ways: an image, and injection. */
export const ways: readonly Mode[] = [modes[0], modes[2]]

export interface Project {
  readonly mode: Mode
  readonly checkout: Checkout
  readonly namespace: string
  /** KEY=value lines for .env, on top of those that lead to the cluster. */
  set(lines: Readonly<Record<string, string>>): void
  /** Runs a task to its end. Throws with all that it said where its exit code is another one (default 0). */
  run(
    name: string,
    args?: readonly string[],
    options?: { code?: number; limit?: number; env?: Record<string, string>; input?: string },
  ): Promise<Ended>
  /** kubectl in the namespace. */
  kubectl(args: readonly string[], input?: string | Buffer): Promise<string>
  /** Runs a script in a pod, by the shell that it has. */
  sh(pod: string, script: string, input?: string | Buffer): Promise<string>
  /** Names of the live pods of a selector (default: app=hello), newest first. */
  pods(selector?: string): Promise<string[]>
  /** What a pod answers at / on port 8080, once it pleases. */
  answer(pod: string, pleases?: (body: string) => boolean): Promise<string>
  /** Changes the greeting of hello, so that the next build is another program. */
  edit(greeting: string): void
  remove(): Promise<void>
}

/** Makes one. `word` begins the name of its namespace. */
export async function project(word: string, mode: Mode = modes[0]): Promise<Project> {
  const { kubeconfig, context } = await cluster()
  await tool(join(root, 'test/cluster/base-images'), [], { limit: 600 })
  const space = await namespace(word)
  const copy = checkout().sources()
  const dev = `local/${space.name}-dev:1`
  const prod = `local/${space.name}:1`
  // Delve is built once per machine, not once per test
  const tools = join(root, 'node_modules', '.cache', 'hotswap-e2e-tools')
  mkdirSync(tools, { recursive: true })
  mkdirSync(join(copy.dir, '.hotswap'), { recursive: true })
  rmSync(join(copy.dir, '.hotswap', 'tools'), { recursive: true, force: true })
  symlinkSync(tools, join(copy.dir, '.hotswap', 'tools'))
  let greeting = 'hello, version '

  if (mode.inject) {
    await kubectl(['label', 'namespace', space.name, 'pod-security.kubernetes.io/enforce=restricted'])
    await loadImage('local/busybox:1')
  }

  const made: Project = {
    mode,
    checkout: copy,
    namespace: space.name,
    set(lines) {
      const all = {
        KUBE_CONTEXT: context,
        KUBE_NAMESPACE: space.name,
        PROD_IMAGE: prod,
        DEV_IMAGE: mode.inject ? '' : dev,
        INJECT_IMAGE: 'local/busybox:1',
        BASE_IMAGE: mode.base,
        ...lines,
      }
      copy.file(
        '.env',
        Object.entries(all)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(''),
      )
    },
    async run(name, args = [], { code = 0, limit = 180, env = {}, input } = {}) {
      const given = input === undefined ? {} : { input }
      const end = await copy.run(name, args, { env: { KUBECONFIG: kubeconfig, ...env }, limit: limit * 1000, ...given })
      if (end.code !== code)
        throw new Error(`${name} ${args.join(' ')} ended with ${end.code ?? end.signal}:\n${end.stdout}${end.stderr}`)
      return end
    },
    kubectl: (args, input) => kubectl(['-n', space.name, ...args], input === undefined ? {} : { input }),
    sh: (pod, script, input) => made.kubectl(['exec', '-i', pod, '--', ...mode.shell, '-c', script], input),
    async pods(selector = 'app=hello') {
      const list = await made.kubectl([
        'get',
        'pods',
        '-l',
        selector,
        '--field-selector=status.phase=Running',
        '--sort-by=.metadata.creationTimestamp',
        '-o',
        'go-template={{range .items}}{{if not .metadata.deletionTimestamp}}{{.metadata.name}}{{"\\n"}}{{end}}{{end}}',
      ])
      return list
        .split('\n')
        .filter((name) => name !== '')
        .reverse()
    },
    async answer(pod, pleases) {
      return (await httpGet(`${await podURL(space.name, pod, 8080)}/`, pleases)).trim()
    },
    edit(next) {
      const main = copy.read('examples/hello/main.go')
      copy.file('examples/hello/main.go', main.replace(greeting, next))
      greeting = next
    },
    async remove() {
      copy.remove()
      await space.remove()
      await removeImages(dev, prod)
    },
  }
  made.set({})
  return made
}

/** Makes a service account with the Role of docs/security.md alone; returns the Role, and a kubeconfig of that user. */
export async function developer(it: Project): Promise<{ readonly role: string; readonly kubeconfig: string }> {
  const [, role = ''] =
    /```yaml\n(apiVersion: rbac[\s\S]*?)```/.exec(readFileSync(join(root, 'docs/security.md'), 'utf8')) ?? []
  assert.match(role, /kind: Role/)
  await it.kubectl(['apply', '-f', '-'], role)
  await it.kubectl(['create', 'serviceaccount', 'developer'])
  await it.kubectl([
    'create',
    'rolebinding',
    'developer',
    '--role=hotswap-dev',
    `--serviceaccount=${it.namespace}:developer`,
  ])
  const config = JSON.parse(await it.kubectl(['config', 'view', '--raw', '-o', 'json', '--minify', '--flatten']))
  config.users[0].user = { token: (await it.kubectl(['create', 'token', 'developer'])).trim() }
  return { role, kubeconfig: it.checkout.file('developer.json', JSON.stringify(config)) }
}

const restricted = `          securityContext:
            runAsNonRoot: true
            readOnlyRootFilesystem: true
            allowPrivilegeEscalation: false
            capabilities: {drop: [ALL]}
            seccompProfile: {type: RuntimeDefault}
`

/** Builds the production image of hello on the project's base, and writes its manifest, for `replicas` pods. */
export async function production(
  { checkout: copy, namespace: space, mode, run }: Project,
  replicas = 1,
): Promise<void> {
  await run('build')
  const user = mode.inject ? 'USER 4321\n' : ''
  const lines = `FROM ${mode.base}\nCOPY bin/hello /usr/local/bin/hello\n${user}CMD ["/usr/local/bin/hello"]\n`
  copy.file('prod/Dockerfile', lines)
  const image = `local/${space}:1`
  await tool('docker', ['build', '-q', '-t', image, '-f', join(copy.dir, 'prod/Dockerfile'), copy.dir], { limit: 120 })
  await loadImage(image)
  const manifest = copy.read('manifests/deployment.yml')
  const command = '          command: [/usr/local/bin/hello]\n'
  copy.file(
    'manifests/deployment.yml',
    manifest
      .replace(/image: hello\b.*/, `image: ${image}`)
      .replace('replicas: 1', `replicas: ${replicas}`)
      .replace(command, mode.inject ? command + restricted : command),
  )
}

/**
 * Deploys, and asks the pods all the while. Returns the seconds from the start of deploy-dev (Node's start included) to
 * the moment when the last pod has answered with `words`, which the file's runner prints, and what deploy-dev said.
 */
export async function timedDeploy(made: Project, words: string, args: readonly string[] = []): Promise<Ended> {
  const pods = await made.pods()
  const begin = performance.now()
  const deploy = made.run('deploy-dev', args)
  await Promise.all(pods.map((pod) => made.answer(pod, (body) => body.startsWith(words))))
  const took = ((performance.now() - begin) / 1000).toFixed(2)
  process.stderr.write(
    `\nmeasured: npm run deploy-dev to the new version serving, ${pods.length} replicas: ${took} s\n`,
  )
  return deploy
}

/** deploy-dev of a checkout, on a machine of that name: what tells one developer from another. */
export async function deployOn(host: string, copy: Checkout, args: readonly string[] = []): Promise<Ended> {
  const { PATH, HOME } = environment()
  const { kubeconfig: KUBECONFIG } = await cluster()
  const named = ['--uts', 'sh', '-c', 'hostname "$1"; shift; exec "$@"', 'sh', host]
  const child = spawn('unshare', [...named, process.execPath, copy.compiled('deploy-dev'), ...args], {
    cwd: copy.dir,
    env: { PATH, HOME, KUBECONFIG },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return ended(child, 60_000)
}

/** From nothing to dev pods that answer: the chapters up to switch-dev, over a production that was applied. */
export async function devPods(made: Project, replicas = 1): Promise<void> {
  await production(made, replicas)
  await made.kubectl(['apply', '-f', join(made.checkout.dir, 'manifests/deployment.yml')])
  await switched(made)
  await until('the dev pods', 60, async () => (await made.pods()).length === replicas)
}

/** From a binary and a production manifest to what switch-dev has applied. */
export async function switched({ namespace: space, mode, run }: Project): Promise<void> {
  if (!mode.inject) {
    await run('container-dev', [], { limit: 300 })
    await loadImage(`local/${space}-dev:1`)
  }
  await run('generate-deployment-dev')
  await run('switch-dev')
}

/** Runs dev until it has told of its first edit, which has to go well; returns what it has said. */
export async function firstEdit({ checkout }: Project, env: Record<string, string>): Promise<Ended> {
  const { child, ended } = checkout.launch('dev', ['--json'], { env, limit: 200_000 })
  let told = ''
  child.stdout?.on('data', (chunk: Buffer) => void (told += chunk.toString()))
  await until('the first edit', 150, async () => told.includes('"event":"edit"') || child.exitCode !== null)
  child.kill('SIGINT')
  const said = await ended
  assert.match(said.stdout, /"event":"edit".*"result":"ok"/, said.stdout + said.stderr)
  return said
}
