import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { architectures, archOfUname, elf, hostArch, isArchitecture } from '../../tasks/lib/binary/elf.ts'

/** An ELF file with the sections .debug_info (if asked for), .shstrtab, and 8 bytes of text. */
function made(machine: number, { wide = true, little = true, debug = false, type = 2, osabi = 0 } = {}): Buffer {
  const header = wide ? 64 : 52
  const entry = wide ? 64 : 40
  const names = `\0.text\0${debug ? '.debug_info' : '.data'}\0.shstrtab\0`
  const table = header + 8 + names.length
  const file = Buffer.alloc(table + 4 * entry)
  const half = (value: number, at: number) => (little ? file.writeUInt16LE(value, at) : file.writeUInt16BE(value, at))
  const word = (value: number, at: number) => (little ? file.writeUInt32LE(value, at) : file.writeUInt32BE(value, at))
  const long = (value: number, at: number) => word(value, wide && !little ? at + 4 : at)
  file.write('\x7fELF', 'latin1')
  file[4] = wide ? 2 : 1
  file[5] = little ? 1 : 2
  file[7] = osabi
  half(type, 16)
  half(machine, 18)
  long(table, wide ? 0x28 : 0x20)
  half(entry, wide ? 0x3a : 0x2e)
  half(4, wide ? 0x3c : 0x30)
  half(3, wide ? 0x3e : 0x32)
  file.write(names, header + 8, 'latin1')
  const sections = [
    ['.text', header, 8],
    [debug ? '.debug_info' : '.data', header, 4],
    ['.shstrtab', header + 8, names.length],
  ] as const
  sections.forEach(([name, offset, size], index) => {
    const at = table + (index + 1) * entry
    word(names.indexOf(name), at)
    word(1, at + 4)
    long(offset, at + (wide ? 0x18 : 0x10))
    long(size, at + (wide ? 0x20 : 0x14))
  })
  return file
}

test('says machine and debug information', () => {
  const table: readonly [number, Parameters<typeof made>[1], string][] = [
    [62, {}, 'amd64'],
    [183, {}, 'arm64'],
    [40, { wide: false }, 'arm'],
    [3, { wide: false }, '386'],
    [243, {}, 'riscv64'],
    [258, {}, 'loong64'],
    [22, { little: false }, 's390x'],
    [21, {}, 'ppc64le'],
    [21, { little: false }, 'ppc64'],
    [8, { wide: false, little: false }, 'mips'],
    [8, { wide: false }, 'mipsle'],
    [8, { little: false }, 'mips64'],
    [8, {}, 'mips64le'],
    [62, { type: 3, osabi: 3 }, 'amd64'],
    [9999, {}, 'machine 9999'],
  ]
  for (const [number, options, machine] of table)
    for (const debug of [false, true])
      assert.equal(elf(made(number, { ...options, debug })), { machine, debug }, `${machine} ${debug}`)
})

test('says why a file is no whole Linux program', () => {
  const table: readonly [string | Buffer, string][] = [
    ['', 'empty'],
    ['#!/bin/sh\n', 'a script'],
    ['MZ\x90', 'a Windows program (PE)'],
    [Buffer.from('cffaedfe07000001', 'hex'), 'a macOS program (Mach-O)'],
    [Buffer.from('cafebabe00000002', 'hex'), 'a macOS program (Mach-O)'],
    ['!<arch>\n__.PKGDEF', 'a library archive, as go build writes for a package that is not main'],
    ['\x7f', 'truncated'],
    ['\x7fELF', 'truncated'],
    ['hello', 'no ELF file'],
    ['\0', 'no ELF file'],
    [made(62, { osabi: 9 }), 'a program for another system than Linux (OS/ABI 9)'],
    [made(62, { type: 1 }), 'an object file, not a program'],
  ]
  for (const [file, reason] of table)
    assert.equal(elf(Buffer.isBuffer(file) ? file : Buffer.from(file, 'latin1')), { reason })
})

test('a file that is cut anywhere is truncated', () => {
  for (const wide of [true, false]) {
    const file = made(62, { wide, debug: true })
    for (let size = 4; size < file.length; size++)
      assert.equal(elf(file.subarray(0, size)), { reason: 'truncated' }, `${size} of ${file.length}`)
  }
})

test('whatever the bytes, it answers', () => {
  let seed = 11
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
  for (let round = 0; round < 20_000; round++) {
    const file = made(62, { debug: true, wide: random(2) === 0, little: random(2) === 0 })
    for (let n = random(8); n >= 0; n--) file[4 + random(file.length - 4)] = random(256)
    const facts = elf(file)
    assert.type('reason' in facts ? facts.reason : facts.machine, 'string')
  }
})

test('this very Node is a program for this machine', () => {
  const facts = elf(readFileSync(process.execPath))
  assert.is('machine' in facts && facts.machine, hostArch())
})

test('uname -m becomes a word of Go', () => {
  const table = {
    x86_64: 'amd64',
    aarch64: 'arm64',
    armv7l: 'arm',
    i686: '386',
    ppc64le: 'ppc64le',
    loongarch64: 'loong64',
  }
  for (const [machine, arch] of Object.entries(table)) assert.is(archOfUname(machine), arch)
  for (const machine of ['', 'vax', 'constructor']) assert.is(archOfUname(machine), undefined)
  assert.ok(architectures.every(isArchitecture))
  assert.not(isArchitecture('x86_64'))
})

test.run()
