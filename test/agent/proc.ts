// What the kernel says of processes: the tests believe /proc, not the agent.
import fs from 'node:fs'

const fields = (pid: number) => {
  const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

const tried = <T>(read: () => T, otherwise: T): T => {
  try {
    return read()
  } catch {
    return otherwise
  }
}

/** The state's letter (t: halted by a debugger, Z: zombie), empty if there is no such process. */
export const state = (pid: number) => tried(() => fields(pid)[0] ?? '', '')

export const alive = (pid: number) => !['', 'Z', 'X'].includes(state(pid))

/** Together with the pid this names one process for good. */
export const startTime = (pid: number) => tried(() => fields(pid)[19] ?? '', '')

export const group = (pid: number) => Number(tried(() => fields(pid)[2] ?? '0', '0'))

export const session = (pid: number) => Number(tried(() => fields(pid)[3] ?? '0', '0'))

export const descriptors = (pid: number) => tried(() => fs.readdirSync(`/proc/${pid}/fd`), [])

export const commandLine = (pid: number) =>
  tried(() => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'), '')
    .replaceAll('\0', ' ')
    .trim()

/** The bytes of the very file that the process runs, also when its path is gone. */
export const executable = (pid: number) => fs.readFileSync(`/proc/${pid}/exe`)

/** Does the process run this very file? Told by device and inode. */
export function runs(pid: number, file: string): boolean {
  const [a, b] = [fs.statSync(`/proc/${pid}/exe`), fs.statSync(file)]
  return a.dev === b.dev && a.ino === b.ino
}

export const all = () =>
  fs
    .readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0)

export const children = (pid: number) => all().filter((p) => tried(() => fields(p)[1] === String(pid), false))

/** All living processes that carry NAME=VALUE in the environment that they were started with. */
export function carriers(assignment: string): number[] {
  const carries = (pid: number) =>
    tried(() => `\0${fs.readFileSync(`/proc/${pid}/environ`, 'utf8')}`.includes(`\0${assignment}\0`), false)
  return all().filter((pid) => pid !== process.pid && carries(pid) && alive(pid))
}

export function kill(pid: number, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (pid > 1) tried(() => process.kill(pid, signal), false)
}
