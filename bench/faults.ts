// What goes wrong with an upload, done on purpose on a real cluster, and the judge of what comes of it.
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as proc from '../test/agent/proc.ts'
import { httpGet, podURL, until } from '../test/e2e/cluster.ts'
import { Link, type Connection } from '../test/e2e/link.ts'
import { project, switched, type Project } from '../test/e2e/project.ts'
import type { Ended } from '../test/lib/checkout.ts'

/** How often a fault was tried, and each wrong outcome in words. */
export interface Tally {
  readonly fault: string
  readonly tried: number
  readonly wrong: readonly string[]
}

interface Deploy {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Which of the programs it sends. */
  readonly variant: number
  /** NAME=VALUE in the environment of all its processes. */
  readonly mark: string
}

/** How a deploy that a fault has met came out. */
interface Outcome extends Ended {
  readonly variant: number
  /** What alone is right; absent: both. */
  readonly must?: 'succeed' | 'fail'
  /** The fault itself has killed it. */
  readonly killed?: true
}

type Strike = (lane: Lane, turn: number) => Promise<readonly Outcome[]>

const variants = 4 // of the program: what runs, what two clients send, what comes next
/** Where the program is in the pod: a small disk. */
export const folder = '/app'
const binary = `${folder}/hello`
const limit = 2 // seconds, the agent's LIMIT
const patience = 60 // seconds for a deploy

const pause = (seconds: number) => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000))
const said = ({ code, signal, stdout, stderr }: Ended) => `→ ${code ?? signal}\n${stdout}${stderr}`

/** Each does one fault to a deploy. `turn` is 0, 1, 2, ...: it picks what differs from one try to the next. */
const strikes: Readonly<Record<string, Strike>> = {
  ...breaks('link cut', (connection) => connection.cut()),
  ...breaks('API server closed normally', (connection) => connection.finish()),

  'client killed': async (lane, turn) => {
    const deploy = lane.deploy(1)
    const connection = await lane.caught(deploy, Math.random())
    deploy.child.kill((['SIGKILL', 'SIGINT', 'SIGTERM'] as const)[turn % 3])
    connection.go()
    const ended = await deploy.ended
    await until('the children of a killed deploy to end', 15, async () => proc.carriers(deploy.mark).length === 0)
    return [{ ...deploy, ...ended, must: 'fail', killed: true }]
  },

  'client stopped': async (lane, turn) => {
    const deploy = lane.deploy(1)
    const connection = await lane.caught(deploy, Math.random())
    const stopped = proc.carriers(deploy.mark)
    for (const pid of stopped) proc.kill(pid, 'SIGSTOP')
    connection.go()
    await pause(limit + 2) // the agent counts whole seconds
    const other = lane.deploy(2)
    const ended = await other.ended
    for (const pid of stopped) proc.kill(pid, turn % 2 === 0 ? 'SIGCONT' : 'SIGKILL')
    return [
      { ...deploy, ...(await deploy.ended), killed: true },
      { ...other, ...ended, must: 'succeed' },
    ]
  },

  'pod deleted': async (lane) => {
    const deploy = lane.deploy(1)
    const connection = await lane.caught(deploy, Math.random())
    await lane.deletePod()
    connection.go()
    const ended = await deploy.ended
    return [
      { ...deploy, ...ended },
      { ...ended, code: 0, stderr: '', variant: 0 }, // the next pod begins with what the image holds
    ]
  },

  'disk full': async (lane, turn) => {
    const fill = `head -c 1G /dev/zero >${folder}/filler; :`
    const beforehand = turn % 2 === 0
    if (beforehand) await lane.inPod(`rm -f ${binary}-prev; ${fill}`)
    const deploy = lane.deploy(1)
    if (!beforehand) {
      const connection = await lane.caught(deploy, Math.random() * 0.9)
      await lane.inPod(`rm -f ${binary}-prev; ${fill}`)
      connection.go()
    }
    const ended = await deploy.ended
    await lane.inPod(`rm -f ${folder}/filler`)
    if (!/^error: .*disk full/m.test(ended.stderr))
      throw new Error(`it does not say that the disk is full:\n${said(ended)}`)
    return [{ ...deploy, ...ended, must: 'fail' }]
  },

  'two clients': async (lane) => {
    const first = lane.deploy(1)
    await pause(Math.random() / 2)
    const second = lane.deploy(2)
    const outcomes = [
      { ...first, ...(await first.ended) },
      { ...second, ...(await second.ended) },
    ]
    if (outcomes.every(({ code }) => code !== 0)) throw new Error(`neither has worked:\n${outcomes.map(said).join('')}`)
    return outcomes
  },
}

/** Names of all faults. */
export const faults = Object.keys(strikes)

