// What is delivered: a binary, whose it is, and its bytes under each encoding.
import { hostname, userInfo } from 'node:os'
import { promisify } from 'node:util'
import { gzip as gzipWithCallback } from 'node:zlib'
import { readBinary, type Binary } from '../binary/read.ts'
import { buildOf } from '../go/builds.ts'
import { has } from '../patches/cache.ts'
import { elf, isUnoptimized } from '../binary/elf.ts'
import type { Developer } from './owner.ts'
import { patch } from '../patches/patches.ts'
import type { Receipt, Whole } from '../protocol/receipt.ts'
import { UserError } from '../frame/talk.ts'
import type { Pod } from '../pods/target.ts'

const gzip = promisify(gzipWithCallback)

/** A binary that is to be delivered, and by whom. */
export interface Parcel extends Developer, Binary {
  /** Go's word for the machine that it is for. */
  readonly machine: string
  /** It was built for a debugger: it runs through the wrapper. */
  readonly debug: boolean
  readonly version: string
  /** The bytes under an encoding, made once however many pods get them. */
  readonly encoded: (encoding: Whole) => Promise<Buffer>
  /** The patch on the binary with that sha256, made once; undefined where that is not in the cache. */
  readonly patch: (from: string) => Promise<Buffer | undefined>
  /** Brings the debugger into a pod that has none. Throws UserError. */
  readonly equip?: (pod: Pod, greeting: Receipt) => Promise<void>
  /** Ends an encoding that nobody waits for. */
  readonly drop: () => void
}

/** Reads a built binary; the version is the one that its build had. Throws UserError that names the next step where there is none, or it is no Linux program. */
export async function parcelOf(file: string, version?: string): Promise<Parcel> {
  return parcelFrom(file, await binaryAt(file), version)
}

async function binaryAt(file: string): Promise<Binary> {
  try {
    return await readBinary(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      throw new UserError(`there is no ${file} - run npm run build`)
    throw new UserError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The same from one that has been read. */
export function parcelFrom(file: string, { bytes, sha256 }: Binary, version?: string): Parcel {
  const facts = elf(bytes)
  if ('reason' in facts) throw new UserError(`${file} is ${facts.reason} - run npm run build`)
  const made = new Map<string, Promise<Buffer>>()
  const patches = new Map<string, Promise<Buffer | undefined>>()
  let wanted = true
  return {
    machine: facts.machine,
    // what a build meant is recorded; of one from elsewhere, which may hold symbols all the same, Go's own record tells
    debug: buildOf(sha256)?.debug ?? (facts.debug && isUnoptimized(bytes)),
    bytes,
    sha256,
    version: version ?? buildOf(sha256)?.version ?? '',
    by: developer(),
    knows: (known) => has(file, known),
    encoded: (encoding) => {
      const present = made.get(encoding) ?? (encoding === 'raw' ? Promise.resolve(bytes) : gzipped(bytes, () => wanted))
      made.set(encoding, present)
      present.catch(() => undefined) // where it is awaited, it is seen
      return present
    },
    patch: (from) => {
      const present = patches.get(from) ?? patch(file, from, bytes, sha256)
      patches.set(from, present)
      return present
    },
    drop: () => void (wanted = false),
  }
}

/** What is to be said of a binary that was not built by these tasks and looks like one for a debugger; empty where nothing is. */
export function foreignWord(
  file: string,
  { bytes, sha256, debug }: Pick<Parcel, 'bytes' | 'sha256' | 'debug'>,
): string {
  const facts = elf(bytes)
  if (buildOf(sha256) !== undefined || !('debug' in facts) || !facts.debug) return ''
  return debug
    ? `${file} was built elsewhere, without optimization: it runs under the debugger`
    : `${file} was built elsewhere, with symbols and optimized: it runs without a debugger - npm run build-debug makes one for Delve`
}

const members = 16 // of the gzip stream: more than there are threads, so that all of them work to the end
const threads = 4 // of Node's pool

/** Several gzip streams in a row are one: they are made side by side. Rejects where they are not wanted any more. */
async function gzipped(bytes: Buffer, wanted: () => boolean): Promise<Buffer> {
  const size = Math.ceil(bytes.length / members)
  const made: Buffer[] = []
  let next = 0
  const work = async () => {
    for (let at = next++; at < members; at = next++) {
      if (!wanted()) throw new Error('nobody waits for it')
      // level 4 costs a quarter more time than 1 and saves 6 % of the bytes; those above cost more than they save
      made[at] = await gzip(bytes.subarray(at * size, (at + 1) * size), { level: 4 })
    }
  }
  await Promise.all(Array.from({ length: threads }, work))
  return Buffer.concat(made)
}

/** USER@HOST, by which a pod names who deployed there; the uid where that has no name, as in a dev container. */
export function developer(): string {
  return `${word(userName())}@${word(hostname())}`
}

function userName(): string {
  try {
    return userInfo().username || uid()
  } catch {
    return uid() // no passwd entry
  }
}

const uid = () => String(process.getuid?.() ?? '')

/** As a header may hold it. */
function word(text: string): string {
  return text.replace(/[^A-Za-z0-9._+-]/g, '-').slice(0, 64)
}
