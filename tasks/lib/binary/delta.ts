// A delta between two Go binaries: copy what stood in the old file, add small differences, insert the rest. Pure.
//
// An edit changes few instructions and moves many addresses: most of the new file is the old one at another place, with a
// byte changed here and there. Three passes, each linear in the size of its file:
//   index     every 16th position of the old file, by a hash of the 32 bytes there
//   matching  extend the present alignment over mismatches; where it ends, or one of before fits better, look for the next
//             anchor in the index, extend that backwards; what lies between the two is inserted. Go's function table, which
//             has no anchors, is matched by the names of its functions
//   coding    what a copy changes is mostly a 32-bit displacement or offset, by one of a few constants: those that are
//             met most often in a sample stand in a dictionary, and a change is the number of its constant, without regard to carries.
//             For each 4 MiB of the new file five streams, each deflated: operations, gaps between changes, changes, the
//             bytes of changes that are no constant, inserted bytes
// agent/hotswap-helper/FORMAT.md has the format. Memory: the table (8 MiB), the operations, and the streams of all blocks,
// less than old + new together.
import { deflateRawSync } from 'node:zlib'
import { functionTable } from './pclntab.ts'

/** The largest file that is encoded, in bytes: above it the whole file goes. */
export const largest = 512 * 1024 * 1024

const magic = Buffer.from('HSWD\x01', 'latin1')
const block = 4 * 1024 * 1024 // bytes of the new file that are coded together: what the decoder holds at most

const stride = 16 // Go aligns functions to 16 or 32 bytes
const width = 2 * stride // bytes of an anchor: shorter ones are found by chance too often in machine code
const bits = 21 // 2^21 places: 32 MiB of old file without a collision, 8 MiB of table
const patience = 96 // bytes that an alignment may stay below its best score before it is given up
const recent = 4 // shifts that are known to come back: more of them are slower, and find little more
const turn = 12 // bytes of an anchor's width in which an alignment is worse than another, to be given up: fewer are noise
const near = 2 // equal bytes this few cost less inside a run than a gap
const sample = 1024 // bytes that are looked at for constants
const apart = 8 * sample // bytes from one sample to the next: closer ones find the same constants, and take longer
const few = 64 // bytes that are compared one by one: what follows as many equal ones is mostly equal too
const many = 1024 // bytes that are compared at once then
const rare = 1 // a constant that a sample has no more often is no constant
const factor = 0x2f0b4c47 // odd

/** The places of the old file's anchors, by hash, each as its number of strides times `tags`, plus its tag; -1 where there is none. A place is looked at before it is believed. */
export type Index = Int32Array

/** The bytes of an index, in this machine's order. */
export const indexBytes = ({ buffer, byteOffset, byteLength }: Index) => new Uint8Array(buffer, byteOffset, byteLength)

/** The index that has these bytes; undefined where they have not its size. */
export function indexFrom(bytes: Uint8Array): Index | undefined {
  if (bytes.length !== 4 << bits) return undefined
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return new Int32Array(buffer, byteOffset, 1 << bits)
}

/** factor^exponent. */
function power(exponent: number): number {
  let product = 1
  for (let i = 0; i < exponent; i += 1) product = Math.imul(product, factor)
  return product
}

const leaving = power(width) // what the byte that leaves an anchor has been multiplied by
const upper = power(width - stride) // what the first bytes of an anchor are multiplied by, up to the next anchor

const tags = 64 // anchors that share a place mostly differ in their tag: few of another hash are looked at
const mixed = (hash: number) => Math.imul(hash, 0x9e3779b1)
const place = (mix: number) => mix >>> (32 - bits)
const tag = (mix: number) => (mix >>> 3) % tags // of bits that place leaves out

