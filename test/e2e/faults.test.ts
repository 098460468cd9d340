// What goes wrong on a real cluster, and the right outcome: several pods, two developers, pods that go, are full, or never come.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { header } from '../../tasks/lib/delivery/put.ts'
import { hostArch } from '../../tasks/lib/binary/elf.ts'
import { suite } from '../lib/suite.ts'
import { cluster, loadImage, removeImages, tool, until } from './cluster.ts'
import { Link } from './link.ts'
import { devPods, modes, project, timedDeploy, type Project } from './project.ts'

const faults = suite<{ it: Project }>('faults')
faults.before(async (context) => {
  context.it = await project('faults')
  await devPods(context.it, 3)
})
faults.after(async ({ it }) => it.remove())

const dev = (it: Project) => join(it.checkout.dir, 'manifests-dev/deployment-dev.yml')

/** A task that runs on while the test does something to the pods. */
async function launched(it: Project, name: string, args: string[] = [], env: Record<string, string> = {}) {
  const { kubeconfig } = await cluster()
  return it.checkout.launch(name, args, { env: { KUBECONFIG: kubeconfig, ...env }, limit: 120_000 })
}

/** A deploy over a link. */
const linked = (it: Project, link: Link) =>
  launched(it, 'deploy-dev', [], { KUBECONFIG: it.checkout.file('link.json', link.kubeconfig) })

/** A put in the pod, held open after half of the binary. */
async function halfUpload(it: Project, pod: string) {
  const bytes = readFileSync(join(it.checkout.dir, 'bin/hello'))
  const { start } = await import('../../tasks/lib/frame/children.ts')
  const { kubeconfig } = await cluster()
  const child = start(
    'kubectl',
    [
      '--kubeconfig',
      kubeconfig,
      '-n',
      it.namespace,
      'exec',
      '-i',
      pod,
      '--',
      'hotswap-dev',
      'put',
      '/usr/local/bin/hello',
    ],
    { stdio: ['pipe', 'pipe', 'ignore'] },
  )
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  const sha256 = '0'.repeat(64)
  child.stdin?.write(
    header({ bytes, sha256, version: 'half', by: 'jane@host' }, bytes.length, { encoding: 'raw' }, 'plain'),
  )
  child.stdin?.write(bytes.subarray(0, bytes.length / 2))
  await until('the partial file', 20, () =>
    it.kubectl(['exec', pod, '--', 'sh', '-c', 'ls /usr/local/bin/hello-dev.part 2>/dev/null || :']),
  )
  return child
}

faults('three pods get the binary at once, each with a receipt of its own', async ({ it }) => {
  it.edit('three, version ')
  await it.run('build')
  const { stdout } = await timedDeploy(it, 'three, version ')
  const pods = await it.pods()
  assert.equal(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(':')[0])
      .sort(),
    [...pods].sort(),
  )
  for (const pod of pods) assert.match(await it.answer(pod), /^three, version /)
  const again = await it.run('deploy-dev')
  assert.equal(again.stdout.match(/already running/g)?.length, 3)
})

faults('a pod that is deleted during the upload is reported, and the others are served', async ({ it }) => {
  it.edit('deleted, version ')
  await it.run('build')
  const [victim = '', ...others] = await it.pods()
  it.set({ ENCODING: 'raw' })
  const link = await Link.open({ rate: 1_500_000 }) // 6 MB to each of three pods: 12 s
  const { ended } = await linked(it, link)
  await until('the upload', 30, async () =>
    (await it.kubectl(['exec', victim, '--', 'ls', '/usr/local/bin'])).includes('hello-dev.part'),
  )
  await it.kubectl(['delete', 'pod', victim, '--wait=false', '--grace-period=1'])
  const { code, stdout, stderr } = await ended
  link.cut()
  it.set({})
  assert.is(code, 1, stdout + stderr)
  assert.match(stderr, new RegExp(`error: ${victim}: `))
  assert.is(stdout.trim().split('\n').length, 2)
  for (const pod of others)
    assert.match(await it.answer(pod, (body) => body.startsWith('deleted')), /^deleted, version /)
  await until('the new pod', 60, async () => (await it.pods()).length === 3 && !(await it.pods()).includes(victim))
  await it.run('switch-dev')
  const { stdout: last } = await it.run('deploy-dev')
  assert.equal(last.match(/already running/g)?.length, 2, 'the new pod is back on the image and gets the binary')
})

