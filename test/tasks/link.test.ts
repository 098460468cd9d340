// What is said of a way to the cluster that breaks: whole sentences, whatever kubectl's own words hold.
import { readFileSync } from 'node:fs'
import * as assert from 'uvu/assert'
import { hostArch } from '../../tasks/lib/binary/elf.ts'
import { program } from '../agent/fixtures.ts'
import { cases, hurry, type Loop } from '../lib/loop.ts'

const link = cases('a link that breaks')

/** A cluster with one dev pod, to which every exec ends with these words. */
function onACluster(loop: Loop, words: string): void {
  const view = { 'current-context': 'kind-fake', clusters: [{ cluster: { server: 'https://127.0.0.1:1' } }] }
  const command = ['hotswap-dev', '--', loop.binaryPath]
  const pod = {
    metadata: { name: 'hello-1', uid: 'u', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { containers: [{ name: 'hello', command }] },
    status: { phase: 'Running', containerStatuses: [{ name: 'hello', state: { running: {} } }] },
  }
  const print = (value: object) => `printf '%s' '${JSON.stringify(value)}'`
  loop.copy.fake(
    'kubectl',
    `case $* in *view*) ${print(view)} ;; *exec*) printf '%s\\n' '${words}' >&2; exit 1 ;; *) ${print({ items: [pod] })} ;; esac`,
  )
  const env = { TARGET: 'kubernetes', KUBE_CONTEXT: 'kind-fake', KUBE_NAMESPACE: 'default', SELECTOR: 'app=hello' }
  Object.assign(loop.env, env, { NODE_OPTIONS: `--import=${loop.copy.file('hurry.mjs', hurry)}` })
  loop.built(program({ version: 'v1' }))
}

const refused = 'The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?'

link('is named whole while it is tried again, and with its next step at the end', async (loop) => {
  onACluster(loop, refused)
  const { code, stderr } = await loop.task('deploy-dev')
  assert.is(code, 1)
  const what =
    'hello-1: the connection ended without a receipt (the cluster cannot be reached (The connection to the server 127.0.0.1:1 was refused))'
  const [, ...lines] = stderr.trimEnd().split('\n')
  assert.equal(lines, [
    ...[1, 2, 3].map((turn) => `${what} - trying again (${turn} of 3)`),
    `error: ${what} - is it up? kubectl cluster-info; then run npm run deploy-dev again`,
  ])
})

link('is no missing agent where kubectl alone has failed', async (loop) => {
  onACluster(loop, 'error: unable to read client-cert /no/c.crt for u due to open /no/c.crt: no such file or directory')
  for (const name of ['deploy-dev', 'status-dev']) {
    const { stderr } = await loop.task(name)
    assert.match(stderr, /hello-1: the kubeconfig names a file that cannot be read: \/no\/c\.crt \(.*\) - write the/)
    assert.not.match(stderr, /no agent answers|no such program|switch-dev/)
  }
})

link(
  'to pods of two architectures: builds stay with one, whichever answers last, and the way out is said',
  async (loop) => {
    onACluster(loop, '')
    const there = (name: string, uid: string) => ({
      metadata: { name, uid, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { containers: [{ name: 'hello', command: ['hotswap-dev', '--', loop.binaryPath] }] },
      status: { phase: 'Running', containerStatuses: [{ name: 'hello', state: { running: {} } }] },
    })
    const list = JSON.stringify({ items: [there('one-1', 'a'), there('two-1', 'b')] })
    const view = JSON.stringify({
      'current-context': 'kind-fake',
      clusters: [{ cluster: { server: 'https://127.0.0.1:1' } }],
    })
    const [own, other] = hostArch() === 'arm64' ? ['aarch64', 'x86_64'] : ['x86_64', 'aarch64']
    const machine = loop.copy.file('.hotswap/machine', `${hostArch()}\n`)
    // greetings alone: each pod has something against the binary
    const greeting = `printf 'agent=0.1.0 2\\nmachine=%s\\nfree=1\\n\\n'`
    for (const [slow, fast, first] of [
      ['one-1', 'two-1', true],
      ['two-1', 'one-1', false],
      ['one-1', 'two-1', false],
    ] as const) {
      loop.copy.fake(
        'kubectl',
        `case $* in
  *view*) printf '%s' '${view}' ;;
  *exec*${slow}*) sleep 0.7; ${greeting} ${slow === 'one-1' ? own : other} ;;
  *exec*${fast}*) ${greeting} ${fast === 'one-1' ? own : other} ;;
  *) printf '%s' '${list}' ;;
esac`,
      )
      const { code, stderr } = await loop.task('deploy-dev')
      assert.is(code, 1)
      assert.is(readFileSync(machine, 'utf8').split(/\s/)[0], hostArch(), stderr)
      if (first) continue // the other architecture is not known yet
      const another = hostArch() === 'arm64' ? 'amd64' : 'arm64'
      const arch = hostArch()
      assert.match(
        stderr,
        `two-1: the binary is for ${arch}, as other pods are, and this one is ${another}: one build cannot run in both - keep the dev pods on one: nodeSelector: {kubernetes.io/arch: ${arch}} into the pods' spec of MANIFEST`,
      )
      assert.not.match(stderr, 'GO_ARCH')
    }
  },
)

link.run()