/** Indexes the old file. */
export function indexed(old: Uint8Array): Index {
  const index = new Int32Array(1 << bits).fill(-1)
  let first = 0 // the hash of half an anchor: the other half of the one before
  for (let half = 0; half + stride <= old.length; half += stride) {
    let second = 0
    for (let i = half; i < half + stride; i += 1) second = (Math.imul(second, factor) + (old[i] as number)) | 0
    if (half > 0) {
      const mix = mixed((Math.imul(first, upper) + second) | 0)
      const there = place(mix)
      // the first one stays: what follows a repeated block is found by extending
      if (index[there] === -1) index[there] = (half / stride - 1) * tags + tag(mix)
    }
    first = second
  }
  return index
}

/** So many bytes of the new file are inserted as they are, then so many are copied from the place `from` in the old one. */
interface Operation {
  readonly insert: number
  readonly copy: number
  readonly from: number
}

/** How the new file is made of the old one. */
function operations(old: Buffer, index: Index, next: Buffer): Operation[] {
  const found: Operation[] = []
  const table = functionTable(old, next)
  let done = table[0]?.at ?? next.length
  found.push(...matched(old, index, next, 0, done))
  for (const { at, from, length } of table) {
    found.push({ insert: at - done, copy: length, from })
    done = at + length
  }
  found.push(...matched(old, index, next, done, next.length))
  return found
}

/** How the new file is made of the old one from `begin` to `stop`. */
function matched(old: Buffer, index: Index, next: Buffer, begin: number, stop: number): Operation[] {
  const found: Operation[] = []

  /** How far the files agree from here, in bytes: to where the score, +1 for an equal byte, -1 for another, is the highest. */
  function forward(from: number, at: number): number {
    const end = Math.min(old.length - from, stop - at)
    let score = 0
    let best = 0
    let length = 0
    let i = 0
    for (;;) {
      const place = differing(old, from, next, at, i, end)
      score += place - i
      i = place
      if (i === end) break
      if (score > best) {
        best = score
        length = i
      }
      score -= 1
      if (score < best - patience) return length
      const other = better(from + i, at + i)
      if (other !== undefined) {
        shift = other // what follows is looked for there first
        break
      }
      i += 1
    }
    return score > best ? i : length
  }

  /** The same backwards, down to `floor` in the new file. */
  function backward(from: number, at: number, floor: number): number {
    const end = Math.min(from, at - floor)
    let score = 0
    let best = 0
    let length = 0
    for (let i = 1; i <= end; i += 1) {
      if (old[from - i] === next[at - i]) {
        score += 1
        if (score > best) {
          best = score
          length = i
        }
      } else {
        score -= 1
        if (score < best - patience) break
      }
    }
    return length
  }

  const same = (from: number, at: number) => {
    if (from < 0 || from + width > old.length) return false
    for (let i = 0; i < width; i += 1) if (old[from + i] !== next[at + i]) return false
    return true
  }

  /** A shift of before that fits what follows in full, where the present one is so much worse that the change pays. */
  function better(from: number, at: number): number | undefined {
    if (at + width > stop) return undefined
    for (const other of shifts) {
      if (next[at] !== old[at + other] || !same(at + other, at)) continue
      let worse = 0
      for (let i = 0; i < width; i += 1) if (old[from + i] !== next[at + i]) worse += 1
      if (worse >= turn) return other
    }
    return undefined
  }

  let done = begin // what is before it is coded
  let shift = 0 // from a place in the new file to the one in the old, as the last copy had it
  const shifts = [0] // those of the last copies, the latest first
  let at = begin
  let hash = 0
  let hashed = -1 // the place whose hash it is
  while (at + width <= stop) {
    if (hashed !== at) {
      hash = 0
      for (let i = at; i < at + width; i += 1) hash = (Math.imul(hash, factor) + (next[i] as number)) | 0
    }
    let from = -1
    if (next[at] === old[at + shift] && same(at + shift, at)) from = at + shift
    else {
      const mix = mixed(hash)
      const entry = index[place(mix)] as number
      if (entry >= 0 && entry % tags === tag(mix)) {
        const candidate = Math.floor(entry / tags) * stride
        // a block of one byte alone stands everywhere: no anchor
        if (same(candidate, at) && !flat(at)) from = candidate
      }
    }
    if (from < 0) {
      hash = (Math.imul(hash, factor) + (next[at + width] as number) - Math.imul(next[at] as number, leaving)) | 0
      at += 1
      hashed = at
      continue
    }
    const back = backward(from, at, done)
    shift = from - at
    touch(shift)
    const copied = back + forward(from, at)
    found.push({ insert: at - back - done, copy: copied, from: from - back })
    done = at - back + copied
    at = done
    hashed = -1
  }
  if (done < stop) found.push({ insert: stop - done, copy: 0, from: 0 })
  return found

  /** Puts a shift before the others. */
  function touch(shift: number): void {
    const known = shifts.indexOf(shift)
    if (known >= 0) shifts.splice(known, 1)
    shifts.unshift(shift)
    shifts.length = Math.min(shifts.length, recent)
  }

  function flat(from: number): boolean {
    for (let i = 1; i < width; i += 1) if (next[from + i] !== next[from]) return false
    return true
  }
}

