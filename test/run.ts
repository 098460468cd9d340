// Runs the tests: each file in a process of its own, with a hard limit, and green only where every test has passed.
import { execFileSync, type ChildProcess } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build, type BuildFailure, type Plugin } from 'esbuild'
import { start } from '../tasks/lib/frame/children.ts'
import { onEnd, unlessEnding } from '../tasks/lib/frame/ending.ts'
import { environment } from '../tasks/lib/frame/environment.ts'
import { root } from '../tasks/lib/frame/root.ts'
import { screen } from '../tasks/lib/frame/screen.ts'
import { print, say, UserError } from '../tasks/lib/frame/talk.ts'
import { task } from '../tasks/lib/frame/task.ts'
import { seconds } from '../tasks/lib/frame/words.ts'
import { compile, COMPILED } from './lib/compile.ts'
import { SHELLS, shells } from './lib/needs.ts'

const about = {
  name: 'test',
  summary: 'runs every *.test.ts under test/, without test/e2e, and fails unless each test in each file has passed',
  operands: '[PART-OF-A-PATH...]',
  options: {
    jobs: {
      type: 'string',
      short: 'j',
      value: 'N',
      help: 'files at a time; default: one more than cores, since most wait',
    },
    limit: { type: 'string', value: 'SECONDS', help: 'for one file, before it is killed; default: 1200' },
    shells: { type: 'string', value: 'NAMES', help: "the agent's: all, or of dash,ash,bash; default: what sh is here" },
    complete: { type: 'boolean', help: 'fails too if a case was left out, for want of a tool or of root' },
    folder: { type: 'string', value: 'FOLDER', help: 'where the test files are; default: test' },
  },
  more: 'Files under test/e2e need a cluster: npm run test:e2e runs them.',
} as const

interface Verdict {
  readonly passed: number
  readonly failed: number
  /** Why the file is not green; empty if it is. */
  readonly why: string
  readonly output: string
}

const silence = 30_000 // ms without a line, after which one says how far it is, where no line can move

await task(about, async ({ flags, operands }) => {
  const jobs = count('jobs', flags.jobs, availableParallelism() + 1)
  const limit = count('limit', flags.limit, 1200) // a quiet machine needs a tenth of it
  const folder = typeof flags.folder === 'string' ? flags.folder : 'test'
  const env: Record<string, string> = { ...environment(), NO_COLOR: '1' }
  delete env.FORCE_COLOR // it would colour the totals
  if (typeof flags.shells === 'string') env[SHELLS] = flags.shells
  shells(env[SHELLS]) // throws at a name that it does not know
  const files = testFiles(folder, operands)
  if (files.length === 0)
    throw new UserError(`no test file under ${folder} matches ${operands.join(' ') || '*.test.ts'}`)

  const scripts = await compiled(files)
  if (files.length > 10) {
    // each file would ask again; a few files ask for fewer tasks
    for (const file of readdirSync(join(root, 'tasks'))) if (file.endsWith('.ts')) compile(file.slice(0, -3))
    env[COMPILED] = '1'
  }
  print(`test files: ${files.length}, ${Math.min(jobs, files.length)} at a time; each is told of when it has ended`)

  const totals = { files: 0, passed: 0, failed: 0, leftOut: 0 }
  const running = new Map<string, Running>()
  const begin = performance.now()
  const shown = screen(false)
  let told = begin
  const tell = (line: string) => {
    told = performance.now()
    print(line)
  }
  const timer = setInterval(() => {
    const passed = [...running.values()].reduce((sum, file) => sum + file.passed(), totals.passed)
    const names = [...running.keys()].map((file) => basename(file, '.test.ts')).join(', ')
    const far = `${totals.files} of ${files.length} files, ${passed} passed, ${totals.failed} failed, ${seconds(performance.now() - begin)}, running: ${names}`
    shown.open(far)
    if (!process.stderr.isTTY && performance.now() - told > silence) tell(far)
  }, 500)

  const waiting = [...files]
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      unlessEnding() // else what is left would be told of as failed
      const from = performance.now()
      const one = runFile(join(scripts, `${file.slice(0, -3)}.js`), limit, env)
      running.set(file, one)
      const verdict = await one.verdict
      running.delete(file)
      totals.files += 1
      totals.passed += verdict.passed
      totals.failed += verdict.failed
      tell(
        `${verdict.why === '' ? 'ok  ' : 'FAIL'}  ${file}  ${verdict.passed} passed  ${seconds(performance.now() - from)}`,
      )
      const lines = verdict.output.split('\n')
      const noted = (line: string) => verdict.why === '' && /^(?:not run|measured)\b/.test(line)
      for (const line of lines.filter(noted)) tell(`      ${line}`)
      totals.leftOut += lines.filter((line) => line.startsWith('not run')).length
      if (verdict.why !== '') tell(`${verdict.output.trimEnd()}\n      ${file}: ${verdict.why}`)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  clearInterval(timer)
  shown.open('')
  if (totals.leftOut > 0) print(`left out: ${totals.leftOut}; the lines 'not run' above say what they need`)
  const incomplete = flags.complete === true && totals.leftOut > 0
  if (incomplete) say('error: with --complete nothing may be left out')
  print(`${totals.passed} passed, ${totals.failed} failed`)
  return totals.failed === 0 && !incomplete ? 0 : 1
})

