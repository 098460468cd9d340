// Shows the whole job once, on this machine and in a scratch folder: build, run, edit, deploy, a crash and its rollback.
import { freePort } from './lib/frame/free-port.ts'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deliver } from './lib/delivery/retry.ts'
import { parcelOf } from './lib/delivery/parcel.ts'
import { tagged } from './lib/go/git.ts'
import { buildLine, goBuild } from './lib/go/go.ts'
import { localTarget } from './lib/pods/local.ts'
import { startSandbox, stopSandbox } from './lib/pods/sandbox.ts'
import type { Pod, Target } from './lib/pods/target.ts'
import { defaults } from './lib/settings/table.ts'
import { task } from './lib/frame/task.ts'
import { root } from './lib/frame/root.ts'
import { onEnd } from './lib/frame/ending.ts'
import { print, UserError } from './lib/frame/talk.ts'
import { binaryWords } from './lib/protocol/receipt.ts'
import { statusOf } from './lib/pods/status.ts'
import { seconds, size } from './lib/frame/words.ts'

const about = {
  name: 'demo',
  summary: 'shows the whole job once, on this machine and in a scratch folder that it removes again',
} as const

await task(about, async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hotswap-demo-'))
  onEnd(() => rmSync(scratch, { recursive: true, force: true }))
  const source = join(scratch, 'hello')
  const file = join(source, 'main.go')
  const chosen = {
    ...defaults(),
    target: 'local',
    goDir: source,
    goMain: '.',
    binary: join(scratch, 'bin', 'hello'),
  } as const
  const sandbox = { ...chosen, folder: join(scratch, 'pod') }
  let version = ''
  const url = `http://127.0.0.1:${await freePort()}/`

  print(
    'hotswap-dev replaces the binary inside a running pod. This demo plays it through on this machine: a scratch copy of',
  )
  print(`examples/hello is the service, the folder ${scratch} is the pod.`)

  title('1. Build the service, as npm run build does')
  cpSync(join(root, 'examples', 'hello'), source, { recursive: true })
  writeFileSync(join(source, 'go.mod'), readFileSync(join(root, 'go.mod'), 'utf8'))
  await build('v1')

  title('2. Start the agent, the main process of a dev pod; it waits for a binary, and gets the one just built')
  onEnd(() => stopSandbox(sandbox).then(() => undefined))
  await startSandbox(sandbox, [], { variables: { HELLO_ADDR: new URL(url).host } })
  await deploy()
  await ask()

  title('3. Edit a line')
  edit('"hello, version "', '"good morning, version "')

  title('4. Build and deploy: only the process is replaced, the pod stays')
  await build('v2')
  const good = await deploy()
  await ask()

  title('5. Deploy a version that panics at its start')
  edit('	addr := flag', '	panic("a bug")\n	addr := flag')
  await build('v3')
  const problem = await deploy().then(
    () => 'the version that panics runs: that is a bug of this demo',
    (error: unknown) => (error instanceof UserError ? error.message : String(error)),
  )
  print(problem)
  await ask()
  const now = await statusOf(...(await pod()))
  if (now.values.get('result') !== 'rolled-back' || binaryWords(now) !== good)
    throw new UserError('the rollback did not happen')

  title('That is the job. With a cluster, the same commands do it in a real pod; README.md says how.')

  /** Builds the source as it is now, as the version of that name. */
  async function build(tag: string): Promise<void> {
    await tagged(source, tag)
    const built = await goBuild(chosen, { debug: false })
    version = built.version
    print(buildLine(built))
  }

  /** The sandbox, as the tasks see it. */
  async function pod(): Promise<[Target, Pod]> {
    const target = localTarget(sandbox)
    const [found] = (await target.pods()).pods
    if (found === undefined) throw new UserError('the agent is gone')
    return [target, found]
  }

  /** Sends the binary and shows the receipt. Returns version and hash of what runs. */
  async function deploy(): Promise<string> {
    const { sent, receipt, ms } = await deliver(...(await pod()), await parcelOf(chosen.binary, version), 'raw')
    print(`sent ${size(sent)} in ${seconds(ms)}. The receipt, made by the agent from the process that runs now:`)
    for (const key of ['result', 'pid', 'sha256', 'proof', 'started', 'version', 'by'])
      print(`  ${key}=${receipt.values.get(key) ?? ''}`)
    return binaryWords(receipt)
  }

  /** Asks the service, and shows what it answers. */
  async function ask(): Promise<void> {
    print(`GET / answers: ${(await (await fetch(url)).text()).trim()}`)
  }

  /** Changes one place in main.go, and shows it. */
  function edit(before: string, after: string): void {
    const text = readFileSync(file, 'utf8')
    if (!text.includes(before))
      throw new UserError(`examples/hello/main.go has no ${before} any more: the demo edits it`)
    writeFileSync(file, text.replace(before, after))
    const line = text.slice(0, text.indexOf(before)).split('\n').length
    print(`main.go:${line}: ${before.trim()} becomes ${after.trim().split('\n\t').join('; ')}`)
  }
})

function title(text: string): void {
  print(`\n${text}`)
}