/** A connection that breaks at five points of the upload: once or for good, over WebSockets or SPDY. */
function breaks(name: string, end: (connection: Connection) => void): Record<string, Strike> {
  const at = (percent: number): Strike => {
    return async (lane, turn) => {
      const once = turn % 2 === 0
      const deploy = lane.deploy(1, { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(turn % 3 !== 2) })
      const connection = await lane.caught(deploy, percent / 100)
      if (percent === 100) {
        // all of it is there: the break falls anywhere from then to the receipt
        connection.go()
        await pause(Math.random() * 0.6)
      }
      if (!once) lane.link.refuse()
      end(connection)
      const ended = await deploy.ended
      lane.link.mend()
      return [{ ...deploy, ...ended, ...(once ? { must: 'succeed' } : {}) }]
    }
  }
  return Object.fromEntries([0, 1, 50, 99, 100].map((percent) => [`${name} at ${percent} %`, at(percent)]))
}

/** A pod, and a link of its own that leads to it. */
class Lane {
  /** The variant that runs at the start of a turn. */
  private before = 0
  private deploys = 0
  private known: Promise<{ readonly pod: string; readonly url: string }> | undefined
  private readonly name: string
  private readonly kubeconfig: string
  readonly link: Link
  private readonly it: Project
  private readonly built: readonly Buffer[]

  constructor(it: Project, name: string, link: Link, built: readonly Buffer[]) {
    this.it = it
    this.name = name
    this.link = link
    this.built = built
    this.kubeconfig = it.checkout.file(`${name}.json`, link.kubeconfig)
  }

  /** Strikes once and judges. Throws an Error that says what is wrong. */
  async try(strike: Strike, turn: number): Promise<void> {
    const outcomes = await strike(this, turn)
    const story = outcomes.map(said).join('')
    for (const { code, signal, stderr, must, killed } of outcomes) {
      const wrong = (what: string) => new Error(`${what}:\n${story}`)
      if (/bug of hotswap-dev/.test(stderr)) throw wrong('a bug')
      if (signal === 'SIGKILL' && killed === undefined) throw wrong(`a deploy was not over after ${patience} s`)
      if (must !== undefined && (code === 0) !== (must === 'succeed')) throw wrong(`a deploy did not ${must}`)
      if (code === 1 && !/^error: /m.test(stderr)) throw wrong('a deploy failed without a word')
    }
    const claims = outcomes.filter(({ code }) => code === 0)
    const failed = [this.before, ...outcomes.map(({ variant }) => variant)]
    await this.serves(claims.length > 0 ? claims.map(({ variant }) => variant) : failed, story)

    await this.next(story)
  }

  /** A deploy that nothing disturbs. Throws an Error if it does not do its work. */
  async next(story = ''): Promise<Deploy> {
    const next = this.deploy(variants - 1)
    const ended = await next.ended
    if (ended.code !== 0) throw new Error(`the next deploy failed:\n${story}${said(ended)}`)
    await this.serves([next.variant], story + said(ended))
    this.before = next.variant
    return next
  }

  /** The pod runs one of these: the agent proves it, and the program answers so; nothing of an upload is left. Throws an Error. */
  private async serves(may: readonly number[], story: string): Promise<void> {
    let last: Readonly<Record<string, string | undefined>> = {}
    await until(
      () => `a program that is proven to run, and no rest of an upload: ${JSON.stringify(last)}\n${story}`,
      30,
      async () => {
        last = await this.state().catch((error: Error) => ({ result: error.message }))
        return last.result === 'running' && last.swapping === undefined && last.proof === 'exe' && last.left === ''
      },
    )
    const found = this.built.findIndex((bytes) => sha256(bytes) === last.sha256)
    if (!may.includes(found)) throw new Error(`variant ${found} runs, not ${may.join(' or ')}:\n${story}`)
    await httpGet((await this.place()).url, (body) => body.startsWith(`variant ${found},`))
  }

  /** Starts a deploy of the program that comes `step` after the one that runs. */
  deploy(step: number, env: Readonly<Record<string, string>> = {}): Deploy {
    const variant = (this.before + step) % variants
    const value = `${this.it.namespace}-${this.name}-${(this.deploys += 1)}`
    const all = {
      KUBECONFIG: this.kubeconfig,
      SELECTOR: `lane=${this.name}`,
      BINARY: `bin/v${variant}`,
      HOTSWAP_TEST_RUN: value,
      ...env,
    }
    const launched = this.it.checkout.launch('deploy-dev', [], { env: all, limit: patience * 1000 })
    return { ...launched, variant, mark: `HOTSWAP_TEST_RUN=${value}` }
  }

  /** The upload's connection, held when this share of it is through. Throws where the deploy ends before. */
  async caught({ variant, ended }: Deploy, share: number): Promise<Connection> {
    const bytes = this.built[variant]?.length ?? 0
    const caught = await Promise.race([this.link.at(Math.floor(share * bytes)), ended])
    if ('code' in caught) throw new Error(`a deploy was over before the fault:\n${said(caught)}`)
    return caught
  }

