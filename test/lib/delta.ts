// The format of a delta, read by other code than the decoder's: what the tests believe. FORMAT.md beside the decoder has it.
import { createHash } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'

/** Applies a patch; throws if it is none for this file. */
export function apply(old: Uint8Array, patch: Buffer): Buffer {
  let at = 0
  const take = (count: number) => patch.subarray(at, (at += count))
  const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
  if (take(5).toString('latin1') !== 'HSWD\x01') throw new Error('magic')
  const [oldSize, newSize] = [Number(take(8).readBigUInt64LE()), Number(take(8).readBigUInt64LE())]
  const [oldHash, newHash] = [take(32), take(32)]
  if (old.length !== oldSize || !hash(old).equals(oldHash)) throw new Error('another file')
  const constants = Array.from({ length: take(1)[0] ?? 0 }, () => take(4).readInt32LE())
  const made = Buffer.alloc(newSize)
  let done = 0
  let from = 0
  while (done < newSize) {
    const lengths = Array.from({ length: 6 }, () => take(4).readUInt32LE())
    const streams = lengths.slice(1).map((length) => {
      const bytes = inflateRawSync(take(length))
      let i = 0
      return {
        byte: () => {
          if (i >= bytes.length) throw new Error('a stream is too short')
          return bytes[i++] as number
        },
        number() {
          let value = 0
          for (let scale = 1; ; scale *= 128) {
            const part = this.byte()
            value += (part & 127) * scale
            if (part < 128) return value
          }
        },
        over: () => i === bytes.length,
      }
    })
    const [operations, gaps, kinds, values, inserted] = streams
    if (!operations || !gaps || !kinds || !values || !inserted) throw new Error('streams')
    for (const end = done + (lengths[0] as number); done < end;) {
      const [insert, copy] = [operations.number(), operations.number()]
      for (let k = 0; k < insert; k += 1) made[done++] = inserted.byte()
      if (copy === 0) continue
      const moved = operations.number()
      from += moved % 2 === 0 ? moved / 2 : -(moved + 1) / 2
      made.set(old.subarray(from, from + copy), done)
      for (let k = 0; k < copy;) {
        k += gaps.number()
        if (k === copy) break
        const kind = kinds.byte()
        if (kind === 255)
          for (let count = kinds.number(); count > 0; count -= 1, k += 1)
            made[done + k] = ((made[done + k] as number) + values.byte()) & 255
        else {
          made.writeInt32LE((made.readInt32LE(done + k) + (constants[kind] as number)) | 0, done + k)
          k += 4
        }
      }
      from += copy
      done += copy
    }
    if (!streams.every(({ over }) => over())) throw new Error('a stream is too long')
  }
  if (at !== patch.length) throw new Error('more than a patch')
  if (!hash(made).equals(newHash)) throw new Error('another result')
  return made
}
