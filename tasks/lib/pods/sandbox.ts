// The sandbox of the local target: starts and ends the agent as a process of this machine, in a folder.
import { pause } from '../frame/pause.ts'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { basename, dirname, join } from 'node:path'
import { type AgentCommand, agentCommand, delve } from '../protocol/command.ts'
import { hostArch } from '../binary/elf.ts'
import { localDelve, toolFolder } from '../go/delve.ts'
import { helper, helperName } from '../go/helper.ts'
import { protocol } from '../protocol/receipt.ts'
import { programVariables } from '../settings/settings.ts'
import type { Settings } from '../settings/table.ts'
import { environment } from '../frame/environment.ts'
import { root } from '../frame/root.ts'
import { start } from '../frame/children.ts'
import { clean, say, UserError } from '../frame/talk.ts'
import { need } from '../frame/tools.ts'

/** A sandbox: the folder that stands for a container's root, and what its agent is told. */
export interface Sandbox extends Pick<Settings, 'binaryPath' | 'debugPort' | 'settle' | 'limit' | 'hold'> {
  /** Default: .hotswap/local. */
  readonly folder?: string
}

export const agent = join(root, 'agent', 'hotswap-dev')

/**
 * The wrapper of a sandbox: Delve where build-debug has put one there, else none. Delve takes DEBUG_PORT, or the next free
 * port above it where debug-dev is to have that one: both are on this machine.
 */
export async function sandboxWrapper({
  debugPort,
  debugLocalPort,
  debugWait,
}: Pick<Settings, 'debugPort' | 'debugLocalPort' | 'debugWait'>): Promise<string> {
  if (!existsSync(localDelve)) return ''
  if (debugPort !== debugLocalPort) return delve(debugPort, debugWait)
  for (let port = debugPort + 1; port < debugPort + 100; port += 1)
    if (await isFree(port)) return delve(port, debugWait)
  throw new UserError(`no port above ${debugPort} is free for Delve - set DEBUG_PORT and DEBUG_LOCAL_PORT in .env`)
}

/** What is said of an agent that was started. */
export const agentRuns = (pid: number) => `the agent runs, pid ${pid}`

/**
 * Starts the agent in the sandbox and leaves it running after the task. The program's arguments follow, the wrapper is
 * the agent's -r; one that runs without a wrapper is ended first where there is one now, and its arguments are kept. Returns
 * the agent's pid, or undefined where it ran already. Throws UserError where it does not come up.
 */
export async function startSandbox(
  sandbox: Sandbox,
  args: readonly string[] = [],
  { wrapper = '', variables = {} }: { readonly wrapper?: string; readonly variables?: Record<string, string> } = {},
): Promise<number | undefined> {
  needLinux()
  need('sh', 'to run the agent')
  const folder = folderOf(sandbox)
  const done = await alone(folder)
  try {
    return await startAlone(sandbox, args, { wrapper, variables })
  } finally {
    done()
  }
}

async function startAlone(
  sandbox: Sandbox,
  args: readonly string[],
  more: { readonly wrapper: string; readonly variables: Record<string, string> },
): Promise<number | undefined> {
  const { wrapper, variables } = more
  const folder = folderOf(sandbox)
  const binary = binaryOf(sandbox)
  const running = runningAgent(folder)
  const present = commandOf(running)
  // one that is ending answers no more
  if (
    running !== undefined &&
    present?.binary === binary &&
    (await answers(binary, () => startTime(running) !== undefined)) !== ''
  ) {
    await gone(sandbox, running)
    return startAlone(sandbox, args.length > 0 ? args : present.args, more)
  }
  if (present !== undefined) {
    const why = [
      ...(present.binary === binary ? [] : ['for another BINARY_PATH']),
      ...(wrapper === '' || present.wrapper !== '' ? [] : ['without a debugger']),
      ...(spokenBy(binary) >= protocol ? [] : ['as an older version']),
      ...(args.length === 0 || args.join('\0') === present.args.join('\0') ? [] : ['with other arguments']),
    ]
    if (why.length === 0) {
      await placeHelper(binary)
      return undefined
    }
    say(`the agent runs ${why.join(' and ')}: it is started again`)
    await stopAlone(sandbox)
    return startAlone(sandbox, args.length > 0 ? args : present.args, more)
  }
  await helper(hostArch()) // what cannot be built is said before anything runs
  mkdirSync(dirname(binary), { recursive: true })
  await placeHelper(binary) // the program's first ports are to stay open too
  const errors = join(folder, 'agent.err')
  const stderr = openSync(errors, 'w')
  const child = spawn(
    'sh',
    [agent, ...(wrapper === '' ? [] : ['-r', wrapper]), '--', binary, ...args],
    // what the program prints is in its log file: a stdout of its own would grow without a limit
    {
      cwd: folder,
      detached: true,
      stdio: ['ignore', 'ignore', stderr],
      env: {
        ...programVariables(),
        ...sandboxEnvironment(),
        SETTLE: String(sandbox.settle),
        LIMIT: String(sandbox.limit),
        ...(sandbox.hold ? {} : { HOTSWAP_HOLD: '0' }),
        ...variables,
      },
    },
  )
  closeSync(stderr)
  const failed = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', () => resolve(clean(readFileSync(errors, 'utf8')).trim() || 'it ended at once'))
  })
  const pid = child.pid
  const born = pid === undefined ? undefined : startTime(pid)
  if (pid !== undefined && born !== undefined) writeFileSync(pidFile(folder), `${pid} ${born}\n`)
  let going = true
  const answer = await Promise.race([answers(binary, () => going), failed])
  going = false
  if (answer !== '' && adopted(answer, binary, folder)) return undefined
  if (answer !== '') throw new UserError(`the agent did not start in ${folder}: ${answer}`)
  await placeHelper(binary)
  child.unref()
  return pid
}