/** Bytes that grow. */
class Stream {
  private bytes = new Uint8Array(64 * 1024)
  length = 0

  byte(value: number): void {
    if (this.length === this.bytes.length) this.grow(1)
    this.bytes[this.length++] = value
  }

  /** A whole number from 0, seven bits a byte, the lowest first. */
  number(value: number): void {
    for (; value > 127; value = Math.floor(value / 128)) this.byte((value % 128) | 128)
    this.byte(value)
  }

  copy(from: Uint8Array): void {
    if (this.length + from.length > this.bytes.length) this.grow(from.length)
    this.bytes.set(from, this.length)
    this.length += from.length
  }

  private grow(by: number): void {
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length + by))
    larger.set(this.bytes)
    this.bytes = larger
  }

  taken(): Uint8Array {
    return this.bytes.subarray(0, this.length)
  }
}

const constants = 254 // the most that a dictionary holds
const run = 255 // instead of a constant: a run of bytes, each with a difference of its own

/** The 32-bit difference at a place of both files. */
function difference(old: Uint8Array, from: number, next: Uint8Array, at: number): number {
  return (word(next, at) - word(old, from)) | 0
}

const word = (bytes: Uint8Array, at: number) =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24)

/** The first place from `i` on at which the pieces differ, or `length`. */
function differing(old: Buffer, from: number, next: Buffer, at: number, i: number, length: number): number {
  const soon = Math.min(length, i + few)
  while (i < soon && old[from + i] === next[at + i]) i += 1
  if (i < soon) return i
  while (i + many <= length && next.compare(old, from + i, from + i + many, at + i, at + i + many) === 0) i += many
  while (i < length && old[from + i] === next[at + i]) i += 1
  return i
}

/** The constants by which most 32-bit fields change, the most frequent first. */
function dictionary(old: Buffer, next: Buffer, made: readonly Operation[]): Int32Array {
  const counts = new Map<number, number>()
  let at = 0
  for (const { insert, copy, from } of made) {
    at += insert
    const end = copy - 3
    for (let i = 0; i < end; i += apart - ((at + i) % apart)) {
      const stop = Math.min(end, i + sample - ((at + i) % apart))
      i = differing(old, from, next, at, i, stop)
      while (i < stop) {
        const found = difference(old, from + i, next, at + i)
        counts.set(found, (counts.get(found) ?? 0) + 1)
        i = differing(old, from, next, at, i + 4, stop)
      }
    }
    at += copy
  }
  const frequent = [...counts].filter(([, count]) => count > rare).sort((a, b) => b[1] - a[1])
  return Int32Array.from(frequent.slice(0, constants), ([value]) => value)
}

