// Go's function table (.gopclntab): which of its pieces are those of the same functions in an older binary. Pure.
//
// Two parts of it have no 32 bytes that stay as they are once functions have moved: the rows, 8 bytes each, of where a
// function begins and where its record is; and the records, mostly offsets that grow by a constant. A function is found by its
// name. Layout: runtime/symtab.go (pcHeader, functab, _func), the same from Go 1.20 to 1.26.

/** A piece of the new file that is made of one of the old file. */
export interface Piece {
  readonly at: number
  readonly from: number
  readonly length: number
}

const magic = [0xf1, 0xff, 0xff, 0xff, 0, 0] // little-endian, and two zeros
const header = 72 // bytes: the magic, two sizes, and 8 numbers
const row = 8 // bytes
const longest = 1024 // bytes of a name that are looked at

interface Table {
  /** Where the rows begin. */
  readonly rows: number
  /** Where the record of each function is, ascending, as the functions are. */
  readonly records: Int32Array
  /** A hash of each function's name. */
  readonly names: Int32Array
}

/** The pieces of the function table that are those of a function in the old file, ascending; none if a file has no such table. */
export function functionTable(old: Uint8Array, next: Uint8Array): Piece[] {
  const theirs = tableOf(old)
  const ours = theirs && tableOf(next)
  if (theirs === undefined || ours === undefined) return []
  const same = matched(theirs, ours)
  const pieces: Piece[] = []
  let last = { at: 0, from: 0, length: 0 }
  const add = (at: number, from: number, length: number) => {
    if (last.at + last.length === at && last.from + last.length === from) last.length += length
    else pieces.push((last = { at, from, length }))
  }
  same.forEach((other, i) => {
    if (other >= 0) add(ours.rows + row * i, theirs.rows + row * other, row)
  })
  const lengthOf = ({ records }: Table, i: number) => (records[i + 1] as number) - (records[i] as number)
  same.forEach((other, i) => {
    if (other < 0) return
    const length = Math.min(lengthOf(ours, i), lengthOf(theirs, other))
    add(ours.records[i] as number, theirs.records[other] as number, length)
  })
  return pieces
}

/** For each new function but the last, whose record has no end that is known: the old one of that name, or -1. */
function matched({ names: old }: Table, { names }: Table): Int32Array {
  const places = new Map<number, number>()
  for (let i = old.length - 2; i >= 0; i -= 1) places.set(old[i] as number, i)
  let last = -1
  return names.subarray(0, -1).map((name) => {
    // the next one of several with that name; a hash that two names have costs a few bytes
    const following = last >= 0 && last + 2 < old.length && old[last + 1] === name
    return (last = following ? last + 1 : (places.get(name) ?? -1))
  })
}

function tableOf(file: Uint8Array): Table | undefined {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  const start = Buffer.from(magic)
  for (let at = bytes.indexOf(start); at >= 0; at = bytes.indexOf(start, at + 1)) {
    const table = at + header <= bytes.length && bytes[at + 7] === 8 ? tableAt(bytes, at) : undefined
    if (table !== undefined) return table
  }
  return undefined
}

/** The table whose header is there; undefined if it is none. */
function tableAt(bytes: Buffer, at: number): Table | undefined {
  const number = (i: number) => Number(bytes.readBigUInt64LE(at + 8 + 8 * i))
  const [count, names, rows] = [number(0), at + number(3), at + number(7)]
  if (count < 2 || rows + row * count > bytes.length) return undefined
  const table = { rows, records: new Int32Array(count), names: new Int32Array(count) }
  let least = rows + row * count
  for (let i = 0; i < count; i += 1) {
    const record = rows + bytes.readUInt32LE(rows + row * i + 4)
    if (record < least || record + 8 > bytes.length) return undefined
    least = record + 8
    table.records[i] = record
    const begin = names + bytes.readUInt32LE(record + 4)
    const end = Math.min(bytes.length, begin + longest)
    let hash = 0
    for (let k = begin; k < end && bytes[k] !== 0; k += 1) hash = (Math.imul(hash, 31) + (bytes[k] as number)) | 0
    table.names[i] = hash
  }
  return table
}