faults('of two deploys at the same moment one works, the other is told who and since when', async ({ it }) => {
  it.edit('two, version ')
  await it.run('build')
  const [pod = ''] = await it.pods()
  const held = await halfUpload(it, pod)
  const { stderr, stdout } = await it.run('deploy-dev', [], { code: 1 })
  assert.match(
    stderr,
    new RegExp(`error: ${pod}: busy: another put is at work: jane@host since \\d\\d:\\d\\d:\\d\\d UTC; .* runs on`),
  )
  assert.is(stdout.trim().split('\n').length, 2, 'the other two pods have it')
  held.kill()
  await until(
    'the end of the upload',
    20,
    async () => !(await it.kubectl(['exec', pod, '--', 'ls', '/usr/local/bin'])).includes('.part'),
  )
  await it.run('deploy-dev')
})

faults('a client that stops in the middle is taken over by the next deploy', async ({ it }) => {
  it.edit('stopped, version ')
  await it.run('build')
  const [pod = ''] = await it.pods()
  const held = await halfUpload(it, pod)
  held.kill('SIGSTOP')
  await new Promise((resolve) => setTimeout(resolve, 11_500)) // LIMIT
  await it.run('deploy-dev')
  assert.match(await it.answer(pod), /^stopped, version /)
  held.kill('SIGKILL')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  assert.match(await it.answer(pod), /^stopped, version /)
})

faults('a refused upload ends at once instead of hanging', async ({ it }) => {
  const [pod = ''] = await it.pods()
  await it.kubectl(['exec', pod, '--', 'chmod', '1755', '/usr/local/bin'])
  await it.kubectl(['exec', pod, '--', 'sh', '-c', 'mount -t tmpfs none /usr/local/bin 2>/dev/null || :'])
  it.checkout.file('bin/hello', 'no program')
  const begin = performance.now()
  const { stderr } = await it.run('deploy-dev', [], { code: 1 })
  assert.match(stderr, /bin\/hello is no ELF file - run npm run build/)
  assert.ok(performance.now() - begin < 10_000)
})

faults('a container that restarts is back on the image, and deploy-dev and status-dev say so', async ({ it }) => {
  it.edit('restarted, version ')
  await it.run('build')
  await it.run('deploy-dev')
  const [pod = ''] = await it.pods()
  await it.kubectl(['exec', pod, '--', 'sh', '-c', 'kill -TERM 1'])
  await until(
    'the restart',
    60,
    async () =>
      (await it.kubectl(['get', 'pod', pod, '-o', 'jsonpath={.status.containerStatuses[0].restartCount}'])) === '1',
  )
  await until(
    'the agent',
    60,
    async () => (await it.run('status-dev')).stdout.split('\n').filter((row) => / running /.test(row)).length === 3,
  )
  assert.match(await it.answer(pod, (body) => body.startsWith('hello')), /^hello, version /)
  const { stdout } = await it.run('deploy-dev')
  assert.equal(stdout.match(/already running/g)?.length, 2)
  assert.match(await it.answer(pod), /^restarted, version /)
})

faults(
  'a pod with two sidecars, a shared process namespace and a user that is not root is swapped all the same',
  async ({ it }) => {
    const manifest = it.checkout.read('manifests/deployment.yml')
    const image = `local/${it.namespace}:1`
    const sidecar = (name: string) =>
      `        - {name: ${name}, image: ${image}, imagePullPolicy: IfNotPresent, command: [/bin/sh, -c, "exec sleep 3600"]}\n`
    it.checkout.file(
      'manifests/deployment.yml',
      manifest
        .replace('replicas: 3', 'replicas: 1')
        .replace(
          '      containers:\n',
          `      shareProcessNamespace: true\n      securityContext: {runAsUser: 1234, runAsNonRoot: true}\n      containers:\n${sidecar('first')}`,
        ) + sidecar('last'),
    )
    const named = (await it.run('generate-deployment-dev')).stderr
    for (const name of ['first', 'last'])
      assert.match(named, new RegExp(`container ${name} stays as it is: it runs /bin/sh`))
    // the sidecars have an image of their own, as sidecars do
    await tool('docker', ['tag', 'local/busybox:1', `local/${it.namespace}-side:1`])
    await loadImage(`local/${it.namespace}-side:1`)
    it.checkout.file(
      'manifests/deployment.yml',
      it.checkout
        .read('manifests/deployment.yml')
        .replaceAll(/(name: (?:first|last), image: )[^,]+/g, `$1local/${it.namespace}-side:1`),
    )
    const { stderr } = await it.run('generate-deployment-dev')
    assert.match(stderr, /warning: /)
    await it.run('switch-dev')
    it.edit('sidecars, version ')
    await it.run('build')
    const { stdout } = await it.run('deploy-dev')
    const [pod = ''] = await it.pods()
    assert.match(stdout, new RegExp(`^${pod}: `))
    assert.match(await it.answer(pod), /^sidecars, version /)
    const { stdout: json } = await it.run('status-dev', ['--json'])
    assert.is(JSON.parse(json).proof, 'exe')
    const wrong = it.run('deploy-dev', [], { code: 2 })
    it.set({ CONTAINER: 'nope' })
    assert.match(
      (await it.run('deploy-dev', [], { code: 2 })).stderr,
      /has no container nope: there are first, hello, last - correct CONTAINER in \.env/,
    )
    it.set({})
    await wrong.catch(() => undefined)
    await removeImages(`local/${it.namespace}-side:1`)
    it.checkout.file('manifests/deployment.yml', manifest.replace('replicas: 3', 'replicas: 1'))
    await it.run('generate-deployment-dev')
  },
)