/** What a copy changes. */
function changes(
  old: Buffer,
  from: number,
  next: Buffer,
  at: number,
  length: number,
  numbers: ReadonlyMap<number, number>,
  [, gaps, kinds, values]: Streams,
): void {
  const constant = (i: number) => (i + 4 <= length ? numbers.get(difference(old, from + i, next, at + i)) : undefined)
  for (let i = 0; i < length;) {
    const begin = i
    i = differing(old, from, next, at, i, length)
    gaps.number(i - begin)
    if (i === length) return
    const number = constant(i)
    if (number !== undefined) {
      kinds.byte(number)
      i += 4
      continue
    }
    const first = i
    let last = i + 1 // after the last difference
    for (i += 1; i < length && i - last <= near; i += 1)
      if (old[from + i] !== next[at + i]) {
        if (constant(i) !== undefined) break
        last = i + 1
      }
    i = last
    kinds.byte(run)
    kinds.number(last - first)
    for (let k = first; k < last; k += 1) values.byte(((next[at + k] as number) - (old[from + k] as number)) & 255)
  }
}

/** A file and its sha256, in hexadecimal digits. */
export interface File {
  readonly bytes: Uint8Array
  readonly sha256: string
}

/** A Buffer, whatever came from a thread: the code is compiled for one kind of bytes. */
const bufferOf = ({ buffer, byteOffset, length }: Uint8Array) => Buffer.from(buffer, byteOffset, length)

/** The patch that makes the file `to` of the file `from`, whose index is `index`. */
export function encode(from: File, index: Index, to: File): Buffer {
  const [old, next] = [bufferOf(from.bytes), bufferOf(to.bytes)]
  const head = Buffer.alloc(magic.length + 16 + 64)
  magic.copy(head)
  head.writeBigUInt64LE(BigInt(old.length), magic.length)
  head.writeBigUInt64LE(BigInt(next.length), magic.length + 8)
  head.write(from.sha256, magic.length + 16, 'hex')
  head.write(to.sha256, magic.length + 48, 'hex')

  const made = operations(old, index, next)
  const known = dictionary(old, next, made)
  const numbers = new Map([...known].map((value, number) => [value, number]))
  const table = Buffer.alloc(1 + 4 * known.length)
  table[0] = known.length
  known.forEach((value, number) => table.writeInt32LE(value, 1 + 4 * number))
  const parts: Uint8Array[] = [head, table]

  let streams = fresh()
  let at = 0 // in the new file
  let room = block
  let expected = 0 // in the old file
  const flush = () => {
    const packed = streams.map((stream) => deflateRawSync(stream.taken(), { level: 6 }))
    const lengths = Buffer.alloc(4 * (1 + packed.length))
    lengths.writeUInt32LE(block - room)
    packed.forEach(({ length }, i) => lengths.writeUInt32LE(length, 4 * (i + 1)))
    parts.push(lengths, ...packed)
    streams = fresh()
    room = block
  }
  for (let { insert, copy, from: place } of made)
    while (insert > 0 || copy > 0) {
      const inserted = Math.min(insert, room)
      const copied = Math.min(copy, room - inserted)
      const [control, , , , extra] = streams
      control.number(inserted)
      control.number(copied)
      extra.copy(next.subarray(at, at + inserted))
      if (copied > 0) {
        control.number(place >= expected ? 2 * (place - expected) : 2 * (expected - place) - 1)
        changes(old, place, next, at + inserted, copied, numbers, streams)
        expected = place + copied
      }
      at += inserted + copied
      room -= inserted + copied
      insert -= inserted
      copy -= copied
      place += copied
      if (room === 0) flush()
    }
  if (room < block) flush()
  return Buffer.concat(parts)
}

type Streams = readonly [operations: Stream, gaps: Stream, kinds: Stream, values: Stream, inserted: Stream]

const fresh = (): Streams => [new Stream(), new Stream(), new Stream(), new Stream(), new Stream()]
