// A dev pod on the cluster under debug-dev, and an editor at its end: what the tests of debugging share.
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { breakLine, DapClient, type Mark } from '../lib/debugged.ts'
import { freePort } from '../../tasks/lib/frame/free-port.ts'
import { podURL, until } from './cluster.ts'
import type { Project } from './project.ts'
import { pace } from '../lib/pace.ts'

export class Debugging {
  port = 0
  /** What the present debug-dev has said. */
  talk = ''
  /** What those before it have said. */
  before = ''
  private readonly children: { readonly child: ChildProcess; readonly ended: Promise<unknown> }[] = []
  private readonly original: string
  readonly file: string
  readonly mark: Mark
  readonly it: Project
  readonly kubeconfig: string

  constructor(it: Project, kubeconfig: string) {
    this.it = it
    this.kubeconfig = kubeconfig
    this.file = join(it.checkout.dir, 'examples/hello/main.go')
    this.original = readFileSync(this.file, 'utf8')
    this.mark = { path: this.file, line: () => this.line }
  }

  get line(): number {
    return breakLine(readFileSync(this.file, 'utf8'))
  }

  get pid(): number {
    return this.children.at(-1)?.child.pid ?? 0
  }

  /** Starts debug-dev. */
  async begin(args: readonly string[] = [], kubeconfig = this.kubeconfig): Promise<void> {
    this.port ||= await freePort()
    this.before += this.talk
    this.talk = ''
    const env = { KUBECONFIG: kubeconfig, DEBUG_LOCAL_PORT: String(this.port) }
    const { child, ended } = this.it.checkout.launch('debug-dev', args, { env, limit: 600_000 })
    this.children.push({ child, ended })
    const hear = (chunk: Buffer) => void (this.talk += chunk.toString())
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    await until(
      () => `debug-dev to be ready; it said ${this.talk}`,
      30,
      async () => this.talk.includes('connect to'),
    )
  }

  /** Ctrl-C. */
  async end(): Promise<void> {
    for (const { child, ended } of this.children.splice(0)) {
      child.kill('SIGINT')
      await ended
    }
  }

  attach = () => DapClient.attach(this.port, [this.mark])

  /** The greeting answers with a value, at a line that moves; `start` is put before all else. */
  edit(value: string, moved: number, start = ''): void {
    const body = `${'	// moved\n'.repeat(moved)}	value := "${value}"\n	return value // BREAK`
    const text = this.original
      .replace('	return "hello, version " + version', body)
      .replace('	addr := flag', `${start}	addr := flag`)
    this.it.checkout.file('examples/hello/main.go', text)
  }

  /** Builds and deploys. Returns when the receipt was shown. */
  async swap(code = 0): Promise<number> {
    await this.it.run('build-debug')
    const { child, ended } = this.it.checkout.launch('deploy-dev', [], { env: { KUBECONFIG: this.kubeconfig } })
    let receipt = 0
    child.stdout?.once('data', () => (receipt = Date.now()))
    const end = await ended
    if (end.code !== code) throw new Error(`deploy-dev ended with ${end.code}: ${end.stdout}${end.stderr}`)
    return receipt
  }

  /** Asks the newest pod, once; the answer may hang in a breakpoint. */
  async ask(): Promise<string> {
    const [pod = ''] = await this.it.pods()
    const url = await podURL(this.it.namespace, pod, 8080)
    return fetch(url, { signal: AbortSignal.timeout(20_000 * pace), headers: { connection: 'close' } })
      .then(async (response) => (await response.text()).trim())
      .catch((error: Error) => `error: ${error.message}`)
  }
}
