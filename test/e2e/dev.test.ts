// The daily loop on a real cluster: in a terminal as a person drives it, and without one as a program does.
import { spawn, type ChildProcess } from 'node:child_process'
import * as assert from 'uvu/assert'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { objects } from '../lib/json.ts'
import { ended } from '../lib/checkout.ts'
import { suite } from '../lib/suite.ts'
import { cluster, until } from './cluster.ts'
import { devPods, project, ways, type Project } from './project.ts'

const edits = Number(environment().E2E_EDITS ?? 10)
const children = new Set<ChildProcess>()

/** npm run dev, in a pseudo-terminal of `script` or with pipes alone. */
async function running(it: Project, args: readonly string[], terminal: boolean) {
  const { PATH, HOME } = environment()
  const words = ['sh', 'tasks/run', 'dev', ...args]
  const [command = '', ...rest] = terminal ? ['script', '-qefc', words.join(' '), '/dev/null'] : words
  const child = spawn(command, rest, {
    cwd: it.checkout.dir,
    env: { PATH, HOME, TERM: 'xterm', KUBECONFIG: (await cluster()).kubeconfig, HOTSWAP_E2E: it.namespace },
    stdio: 'pipe',
  })
  children.add(child)
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => void (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (err += chunk.toString()))
  const end = ended(child, 550_000)
  return {
    child,
    out: () => out,
    err: () => err,
    /** What a person sees: without colours, and of a line that was drawn again only its last state. */
    seen: () =>
      out
        .replace(/\x1b\[[0-9;]*m/g, '')
        .split('\n')
        .map((line) => line.replace(/\r$/, '').split('\r\x1b[K').at(-1) ?? ''),
    end,
  }
}

/** Every pod answers so. */
async function answering(it: Project, begin: string): Promise<void> {
  for (const pod of await it.pods())
    assert.match(await it.answer(pod, (body) => body.startsWith(begin)), new RegExp(`^${begin}`))
}

const processes = async (namespace: string) => {
  const { execFileSync } = await import('node:child_process')
  const list = execFileSync('sh', [
    '-c',
    'cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n" | grep -c "^HOTSWAP_E2E=$1$" || :',
    'sh',
    namespace,
  ])
  return Number(list.toString())
}

/** In each pod: what runs beside the program, and its memory. */
async function inUse(it: Project): Promise<Record<string, { processes: number; kilobytes: number }>> {
  const script =
    'n=0 kb=0; for p in /proc/[0-9]*; do read -r name <$p/comm || continue; [ "$name" != hello ] || continue; n=$((n+1)); while read -r k v _; do [ "$k" != VmRSS: ] || kb=$((kb+v)); done <$p/status; done 2>/dev/null; echo "$n $kb"'
  const entries = []
  for (const pod of await it.pods()) {
    const [processes = 0, kilobytes = 0] = (await it.sh(pod, script)).trim().split(' ').map(Number)
    entries.push([pod, { processes, kilobytes }] as const)
  }
  return Object.fromEntries(entries)
}

for (const mode of ways) {
  const dev = suite<{ it: Project }>(`dev with ${mode.title}`)
  dev.before(async (context) => {
    context.it = await project('dev', mode)
    await devPods(context.it, 3)
  })
  dev.after.each(() => {
    for (const child of children) child.kill() // of a test that failed
    children.clear()
  })
  dev.after(async ({ it }) => it.remove())

  dev(
    'in a terminal: a line per edit, logs of three pods in colour, a crash and its rollback, Ctrl-C',
    async ({ it }) => {
      const person = await running(it, ['--wide'], true)
      const ok =
        /^\d\d:\d\d:\d\d \S+ [0-9a-f]{8} .* 3\/3 pods \d+\.\d\d s \(build \d+\.\d\d, send \d+\.\d\d, swap \d+\.\d\d\) ok$/
      const lines = (pattern: RegExp) => person.seen().filter((line) => pattern.test(line))
      await until('the first deploy', 120, async () => lines(ok).length === 1)
      assert.match(person.out(), /^kubernetes · context /)

      it.edit('typed, version ')
      await until('the edit', 60, async () => lines(ok).length === 2)
      assert.match(lines(ok)[1] ?? '', / [\d.]+ k?B of [\d.]+ MB 3\/3 pods /, 'a delta, to a cluster nearby too')
      await answering(it, 'typed')
      for (const pod of await it.pods()) {
        await until(
          `the output of ${pod}`,
          20,
          async () => lines(new RegExp(`^${pod} \\| hello, version \\S+ready|^${pod} \\| .*ready on`)).length > 0,
        )
        assert.ok(lines(new RegExp(`^${pod} \\| ── \\d\\d:\\d\\d:\\d\\d \\S+ [0-9a-f]{8} ──$`)).length > 0, 'a mark')
      }
      assert.match(person.out(), /\x1b\[3\dm\S+ \|\x1b\[0m/, 'in colour')
      assert.match(person.out(), /\d\d:\d\d:\d\d building\r\x1b\[K/, 'and says what it does')

      const main = it.checkout.read('examples/hello/main.go')
      it.checkout.file('examples/hello/main.go', main.replace('	addr := flag', '	panic("a bug")\n	addr := flag'))
      await until('the rollback', 60, async () => lines(/ 0\/3 pods .* rolled back$/).length === 1)
      await until(
        'the reason',
        20,
        async () =>
          lines(/^error: \S+, \S+, \S+: panic: a bug at examples\/hello\/main\.go:\d+; \S+ [0-9a-f]{8} is back$/)
            .length === 1,
      )
      await answering(it, 'typed')
      it.checkout.file('examples/hello/main.go', main)
      await until('the repair', 60, async () => lines(/ nothing sent 3\/3 pods .* ok$/).length === 1)

      person.child.stdin.write('\x03') // Ctrl-C
      const { code, stdout } = await person.end
      assert.is(code, 130, stdout)
      assert.match(stdout, /\S+, \S+, \S+: \S+ [0-9a-f]{8} runs on - npm run switch-prod ends it\r?\n/)
      await answering(it, 'typed')
      await until('that nothing is left', 10, async () => (await processes(it.namespace)) === 0)
    },
  )

  dev(
    'a pod that leaves the selector and comes back with its container is followed on from where it was',
    async ({ it }) => {
      const [name = '', ...others] = await it.pods()
      // a label that the ReplicaSet does not ask for: it makes no other pod
      for (const pod of [name, ...others]) await it.kubectl(['label', 'pod', pod, 'watched=yes'])
      it.set({ SELECTOR: 'app=hello,watched=yes' })
      const person = await running(it, ['--wide'], false)
      const heard = (word: string) =>
        person
          .err()
          .split('\n')
          .filter((line) => line === `${name} | ${word}`).length
      const prints = (word: string) => it.sh(name, `echo ${word} >/proc/1/fd/1`)
      await until('the first deploy', 120, async () => / 3\/3 pods .* ok\n/.test(person.out()))
      await prints('before')
      await until('its output', 20, async () => heard('before') === 1)

      await it.kubectl(['label', 'pod', name, 'watched-'])
      it.edit('without it, version ')
      await until('an edit without it', 60, async () => / 2\/2 pods .* ok\n/.test(person.out()))
      await prints('meanwhile')
      await it.kubectl(['label', 'pod', name, 'watched=yes'])
      await until('its return', 30, async () => person.err().includes(`${name}: is back, the same container\n`))
      await until('the newest binary there', 60, async () => person.out().includes(`${name}: `))
      await answering(it, 'without it')
      await prints('after')
      await until('its output again', 20, async () => heard('after') === 1)
      assert.equal(['before', 'meanwhile'].map(heard), [1, 1])
      assert.not.match(person.err(), /a new container|killed & restarted/)

      person.child.kill('SIGTERM')
      await person.end
      it.set({})
    },
  )

  dev(
    'as a program: pods that are deleted, new and restarted get the newest binary; edits end with the newest everywhere',
    async ({ it }) => {
      const program = await running(it, ['--json'], false)
      type Event = { event: string; result: string; pod: string; sha256: string; pods: { result: string }[] }
      const events = () =>
        program
          .out()
          .split('\n')
          .slice(0, -1)
          .map((line) => JSON.parse(line) as Event)
      const told = (test: (event: Event) => boolean) => events().filter(test).length
      await until('the first edit', 120, async () => told(({ event }) => event === 'edit') === 1)
      it.edit('program, version ')
      await until('the edit', 60, async () => told(({ result }) => result === 'ok') === 2)

      const [first = '', second = ''] = await it.pods()
      await it.kubectl(['delete', 'pod', first, '--wait=false', '--grace-period=1'])
      await it.sh(second, 'kill -TERM 1').catch(() => undefined) // it takes the exec along
      await it.kubectl(['scale', 'deployment/hello', '--replicas=4'])
      await until('four pods', 90, async () => (await it.pods()).length === 4 && !(await it.pods()).includes(first))
      await until(
        'three pods that got it',
        90,
        async () =>
          new Set(
            events()
              .filter(({ event, result }) => event === 'pod' && /^(?:running|already)$/.test(result)) // what was injected is kept over a restart
              .map(({ pod }) => pod),
          ).size >= 3,
      )
      await answering(it, 'program')
      await it.kubectl(['scale', 'deployment/hello', '--replicas=3'])
      await until('three pods', 90, async () => (await it.pods()).length === 3)

      // an exec to each pod is open from here on
      const done = told(({ result }) => result === 'ok')
      it.edit('before the storm, version ')
      await until('the edit before', 60, async () => told(({ result }) => result === 'ok') > done)
      await new Promise((resolve) => setTimeout(resolve, 2000))
      const before = await inUse(it)
      for (let edit = 1; edit <= edits; edit += 1) {
        it.edit(`storm ${edit}, version `)
        // some saves meet a build, some a delivery, some an idle loop
        await new Promise((resolve) => setTimeout(resolve, Math.random() < 0.7 ? Math.random() * 1200 : 2500))
      }
      await answering(it, `storm ${edits},`)
      await until('the last edit', 60, async () => events().at(-1)?.result === 'ok')
      await new Promise((resolve) => setTimeout(resolve, 2000))
      const after = await inUse(it)
      process.stderr.write(
        `\nmeasured: ${edits} edits with random saves, agents' processes and kB: ${JSON.stringify({ before, after })}\n`,
      )
      for (const [pod, { processes: count, kilobytes }] of Object.entries(after)) {
        const was = before[pod]
        assert.ok(was !== undefined && count <= was.processes + 1, `${pod}: ${count} processes`)
        assert.ok(kilobytes < was.kilobytes + 3000, `${pod}: ${kilobytes} kB, before ${was.kilobytes} kB`)
      }

      program.child.kill('SIGTERM')
      const { code, stdout } = await program.end
      assert.is(code, 143)
      assert.is(objects('dev', stdout).at(-1)?.event, 'end')
      await until('that nothing is left', 10, async () => (await processes(it.namespace)) === 0)
    },
  )

  dev.run()
}
