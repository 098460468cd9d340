// Three public services, in manifests of their own kind, on images that have nothing but the program: each becomes a dev pod
// without an edit by hand, gets a new binary, and is production again.
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { cluster, httpGet, loadImage, podURL, removeImages, tool, until } from './cluster.ts'
import { firstEdit, modes, project, type Project } from './project.ts'

interface Service {
  readonly name: string
  readonly kind: string
  /** With its version: from the Go module proxy. */
  readonly module: string
  readonly main: string
  /** Where its image has it. */
  readonly path: string
  readonly port: number
  readonly asks: string
  /** Below kind, name and selector: the fields of the workload, and those of the pod. */
  readonly spec: string
  readonly pod: string
  /** Through a pipe, as helm template and kustomize write it; else from a file. */
  readonly piped: boolean
}

const strict =
  '{runAsNonRoot: true, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}'
const waits = `image: local/busybox:1, command: [sh, -c, 'trap exit TERM; sleep 9999 & wait'], securityContext: ${strict.replace('{', '{runAsUser: 7, ')}`

const services: readonly Service[] = [
  {
    name: 'httpbin',
    kind: 'Deployment',
    module: 'github.com/mccutchen/go-httpbin/v2@v2.26.0',
    main: './cmd/go-httpbin',
    path: '/bin/go-httpbin',
    port: 8080,
    asks: '/get',
    // while a pod is new for so long, those of production are still there
    spec: '  replicas: 2\n  minReadySeconds: 6\n',
    // its command is the image's own
    pod: `      initContainers:
        - {name: logs, restartPolicy: Always, ${waits}}
      containers:
        - {name: mesh, ${waits}}
        - name: httpbin
          image: IMAGE
          ports: [{name: http, containerPort: 8080}]
          env:
            - {name: LOG_FORMAT, value: json}
          livenessProbe: {httpGet: {path: /status/200, port: http}}
          readinessProbe: {httpGet: {path: /status/200, port: http}, periodSeconds: 1}
          securityContext: ${strict}
`,
    piped: true,
  },
  {
    name: 'nats',
    kind: 'StatefulSet',
    module: 'github.com/nats-io/nats-server/v2@v2.15.2',
    main: '.',
    path: '/nats-server',
    port: 8222,
    asks: '/varz',
    spec: '  serviceName: nats\n  replicas: 2\n  podManagementPolicy: Parallel\n',
    pod: `      terminationGracePeriodSeconds: 20
      securityContext: {fsGroup: 1000}
      containers:
      - name: nats
        image: IMAGE
        command:
        - /nats-server # as its chart has it
        - --http_port=8222
        args: ["--jetstream", "--store_dir=/data"]
        env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        startupProbe:
          httpGet: {path: /healthz, port: 8222}
          periodSeconds: 1
        readinessProbe:
          httpGet: {path: "/healthz?js-server-only=true", port: 8222}
          periodSeconds: 1
        securityContext: ${strict}
        volumeMounts:
        - name: data
          mountPath: /data
      volumes:
      - name: data
        emptyDir: {}
`,
    piped: false,
  },
  {
    name: 'statsd',
    kind: 'DaemonSet',
    module: 'github.com/prometheus/statsd_exporter@v0.31.0',
    main: '.',
    path: '/bin/statsd_exporter',
    port: 9102,
    asks: '/metrics',
    spec: '  updateStrategy: {type: RollingUpdate}\n',
    pod: `      containers:
      - args: [--log.level=debug]
        image: IMAGE
        name: statsd
        livenessProbe: {httpGet: {path: /-/healthy, port: 9102}}
        readinessProbe: {httpGet: {path: /-/ready, port: 9102}, periodSeconds: 1}
        resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 128Mi}}
        securityContext: ${strict}
`,
    piped: true,
  },
]