/** The folder in which the agent of a sandbox says what it does: beside the binary, else in one of two other places. */
function stateOf(binary: string): string | undefined {
  const flat = `.hotswap${binary.replaceAll('/', '%')}`
  const places = [join(dirname(binary), `.hotswap-${basename(binary)}`), `/tmp/${flat}`, `/dev/shm/${flat}`]
  return places.find((place) => existsSync(join(place, 'agent')))
}

/** The number of the protocol that the agent of a sandbox speaks; Infinity where it is not known. */
function spokenBy(binary: string): number {
  try {
    return Number(
      /^agent=\S+ (\d+)$/m.exec(readFileSync(join(stateOf(binary) ?? '', 'agent'), 'utf8'))?.[1] ?? Infinity,
    )
  } catch {
    return Infinity
  }
}

/** Links the helper where the agent of a sandbox looks for it: it need not be sent. */
async function placeHelper(binary: string): Promise<void> {
  const made = await helper(hostArch())
  const folder = stateOf(binary) ?? join(dirname(binary), `.hotswap-${basename(binary)}`)
  const path = join(folder, 'bin', helperName(made))
  if (existsSync(path)) return
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const part = join(dirname(path), `.helper.${process.pid}`)
    symlinkSync(made.path, part)
    renameSync(part, path)
  } catch {
    // deploy-dev sends it, or says why not
  }
}

/** Ends the agent of the sandbox, and its program with it. Returns whether one ran. Waits for at most LIMIT and 5 s. */
export async function stopSandbox(sandbox: Sandbox): Promise<boolean> {
  needLinux()
  const done = await alone(folderOf(sandbox))
  try {
    return await stopAlone(sandbox)
  } finally {
    done()
  }
}

async function stopAlone(sandbox: Sandbox): Promise<boolean> {
  const folder = folderOf(sandbox)
  const pid = runningAgent(folder)
  if (pid === undefined) return false
  process.kill(pid, 'SIGTERM')
  await gone(sandbox, pid)
  rmSync(pidFile(folder), { force: true })
  return true
}

async function gone(sandbox: Sandbox, pid: number): Promise<void> {
  const folder = folderOf(sandbox)
  for (const end = Date.now() + (sandbox.limit + 5) * 1000; runningAgent(folder) !== undefined; await pause(50))
    if (Date.now() > end)
      throw new UserError(`the agent in ${folder} (pid ${pid}) did not end: its program ignores TERM`)
}

/**
 * Waits until no other task starts or ends the agent of that sandbox; returns what lets the next one. The name is an abstract
 * socket's (unix(7)): it goes with the process that has it, however that ends.
 */
async function alone(folder: string): Promise<() => void> {
  const path = `\0hotswap-dev ${createHash('sha256').update(folder).digest('hex')}`
  for (;;) {
    const server = createServer()
    const taken = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      server.once('error', resolve)
      server.listen({ path }, () => resolve(undefined))
    })
    if (taken === undefined) return () => void server.close()
    if (taken.code !== 'EADDRINUSE') throw taken
    await pause(50)
  }
}

/** An agent that runs, and that no pid file tells of: the one that was started has named it, and left. */
function adopted(refusal: string, binary: string, folder: string): boolean {
  const pid = Number(/the agent with pid (\d+) runs .* already$/.exec(refusal)?.[1])
  const born = startTime(pid)
  if (born === undefined || commandOf(pid)?.binary !== binary) return false
  writeFileSync(pidFile(folder), `${pid} ${born}\n`)
  return true
}

export function needLinux(): void {
  if (process.platform !== 'linux')
    throw new UserError(
      'TARGET=local needs Linux - on this machine create a cluster (kind create cluster) and set KUBE_CONTEXT=kind-kind in .env',
    )
}

export function folderOf({ folder = join(root, '.hotswap', 'local') }: Sandbox): string {
  return folder
}

export function binaryOf(sandbox: Sandbox): string {
  return folderOf(sandbox) + sandbox.binaryPath
}

function pidFile(folder: string): string {
  return join(folder, 'agent.pid')
}

/** The environment of what runs in the sandbox: Delve is on its PATH by name, since -r is split at spaces. */
export function sandboxEnvironment(): Record<string, string> {
  const own = environment()
  return { ...own, PATH: `${toolFolder}:${own.PATH ?? ''}` }
}

/** The command that runs an agent of this machine. */
export function commandOf(pid: number | undefined): AgentCommand | undefined {
  try {
    return pid === undefined
      ? undefined
      : agentCommand(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1))
  } catch {
    return undefined
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** The pid of the agent that was started there; undefined where it is gone, or the number is another process's now. */
export function runningAgent(folder: string): number | undefined {
  try {
    const [pid, born] = readFileSync(pidFile(folder), 'utf8').trim().split(' ')
    return born !== undefined && startTime(Number(pid)) === born ? Number(pid) : undefined
  } catch {
    return undefined
  }
}

/** When a process began, in the kernel's ticks since boot (proc(5), /proc/PID/stat field 22); undefined for a zombie. */
export function startTime(pid: number): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')
    return fields?.[0] === 'Z' ? undefined : fields?.[19]
  } catch {
    return undefined
  }
}

/** Waits until the agent answers, for as long as it is going; returns why it does not, or nothing. */
async function answers(binary: string, going: () => boolean): Promise<string> {
  for (const end = Date.now() + 10_000; Date.now() < end; await pause(30)) {
    if (!going()) return 'it has ended'
    const status = start('sh', [agent, 'status', binary], { stdio: 'ignore', env: environment() })
    if ((await new Promise((resolve) => status.once('exit', resolve))) === 0) return ''
  }
  return 'it does not answer within 10 s'
}
