// The doctor on a real cluster: twelve faults are planted, one at a time, and each is found by its name and nothing else.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { root } from '../../tasks/lib/frame/root.ts'
import { objects } from '../lib/json.ts'
import { suite } from '../lib/suite.ts'
import { cluster, tool, until } from './cluster.ts'
import { developer, devPods, project, type Project } from './project.ts'

interface Container {
  image: string
  command: string[]
  securityContext?: object
  readinessProbe?: object
  resources: { limits?: object }
  volumeMounts?: object[]
}
interface Deployment {
  metadata: { annotations?: object }
  spec: {
    template: {
      metadata: { annotations: Record<string, string> }
      spec: { containers: [Container]; volumes?: object[]; securityContext?: object }
    }
  }
}

const doctor = suite<{ it: Project; base: string; user: (without: string) => Promise<string> }>('doctor-dev')
doctor.before(async (context) => {
  const it = await project('doctor')
  context.it = it
  await devPods(it)
  const found = JSON.parse(await it.kubectl(['get', 'deployment', 'hello', '-o', 'json']))
  const { name, namespace, labels, annotations } = found.metadata
  context.base = JSON.stringify({ ...found, metadata: { name, namespace, labels, annotations }, status: undefined })
  const { role, kubeconfig } = await developer(it)
  // the Role of the README, without one of its resources
  context.user = async (without) => {
    await it.kubectl(['apply', '-f', '-'], role.replace(new RegExp(`\\b${without}(, )?`), '').replace(', ]', ']'))
    return kubeconfig
  }
})
doctor.after(async ({ it }) => it.remove())

/** The names of the faults, each once, and all that was printed. */
async function faults(it: Project, env: Record<string, string> = {}) {
  const kubeconfig = (await cluster()).kubeconfig
  const run = await it.checkout.run('doctor-dev', ['--json'], {
    env: { KUBECONFIG: kubeconfig, ...env },
    limit: 90_000,
  })
  const found = objects('doctor-dev', run.stdout)
  const wrong = found.filter(({ result }) => result === 'fault')
  assert.is(run.code, wrong.length === 0 ? 0 : 1, run.stdout + run.stderr)
  for (const { remedy } of wrong) assert.ok(remedy !== '', `a fault has a remedy: ${run.stdout}`)
  return { names: wrong.map(({ check }) => String(check)), text: run.stdout }
}

/** The dev pods, changed; waits until the one of it is there alone. */
async function changed(it: Project, base: string, change: (deployment: Deployment, container: Container) => void) {
  const deployment = JSON.parse(base) as Deployment
  change(deployment, deployment.spec.template.spec.containers[0])
  await it.kubectl(['replace', '-f', '-'], JSON.stringify(deployment))
  await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
  await until('one pod', 60, async () => (await it.pods()).length === 1)
}

async function inPod(it: Project, command: string, input = '') {
  const [pod = ''] = await it.pods()
  return it.kubectl(['exec', '-i', pod, '--', 'sh', '-c', command], input)
}

doctor('finds nothing where all is well, and changes nothing', async ({ it, user }) => {
  const [pod = ''] = await it.pods()
  const state = 'ls -la --time-style=full-iso /usr/local/bin /usr/local/bin/.hotswap-hello | grep -vE " \\.\\.?$"'
  await it.run('status-dev') // the first one remembers the sha256
  const before = await inPod(it, state)
  const { names, text } = await faults(it, { KUBECONFIG: await user('nothing') })
  assert.equal(names, [], text)
  assert.match(text, /"check":"ptrace","result":"ok"/)
  assert.match(text, /"check":"debugger","result":"ok"/)
  assert.is(await inPod(it, state), before)
  assert.equal(await it.pods(), [pod])
})

for (const [resource, use] of [
  ['pods/exec', 'exec'],
  ['pods/portforward', 'port-forward'],
] as const)
  doctor(`no ${use} right`, async ({ it, user }) => {
    const { names, text } = await faults(it, { KUBECONFIG: await user(resource) })
    assert.equal(names, [`permission create ${resource}`], text)
  })

doctor('wrong context', async ({ it }) => {
  const { names, text } = await faults(it, { KUBE_CONTEXT: 'elsewhere' })
  assert.equal(names, ['context'], text)
})

doctor('wrong architecture in .env', async ({ it }) => {
  const { names, text } = await faults(it, { GO_ARCH: process.arch === 'x64' ? 'arm64' : 'amd64' })
  assert.equal(names, ['architecture'], text)
})

doctor('a clock that is off by a minute', async ({ it }) => {
  await inPod(
    it,
    `printf '#!/bin/sh\\nexec /bin/date -d "60 sec" "$@"\\n' >/usr/local/bin/date; chmod 755 /usr/local/bin/date`,
  )
  const { names, text } = await faults(it)
  assert.equal(names, ['clock'], text)
  assert.match(text, /its clock is (59|60|61) s ahead/)
  await inPod(it, 'rm /usr/local/bin/date')
})

