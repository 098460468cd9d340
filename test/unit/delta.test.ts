// The delta: every pair comes back byte by byte, through other code than the decoder's and through the decoder itself.
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encode, indexed } from '../../tasks/lib/binary/delta.ts'
import { functionTable } from '../../tasks/lib/binary/pclntab.ts'
import { patch, warm } from '../../tasks/lib/patches/patches.ts'
import { helperPath } from '../agent/fixtures.ts'
import { apply } from '../lib/delta.ts'
import { pace } from '../lib/pace.ts'

// FUZZ=60 npm test -- delta: seconds for each of the two fuzzers
const fuzz = Number(process.env.FUZZ ?? '1')

const folder = mkdtempSync(join(tmpdir(), 'hotswap-delta-'))
const decoder = helperPath()
test.after(() => rmSync(folder, { recursive: true, force: true }))

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const file = (bytes: Uint8Array) => ({ bytes, sha256: sha256(bytes) })
const patchOf = (old: Uint8Array, next: Uint8Array) => encode(file(old), indexed(old), file(next))

/** What the decoder makes of it: limited in time and in memory. */
function decoded(old: Uint8Array, patch: Buffer) {
  const path = join(folder, 'old')
  writeFileSync(path, old)
  const limits = { input: patch, maxBuffer: 1 << 30, timeout: 20_000 * pace, env: { GOMEMLIMIT: '16MiB' } }
  const { status, stdout, stderr } = spawnSync(decoder, ['patch', path], limits)
  return { status, stdout, stderr: stderr.toString() }
}

/** Numbers that are the same in each run: xorshift32. */
function random(seed: number) {
  let state = seed | 1
  return (below: number) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

function noise(length: number, seed: number): Buffer {
  const next = random(seed)
  return Buffer.from(Array.from({ length }, () => next(256)))
}

/** Like machine code: few different bytes, and 32-bit displacements among them. */
function code(length: number, seed: number): Buffer {
  const next = random(seed)
  const bytes = Buffer.alloc(length)
  for (let i = 0; i + 8 <= length; i += 8) {
    bytes.writeUInt32LE(0x48000000 + next(64), i)
    bytes.writeInt32LE(next(1000) - 500, i + 4)
  }
  return bytes
}

/** Every tenth displacement after `from` grows. */
function moved(bytes: Buffer, from: number, by: number): Buffer {
  const copy = Buffer.from(bytes)
  for (let i = from - (from % 80); i + 8 <= copy.length; i += 80)
    copy.writeInt32LE((copy.readInt32LE(i + 4) + by) | 0, i + 4)
  return copy
}

/** Like a table of pointers: more than half of it is the same one record further. */
function pointers(length: number, seed: number): Buffer {
  const next = random(seed)
  const bytes = Buffer.alloc(length)
  for (let i = 0; i + 16 <= length; i += 16) bytes.writeUInt32LE(0x02000000 + next(1 << 24), i + next(2) * 8)
  return bytes
}

test('every pair comes back', () => {
  const [a, b] = [code(300_000, 1), noise(100_000, 2)]
  const zeros = Buffer.alloc(200_000)
  const table: readonly [string, Buffer, Buffer, number][] = [
    ['both empty', Buffer.alloc(0), Buffer.alloc(0), 200],
    ['from nothing', Buffer.alloc(0), b, 101_000],
    ['to nothing', b, Buffer.alloc(0), 200],
    ['equal', a, a, 300],
    ['one byte', Buffer.from('a'), Buffer.from('b'), 200],
    ['one byte changed', b, Buffer.concat([b.subarray(0, 50_000), Buffer.from([1]), b.subarray(50_001)]), 300],
    ['shifted by one', b, Buffer.concat([Buffer.from([7]), b]), 300],
    ['shifted back by one', b, b.subarray(1), 300],
    ['halves exchanged', b, Buffer.concat([b.subarray(50_000), b.subarray(0, 50_000)]), 400],
    [
      'repeated blocks',
      b.subarray(0, 1000),
      Buffer.concat(Array.from({ length: 50 }, () => b.subarray(0, 1000))),
      3000,
    ],
    ['all zeros', zeros, zeros.subarray(0, 100_000), 300],
    ['more zeros', zeros.subarray(0, 1000), zeros, 1000],
    ['nothing in common', b, noise(100_000, 3), 101_000],
    ['old larger than new', a, a.subarray(100_000, 150_000), 300],
    ['displacements moved', a, moved(a, 100_000, 416), 1500],
    [
      'bytes inserted, displacements moved',
      b,
      moved(Buffer.concat([b.subarray(0, 40_000), noise(320, 9), b.subarray(40_000)]), 0, -96),
      3000,
    ],
    [
      'a table that stays between code that moves: at the shift of the code it fits half',
      Buffer.concat([a, b, pointers(200_000, 5), b]),
      Buffer.concat([a, noise(16, 6), b.subarray(0, -16), pointers(200_000, 5), noise(16, 7), b]),
      500,
    ],
    ['three blocks', noise(9_000_001, 4), noise(9_000_001, 4).reverse().subarray(0, 100), 400],
  ]
  for (const [name, old, next, most] of table) {
    const patch = patchOf(old, next)
    assert.ok(apply(old, patch).equals(next), name)
    assert.ok(patch.length <= most, `${name}: ${patch.length} bytes`)
    const { status, stdout, stderr } = decoded(old, patch)
    assert.is(status, 0, `${name}: ${stderr}`)
    assert.ok(stdout.equals(next), name)
  }
})

test('the rows and records of functions that have moved are copied, not inserted', () => {
  const build = (name: string, functions: number) => {
    const source = Array.from({ length: functions }, (_, i) => `//go:noinline\nfunc added${i}() int { return ${i} }\n`)
    const calls = source.map((_, i) => `println(added${i}())`).join('; ')
    writeFileSync(
      join(folder, 'main.go'),
      `package main\n\nimport "net/http"\n\n${source.join('\n')}
func main() { ${calls}; http.ListenAndServe("", nil) }\n`,
    )
    const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '', GO111MODULE: 'off' }
    execFileSync('go', ['build', '-buildvcs=false', '-ldflags=-s', '-o', name, 'main.go'], { cwd: folder, env })
    return readFileSync(join(folder, name))
  }
  const [old, next] = [build('one', 1), build('many', 40)]
  const pieces = functionTable(old, next)
  const covered = pieces.reduce((sum, { length }) => sum + length, 0)
  assert.ok(covered > 300_000, `${covered} bytes`)
  // each begins after the one before, within both files
  let end = 0
  for (const { at, from, length } of pieces) {
    assert.ok(at >= end && length > 0 && from >= 0 && from + length <= old.length)
    end = at + length
  }
  assert.ok(end <= next.length)
  const patch = patchOf(old, next)
  assert.ok(patch.length < next.length / 160, `${patch.length} of ${next.length} bytes`)
  assert.ok(apply(old, patch).equals(next))
  assert.ok(decoded(old, patch).stdout.equals(next))

  // a damaged table is none, or a worse one: the file comes back
  const table = next.indexOf(Buffer.from([0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]))
  for (let seed = 1; seed <= 12; seed += 1) {
    const pick = random(seed * 7919)
    const [a, b] = [Buffer.from(old), Buffer.from(next)]
    for (let count = 0; count < 3; count += 1) b[table + 8 + pick(count === 0 ? 64 : 400_000)] = pick(256)
    if (seed % 2 === 0) a.fill(pick(256), old.length - pick(old.length / 2))
    assert.ok(apply(a, patchOf(a, b)).equals(b), `seed ${seed}`)
  }
})

