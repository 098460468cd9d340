// The delta by itself: bytes, seconds and memory for edits of three public services, beside bsdiff and zstd where they are here.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { readBinary, type Binary } from '../tasks/lib/binary/read.ts'
import { encode, indexed } from '../tasks/lib/binary/delta.ts'
import { helper } from '../tasks/lib/go/helper.ts'
import { hostArch } from '../tasks/lib/binary/elf.ts'
import { onEnd } from '../tasks/lib/frame/ending.ts'
import { UserError } from '../tasks/lib/frame/talk.ts'
import { find } from '../tasks/lib/frame/tools.ts'
import type { Patched } from './report.ts'

/** A service of the Go proxy: where its main package is, and a function into which each edit puts a line. */
const services = [
  ['github.com/mccutchen/go-httpbin/v2@v2.18.3', './cmd/go-httpbin', 'httpbin/helpers.go', 'func getRequestHeaders('],
  ['github.com/stern/stern@v1.33.0', '.', 'stern/tail.go', 'func colorIndex('],
  ['sigs.k8s.io/metrics-server@v0.8.0', './cmd/metrics-server', 'pkg/storage/storage.go', 'func (s *storage) Ready()'],
] as const

const kinds = {
  release: ['-ldflags=-s'],
  debug: ['-gcflags=all=-N -l', '-ldflags=-compressdwarf=false'],
} as const

/** The line that an edit puts in, and the file that it adds. */
const edits = {
  line: ['println("one line more")', ''],
  function: [
    'println(edited("one", "function", "more"))',
    'func edited(words ...string) string {\n\ttext := ""\n\tfor _, word := range words {\n\t\ttext += word\n\t}\n\treturn text\n}\n',
  ],
  import: [
    'edited()',
    'import "net/smtp"\n\nfunc edited() {\n\tif client, err := smtp.Dial("localhost:25"); err == nil {\n\t\tclient.Close()\n\t}\n}\n',
  ],
} as const

/** Runs a program; returns its seconds and its memory in bytes, NaN where it is not Linux or has no /usr/bin/time. Throws UserError. */
function timed(command: string, args: readonly string[], input?: Buffer): { seconds: number; memory: number } {
  const begin = performance.now()
  const time = process.platform === 'linux' ? find('/usr/bin/time') : undefined // elsewhere it has no -f
  const words = time === undefined ? [command, ...args] : [time, '-f', '\\n%M', command, ...args]
  const { status, stderr } = spawnSync(words[0] ?? command, words.slice(1), {
    maxBuffer: 2 ** 30,
    stdio: ['pipe', 'ignore', 'pipe'],
    ...(input === undefined ? {} : { input }),
  })
  if (status !== 0) throw new UserError(`${command} failed: ${String(stderr).trim()}`)
  return {
    seconds: (performance.now() - begin) / 1000,
    memory: Number(String(stderr).trim().split('\n').at(-1)) * 1024,
  }
}

/** What another program makes of an edit: the patch, and the new file again. undefined where it is not here. */
function other([patch, again]: readonly [string, string], pack: readonly string[], unpack: readonly string[]) {
  const [packer, unpacker] = [pack, unpack].map(([name = '']) => find(name))
  if (packer === undefined || unpacker === undefined) return undefined
  const { seconds } = timed(packer, pack.slice(1))
  const { memory } = timed(unpacker, unpack.slice(1))
  const bytes = statSync(patch).size
  for (const file of [patch, again]) rmSync(file)
  return { bytes, seconds, memory }
}

/** A copy of a module of the Go proxy that can be written to. Throws UserError. */
function fetched(module: string, folder: string): string {
  const { stdout } = spawnSync('go', ['mod', 'download', '-json', module], { encoding: 'utf8', cwd: folder })
  const { Dir: source } = JSON.parse(stdout || '{}')
  if (typeof source !== 'string') throw new UserError(`${module} could not be downloaded`)
  const copy = join(folder, 'source')
  rmSync(copy, { recursive: true, force: true })
  cpSync(source, copy, { recursive: true })
  for (const name of ['', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })])
    chmodSync(join(copy, name), 0o755)
  return copy
}

/** Builds a main package into a file. Throws UserError. */
async function built(copy: string, main: string, flags: readonly string[], out: string): Promise<Binary> {
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' }
  const { status, stderr } = spawnSync('go', ['build', '-buildvcs=false', ...flags, '-o', out, main], {
    cwd: copy,
    env,
  })
  if (status !== 0) throw new UserError(`${main} could not be built: ${String(stderr).slice(-500)}`)
  return readBinary(out)
}

/** Makes an edit below the line that begins with the anchor, has it built, and takes it back. */
async function edited(source: string, anchor: string, edit: keyof typeof edits, build: () => Promise<Binary>) {
  const [line, added] = edits[edit]
  const text = readFileSync(source, 'utf8')
  const more = join(dirname(source), 'edited.go')
  const at = new RegExp(`^${anchor.replace(/[(*)]/g, '\\$&')}.*$`, 'm')
  writeFileSync(source, text.replace(at, `$&\n\t${line}`))
  if (added !== '') writeFileSync(more, `package ${/^package (\w+)/m.exec(text)?.[1]}\n\n${added}`)
  const result = await build()
  writeFileSync(source, text)
  rmSync(more, { force: true })
  return result
}

/** Measures all of them, and tells of each. Throws UserError. */
export async function codec(measured: (of: Patched) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'hotswap-codec-'))
  onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const path = (name: string) => join(folder, name)
  const [from, to, made, again] = [path('old'), path('new'), path('patch'), path('again')]
  const decoder = (await helper(hostArch())).path
  for (const [module, main, file, anchor] of services) {
    const copy = fetched(module, folder)
    for (const build of ['release', 'debug'] as const) {
      const old = await built(copy, main, kinds[build], from)
      for (const edit of ['line', 'function', 'import'] as const) {
        const next = await edited(join(copy, file), anchor, edit, () => built(copy, main, kinds[build], to))
        const [t0, index, t1] = [performance.now(), indexed(old.bytes), performance.now()]
        const patch = encode(old, index, next)
        const t2 = performance.now()
        const decode = timed(decoder, ['patch', from], patch)
        const bsdiff = other([made, again], ['bsdiff', from, to, made], ['bspatch', from, again, made])
        const long = ['-q', '--long=28', `--patch-from=${from}`]
        const zstd = other(
          [made, again],
          ['zstd', '-1', ...long, to, '-o', made],
          ['zstd', '-d', ...long, made, '-o', again],
        )
        measured({
          service: /([^/]+?)(?:\/v\d+)?@/.exec(module)?.[1] ?? module,
          build,
          edit,
          whole: next.bytes.length,
          delta: patch.length,
          bsdiff: bsdiff?.bytes,
          zstd: zstd?.bytes,
          index: (t1 - t0) / 1000,
          encode: (t2 - t1) / 1000,
          bsdiffTook: bsdiff?.seconds,
          zstdTook: zstd?.seconds,
          decode: decode.seconds,
          decoder: decode.memory,
          bspatch: bsdiff?.memory,
          unzstd: zstd?.memory,
        })
      }
    }
  }
}
