// What was built, for the tasks that come after: version, kind and architecture of a binary, found by its sha256.
import { jsonOf } from '../frame/json.ts'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isArchitecture, type Architecture } from '../binary/elf.ts'
import { root } from '../frame/root.ts'
import { say } from '../frame/talk.ts'
import { changeFile, replaceFile } from '../frame/text-file.ts'

/** One binary that was built. */
export interface Build {
  /** As BINARY has it. */
  readonly path: string
  /** Only letters, digits and ._+-: `unknown` where git had none. */
  readonly version: string
  /** Bytes. */
  readonly size: number
  /** 64 hexadecimal digits. */
  readonly sha256: string
  /** Wall time of the build. */
  readonly seconds: number
  /** With debug information, for Delve. */
  readonly debug: boolean
  readonly arch: string
}

const kept = 12
const folder = join(root, '.hotswap')
const builds = join(folder, 'builds.json')
const machine = join(folder, 'machine')

/** Remembers a build; the last dozen stay. */
export function recordBuild(build: Build): void {
  memory(() =>
    changeFile(builds, (before) => {
      const others = listed(before).filter(({ sha256 }) => sha256 !== build.sha256)
      return `${JSON.stringify([build, ...others].slice(0, kept), null, 1)}\n`
    }),
  )
}

/** What cannot be written is not remembered: that alone fails no build and no delivery. */
function memory(write: () => void): void {
  try {
    write()
  } catch (error) {
    say(`warning: .hotswap keeps no record of this: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The build that made the file with this hash; undefined if none is remembered. */
export function buildOf(sha256: string): Build | undefined {
  return recorded().find((build) => build.sha256 === sha256)
}

/** The sha256 of a file; undefined if it cannot be read. */
export function sha256Of(file: string): string | undefined {
  try {
    return createHash('sha256').update(readFileSync(file)).digest('hex')
  } catch {
    return undefined
  }
}

const before = machinesThere() // as another task has left them
const seen = new Set<Architecture>()

/**
 * Remembers the architecture that a pod said it has. Where pods have several, builds stay with the one that they were for:
 * which pod answers last is no matter.
 */
export function recordMachine(arch: Architecture): void {
  seen.add(arch)
  const all = [...seen].sort()
  const first = before.find((each) => seen.has(each)) ?? all[0]
  const words = [first, ...all.filter((each) => each !== first)].join(' ')
  if (text(machine).trim() !== words) memory(() => replaceFile(machine, `${words}\n`))
}

/** The architecture that builds for the pods are for; undefined if no pod has said one yet. */
export function lastMachine(): Architecture | undefined {
  return machinesThere()[0]
}

/** The architectures that the pods said they have, in this task and the one before, the one of the builds first. */
export function machines(): readonly Architecture[] {
  return [...new Set([...machinesThere(), ...before])]
}

function machinesThere(): Architecture[] {
  return text(machine).trim().split(' ').filter(isArchitecture)
}

/** Newest first. A damaged file is an empty one: it is only a memory. */
function recorded(): Build[] {
  return listed(text(builds))
}

function listed(json: string): Build[] {
  const list = jsonOf(json)
  return Array.isArray(list) ? list.filter(isBuild) : []
}

function isBuild(value: unknown): value is Build {
  if (typeof value !== 'object' || value === null) return false
  const has = (key: string, type: string) => typeof Object.entries(value).find(([name]) => name === key)?.[1] === type
  return (
    ['path', 'version', 'sha256', 'arch'].every((key) => has(key, 'string')) &&
    ['size', 'seconds'].every((key) => has(key, 'number')) &&
    has('debug', 'boolean')
  )
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
