// The delta by itself: bytes, seconds and memory for edits of three public services, beside bsdiff and zstd where they are here.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { encode, indexed } from '../tasks/lib/delta.ts'
import { patcher } from '../tasks/lib/patcher.ts'
import { hostArch } from '../tasks/lib/elf.ts'
import { say, UserError } from '../tasks/lib/task.ts'
import { find } from '../tasks/lib/tools.ts'

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

/** Runs a program; returns its seconds and, where /usr/bin/time is here, its memory in bytes. Throws UserError. */
function timed(command: string, args: readonly string[], input?: Buffer): { seconds: number; memory: number } {
  const begin = performance.now()
  const words =
    find('/usr/bin/time') === undefined ? [command, ...args] : ['/usr/bin/time', '-f', '%M', command, ...args]
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

/** Measures all of them; returns the rows of a Markdown table. Throws UserError. */
export async function codec(): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'hotswap-codec-'))
  const decoder = await patcher(hostArch())
  const rows = [
    '| service | build | edit | whole, MB | delta, KB | of bsdiff | zstd -1 patch, KB | bsdiff, KB | index, s | encode, s | bsdiff, s | times faster | decode, s | decoder, MB |',
    '|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
  ]
  try {
    for (const [module, main, file, anchor] of services) {
      const { Dir: source } = JSON.parse(
        spawnSync('go', ['mod', 'download', '-json', module], { encoding: 'utf8', cwd: folder }).stdout || '{}',
      )
      if (typeof source !== 'string') throw new UserError(`${module} could not be downloaded`)
      const copy = join(folder, 'source')
      rmSync(copy, { recursive: true, force: true })
      cpSync(source, copy, { recursive: true })
      for (const name of ['', ...readdirSync(copy, { recursive: true, encoding: 'utf8' })])
        chmodSync(join(copy, name), 0o755)
      const text = readFileSync(join(copy, file), 'utf8')
      const name = /^package (\w+)/m.exec(text)?.[1] ?? ''
      for (const [kind, flags] of Object.entries(kinds)) {
        const build = (out: string) => {
          const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=mod' }
          const { status, stderr } = spawnSync(
            'go',
            ['build', '-buildvcs=false', ...flags, '-o', join(folder, out), main],
            { cwd: copy, env },
          )
          if (status !== 0) throw new UserError(`${module} could not be built: ${String(stderr).slice(-500)}`)
          const bytes = readFileSync(join(folder, out))
          return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') }
        }
        const old = build('old')
        for (const [edit, [line, added]] of Object.entries(edits)) {
          writeFileSync(
            join(copy, file),
            text.replace(new RegExp(`^${anchor.replace(/[(*)]/g, '\\$&')}.*$`, 'm'), `$&\n\t${line}`),
          )
          const more = join(copy, dirname(file), 'edited.go')
          if (added !== '') writeFileSync(more, `package ${name}\n\n${added}`)
          const next = build('new')
          writeFileSync(join(copy, file), text)
          rmSync(more, { force: true })
          const [t0, index, t1] = [performance.now(), indexed(old.bytes), performance.now()]
          const patch = encode(old, index, next)
          const t2 = performance.now()
          const decode = timed(decoder, [join(folder, 'old')], patch)
          const paths = [join(folder, 'old'), join(folder, 'new'), join(folder, 'patch')] as const
          const bsdiff = find('bsdiff') === undefined ? undefined : timed('bsdiff', paths)
          const theirs = bsdiff === undefined ? NaN : statSync(paths[2]).size
          rmSync(paths[2], { force: true })
          if (find('zstd') !== undefined)
            timed('zstd', ['-1', '-q', '--long=28', `--patch-from=${paths[0]}`, paths[1], '-o', paths[2]])
          const zstd = find('zstd') === undefined ? NaN : statSync(paths[2]).size
          rmSync(paths[2], { force: true })
          const number = (value: number, digits: number) => (Number.isNaN(value) ? '' : value.toFixed(digits))
          const ours = (t2 - t1) / 1000
          const row = [
            module
              .replace(/(?:\/v\d+)?@.*$/, '')
              .split('/')
              .at(-1),
            kind,
            edit,
            number(next.bytes.length / 1e6, 1),
            number(patch.length / 1e3, 0),
            number(patch.length / theirs, 2),
            number(zstd / 1e3, 0),
            number(theirs / 1e3, 0),
            number((t1 - t0) / 1000, 2),
            number(ours, 2),
            number(bsdiff?.seconds ?? NaN, 1),
            number((bsdiff?.seconds ?? NaN) / ours, 0),
            number(decode.seconds, 2),
            number(decode.memory / 1e6, 1),
          ]
          rows.push(`| ${row.join(' | ')} |`)
          say(row.join('  '))
        }
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return rows
}
