// A property of dev: whatever has changed, what it has built last is what a fresh `go build` builds.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { goBuild, goBuildArgs } from '../../tasks/lib/go/go.ts'
import { goSays } from '../../tasks/lib/go/go-env.ts'
import { latest } from '../../tasks/lib/frame/latest.ts'
import type { Settings } from '../../tasks/lib/settings/table.ts'
import { watch } from '../../tasks/lib/go/watch.ts'
import { patience } from '../lib/pace.ts'

// SEQUENCES=2000 SEED=7 npm test -- watch-fuzz: so many, the first with this seed; SEQUENCES=1 replays one. FUZZ=1, as CI has
// it, is 200 of them.
const sequences = Number(process.env.SEQUENCES ?? (process.env.FUZZ ? '200' : '4'))
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)
const atOnce = 2 * availableParallelism()
const late = 6 // seconds of patience after the last change

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'hotswap-watch-fuzz-')))
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

type Tree = ReadonlyMap<string, string>
type Random = (below: number) => number

/** Mulberry32. */
function randomFrom(start: number): Random {
  let state = Math.imul(start, 0x9e3779b9)
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

/** What is in a folder: `/` for a folder, `->` for a link, else the text behind a `=`. */
function treeOf(root: string, below = ''): Map<string, string> {
  const entries = readdirSync(join(root, below), { withFileTypes: true })
  return new Map(
    entries.flatMap((entry): [string, string][] => {
      const name = join(below, entry.name)
      if (entry.isDirectory()) return [[name, '/'], ...treeOf(root, name)]
      if (entry.isSymbolicLink()) return [[name, `->${readlinkSync(join(root, name))}`]]
      return [[name, `=${readFileSync(join(root, name), 'utf8')}`]]
    }),
  )
}

/** Changes what is not as in the tree, as `git checkout` does. */
function checkOut(root: string, tree: Tree): void {
  const now = treeOf(root)
  for (const [name, what] of now)
    if (tree.get(name) !== what && (what === '/' || !tree.get(name)?.startsWith('=')))
      rmSync(join(root, name), { recursive: true, force: true })
  for (const [name, what] of tree) {
    if (lstatSync(join(root, name), { throwIfNoEntry: false }) !== undefined && now.get(name) === what) continue
    if (what === '/') mkdirSync(join(root, name), { recursive: true })
    else if (what.startsWith('->')) symlinkSync(what.slice(2), join(root, name))
    else writeFileSync(join(root, name), what.slice(1))
  }
}

/** A small module with all that a build reads, and its neighbours, in a folder; changes of it, each in words. */
function project(root: string, random: Random) {
  const one = <T>(...list: readonly T[]): T => list[random(list.length)] as T
  const path = (name: string) => join(root, name)
  const module = one('app', 'example.com/app')
  let count = 0
  const next = () => `n${(count += 1)}`
  const put = (name: string, text: string, atomically = false) => {
    const folder = dirname(path(name))
    if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === false) rmSync(folder)
    mkdirSync(folder, { recursive: true })
    if (lstatSync(path(name), { throwIfNoEntry: false })?.isDirectory()) rmSync(path(name), { recursive: true })
    if (atomically) writeFileSync(`${path(name)}~`, text)
    if (atomically) renameSync(`${path(name)}~`, path(name))
    else writeFileSync(path(name), text)
  }
  const remove = (name: string) => rmSync(path(name), { recursive: true, force: true })

  const imports = new Set(['inner'])
  const embeds = new Set(['all:dist'])
  let tag = ''
  const source = () =>
    [
      tag,
      'package main\n\nimport (\n\t"embed" // (all of it)\n',
      ...[...imports].map((name) => `\t_ "${name.startsWith('lib') ? name : `${module}/${name}`}"\n`),
      ')\n\nvar (\n',
      ...(embeds.size > 0 ? [`\t//go:embed ${[...embeds].join(' ')}\n`] : []),
      '\td embed.FS\n)\n\n',
      `func main() {\n\tprintln("${next()}")\n\t_ = d\n}\n`,
    ].join('')
  const packageOf = (folder: string) => /(\w+)$/.exec(folder)?.[1] ?? ''
  const part = (folder: string, head = '') =>
    `${head}package ${packageOf(folder)}\n\nfunc init() { println("${next()}") }\n`
  const goMod = (...lines: readonly string[]) =>
    put('app/go.mod', [`module ${module}`, 'go 1.21', ...lines, ''].join('\n'))
  const replaced = ['require lib v0.0.0', 'replace lib => ../lib']

  goMod(...one([], replaced))
  put('app/main.go', source())
  for (const folder of ['inner', 'inner/deep', 'other']) put(`app/${folder}/a.go`, part(folder))
  put('app/tool.go', '//go:build ignore\n\npackage main\n\nfunc init() { println("tool") }\n')
  put('app/dist/a.js', 'a')
  put('app/web/index.html', 'i')
  put('lib/go.mod', 'module lib\n')
  put('lib/x/a.go', part('x'))
  put('store/s.go', part('inner'))
  mkdirSync(path('work'))

  const ignore = '//go:build ignore\n\n'
  const folders = ['inner', 'inner/deep', 'other', 'new', 'new/deep']
  const embedded = () =>
    `app/${one('dist', 'dist/sub', 'web', 'web/sub', 'assets', '.')}/${one('a.js', 'b.txt', '_new.html', '.well-known/x', 'c.txt~', '.tmp', 'd.tmp')}`
  const file = () => `app/${one(...folders)}/${one('a.go', 'a.go', 'b.go')}`
  /** Another text in a file that is there. */
  const edit = () => {
    const files = [...treeOf(root)].filter(([name, what]) => what.startsWith('=') && !/go\.(mod|work)$/.test(name))
    const [name, what] = one(...files)
    const text = what.slice(1)
    put(
      name,
      text.includes('println') ? text.replace(/println\(.*\)/, `println("${next()}")`) : text + next(),
      random(2) === 0,
    )
    return `edit ${name}`
  }
  const all: readonly (() => string)[] = [
    ...[file, file].map((named) => () => {
      const name = named()
      put(name, part(dirname(name), one('', '', '', ignore, '// a word\n')), random(2) === 0)
      return `write ${name}`
    }),
    () => {
      const name = one(file(), `app/${one(...folders)}`, 'app/tool.go', 'app/main.go', 'lib', 'lib/x', 'lib/go.mod')
      remove(name)
      return `remove ${name}`
    },
    () => {
      const name = file()
      const to = one(file(), name.replace('.go', '_test.go'), name.replace(/\w+\.go/, '_a.go'), `${name}~`)
      if (existsSync(path(name)) && existsSync(dirname(path(to)))) renameSync(path(name), path(to))
      return `rename ${name} to ${to}`
    },
    () => {
      const name = one(...folders)
      const to = one(...folders)
      if (existsSync(path(`app/${name}`)) && existsSync(dirname(path(`app/${to}`))) && !existsSync(path(`app/${to}`)))
        if (!to.startsWith(name)) renameSync(path(`app/${name}`), path(`app/${to}`))
      return `rename the folder ${name} to ${to}`
    },
    () => {
      tag = tag === '' ? ignore : ''
      put('app/main.go', source())
      return `main.go: ${tag === '' ? 'no tag' : 'a tag'}`
    },
    () => {
      put('app/tool.go', `${one('', ignore)}package main\n\nfunc init() { println("${next()}") }\n`)
      return 'a tag of tool.go'
    },
    ...['inner', 'other', 'new', 'new/deep', 'lib/x', 'lib/y'].map((name) => () => {
      if (!imports.delete(name)) imports.add(name)
      put('app/main.go', source())
      return `main.go imports ${[...imports].join(', ')}`
    }),
    () => {
      put('app/inner/a.go', part('inner').replace('\n\n', `\n\nimport _ "${module}/${one('inner/deep', 'new')}"\n\n`))
      return 'inner imports another'
    },
    ...['all:dist', 'dist', 'web/*', 'all:assets', '*.txt', 'web/*/b.txt', 'assets/b.txt'].map((pattern) => () => {
      if (!embeds.delete(pattern)) embeds.add(pattern)
      put('app/main.go', source())
      return `main.go embeds ${[...embeds].join(' ')}`
    }),
    ...[embedded, embedded, embedded].map((named) => () => {
      const name = named()
      put(name, next())
      return `write ${name}`
    }),
    () => {
      const name = one(embedded(), 'app/dist', 'app/web', 'app/assets', 'app/web/sub')
      remove(name)
      return `remove ${name}`
    },
    () => {
      remove('app/dist')
      mkdirSync(path('app/dist'))
      return 'empty dist'
    },
    () => {
      goMod(...one([], replaced, ['replace lib => ../lib'], ['nonsense']))
      return 'write go.mod'
    },
    () => {
      const name = `lib/${one('x', 'y')}/a.go`
      if (!existsSync(path('lib/go.mod'))) put('lib/go.mod', 'module lib\n')
      put(name, part(dirname(name)))
      return `write ${name}`
    },
    () => {
      const name = one(file(), 'app/draft.go')
      put(name, one('', 'pack', 'package main\n\nfunc init() {\n'))
      return `write ${name}, half`
    },
    () => {
      const name = `app/${one('inner', 'new', 'other', 'dist/sub', 'web', 'web/sub')}/go.mod`
      if (existsSync(path(name))) remove(name)
      else put(name, 'module nested\n')
      return `a nested ${name}`
    },
    () => {
      if (existsSync(path('app/vendor'))) remove('app/vendor')
      else mkdirSync(path('app/vendor'))
      return 'a vendor folder'
    },
    () => {
      if (existsSync(path('go.work'))) remove('go.work')
      else put('go.work', `go 1.21\n\nuse ./${one('app', 'work')}\n${one('', 'use ./lib\n')}`)
      return 'go.work above'
    },
    () => {
      if (existsSync(path('app/default.pgo'))) remove('app/default.pgo')
      else put('app/default.pgo', one('', 'no profile'))
      return 'default.pgo'
    },
    () => {
      const name = `app/inner/${one('a.go', 's.go')}`
      remove(name)
      if (existsSync(dirname(path(name)))) symlinkSync('../../store/s.go', path(name))
      return `link ${name}`
    },
    () => {
      put('store/s.go', part('inner'))
      return 'edit behind the link'
    },
    () => {
      const name = `app/${one('web/a.js', 'dist/a.js', 'assets/b.txt')}`
      remove(name)
      if (existsSync(dirname(path(name)))) symlinkSync('../../store/s.go', path(name))
      return `link ${name}`
    },
  ]
  // a few kinds of changes come again and again in one sequence, each with what the others have left
  const kinds = Array.from({ length: 5 }, () => one(...all))
  const trees: Tree[] = [treeOf(root)]
  const back = (which: number) => {
    checkOut(root, trees[which] as Tree)
    return `check out what was after change ${which}`
  }
  const last = random(2) === 0 ? [() => back(0), edit] : []
  const changes = [
    ...Array.from({ length: 2 + random(7) }, () =>
      one(...kinds, ...kinds, edit, edit, () => back(random(trees.length))),
    ),
    ...last,
  ]
  return {
    /** Makes the next change; undefined if there is none. */
    change(): string | undefined {
      const words = changes.shift()?.()
      trees.push(treeOf(root))
      return words
    },
  }
}

