import { spawn } from 'node:child_process'
import * as assert from 'uvu/assert'
import { conversation } from '../../tasks/lib/pods/shell.ts'
import type { Target } from '../../tasks/lib/pods/target.ts'
import { program, sha256 } from '../agent/fixtures.ts'
import { cases, failed, until, where, type Loop } from '../lib/loop.ts'

const logs = cases('logs-dev and shell-dev')

const v1 = program({ version: 'v1' })
const v2 = program({ version: 'v2' })

/** A task that goes on, and what it has said so far on stdout. */
function following(loop: Loop, args: readonly string[] = []) {
  const { child, said } = loop.launch('logs-dev', args)
  let out = ''
  child.stdout?.on('data', (chunk: Buffer) => void (out += chunk.toString()))
  return { child, said, out: () => out }
}

logs('logs-dev begins at the last swap, follows the next one, and ends on TERM', async (loop) => {
  await loop.serving(v1)
  loop.built(v2)
  assert.is((await loop.task('deploy-dev')).code, 0)
  const { child, said, out } = following(loop)
  await until('the ready line of v2', () => /^local \| ready v2/m.test(out()))
  assert.not.match(out(), /ready v1/)
  loop.built(program({ version: 'v3' }))
  assert.is((await loop.task('deploy-dev')).code, 0)
  await until('the swap and the output of v3', () => /killed & restarted\tPUT/.test(out()) && /v3/.test(out()))
  for (const line of out().trimEnd().split('\n')) assert.match(line, /^local \| /)
  child.kill('SIGTERM')
  assert.equal({ code: (await said).code, stderr: (await said).stderr }, { code: 143, stderr: where })
})

logs('logs-dev --agent shows the table alone, from its beginning', async (loop) => {
  await loop.serving(v1)
  loop.built(v2)
  assert.is((await loop.task('deploy-dev')).code, 0)
  const { child, said, out } = following(loop, ['--agent'])
  await until('the swap', () => out().includes('killed & restarted'))
  const rows = out().trimEnd().split('\n')
  assert.match(rows[0] ?? '', /^local \| DATE\tTYPE\tUSER\tFILE\tMESSAGE\tEVENTS$/)
  for (const row of rows.slice(1)) assert.match(row, /^local \| \d{4}-\S+ \S+ UTC\t(INFO|ERR)\t/)
  assert.match(out(), /\tstarted\t/)
  child.kill('SIGINT')
  assert.is((await said).code, 130)
})

logs('logs-dev --agent shows what the agent said, and no line of a program that looks like it', async (loop) => {
  const like = '2026-11-30 10:00:00 UTC\tINFO\troot\thello\tstarted\t-'
  await loop.serving(program({ version: `v1\n${like}\nx` }))
  const { child, said, out } = following(loop, ['--agent'])
  const all = following(loop)
  await until('the row of the start', () => /\tstarted\t/.test(out()))
  await until('the program’s line', () => all.out().includes(`local | ${like}\n`))
  loop.built(v2)
  assert.is((await loop.task('deploy-dev')).code, 0)
  await until('the swap', () => out().includes('killed & restarted'))
  assert.not(out().includes(like))
  for (const { child: each } of [{ child }, all]) each.kill('SIGINT')
  assert.is((await said).code, 130)
  await all.said
})

logs('both say what to do where nothing runs', async (loop) => {
  const nothing = failed(
    'nothing runs on local - start one with npm run switch-dev, or see the whole thing once with npm run demo',
  )
  assert.equal(await loop.task('logs-dev'), nothing)
  assert.equal(await loop.task('shell-dev'), nothing)
})

const words = ['sh', 'tasks/run', 'shell-dev']

logs('shell-dev runs what stdin says in the sandbox', async (loop) => {
  await loop.serving(v1)
  const piped = loop.spawn(words)
  piped.child.stdin?.end('pwd\nexit 3\n')
  const { code, stdout, stderr } = await piped.said
  assert.equal({ code, stdout }, { code: 0, stdout: 'DIR/.hotswap/local\n' }, 'what its last command ended with')
  assert.match(stderr, /^local · \.hotswap\/local\nlocal: \S*sh\n$/)
})

logs.needing('script')('shell-dev is a shell of the user on a terminal', async (loop) => {
  await loop.serving(v1)
  const typed = loop.spawn(['script', '-qec', words.join(' '), '/dev/null'])
  typed.child.stdin?.write('tty && sha256sum usr/local/bin/hello; false\nexit\n')
  const told = await typed.said
  assert.is(told.code, 0, told.stdout)
  assert.match(told.stdout, /\/dev\/pts\/\d+/)
  assert.match(told.stdout, new RegExp(sha256(v1)))
})

logs("shell-dev fails where there was no shell, not where a shell's last command failed", async () => {
  const pod = { name: 'p', container: '', life: '', restarts: 0, agent: [], binary: '', debugPort: 0 }
  const ends = (script: string, stderr: 'pipe' | 'inherit' = 'pipe') => {
    const exec = () => spawn('sh', ['-c', script], { stdio: ['ignore', 'ignore', stderr] })
    return conversation({ exec } as unknown as Target, pod, ['sh']).then(
      () => '',
      (error: Error) => error.message,
    )
  }
  const gone = (why: string) => `p: the shell is gone (${why}) - run npm run shell-dev again`
  const table: readonly [script: string, why: string][] = [
    ['exit 0', ''],
    ['echo "command terminated with exit code 1" >&2; exit 1', ''],
    ['echo "sh: nonsense: not found" >&2; echo "command terminated with exit code 127" >&2; exit 127', ''],
    ['exit 1', gone('exit code 1')],
    ['kill -KILL $$', gone('SIGKILL')],
    ['echo \'Error from server (NotFound): pods "p" not found\' >&2; exit 1', gone('the pod is gone')],
  ]
  for (const [script, why] of table) assert.is(await ends(script), why, script)
  assert.is(await ends('exit 130', 'inherit'), '', 'on local the shell is the child itself')
})

logs.run()
