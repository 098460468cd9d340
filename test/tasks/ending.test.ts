// How tasks end: at once where they fail, and with npm, by which people start them.
import { spawnSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { program } from '../agent/fixtures.ts'
import { freePort } from '../../tasks/lib/frame/free-port.ts'
import { cases, until, type Loop } from '../lib/loop.ts'
import { pace } from '../lib/pace.ts'

const end = cases('the end of a task')

const v1 = program({ version: 'v1' })
const soon = 6_000 * pace // ms: well below the 10 s that an agent has to come up

for (const name of ['switch-dev', 'dev', 'demo', 'deploy-dev', 'status-dev', 'logs-dev', 'shell-dev', 'debug-dev'])
  end(`${name} that fails has ended at once, also where the agent does not start`, async (loop) => {
    loop.built(v1)
    loop.copy.file('agent/hotswap-dev', '#!/bin/sh\necho "no agent today" >&2\nexit 3\n')
    loop.env.DEBUG_LOCAL_PORT = `${await freePort()}`
    const { child, said } = loop.launch(name)
    let told = 0
    child.stderr?.on(
      'data',
      (text: Buffer) => void (told ||= /^error: /m.test(text.toString()) ? performance.now() : 0),
    )
    assert.is((await said).code, 1)
    assert.ok(told > 0, 'it says why')
    assert.ok(performance.now() - told < soon, `it ended ${performance.now() - told} ms after it had said why`)
  })

/** What each task that goes on for long has said once it is at it. */
const long: readonly [name: string, says: RegExp][] = [
  ['dev', /Ctrl-C ends this/],
  ['logs-dev', /local \|/],
  ['debug-dev', /connect to 127/],
  ['shell-dev', /local: .*sh/],
  ['container-dev', /building Delve/],
  ['switch-dev', /context kind-fake/],
]

/** npm run NAME, through `words` in front of it, once the task is at what it does for long. */
async function throughNpm(loop: Loop, name: string, says: RegExp, words: (npm: string) => readonly string[]) {
  loop.copy.compiled(name)
  loop.env.HELLO_ADDR = `127.0.0.1:${await freePort()}`
  loop.env.DEBUG_LOCAL_PORT = `${await freePort()}`
  if (name === 'switch-dev') onACluster(loop)
  else if (name === 'container-dev') {
    loop.built(v1)
    loop.copy.fake('docker', 'exit 0')
    loop.copy.fake('go', `[ "$1" = env ] && exec printf 'go1.26\\n/tmp\\n'; exec sleep 1000`)
  } else if (name !== 'dev') await loop.serving(v1)
  const { child } = loop.spawn(words(`npm run ${name}`))
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (part: Buffer) => void (text += part.toString()))
  await until(`${name} is under way`, () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${text}`)
    return says.test(text)
  })
  return child
}

/** A cluster that is slow to take the manifest. */
function onACluster(loop: Loop): void {
  const manifest = loop.copy.file(
    'dev.yaml',
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: hello}\nspec: {template: {spec: {containers: [{name: hello}]}}}\n',
  )
  Object.assign(loop.env, { TARGET: 'kubernetes', KUBE_CONTEXT: 'kind-fake', MANIFEST_DEV: manifest })
  const view = { 'current-context': 'kind-fake', clusters: [{ cluster: { server: 'https://127.0.0.1:1' } }] }
  loop.copy.fake('kubectl', `case $* in *view*) echo '${JSON.stringify(view)}' ;; *) exec sleep 1000 ;; esac`)
}

const isOver = (loop: Loop) =>
  until('nothing of it is left', () => loop.strangers().length === 0, 15).catch(() =>
    assert.equal(loop.strangers(), []),
  )

for (const [name, says] of long)
  for (const signal of name === 'dev' ? (['SIGTERM', 'SIGHUP', 'SIGKILL'] as const) : (['SIGTERM'] as const))
    end(`${signal} to npm ends ${name}, and nothing of it remains`, async (loop) => {
      const npm = await throughNpm(loop, name, says, (run) => run.split(' '))
      npm.kill(signal)
      await isOver(loop)
    })

for (const [name, says] of spawnSync('script', ['--version']).status === 0 ? long : [])
  end(`a terminal that is closed ends ${name}, and nothing of it remains`, async (loop) => {
    const terminal = await throughNpm(loop, name, says, (run) => ['script', '-qc', run, '/dev/null'])
    terminal.kill('SIGKILL')
    await isOver(loop)
  })

end.run()
