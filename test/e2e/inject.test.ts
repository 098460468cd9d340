// What injection alone brings: objects that come from the cluster and go back to it, and nodes that do not let it work.
import { execFileSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { kept, production as was } from '../../tasks/lib/cluster/production.ts'
import { generate } from '../../tasks/lib/manifest/generate.ts'
import { script, scriptsOf, shapes, type Workload } from '../lib/shapes.ts'
import { suite } from '../lib/suite.ts'
import { cluster, until } from './cluster.ts'
import { modes, production, project, type Project } from './project.ts'

const [, , injected] = modes
const inject = suite<{ it: Project }>('injection')
inject.before(async (context) => {
  context.it = await project('inject', injected)
  await production(context.it, 5)
})
inject.after(async ({ it }) => it.remove())

const live = async (it: Project): Promise<unknown> =>
  JSON.parse(await it.kubectl(['get', 'deployment', 'hello', '-o', 'json']))
const path = 'manifests-dev/deployment-dev.yml'

inject('an object that a chart installed: five dev pods within 30 s, and back exactly as it was', async ({ it }) => {
  const manifest = it.checkout
    .read('manifests/deployment.yml')
    .replace(
      '  labels:\n',
      '  annotations: {meta.helm.sh/release-name: shop}\n  labels:\n    app.kubernetes.io/managed-by: Helm\n',
    )
  await it.kubectl(['create', '-f', '-'], manifest)
  await it.kubectl(['rollout', 'status', 'deployment/hello', '--timeout=60s'])
  const before = await live(it)
  it.set({ MANIFEST: 'manifests/none.yml' })

  const yaml = await it.kubectl(['get', 'deployment', 'hello', '-o', 'yaml'])
  const { stdout } = await it.run('generate-deployment-dev', ['-'], { input: yaml })
  assert.not.match(stdout, /^status:|^ {2}(?:uid|resourceVersion|generation|creationTimestamp):/m)
  writeFileSync(it.checkout.file(path, ''), stdout)
  const begin = performance.now()
  const { stderr } = await it.run('switch-dev')
  const seconds = (performance.now() - begin) / 1000
  process.stderr.write(`\nmeasured: npm run switch-dev, 5 replicas: ${seconds.toFixed(1)} s\n`)
  assert.ok(seconds < 30, `${seconds} s`)
  assert.match(
    stderr,
    /^warning: Deployment hello is kept by Helm \(release shop\): its next upgrade or rollback undoes this change/m,
  )
  assert.is(stderr.match(/: the agent answers \(running, /g)?.length, 5)
  assert.equal(was(await live(it)), kept(before), 'kept in the annotation')
  assert.not.match(JSON.stringify(((await live(it)) as { spec: unknown }).spec), /livenessProbe/, 'gone from the pods')

  const [pod = ''] = await it.pods()
  const there = await it.kubectl(['exec', pod, '--', '/hotswap/bin/busybox', 'cat', '/hotswap/agent/hotswap-dev'])
  assert.ok(there === script, 'the agent is there byte by byte')

  const again = await it.run('switch-dev')
  assert.match(again.stderr, /^deployment\.apps\/hello unchanged$/m)
  const back = await it.run('switch-prod')
  assert.match(back.stderr, /^deployment\.apps\/hello is as it was before$/m)
  assert.equal(kept(await live(it)), kept(before))
  assert.match(
    (await it.run('switch-prod')).stderr,
    /manifests\/none\.yml has none of these workloads, so it is not applied/,
  )
})

inject('kubectl reads the very script out of a manifest of any style', async ({ it }) => {
  const options = {
    ...{ file: 'm.yml', prodImage: 'hello', devImage: '', loaded: false, binaryPath: '/usr/local/bin/hello' },
    ...{ debugPort: 2345, debugWait: false, settle: 0.5, limit: 10, hold: true },
    inject: { image: 'busybox', agent: script, binaryChosen: true },
  }
  for (const [title, text] of shapes)
    for (const before of [text, text.replaceAll('\n', '\r\n')]) {
      const words = ['create', '--dry-run=client', '--validate=false', '-o', 'json', '-f', '-']
      const json = await it.kubectl(words, generate(before, options).text)
      const objects = json.split(/(?<=^\})\n/m).filter(Boolean)
      const found = scriptsOf(objects.map((each) => JSON.parse(each) as Workload))
      assert.ok(found.length > 0 && found.every((each) => each === script), title)
    }
})

inject('who keeps the object otherwise is named, before and after', async ({ it }) => {
  await it.kubectl([
    ...['label', 'deployment/hello', 'app.kubernetes.io/managed-by-', 'kustomize.toolkit.fluxcd.io/name=apps'],
    'kustomize.toolkit.fluxcd.io/namespace=flux-system',
  ])
  const { stderr } = await it.run('switch-dev')
  assert.match(
    stderr,
    /^warning: Deployment hello is kept by Flux .* - flux suspend kustomization apps -n flux-system$/m,
  )
  // from another machine: it has the production manifest alone
  const env = { MANIFEST: 'manifests/deployment.yml', MANIFEST_DEV: 'manifests-dev/none.yml' }
  const { stderr: back } = await it.run('switch-prod', [], { env })
  assert.match(back, /^deployment\.apps\/hello is as it was before$/m)
  assert.match(back, /^warning: Deployment hello is kept by Flux .*: flux resume kustomization apps -n flux-system$/m)
})

inject('a program that is not where BINARY_PATH says is told by switch-dev', async ({ it }) => {
  const dev = it.checkout.read(path)
  it.checkout.file(
    path,
    dev.replace('- /usr/local/bin/hello\n', '- /elsewhere/hello\n').replace('replicas: 5', 'replicas: 1'),
  )
  const { stderr } = await it.run('switch-dev', [], { code: 1, limit: 240 })
  assert.match(stderr, /\/elsewhere\/hello/)
  it.checkout.file(path, dev)
  await it.run('switch-prod')
})

inject(
  'a node that mounts its emptyDirs noexec is found at the start, in one line with the way out',
  async ({ it }) => {
    if (!(await cluster()).owned) return // the node of another cluster cannot be reached
    // an init container of the service holds the pod back until the node is as hardened as some are
    const dev = it.checkout.read(path).replace('replicas: 5', 'replicas: 1')
    const wait = `      - name: wait
        image: local/busybox:1
        command: [sh, -c, 'until [ -e /gate/open ]; do sleep 0.1; done']
        securityContext: {runAsUser: 7, runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
        volumeMounts: [{name: gate, mountPath: /gate}]
`
    const gated = dev
      .replace('      initContainers:\n', `      initContainers:\n${wait}`)
      .replace('      volumes:\n', '      volumes:\n      - {name: gate, emptyDir: {}}\n')
    it.checkout.file(path, gated)
    let folder = ''
    const failed = it.run('switch-dev', [], { code: 1, limit: 240 })
    try {
      const uid = await until('the pod', 30, async () => {
        const pods = JSON.parse(await it.kubectl(['get', 'pods', '-l', 'app=hello', '-o', 'json'])) as {
          items: { metadata: { uid: string }; spec: { initContainers?: { name: string }[] } }[]
        }
        return pods.items.find(({ spec }) => spec.initContainers?.[0]?.name === 'wait')?.metadata.uid
      })
      const home = environment().CLUSTER_DIR ?? join(homedir(), '.cache/hotswap-cluster')
      const volumes = `${home}/kubelet/pods/${uid}/volumes/kubernetes.io~empty-dir`
      folder = await until('its volumes', 30, async () => existsSync(`${volumes}/gate`) && `${volumes}/hotswap-dev`)
      execFileSync('mount', ['--bind', folder, folder])
      execFileSync('mount', ['-o', 'remount,bind,noexec', folder])
      writeFileSync(`${volumes}/gate/open`, '')
      const { stderr } = await failed
      assert.match(
        stderr.split('\n').at(-2) ?? '',
        /^error: the pods did not come up: .*hotswap-dev: no program can be run from an emptyDir of this node, which mounts them noexec - set DEV_IMAGE in \.env/,
      )
    } finally {
      await failed.catch(() => undefined)
      if (folder !== '') execFileSync('umount', [folder])
    }
  },
)

inject.run()
