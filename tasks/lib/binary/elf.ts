// ELF: what a binary says about itself in its headers. Pure.
// Source of the numbers: elf(5), and https://go.dev/src/debug/elf/elf.go for the machines that Go builds for.

/** The Linux architectures of Go, in its own words. */
export const architectures = [
  'amd64',
  'arm64',
  'arm',
  '386',
  'loong64',
  'mips',
  'mipsle',
  'mips64',
  'mips64le',
  'ppc64',
  'ppc64le',
  'riscv64',
  's390x',
] as const

export type Architecture = (typeof architectures)[number]

/** Whether a word is one of Go's architectures. */
export function isArchitecture(word: string): word is Architecture {
  return architectures.some((name) => name === word)
}

const ofUname: Readonly<Record<string, Architecture>> = {
  x86_64: 'amd64',
  amd64: 'amd64',
  aarch64: 'arm64',
  arm64: 'arm64',
  armv5tel: 'arm',
  armv6l: 'arm',
  armv7l: 'arm',
  armv8l: 'arm',
  i386: '386',
  i486: '386',
  i586: '386',
  i686: '386',
  loongarch64: 'loong64',
  mips: 'mips',
  mips64: 'mips64',
  ppc64: 'ppc64',
  ppc64le: 'ppc64le',
  riscv64: 'riscv64',
  s390x: 's390x',
}

/** Go's word for what `uname -m` prints; undefined if it has none. */
export function archOfUname(machine: string): Architecture | undefined {
  return Object.hasOwn(ofUname, machine) ? ofUname[machine] : undefined
}

const ofNode: Readonly<Record<string, Architecture>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: '386',
  loong64: 'loong64',
  mips: 'mips',
  mipsel: 'mipsle',
  ppc64: 'ppc64le', // Node is built for the little-endian one alone
  riscv64: 'riscv64',
  s390x: 's390x',
}

/** Go's word for this machine, from Node's. */
export function hostArch(): Architecture {
  return ofNode[process.arch] ?? 'amd64'
}

export type Elf =
  | {
      /** Go's word, or `machine N` for one that Go does not build for. */
      readonly machine: string
      /** It holds DWARF: a debugger can work with it. */
      readonly debug: boolean
    }
  | {
      /** Why it is no whole Linux program: completes "it is ...". */
      readonly reason: string
    }

const none = 0xffffffff

/** What the file with these bytes is: the whole file, since DWARF and truncation are seen at its end. Never throws. */
export function elf(file: Buffer): Elf {
  if (file.length === 0) return { reason: 'empty' }
  if (file.readUInt8(0) !== 0x7f || file.toString('latin1', 1, 4) !== 'ELF') return { reason: notElf(file) }
  if (file.length < 52) return { reason: 'truncated' }
  const { wide, little, half } = numbers(file)
  const osabi = file.readUInt8(7)
  if (osabi !== 0 && osabi !== 3) return { reason: `a program for another system than Linux (OS/ABI ${osabi})` }
  const type = half(16)
  if (type !== 2 && type !== 3) return { reason: 'an object file, not a program' }

  const sections = sectionsOf(file)
  if (sections === undefined) return { reason: 'truncated' }
  // type 8, NOBITS, takes no room in the file
  if (sections.some(({ type, offset, size }) => type !== 8 && type !== 0 && offset + size > file.length))
    return { reason: 'truncated' }
  const debug = sections.some(({ name }) => /^\.z?debug_info$/.test(name))
  return { machine: machineOf(half(18), wide, little), debug }
}

/** The loader through which the kernel starts a whole ELF file (PT_INTERP); empty if it starts by itself. */
export function interpreterOf(file: Buffer): string {
  const { wide, half, word, long } = numbers(file)
  const table = long(wide ? 0x20 : 0x1c)
  const entry = half(wide ? 0x36 : 0x2a)
  for (let index = 0; index < half(wide ? 0x38 : 0x2c); index += 1) {
    const at = table + index * entry
    if (word(at) !== 3) continue
    const from = long(at + (wide ? 8 : 4))
    return file.toString('latin1', from, from + long(at + (wide ? 0x20 : 0x10))).split('\0')[0] ?? ''
  }
  return ''
}

/** Whether Go's record in a whole ELF file says that it was built without optimization: with -N, for a debugger. */
export function isUnoptimized(file: Buffer): boolean {
  const record = sectionsOf(file)?.find(({ name }) => name === '.go.buildinfo')
  if (record === undefined) return false
  const text = file.toString('latin1', record.offset, record.offset + record.size)
  return /^build\t-gcflags=.*-N\b/m.test(text)
}

/** Readers of a file's numbers, in its own width and byte order. */
function numbers(file: Buffer) {
  const wide = file.readUInt8(4) === 2
  const little = file.readUInt8(5) === 1
  const half = (at: number) => (at + 2 > file.length ? none : little ? file.readUInt16LE(at) : file.readUInt16BE(at))
  const word = (at: number) => (at + 4 > file.length ? none : little ? file.readUInt32LE(at) : file.readUInt32BE(at))
  const long = (at: number) => {
    if (!wide) return word(at)
    return little ? word(at) + word(at + 4) * 2 ** 32 : word(at) * 2 ** 32 + word(at + 4)
  }
  return { wide, little, half, word, long }
}

/** The sections, with the first 16 characters of their names; undefined if their table is not all there. */
function sectionsOf(file: Buffer) {
  const { wide, half, word, long } = numbers(file)
  const table = long(wide ? 0x28 : 0x20)
  const entry = half(wide ? 0x3a : 0x2e)
  const count = half(wide ? 0x3c : 0x30)
  if (table + entry * count > file.length) return undefined
  const place = (index: number) => {
    const at = table + index * entry
    return { offset: long(at + (wide ? 0x18 : 0x10)), size: long(at + (wide ? 0x20 : 0x14)) }
  }
  const strings = place(half(wide ? 0x3e : 0x32)).offset
  return Array.from({ length: table === 0 ? 0 : count }, (_, index) => {
    const at = table + index * entry
    const from = strings + word(at)
    const name = file.toString('latin1', from, Math.min(from + 16, file.length)).split('\0')[0] ?? ''
    return { name, type: word(at + 4), ...place(index) }
  })
}

function machineOf(number: number, wide: boolean, little: boolean): string {
  switch (number) {
    case 3:
      return '386'
    case 8:
      return `mips${wide ? '64' : ''}${little ? 'le' : ''}`
    case 21:
      return little ? 'ppc64le' : 'ppc64'
    case 22:
      return 's390x'
    case 40:
      return 'arm'
    case 62:
      return 'amd64'
    case 183:
      return 'arm64'
    case 243:
      return 'riscv64'
    case 258:
      return 'loong64'
    default:
      return `machine ${number}`
  }
}

function notElf(file: Buffer): string {
  const head = file.toString('latin1', 0, 8)
  const magic = file.length < 4 ? 0 : file.readUInt32BE(0)
  if (head.startsWith('#!')) return 'a script'
  if (head.startsWith('MZ')) return 'a Windows program (PE)'
  // thin, in both byte orders, and universal
  if ([0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe].includes(magic)) return 'a macOS program (Mach-O)'
  if (head === '!<arch>\n') return 'a library archive, as go build writes for a package that is not main'
  if ('\x7fELF'.startsWith(head)) return 'truncated'
  return 'no ELF file'
}