doctor('a Delve too old for the Go version', async ({ it }) => {
  const [pod = ''] = await it.pods()
  const old = await oldDelve()
  await it.kubectl(['exec', pod, '--', 'mv', '/usr/local/bin/dlv', '/usr/local/bin/dlv-new'])
  await tool('sh', [
    '-c',
    'exec kubectl --kubeconfig "$1" -n "$2" exec -i "$3" -- sh -c "cat >/usr/local/bin/dlv && chmod 755 /usr/local/bin/dlv" <"$4"',
    'sh',
    (await cluster()).kubeconfig,
    it.namespace,
    pod,
    old,
  ])
  const { names, text } = await faults(it)
  assert.equal(names, ['debugger'], text)
  assert.match(text, /Delve 1\.25\.0 there knows Go up to 1\.24, the program is built by go1\./)
  await it.kubectl(['exec', pod, '--', 'mv', '/usr/local/bin/dlv-new', '/usr/local/bin/dlv'])
})

/** Built once; go install has it from the Go proxy. */
async function oldDelve(): Promise<string> {
  const folder = join(root, 'node_modules/.cache/hotswap-old-delve')
  await tool(
    'sh',
    [
      '-c',
      'test -x "$1/dlv" || CGO_ENABLED=0 GOFLAGS= GOBIN="$1" go install github.com/go-delve/delve/cmd/dlv@v1.25.0',
      'sh',
      folder,
    ],
    { limit: 400 },
  )
  return join(folder, 'dlv')
}

doctor('a low memory limit', async ({ it, base }) => {
  await changed(it, base, (_, container) => (container.resources.limits = { memory: '36Mi' }))
  await it.run('build-debug')
  const { names, text } = await faults(it)
  await it.run('build')
  assert.equal(names, ['memory'], text)
})

doctor('a read-only folder', async ({ it, base }) => {
  await changed(it, base, (_, container) => (container.securityContext = { readOnlyRootFilesystem: true }))
  const { names, text } = await faults(it)
  assert.equal(names, ['folder'], text)
})

doctor('a full disk', async ({ it, base }) => {
  await changed(it, base, ({ spec: { template } }, container) => {
    template.spec.volumes = [{ name: 'small', emptyDir: { medium: 'Memory', sizeLimit: '3Mi' } }]
    container.volumeMounts = [{ name: 'small', mountPath: '/app' }]
    container.command = container.command.map((word) => word.replace('/usr/local/bin/hello', '/app/hello'))
    template.metadata.annotations['hotswap-dev/binary'] = '/app/hello'
    delete container.readinessProbe // there is no program yet
  })
  const { names, text } = await faults(it)
  assert.equal(names, ['disk'], text)
})

doctor('an old agent', async ({ it, base }) => {
  const script = it.checkout
    .read('agent/hotswap-dev')
    .replace(/release_version=\S+ protocol=\d+/, 'release_version=0.0.9 protocol=0')
  const file = it.checkout.file('old-agent', script)
  await it.kubectl(['create', 'configmap', 'old-agent', `--from-file=hotswap-dev=${file}`])
  await changed(it, base, ({ spec: { template } }, container) => {
    template.spec.volumes = [{ name: 'old', configMap: { name: 'old-agent', defaultMode: 0o755 } }]
    container.volumeMounts = [{ name: 'old', mountPath: '/usr/local/bin/hotswap-dev', subPath: 'hotswap-dev' }]
  })
  const { names, text } = await faults(it)
  assert.equal(names, ['agent'], text)
  assert.match(text, /the agent \(0\.0\.9 0\) is older than these tasks/)
})

doctor('no ptrace', async ({ it, base }) => {
  const { owned } = await cluster()
  // a seccomp profile is a file of the node: https://kubernetes.io/docs/tutorials/security/seccomp/
  assert.ok(owned, 'needs the cluster of test/cluster, into whose node a file is put')
  const dir = environment().CLUSTER_DIR ?? join(homedir(), '.cache/hotswap-cluster')
  const profile = join(dir, 'kubelet/seccomp', `${it.namespace}.json`)
  mkdirSync(join(dir, 'kubelet/seccomp'), { recursive: true })
  const syscalls = [{ names: ['ptrace'], action: 'SCMP_ACT_ERRNO' }]
  writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls }))
  try {
    await changed(it, base, (_, container) => {
      container.securityContext = { seccompProfile: { type: 'Localhost', localhostProfile: `${it.namespace}.json` } }
      delete container.readinessProbe // the image's binary is to run under Delve, and cannot
    })
    const { names, text } = await faults(it)
    assert.equal(names, ['ptrace'], text)
    assert.match(text, /operation not permitted/)
  } finally {
    rmSync(profile)
  }
})

doctor('no agent yet: a next step, and no fault', async ({ it }) => {
  await it.run('switch-prod')
  const { names, text } = await faults(it)
  assert.equal(names, [], text)
  assert.match(text, /"check":"agent","result":"note","found":"no agent answers .*npm run switch-dev/)
})

doctor.run()
