// Records a real session of `npm run dev` on the test cluster, and renders what was on the screen, with its times, to SVG.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { task } from '../../tasks/lib/frame/task.ts'
import { root } from '../../tasks/lib/frame/root.ts'
import { onEnd } from '../../tasks/lib/frame/ending.ts'
import { print, UserError } from '../../tasks/lib/frame/talk.ts'
import { run } from '../../tasks/lib/frame/tools.ts'
import { cluster, until } from '../../test/e2e/cluster.ts'
import { devPods, project, type Project } from '../../test/e2e/project.ts'
import { drawn, screenOf, type Said } from './terminal.ts'

const about = {
  name: 'bench/picture/record',
  summary: 'records a session of npm run dev on the test cluster, and renders it to docs/dev.svg',
} as const

const columns = 120
const greeting = '"hello, version '
const main = 'examples/hello/main.go'

await task(about, async () => {
  const it = await project('picture')
  onEnd(() => it.remove())
  await repository(it)
  await devPods(it, 2)

  const { PATH, HOME } = environment()
  const words = `stty cols ${columns} rows 40 && exec npm run -s dev`
  const child = spawn('script', ['-qefc', words, '/dev/null'], {
    cwd: it.checkout.dir,
    env: { PATH, HOME, TERM: 'xterm-256color', KUBECONFIG: (await cluster()).kubeconfig },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onEnd(() => void child.kill())
  const begin = performance.now()
  const said: Said[] = [{ at: 0, text: '\x1b[1m$ npm run dev\x1b[0m\r\n' }]
  child.stdout.setEncoding('utf8').on('data', (text: string) => said.push({ at: performance.now() - begin, text }))
  const shows = async (what: RegExp) => {
    await until(String(what), 90, async () =>
      what.test(
        screenOf(said)
          .map(({ text }) => text)
          .join('\n'),
      ),
    )
    await new Promise((resolve) => setTimeout(resolve, 1500))
  }

  await shows(/ 2\/2 pods .* ok$/m)
  edit(it, greeting, '"good morning, version ')
  await shows(/ 2\/2 pods .* ok\n[^]* 2\/2 pods .* ok$/)
  edit(it, '"good morning, version ', 'greeting + "version ')
  await shows(/the build failed/)
  edit(it, 'greeting + "version ', '"good evening, version ')
  edit(it, '	addr := flag', '	if len(os.Args) < 9 {\n		panic("a bug")\n	}\n	addr := flag')
  await shows(/^error: .*panic: a bug/m)
  edit(it, '	if len(os.Args) < 9 {\n		panic("a bug")\n	}\n', '')
  await shows(/is back[^]* ok$/m)
  child.stdin.write('\x03')
  await new Promise((resolve) => child.once('close', resolve))
  const file = join(root, 'docs/dev.svg')
  writeFileSync(file, drawn(screenOf(said), columns))
  print(file)
})

function edit(it: Project, before: string, after: string): void {
  const text = it.checkout.read(main)
  if (!text.includes(before)) throw new UserError(`${main} has no ${before} any more: the session edits it`)
  it.checkout.file(main, text.replace(before, after))
}

/** So that there is a version to show. */
async function repository(it: Project): Promise<void> {
  const who = ['-c', 'user.name=record', '-c', 'user.email=record@localhost']
  it.checkout.file('.gitignore', 'node_modules\n.hotswap\nbin\n.env\nmanifests*\nprod\nfakes\n')
  for (const args of [
    ['init', '--quiet'],
    ['add', '.'],
    ['commit', '--quiet', '--message', 'first'],
    ['tag', 'v1.2.0'],
  ])
    await run('git', [...who, ...args], { cwd: it.checkout.dir, env: environment(), output: 'read' })
}
