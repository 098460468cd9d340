// Runs the tests: each file in a process of its own, with a hard limit, and green only where every test has passed.
import { execFileSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { environment } from '../tasks/lib/settings.ts'
import { print, say, start, task, UserError } from '../tasks/lib/task.ts'
import { seconds } from '../tasks/lib/words.ts'

const about = {
  name: 'test',
  summary: 'runs every *.test.ts under test/, without test/e2e, and fails unless each test in each file has passed',
  operands: '[PART-OF-A-PATH...]',
  options: {
    jobs: { type: 'string', short: 'j', value: 'N', help: 'files at a time; default: one for each core' },
    limit: { type: 'string', value: 'SECONDS', help: 'for one file, before it is killed; default: 1200' },
    folder: { type: 'string', value: 'FOLDER', help: 'where the test files are; default: test' },
  },
  more: 'Files under test/e2e need a cluster: npm run test:e2e runs them.',
} as const

interface Verdict {
  readonly passed: number
  readonly failed: number
  /** Why the file is not green; empty where it is. */
  readonly why: string
  readonly output: string
}

await task(about, async ({ flags, operands }) => {
  const jobs = count('jobs', flags.jobs, availableParallelism())
  const limit = count('limit', flags.limit, 1200) // a quiet machine needs a tenth of it
  const folder = typeof flags.folder === 'string' ? flags.folder : 'test'
  const files = testFiles(folder, operands)
  if (files.length === 0)
    throw new UserError(`no test file under ${folder} matches ${operands.join(' ') || '*.test.ts'}`)

  print(`test files: ${files.length}, ${Math.min(jobs, files.length)} at a time; each is told of when it has ended`)

  let passed = 0
  let failed = 0
  const waiting = [...files]
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const begin = performance.now()
      const verdict = await runFile(file, limit)
      const took = seconds(performance.now() - begin)
      passed += verdict.passed
      failed += verdict.failed
      print(`${verdict.why === '' ? 'ok  ' : 'FAIL'}  ${file}  ${verdict.passed} passed  ${took}`)
      for (const line of verdict.output.split('\n')) if (/^(?:not run|measured)\b/.test(line)) print(`      ${line}`)
      if (verdict.why !== '') print(`${verdict.output.trimEnd()}\n      ${file}: ${verdict.why}`)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  print(`${passed} passed, ${failed} failed`)
  return failed === 0 ? 0 : 1
})

function count(name: string, text: string | boolean | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^[1-9]\d{0,4}$/.test(String(text))) throw new UserError(`--${name} is a number from 1, not '${text}'`, 2)
  return Number(text)
}

/** Test files in the order of their names, which hold one of the parts; not those of an e2e folder below this one. */
function testFiles(folder: string, parts: readonly string[]): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .filter((name) => !name.startsWith('e2e/'))
    .map((name) => join(folder, name))
    .filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
    .sort()
}

/** Runs one file and judges it. Never throws. */
async function runFile(file: string, limit: number): Promise<Verdict> {
  const env: Record<string, string> = { ...environment(), NO_COLOR: '1' }
  delete env.FORCE_COLOR // it would colour the totals
  const child = start(process.execPath, ['--import', 'tsx', file], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, so that what a test leaves behind can be ended with it
  })
  let output = ''
  const collect = (chunk: Buffer) => void (output += chunk.toString())
  child.stdout?.on('data', collect)
  child.stderr?.on('data', collect)

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
  return judge(output, code, late ? limit : undefined)
}

/** uvu exits 0 where a hook throws, run() is forgotten, `only` was left in: its totals are what counts. */
function judge(output: string, code: number | NodeJS.Signals | null, limit: number | undefined): Verdict {
  const totals = [...output.matchAll(/^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)\n/gm)].at(-1)
  const [total, passed, skipped] = (totals?.slice(1) ?? []).map(Number)
  const why =
    limit !== undefined
      ? `killed after ${limit} s`
      : total === undefined || passed === undefined || skipped === undefined
        ? `ended with ${code} and without totals: is .run() missing?`
        : total === 0
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
