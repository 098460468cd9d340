// The port of this machine that an IDE connects to: ours from start to end, on loopback, and who has it if it is taken.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { start } from '../frame/children.ts'
import { onEnd } from '../frame/ending.ts'
import { UserError } from '../frame/talk.ts'
import { find } from '../frame/tools.ts'

const patience = 1500 // ms for lsof

/** A port of this machine that is ours. */
export interface OwnPort {
  /** Hands over each connection, those that came before too. To be called once. */
  readonly serve: (visitor: (socket: Socket) => void) => void
}

/**
 * Takes a port of 127.0.0.1. A kubectl that outlives us keeps none that anybody knows: its forwards have random ones.
 * Throws UserError that names who has the port.
 */
export function ownPort(port: number): Promise<OwnPort> {
  return new Promise((resolve, reject) => {
    const early: Socket[] = []
    const server = createServer((socket) => void early.push(socket))
    server.once('error', (error) => {
      if (!('code' in error && error.code === 'EADDRINUSE')) return reject(new UserError(error.message))
      void holder(port).then((who) =>
        reject(
          new UserError(
            `port ${port} of this machine is taken by ${who} - end that, or choose another: DEBUG_LOCAL_PORT=${port + 1} in .env`,
          ),
        ),
      )
    })
    onEnd(() => {
      server.close()
      for (const socket of early) socket.destroy()
    })
    server.listen(port, '127.0.0.1', () =>
      resolve({
        serve: (visitor) => {
          server.removeAllListeners('connection').on('connection', visitor)
          early.forEach(visitor)
        },
      }),
    )
  })
}

/** Pid and command of the process that listens on a port of this machine, in words. */
async function holder(port: number): Promise<string> {
  const pid = holderInProc(port) ?? (await holderByLsof(port))
  if (pid === undefined) return 'a process that this user may not see'
  const command = commandOf(pid) ?? (await output('ps', ['-o', 'command=', '-p', String(pid)]))
  return `pid ${pid}${command === '' ? '' : `: ${command.slice(0, 200)}`}`
}

/** By the inode of the listening socket (proc(5), /proc/net/tcp) among the descriptors of all processes. */
function holderInProc(port: number): number | undefined {
  const address = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const inodes = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    lines(table)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = '', , state]) => local.endsWith(address) && state === '0A')
      .map((fields) => `socket:[${fields[9]}]`),
  )
  if (inodes.length === 0) return undefined
  const pids = list('/proc').filter((name) => /^\d+$/.test(name))
  return pids
    .map(Number)
    .find((pid) => list(`/proc/${pid}/fd`).some((fd) => inodes.includes(link(`/proc/${pid}/fd/${fd}`))))
}

/** macOS has no /proc. */
async function holderByLsof(port: number): Promise<number | undefined> {
  const said = await output('lsof', ['-nP', `-iTCP:${port}`, '-sTCP:LISTEN', '-Fp'])
  const [, pid] = /^p(\d+)$/m.exec(said) ?? []
  return pid === undefined ? undefined : Number(pid)
}

function commandOf(pid: number): string | undefined {
  const words = lines(`/proc/${pid}/cmdline`).join('\n').split('\0').join(' ').trim()
  return words === '' ? undefined : words
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch {
    return []
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function link(file: string): string {
  try {
    return readlinkSync(file)
  } catch {
    return ''
  }
}

/** What a tool prints; empty if it is missing, fails or takes long. */
function output(tool: string, args: readonly string[]): Promise<string> {
  if (find(tool) === undefined) return Promise.resolve('')
  return new Promise((resolve) => {
    const child = start(tool, args, { stdio: ['ignore', 'pipe', 'ignore'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), patience)
    let said = ''
    child.stdout?.setEncoding('utf8').on('data', (part: string) => (said += part))
    child.once('error', () => resolve(''))
    child.once('close', () => {
      clearTimeout(timer)
      resolve(said.trim())
    })
  })
}
