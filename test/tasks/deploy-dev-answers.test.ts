// What answers in the place of the agent may be anything: a shell, an error of kubectl, silence, a lie.
import * as assert from 'uvu/assert'
import { program } from '../agent/fixtures.ts'
import * as proc from '../agent/proc.ts'
import { cases, failed, hurry, until } from '../lib/loop.ts'

const answers = cases('deploy-dev')

const v1 = program({ version: 'v1' })
const v2 = program({ version: 'v2' })

const noAgent = (why: string) => failed(`local: no agent answers (${why}) - run npm run switch-dev`)
const cut = (why: string) =>
  failed(`local: the connection ended without a receipt (${why}) - run npm run deploy-dev again`)
const silent = failed('local: no answer for 30 s: is the pod still there? (npm run status-dev)')
const greets = 'sh "$real" status "$2"'

/** What takes the place of put, as sh, and what the task then says. */
type Table = readonly (readonly [title: string, put: string, said: ReturnType<typeof failed>])[]

const groups: Readonly<Record<string, Table>> = {
  'what is no agent is told by what it says, or how it ends': [
    ['ends at once', 'exit 9', noAgent('exit code 9')],
    ['is killed', 'kill -KILL $$', noAgent('SIGKILL')],
    [
      'complains',
      `printf '\\033[31mexec failed\\033[0m: no such file\\nmore\\n' >&2; exit 126`,
      noAgent('exec failed: no such file'),
    ],
    ['finds no agent', 'sh "$real" put /usr/nowhere', noAgent('no agent runs /usr/nowhere')],
    ['is a shell', `printf 'BusyBox v1.36\\n\\n# \\n'`, noAgent('exit code 0')],
    ['never stops', 'while :; do printf 0123456789; done', failed('local: its answer has no end: is that the agent?')],
  ],
  'silence is given up after 30 s': [
    ['says nothing', 'exec sleep 300', silent],
    ['starts something that says nothing', 'sleep 300', silent],
    ['says nothing of use and stays', `printf 'hello\\n\\n'; exec sleep 300`, silent],
    ['closes its mouth and stays', 'exec >&-; exec sleep 300', silent],
    ['greets and takes no byte', `${greets}; exec sleep 300`, silent],
    ['takes every byte and says nothing', `${greets}; cat >/dev/null; exec sleep 300`, silent],
  ],
  'a connection that ends in the middle is no success': [
    ['ends well, without a word', 'exit 0', cut('exit code 0')],
    [
      'breaks before the greeting',
      `echo 'error: write tcp 127.0.0.1:4->127.0.0.1:6443: write: broken pipe' >&2; exit 1`,
      cut('write tcp 127.0.0.1:4->127.0.0.1:6443: write: broken pipe'),
    ],
    ['greets and ends', `${greets}; exit 7`, cut('exit code 7')],
    ['greets and complains', `${greets}; echo 'error: pod deleted' >&2; exit 1`, cut('pod deleted')],
    ['greets and is killed', `${greets}; kill -KILL $$`, cut('SIGKILL')],
    [
      'ends before the end mark',
      `${greets}; head -c 2000000 >/dev/null; printf 'result=running\\n'`,
      cut('exit code 0'),
    ],
  ],
  'a receipt of something else is no success': [
    [
      'proves another binary',
      `${greets}; printf 'result=running\\npid=1\\nsha256=${'0'.repeat(64)}\\n\\n'`,
      failed('local: it does not run the new binary: running (no reason given); 00000000 runs on'),
    ],
    [
      'gives no result',
      `${greets}; printf 'reason=\\033[5mboo\\n\\n'`,
      failed('local: it does not run the new binary: no result (boo); nothing runs there now'),
    ],
  ],
}

for (const [title, table] of Object.entries(groups))
  answers(title, async (loop) => {
    loop.built(v2)
    const pid = await loop.serving(v1)
    const env = title.startsWith('silence') ? { NODE_OPTIONS: `--import=${loop.copy.file('hurry.mjs', hurry)}` } : {}
    for (const [what, put, said] of table) {
      loop.disguised('put', put)
      assert.equal(await loop.task('deploy-dev', [], { env }), said, `what ${what}`)
      const left = () => loop.carriers().filter((process) => /sleep 300|\bput\b/.test(proc.commandLine(process)))
      // a shell that is killed leaves it behind
      if (put === 'sleep 300') left().forEach((process) => proc.kill(process))
      await until(`nothing is left of what ${what}`, () => left().length === 0)
    }
    loop.runs(pid, v1)
    await loop.clean()
  })

answers.run()
