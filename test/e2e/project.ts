// A developer's checkout that works on the test cluster: a namespace, images, settings, and what it asks of the pods.
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../tasks/lib/task.ts'
import { checkout, type Checkout, type Ended } from '../lib/checkout.ts'
import { cluster, httpGet, kubectl, loadImage, namespace, podURL, tool, until } from './cluster.ts'

export interface Project {
  readonly checkout: Checkout
  readonly namespace: string
  /** KEY=value lines for .env, on top of those that lead to the cluster. */
  set(lines: Readonly<Record<string, string>>): void
  /** Runs a task to its end. Throws with all that it said where its exit code is another one (default 0). */
  run(
    name: string,
    args?: readonly string[],
    options?: { code?: number; limit?: number; env?: Record<string, string> },
  ): Promise<Ended>
  /** kubectl in the namespace. */
  kubectl(args: readonly string[], input?: string): Promise<string>
  /** Names of the live pods of app=hello, newest first. */
  pods(): Promise<string[]>
  /** What a pod answers at / on port 8080, once it pleases. */
  answer(pod: string, pleases?: (body: string) => boolean): Promise<string>
  /** Changes the greeting of hello, so that the next build is another program. */
  edit(greeting: string): void
  remove(): Promise<void>
}

/** Makes one. `word` begins the name of its namespace; `base` is the image that production and dev images are built on. */
export async function project(word: string, base = 'local/debian:1'): Promise<Project> {
  const { kubeconfig, context } = await cluster()
  await tool(join(root, 'test/cluster/base-images'), [], { limit: 600 })
  const space = await namespace(word)
  const copy = checkout()
  const dev = `local/${space.name}-dev:1`
  const prod = `local/${space.name}:1`
  // Delve is built once per machine, not once per test
  const tools = join(root, 'node_modules', '.cache', 'hotswap-e2e-tools')
  mkdirSync(tools, { recursive: true })
  mkdirSync(join(copy.dir, '.hotswap'), { recursive: true })
  symlinkSync(tools, join(copy.dir, '.hotswap', 'tools'))
  let greeting = 'hello, version '

  const made: Project = {
    checkout: copy,
    namespace: space.name,
    set(lines) {
      const all = {
        KUBE_CONTEXT: context,
        KUBE_NAMESPACE: space.name,
        PROD_IMAGE: prod,
        DEV_IMAGE: dev,
        BASE_IMAGE: base,
        ...lines,
      }
      copy.file(
        '.env',
        Object.entries(all)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(''),
      )
    },
    async run(name, args = [], { code = 0, limit = 180, env = {} } = {}) {
      const end = await copy.run(name, args, { env: { KUBECONFIG: kubeconfig, ...env }, limit: limit * 1000 })
      if (end.code !== code)
        throw new Error(`${name} ${args.join(' ')} ended with ${end.code ?? end.signal}:\n${end.stdout}${end.stderr}`)
      return end
    },
    kubectl: (args, input) => kubectl(['-n', space.name, ...args], input === undefined ? {} : { input }),
    async pods() {
      const list = await made.kubectl([
        'get',
        'pods',
        '-l',
        'app=hello',
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
      await tool('docker', ['rmi', '-f', dev, prod]).catch(() => undefined)
    },
  }
  made.set({})
  return made
}

/** Builds the production image of hello on the project's base, and writes its manifest, for `replicas` pods. */
export async function production(
  { checkout: copy, namespace: space, run }: Project,
  base: string,
  replicas = 1,
): Promise<void> {
  await run('build')
  copy.file('prod/Dockerfile', `FROM ${base}\nCOPY bin/hello /usr/local/bin/hello\nCMD ["/usr/local/bin/hello"]\n`)
  const image = `local/${space}:1`
  await tool('docker', ['build', '-q', '-t', image, '-f', join(copy.dir, 'prod/Dockerfile'), copy.dir], { limit: 120 })
  await loadImage(image)
  const manifest = copy.read('manifests/deployment.yml')
  copy.file(
    'manifests/deployment.yml',
    manifest.replace(/image: hello\b.*/, `image: ${image}`).replace('replicas: 1', `replicas: ${replicas}`),
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

/** From nothing to dev pods that answer: the chapters up to switch-dev. */
export async function devPods(made: Project, base = 'local/debian:1', replicas = 1): Promise<void> {
  await production(made, base, replicas)
  await switched(made)
  await until('the dev pods', 60, async () => (await made.pods()).length === replicas)
}

/** From a binary and a production manifest to what switch-dev has applied. */
export async function switched({ namespace: space, run }: Project): Promise<void> {
  await run('container-dev', [], { limit: 300 })
  await loadImage(`local/${space}-dev:1`)
  await run('generate-deployment-dev')
  await run('switch-dev')
}