faults('an image that cannot be pulled is named, with the pod', async ({ it }) => {
  const good = it.checkout.read('manifests-dev/deployment-dev.yml')
  it.checkout.file(
    'manifests-dev/deployment-dev.yml',
    good.replace(/image: local\/\S+-dev:1/, 'image: local/nothing:1').replace('IfNotPresent', 'Never'),
  )
  const { stderr } = await it.run('switch-dev', [], { code: 1 })
  assert.match(stderr, /error: the pods did not come up: .*container hello: waiting \(ErrImageNeverPull: /)
  it.checkout.file('manifests-dev/deployment-dev.yml', good)
  await it.run('switch-dev')
})

faults('a quota that is too small is named', async ({ it }) => {
  await it.kubectl(['create', 'quota', 'small', '--hard=pods=0'])
  try {
    // before it is counted, the server says 'status unknown for quota', and the Deployment keeps the first reason for good
    await until('the quota to be counted', 60, () =>
      it.kubectl(['get', 'quota', 'small', '-o', 'jsonpath={.status.hard.pods}']),
    )
    await it.kubectl(['delete', 'pods', '--all', '--grace-period=1'])
    const { stderr } = await it.run('switch-dev', [], { code: 1 })
    assert.match(stderr, /error: the pods did not come up: .*exceeded quota: small/)
    const { stderr: none } = await it.run('deploy-dev', [], { code: 1 })
    assert.match(
      none,
      new RegExp(`error: no pod matches app=hello in namespace ${it.namespace} - run npm run switch-dev`),
    )
  } finally {
    await it.kubectl(['delete', 'quota', 'small'])
    await it.kubectl(['rollout', 'restart', 'deployment/hello'])
  }
  await it.run('switch-dev')
})

faults('a terminating pod gets nothing, and is named', async ({ it }) => {
  const [pod = ''] = await it.pods()
  const finalizers = (list: string) => ['patch', 'pod', pod, '-p', `{"metadata":{"finalizers":${list}}}`]
  await it.kubectl(finalizers('["example.com/held"]'))
  await it.kubectl(['scale', 'deployment/hello', '--replicas=0'])
  await until('the pod to terminate', 30, () =>
    it.kubectl(['get', 'pod', pod, '-o', 'jsonpath={.metadata.deletionTimestamp}']),
  )
  const { stdout, stderr } = await it.run('deploy-dev', [], { code: 1 }).finally(() => it.kubectl(finalizers('null')))
  assert.is(stdout, '')
  assert.match(stderr, new RegExp(`error: .*${pod} is terminating`))
  await it.run('switch-dev')
})

faults('a pending pod is named, with the reason', async ({ it }) => {
  const good = it.checkout.read('manifests-dev/deployment-dev.yml')
  await it.kubectl(['scale', 'deployment/hello', '--replicas=0'])
  await until(
    'no pod',
    60,
    async () => (await it.pods()).length === 0 && !(await it.kubectl(['get', 'pods'])).includes('hello'),
  )
  it.checkout.file('manifests-dev/deployment-dev.yml', good.replace('cpu: 50m', 'cpu: 5000'))
  await it.kubectl(['apply', '-f', dev(it)])
  await until('the pod', 30, async () => (await it.kubectl(['get', 'pods'])).includes('Pending'))
  const { stderr } = await it.run('deploy-dev', [], { code: 1 })
  assert.match(stderr, /can be reached: \S+ is pending \(.*Insufficient cpu.*\) - see kubectl describe pod/)
  it.checkout.file('manifests-dev/deployment-dev.yml', good)
  await it.run('switch-dev')
})

faults(
  'a context that is not there, and one that nobody consented to, end before anything is changed',
  async ({ it }) => {
    it.set({ KUBE_CONTEXT: 'nope' })
    assert.match(
      (await it.run('deploy-dev', [], { code: 1 })).stderr,
      /nope.* - see kubectl config get-contexts, and set KUBE_CONTEXT in \.env/,
    )
    const { context } = await cluster()
    it.set({ KUBE_CONTEXT: '', TARGET: 'kubernetes' })
    for (const task of ['deploy-dev', 'switch-dev', 'switch-prod'])
      assert.match(
        (await it.run(task, [], { code: 2 })).stderr,
        new RegExp(
          `error: context ${context} \\(https://.*\\) is not a cluster of this machine - .* put KUBE_CONTEXT=${context} in \\.env`,
        ),
      )
    it.set({})
  },
)

faults('an expired credential is named', async ({ it }) => {
  const { kubeconfig, context } = await cluster()
  const config = JSON.parse(await it.kubectl(['config', 'view', '--raw', '-o', 'json', '--minify']))
  config.users[0].user = { token: 'expired' }
  const path = it.checkout.file('expired.json', JSON.stringify(config))
  const { ended } = await launched(it, 'deploy-dev', [], { KUBECONFIG: path })
  const { code, stderr } = await ended
  assert.is(code, 1, `${kubeconfig} ${context}`)
  assert.match(stderr, /error: the cluster does not accept the credentials \(.*\) - log in again/)
})

faults('an API server that goes away in the middle leaves what ran running', async ({ it }) => {
  it.edit('gone, version ')
  await it.run('build')
  const before = await it.answer((await it.pods())[0] ?? '')
  const link = await Link.open()
  it.set({ ENCODING: 'raw' })
  const { ended } = await linked(it, link)
  await link.at(1_000_000) // in the middle of the binary
  link.cut()
  const { code, stdout, stderr } = await ended
  assert.is(code, 1, stdout + stderr)
  assert.is(stdout, '')
  assert.match(stderr, /error: /)
  const [pod = ''] = await it.pods()
  assert.is(await it.answer(pod), before)
  it.set({})
  await it.run('deploy-dev')
  assert.match(await it.answer(pod), /^gone, version /)
  assert.not.match(await it.kubectl(['exec', pod, '--', 'ls', '/usr/local/bin']), /\.part/)
})

faults('a link that is cut once is tried again, and the pod serves the new version', async ({ it }) => {
  it.edit('again, version ')
  await it.run('build')
  it.set({ ENCODING: 'raw' })
  const link = await Link.open()
  const { ended } = await linked(it, link)
  ;(await link.at(1_000_000)).cut()
  const { code, stdout, stderr } = await ended
  link.cut()
  it.set({})
  assert.is(code, 0, stdout + stderr)
  const [pod = ''] = await it.pods()
  assert.match(stderr, new RegExp(`${pod}: .* - trying again \\(1 of 3\\)`))
  assert.match(await it.answer(pod), /^again, version /)
})

faults('production comes back at the end', async ({ it }) => {
  await it.run('switch-prod')
  assert.is(await it.kubectl(['diff', '-f', join(it.checkout.dir, 'manifests/deployment.yml')]), '')
})

faults.run()

const loaders = suite<{ it: Project }>('loaders')
loaders.before(async (context) => {
  context.it = await project('loader', modes[1])
  await devPods(context.it, 1)
})
loaders.after(async ({ it }) => it.remove())

loaders('a build whose loader the pod does not have stops nothing; without it, the build is taken', async ({ it }) => {
  const [pod = ''] = await it.pods()
  const state = async () => `${await it.answer(pod)} ${await it.sh(pod, 'pidof hello')}`
  const before = await state()
  it.edit('through a loader, version ')
  await it.run('build', [], { env: { GO_FLAGS: '-buildmode=pie' } })
  const loader = hostArch() === 'amd64' ? '/lib64/ld-linux-x86-64.so.2' : '/lib/ld-linux-aarch64.so.1'
  const needs = `needs the ELF interpreter ${loader}, which `
  const { stderr } = await it.run('deploy-dev', [], { code: 1 })
  assert.ok(stderr.includes(`error: ${pod}: rejected: it ${needs}`), stderr)
  assert.match(stderr, /CGO_ENABLED=0 and -buildmode=exe, or take a base image that has it; .* runs on - /)
  const doctor = await it.run('doctor-dev', [], { code: 1 })
  assert.ok(`${doctor.stdout}${doctor.stderr}`.includes(needs), doctor.stdout + doctor.stderr)
  assert.is(await state(), before)

  await it.run('build')
  await it.run('deploy-dev')
  assert.match(await it.answer(pod, (body) => body.startsWith('through')), /^through a loader/)
})

loaders.run()
