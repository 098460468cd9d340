// What is made once: a file that many may ask for at the same time, in this task and in others of the checkout.
import { pause } from './pause.ts'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { onEnd, unlessEnding } from './ending.ts'
import { say } from './talk.ts'

const step = 100 // ms between two looks at who makes it
const sign = 2_000 // ms between two signs of life of who does
const silence = 15_000 // ms without one: it is dead, and its pid another's

const underway = new Map<string, Promise<string>>()

/**
 * The path, once a file is there: `make` writes it to the path that it is given, where it is not. Who asks meanwhile waits for
 * it. What throws leaves nothing behind; the next one who asks tries anew.
 */
export function madeOnce(path: string, make: (part: string) => Promise<void>): Promise<string> {
  const present = underway.get(path) ?? made(path, make).finally(() => underway.delete(path))
  underway.set(path, present)
  return present
}

async function made(path: string, make: (part: string) => Promise<void>): Promise<string> {
  mkdirSync(dirname(path), { recursive: true })
  const lock = `${path}.lock`
  let told = false
  while (!isThere(path)) {
    if (taken(lock)) {
      await whileHeld(lock, path, make)
      continue
    }
    // two may find the same dead one, and both make the file: neither sees half of it
    if (isDead(lock)) rmSync(lock, { force: true })
    else {
      if (!told) say(`another task makes ${basename(path)}: waiting for it`)
      told = true
      await pause(step)
      unlessEnding()
    }
  }
  return path
}

async function whileHeld(lock: string, path: string, make: (part: string) => Promise<void>): Promise<void> {
  const clear = () => {
    for (const left of leftovers(path)) rmSync(left, { recursive: true, force: true })
    if (holder(lock) === process.pid) rmSync(lock, { force: true })
  }
  const takeBack = onEnd(clear)
  const alive = setInterval(() => signed(lock), sign)
  try {
    if (isThere(path)) return // since the look before
    const part = `${path}.${process.pid}.part`
    await make(part)
    renameSync(part, path)
  } finally {
    clearInterval(alive)
    clear()
    takeBack()
  }
}

/** What is half made, by this task or by one that is no more. */
function leftovers(path: string): string[] {
  const own = `${basename(path)}.`
  const pidOf = (name: string) => (name.startsWith(own) ? Number(name.slice(own.length).split('.')[0]) : NaN)
  const names = isThere(dirname(path)) ? readdirSync(dirname(path)) : [] // somebody may clean up at any time
  return names
    .filter((name) => pidOf(name) === process.pid || (pidOf(name) > 0 && !lives(pidOf(name))))
    .map((name) => join(dirname(path), name))
}

function taken(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}\n`, { flag: 'wx' })
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** The pid in a lock; undefined if there is none, or it is being written. */
function holder(lock: string): number | undefined {
  try {
    return Number(readFileSync(lock, 'utf8')) || undefined
  } catch {
    return undefined
  }
}

function isDead(lock: string): boolean {
  const pid = holder(lock)
  const signs = statSync(lock, { throwIfNoEntry: false })
  return signs !== undefined && (Date.now() - signs.mtimeMs > silence || (pid !== undefined && !lives(pid)))
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH') // another user's lives too
  }
}

function signed(lock: string): void {
  try {
    utimesSync(lock, new Date(), new Date())
  } catch {
    // somebody has cleaned up: at worst it is made twice
  }
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined
}