function manifest({ name, kind, spec, pod }: Service, image: string): string {
  return `# The service of production, which knows nothing of hot swapping.
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {clusterIP: None, selector: {app: ${name}}}
---
apiVersion: apps/v1
kind: ${kind}
metadata:
  name: ${name}
spec:
${spec}  selector: {matchLabels: {app: ${name}}}
  template:
    metadata:
      labels: {app: ${name}}
    spec:
${pod.replace('IMAGE', image)}`
}

const [, , injected] = modes
const all = suite<{ it: Project }>('public services')
all.before(async (context) => void (context.it = await project('public', injected)))
all.after(async ({ it }) => it.remove())

for (const service of services) {
  const { name, kind, module, main, path, port, asks, piped } = service
  all(`${name}, a ${kind}: generate-deployment-dev, switch-dev, build, deploy-dev, switch-prod`, async ({ it }) => {
    const source = join(it.checkout.dir, 'sources', name)
    const { Dir } = JSON.parse(await tool('go', ['mod', 'download', '-json', module], { limit: 200 })) as {
      Dir: string
    }
    cpSync(Dir, source, { recursive: true })
    await tool('chmod', ['-R', 'u+w', source])
    const image = `local/${it.namespace}-${name}:1`
    const [production, dev, binary] = [`manifests/${name}.yml`, `manifests-dev/${name}.yml`, `bin/${name}`]
    it.set({
      ...{ GO_DIR: source, GO_MAIN: main, VERSION_VAR: '', BINARY: binary, BINARY_PATH: path },
      ...{ SELECTOR: `app=${name}`, PROD_IMAGE: image, MANIFEST: production, MANIFEST_DEV: dev },
    })
    await it.run('build', [], { limit: 500 })
    it.checkout.file(`image/${name}`, `FROM scratch\nCOPY ${binary} ${path}\nUSER 1000\nENTRYPOINT ["${path}"]\n`)
    const { dir } = it.checkout
    await tool('docker', ['build', '-q', '-t', image, '-f', join(dir, 'image', name), dir], { limit: 120 })
    try {
      await loadImage(image)
      const text = manifest(service, image)
      it.checkout.file(production, text)
      await it.kubectl(['apply', '-f', join(dir, production)])
      const up = () => it.kubectl(['rollout', 'status', `${kind}/${name}`, '--timeout=90s'])
      await up()
      const sidecars = service.pod.includes('name: mesh')
      if (sidecars) {
        const { stderr } = await it.run('deploy-dev', [], { code: 2 })
        assert.match(
          stderr,
          /is without the agent in its containers mesh, httpbin, logs.* - run npm run switch-dev, or/,
        )
      }

      if (piped) {
        const { stdout } = await it.run('generate-deployment-dev', ['-'], { input: text })
        assert.ok(stdout.includes(text.slice(0, text.indexOf('---'))), 'what is not concerned passes through')
        writeFileSync(it.checkout.file(dev, ''), stdout)
      } else await it.run('generate-deployment-dev')
      if (sidecars) {
        // it brings up the dev pods by itself
        await firstEdit(it, { KUBECONFIG: (await cluster()).kubeconfig })
      }
      const { stderr } = await it.run('switch-dev')
      const pods = await it.pods(`app=${name}`)
      assert.ok(pods.length > 0)
      for (const pod of pods) assert.match(stderr, new RegExp(`${pod}: the agent answers \\(running, `))

      it.checkout.file(
        `sources/${name}/${main}/swapped.go`,
        'package main\n\nfunc init() { println("it was swapped") }\n',
      )
      await it.run('build', [], { limit: 500 })
      await it.run('deploy-dev')
      for (const pod of pods) {
        await httpGet(`${await podURL(it.namespace, pod, port)}${asks}`)
        await until(`the words of ${pod}`, 10, async () =>
          (await it.kubectl(['logs', pod, '-c', name])).includes('it was swapped'),
        )
      }

      await it.run('switch-prod')
      await up()
      assert.is(await it.kubectl(['diff', '-f', join(dir, production)]), '')
    } finally {
      await it.kubectl(['delete', kind, name, '--wait=false', '--ignore-not-found'])
      await removeImages(image)
    }
  })
}

all.run()