test('300 MB that are mostly zeros', () => {
  const old = Buffer.alloc(300_000_000)
  noise(1000, 5).copy(old, 150_000_000)
  const next = Buffer.from(old)
  noise(1000, 6).copy(next, 250_000_000)
  const patch = patchOf(old, next)
  assert.ok(patch.length < 100_000, `${patch.length}`)
  assert.ok(apply(old, patch).equals(next))
})

test('random edits of random files come back', () => {
  const next = random(Date.now())
  const end = Date.now() + fuzz * 1000
  for (let turn = 0; turn < 20 || Date.now() < end; turn += 1) {
    const seed = next(2 ** 31)
    const pick = random(seed)
    const old = pick(2) === 0 ? code(pick(60_000), seed) : noise(pick(60_000), seed)
    const pieces: Buffer[] = []
    for (let count = pick(12); count >= 0; count -= 1) {
      const from = pick(old.length + 1)
      const piece = old.subarray(from, from + pick(20_000))
      pieces.push(
        [
          piece,
          moved(piece, 0, pick(5000) - 2500),
          noise(pick(300), seed + count),
          Buffer.alloc(pick(3000), pick(256)),
        ][pick(4)] as Buffer,
      )
    }
    const made = Buffer.concat(pieces)
    assert.ok(apply(old, patchOf(old, made)).equals(made), `seed ${seed}`)
  }
})

test('a patch that is cut, flipped, for another file or hostile is an error of the decoder, and never a wrong file', () => {
  const old = code(50_000, 1)
  const made = moved(Buffer.concat([old.subarray(0, 20_000), noise(500, 2), old.subarray(20_000)]), 30_000, 64)
  const good = patchOf(old, made)
  const refused = (name: string, patch: Buffer, base: Buffer = old) => {
    const { status, stdout, stderr } = decoded(base, patch)
    if (status === 0) assert.ok(stdout.equals(made), `${name}: a wrong file`)
    else {
      assert.is(status, 1, `${name}: ${status} ${stderr}`)
      assert.match(stderr, /^hotswap-helper: [^\n]+\n$/, name)
    }
    return status !== 0
  }
  assert.not(refused('the good one', good))
  for (const length of [0, 1, 5, 50, 85, 90, good.length - 1])
    assert.ok(refused(`cut at ${length}`, good.subarray(0, length)))
  assert.ok(refused('a byte more', Buffer.concat([good, Buffer.alloc(1)])))
  assert.ok(refused('another file', good, code(50_000, 3)))
  assert.ok(refused('another version', Buffer.concat([Buffer.from('HSWD\x02'), good.subarray(5)])))
  const large = Buffer.from(good)
  large.writeBigUInt64LE(2n ** 63n, 13)
  assert.ok(refused('a size of 2^63', large))
  const next = random(Date.now())
  const end = Date.now() + fuzz * 1000
  for (let turn = 0; turn < 20 || Date.now() < end; turn += 1) {
    const seed = next(2 ** 31)
    const pick = random(seed)
    const bad = Buffer.from(good)
    for (let count = pick(4); count >= 0; count -= 1) bad[pick(bad.length)] = pick(256)
    refused(`seed ${seed}`, bad)
  }
})

test('a base that is not in the cache has no patch', async () => {
  const bytes = code(1000, 1)
  const missing = join(folder, 'nothing')
  warm(missing)
  assert.is(await patch(missing, '0'.repeat(64), bytes, sha256(bytes)), undefined)
})

test.run()