  /** Its pod, once it lives, and where that answers. */
  place(): Promise<{ readonly pod: string; readonly url: string }> {
    const live =
      '{{if not .metadata.deletionTimestamp}}{{if eq .status.phase "Running"}}{{.metadata.name}}{{end}}{{end}}'
    const args = ['get', 'pods', '-l', `lane=${this.name}`, '-o', `go-template={{range .items}}${live}{{end}}`]
    this.known ??= (async () => {
      const pod = await until(`the pod of ${this.name}`, 60, () => this.it.kubectl(args))
      return { pod, url: `${await podURL(this.it.namespace, pod, 8080)}/` }
    })().catch((error: Error) => {
      this.known = undefined
      throw error
    })
    return this.known
  }

  inPod = async (script: string) => this.it.kubectl(['exec', (await this.place()).pod, '--', 'sh', '-c', script])

  /** The next pod takes its place, a second later. */
  async deletePod(): Promise<void> {
    const { pod } = await this.place()
    this.known = undefined
    await this.it.kubectl(['delete', 'pod', pod, '--grace-period=1', '--wait=false'])
  }

  /** What the agent says, and as `left` what is there of an upload. */
  private async state(): Promise<Readonly<Record<string, string | undefined>>> {
    const said = await this.inPod(`hotswap-dev status ${binary}; ls -A ${folder} ${folder}/.hotswap-hello`)
    const lines = said.split('\n').reverse() // the first of a key counts
    return {
      ...Object.fromEntries(lines.map((line) => /^([^=]*)=(.*)/.exec(line)?.slice(1) ?? ['', ''])),
      left: (said.match(/^(hello-dev.*|lock)$/gm) ?? []).join(' '),
    }
  }

  /** A pod and a link as new. */
  async heal(): Promise<void> {
    this.link.mend()
    await this.deletePod()
    await this.serves([0], '')
    this.before = 0
  }
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Pods on which faults are tried, one at a time each. */
export class Field {
  private readonly it: Project
  readonly lanes: readonly Lane[]

  private constructor(it: Project, lanes: readonly Lane[]) {
    this.it = it
    this.lanes = lanes
  }

  static async make(count = 3): Promise<Field> {
    const it = await project('upload')
    const settings = { BINARY_PATH: binary, ENCODING: 'raw', LIMIT: String(limit), SETTLE: '0.2' }
    const built: Buffer[] = []
    for (let variant = 0; variant < variants; variant += 1) {
      it.set({ ...settings, BINARY: `bin/v${variant}` })
      it.edit(`variant ${variant}, version `)
      await it.run('build')
      built.push(readFileSync(join(it.checkout.dir, `bin/v${variant}`)))
    }
    it.set({ ...settings, BINARY: 'bin/v0' })
    const names = Array.from({ length: count }, (_, number) => `lane${number}`)
    const image = `local/${it.namespace}:1`
    const disk = Math.ceil((built[0]?.length ?? 0) / 2 ** 20) * 3 + 2
    it.checkout.file('manifests/deployment.yml', names.map((name) => manifest(name, image, disk)).join('---\n'))
    await switched(it)
    const links = await Promise.all(names.map(() => Link.open({ plain: true })))
    return new Field(
      it,
      names.flatMap((name, at) => links.slice(at, at + 1).map((link) => new Lane(it, name, link, built))),
    )
  }

  /** The checkout that the deploys run in. */
  get dir(): string {
    return this.it.checkout.dir
  }

  /** Tries a fault so many times, on all pods. */
  async tally(fault: string, times: number): Promise<Tally> {
    const strike = strikes[fault]
    if (strike === undefined) throw new Error(`there is no fault ${fault}: there are ${faults.join(', ')}`)
    const wrong: string[] = []
    let turn = 0
    const work = async (lane: Lane) => {
      while (turn < times) {
        const mine = turn++
        try {
          await lane.try(strike, mine)
        } catch (error) {
          wrong.push(`${fault}, try ${mine}: ${error instanceof Error ? error.message : String(error)}`)
          await lane.heal()
        }
      }
    }
    await Promise.all(this.lanes.map(work))
    return { fault, tried: times, wrong }
  }

  async remove(): Promise<void> {
    for (const { link } of this.lanes) link.cut()
    await this.it.remove()
  }
}

/** A deployment whose program is on a small disk in memory, onto which the image's file is copied at the start. */
function manifest(name: string, image: string, mebibytes: number): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  selector: {matchLabels: {lane: ${name}}}
  template:
    metadata:
      labels: {app: hello, lane: ${name}}
    spec:
      terminationGracePeriodSeconds: 1
      initContainers:
        - name: fill
          image: ${image}
          imagePullPolicy: IfNotPresent
          command: [cp, ${binary}, /disk/hello]
          volumeMounts: [{name: disk, mountPath: /disk}]
      containers:
        - name: hello
          image: ${image}
          imagePullPolicy: IfNotPresent
          command: [${binary}]
          volumeMounts: [{name: disk, mountPath: ${folder}}]
      volumes:
        - name: disk
          emptyDir: {medium: Memory, sizeLimit: ${mebibytes}Mi}
`
}