/** What a fresh build of the settings makes. */
async function fresh(settings: Settings, output: string): Promise<string> {
  const { env, goflags } = await goSays(settings)
  const args = goBuildArgs(settings, { debug: false, version: 'any', output }, goflags)
  rmSync(output, { force: true })
  const code = await new Promise((resolve) =>
    execFile('go', args, { cwd: settings.goDir, env }, (error) => resolve(error === null ? 0 : 1)),
  )
  return code === 0 ? createHash('sha256').update(readFileSync(output)).digest('hex') : 'failed'
}

let broken = 0 // sequences that end in a tree that does not build

/** One sequence; what is wrong, empty if it held. */
async function sequence(start: number): Promise<string> {
  const random = randomFrom(start)
  const root = join(scratch, String(start))
  mkdirSync(join(root, 'tree'), { recursive: true })
  const tree = project(join(root, 'tree'), random)
  const settings = {
    goDir: join(root, 'tree/app'),
    goMain: '.',
    goFlags: [],
    goLdflags: '',
    goArch: '',
    versionVar: '',
    target: 'local',
    binary: join(root, 'out/app'),
  } as unknown as Settings
  let result = ''
  let over = false
  // as in dev.ts
  const saved = latest(async (_, signal) => {
    if (over) return
    try {
      const made = await goBuild(settings, { debug: false, signal, said: () => undefined })
      if (!signal.aborted) result = made.sha256
    } catch (error) {
      if (signal.aborted) return
      result = 'failed'
      watched.failed()
    }
  })
  const log: string[] = []
  const begin = performance.now()
  const note = (words: string) => log.push(`  ${((performance.now() - begin) / 1000).toFixed(2)} s ${words}`)
  const watched = await watch(
    settings,
    (when) => {
      note('is told of')
      void saved(when)
    },
    (words) => note(`Go says: ${words.split('\n')[0]}`),
  )
  await saved(performance.now())
  for (let words = tree.change(); words !== undefined; words = tree.change()) {
    note(words)
    await pause([0, random(60), 200 + random(500), 200 + random(500), 1_000 + random(1_500)][random(5)] ?? 0)
  }
  const right = await fresh(settings, join(root, 'fresh'))
  const limit = patience(late)
  while (result !== right && !(await limit.over())) await pause(50)
  over = true
  await saved(performance.now()) // ends what runs
  await watched.close()
  const held = result === right
  if (right === 'failed') broken += 1
  if (held) rmSync(root, { recursive: true })
  const words = (sha256: string) => sha256.slice(0, 8)
  note(`dev has ${words(result)}, a fresh build ${words(right)}`)
  return held ? '' : `SEQUENCES=1 SEED=${start}\n${log.join('\n')}`
}

const fuzz = suite('watch-fuzz')

fuzz(
  `dev has built what a fresh build builds, after ${sequences} sequences of changes, from SEED=${seed}`,
  async () => {
    const wrong: string[] = []
    let next = 0
    const work = async () => {
      while (next < sequences) {
        const why = await sequence(seed + next++)
        if (why === '') continue
        wrong.push(why)
        process.stdout.write(`${why}\n`)
      }
    }
    await Promise.all(Array.from({ length: Math.min(atOnce, sequences) }, work))
    process.stdout.write(
      `measured: ${sequences} sequences from SEED=${seed}: ${broken} end in a broken tree; ${wrong.length} are not built\n`,
    )
    assert.equal(wrong, [])
  },
)

fuzz.after(() => rmSync(scratch, { recursive: true, force: true }))
fuzz.run()