function count(name: string, text: string | boolean | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^[1-9]\d{0,4}$/.test(String(text))) throw new UserError(`--${name} is a number from 1, not '${text}'`, 2)
  return Number(text)
}

/**
 * Test files whose names hold one of the parts; not those of an e2e folder below this one. Those of unit, which are quick,
 * come last and fill the end; else the larger file begins, since it takes longer.
 */
function testFiles(folder: string, parts: readonly string[]): string[] {
  const quick = (file: string) => Number(file.startsWith(join(folder, 'unit/')))
  const size = (file: string) => statSync(file).size
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => !name.startsWith('e2e/'))
    .map((name) => join(folder, name))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort((a, b) => quick(a) - quick(b) || size(b) - size(a) || a.localeCompare(b))
}

/**
 * Compiles the test files, since a start through tsx costs half a second of processor time. Returns the folder that has them,
 * which goes at the end. It lies in this checkout, so that they find node_modules; they think that they lie where they were.
 * Throws UserError if one cannot be compiled.
 */
async function compiled(files: readonly string[]): Promise<string> {
  mkdirSync(join(root, '.hotswap'), { recursive: true })
  const folder = mkdtempSync(join(root, '.hotswap/test-'))
  onEnd(() => rmSync(folder, { recursive: true, force: true }))
  const inPlace: Plugin = {
    name: 'import.meta.url of the source',
    setup: ({ onLoad }) =>
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8')
        return { contents: text.replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)), loader: 'ts' }
      }),
  }
  await build({
    entryPoints: [...files],
    outdir: folder,
    outbase: '.',
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    sourcemap: true,
    logLevel: 'silent',
    plugins: [inPlace],
  }).catch((error: BuildFailure) => {
    const [{ text, location } = { text: error.message, location: null }] = error.errors ?? []
    throw new UserError(`${location === null ? '' : `${location.file}:${location.line}: `}${text}`)
  })
  return folder
}

interface Running {
  readonly verdict: Promise<Verdict>
  /** How many have passed so far. */
  readonly passed: () => number
}

/** Runs one file and judges it. Its verdict never rejects. */
function runFile(file: string, limit: number, env: Record<string, string>): Running {
  const child = start(process.execPath, ['--enable-source-maps', file], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, so that what a test leaves behind can be ended with it
  })
  let output = ''
  let passed = 0
  const collect = (chunk: Buffer) => {
    const text = chunk.toString()
    output += text
    passed += text.split('\u2022 ').length - 1 // uvu's mark of a test that has passed
  }
  child.stdout?.on('data', collect)
  child.stderr?.on('data', collect)
  return {
    verdict: ending(child, limit).then(({ code, late }) => judge(output, code, late ? limit : undefined)),
    passed: () => passed,
  }
}

/** Waits for a file's process, ends it at the limit, and what it has left in any case. */
async function ending(child: ChildProcess, limit: number) {
  let late = false
  const timer = setTimeout(() => {
    late = true
    for (const pid of descendants(child.pid)) kill(pid) // agents have sessions of their own
    killGroup(child.pid)
  }, limit * 1000)
  const closed = new Promise((resolve) => child.once('close', resolve))
  const code = await new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('error', () => resolve(null))
    child.once('exit', (exitCode, signal) => resolve(exitCode ?? signal))
  })
  clearTimeout(timer)
  killGroup(child.pid)
  // what has left the group may hold the pipes open for ever
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1000).unref())])
  child.stdout?.destroy()
  child.stderr?.destroy()
  return { code, late }
}

/** uvu exits 0 if a hook throws, run() is forgotten, `only` was left in: its totals are what counts. */
function judge(output: string, code: number | NodeJS.Signals | null, limit: number | undefined): Verdict {
  const totals = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)\n/gm)].at(-1)
  const [total, passed, skipped] = (totals?.slice(1) ?? []).map(Number)
  const why =
    limit !== undefined
      ? `killed after ${limit} s`
      : total === undefined || passed === undefined || skipped === undefined
        ? `ended with ${code} and without totals: is .run() missing?`
        : total === 0 && !/^not run\b/m.test(output)
          ? 'no test ran'
          : skipped !== 0
            ? `${skipped} skipped: was only or skip left in?`
            : passed !== total
              ? `${passed} of ${total} passed`
              : code !== 0
                ? `ended with ${code} although all passed`
                : ''
  // a file that is not green counts at least once
  const failed = why === '' ? 0 : Math.max(1, (total ?? 0) - (passed ?? 0))
  return { passed: passed ?? 0, failed, why, output }
}

/** What a process has started, and what that has. */
function descendants(pid: number | undefined): number[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n')
  const parents = new Map(rows.map((row) => row.trim().split(/\s+/).map(Number) as [number, number]))
  const stems = (one: number): boolean => {
    const parent = parents.get(one)
    return parent !== undefined && (parent === pid || stems(parent))
  }
  return [...parents.keys()].filter(stems)
}

function killGroup(pid: number | undefined): void {
  if (pid !== undefined) kill(-pid)
}

/** Kills a process, or with a minus a group. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) say(`warning: ${error}`)
  }
}
