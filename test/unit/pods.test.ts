import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { meaning } from '../../tasks/lib/pods/complaint.ts'
import { isLocalServer } from '../../tasks/lib/pods/context.ts'
import { sorted } from '../../tasks/lib/pods/pod-list.ts'
import { awaited, trouble } from '../../tasks/lib/cluster/workload-state.ts'

const chosen = { container: '', binaryPath: '/usr/local/bin/hello', debugPort: 2345 }
const agent = ['hotswap-dev', '-r', 'dlv exec --listen=127.0.0.1:2345 {{binPath}} --', '--', '/usr/local/bin/hello']

interface Given {
  name?: string
  born?: string
  phase?: string
  reason?: string
  deleted?: boolean
  annotations?: Record<string, string>
  containers?: Record<string, readonly string[]>
  states?: Record<string, object>
  id?: string
}

function pod(given: Given = {}) {
  const { name = 'a', born = '2026-01-01T00:00:00Z', phase = 'Running', containers = { hello: agent } } = given
  return {
    metadata: {
      name,
      uid: 'uid-1',
      creationTimestamp: born,
      annotations: given.annotations,
      ...(given.deleted === true ? { deletionTimestamp: born } : {}),
    },
    spec: { containers: Object.entries(containers).map(([name, command]) => ({ name, command })) },
    status: {
      phase,
      reason: given.reason,
      containerStatuses: Object.keys(containers).map((name) => ({
        name,
        containerID: given.id,
        restartCount: 2,
        state: given.states?.[name] ?? { running: {} },
      })),
    },
  }
}

const pods = suite('pods')

pods('are sorted newest first, those that are ending, finished or evicted left out', () => {
  const items = [
    pod({ name: 'old', born: '2026-01-01T00:00:00Z' }),
    pod({ name: 'new', born: '2026-01-02T00:00:00Z' }),
    pod({ name: 'ending', deleted: true }),
    pod({ name: 'done', phase: 'Succeeded' }),
    pod({ name: 'evicted', phase: 'Failed', reason: 'Evicted' }),
    pod({
      name: 'waiting',
      states: { hello: { waiting: { reason: 'ImagePullBackOff', message: 'no\u001b[31m such' } } },
    }),
  ]
  const found = sorted({ items }, chosen)
  assert.equal(
    found.pods.map(({ name }) => name),
    ['new', 'old'],
  )
  assert.equal(
    found.leftOut.map(({ name, why }) => `${name} is ${why}`),
    [
      'ending is terminating',
      'done is succeeded',
      'evicted is evicted',
      'waiting is waiting (ImagePullBackOff: no such)',
    ],
  )
})

pods('say where the agent is by annotations first, then by the command, then by the settings', () => {
  const annotations = {
    'hotswap-dev/container': 'hello',
    'hotswap-dev/agent': '["/x/busybox","sh","/x/hotswap-dev"]',
    'hotswap-dev/binary': '/x/hello',
    'hotswap-dev/debug-port': '4000',
  }
  const memory = { limit: Infinity, volume: false }
  const [annotated] = sorted({ items: [pod({ annotations })] }, chosen).pods
  assert.equal(annotated, {
    name: 'a',
    container: 'hello',
    life: 'uid-1',
    restarts: 2,
    agent: ['/x/busybox', 'sh', '/x/hotswap-dev'],
    binary: '/x/hello',
    debugPort: 4000,
    memory,
  })
  const [bare] = sorted({ items: [pod()] }, { ...chosen, binaryPath: '/other' }).pods
  assert.equal([bare?.binary, bare?.debugPort, bare?.container], ['/usr/local/bin/hello', 2345, 'hello'])
  const [mine] = sorted({ items: [pod({ containers: { only: ['/entry'] } })] }, chosen).pods
  assert.equal(mine, {
    name: 'a',
    container: 'only',
    life: 'uid-1',
    restarts: 2,
    agent: ['hotswap-dev'],
    binary: '/usr/local/bin/hello',
    debugPort: 2345,
    memory,
  })
  for (const value of ['{', '[]', '[1]', '"x"'])
    assert.equal(
      sorted({ items: [pod({ annotations: { ...annotations, 'hotswap-dev/agent': value } })] }, chosen).pods[0]?.agent,
      ['hotswap-dev'],
    )
})

pods('have another life when their container was started anew', () => {
  const life = (id: string) => sorted({ items: [pod({ id })] }, chosen).pods[0]?.life
  assert.equal([life('containerd://a'), life('containerd://b')], ['containerd://a', 'containerd://b'])
})

pods(
  'use the container that runs the agent, wherever it stands; two and a wrong name are errors that list them',
  () => {
    const mesh = { proxy: ['/proxy'], hello: agent, log: ['/log'] }
    assert.is(sorted({ items: [pod({ containers: mesh })] }, chosen).pods[0]?.container, 'hello')
    assert.is(sorted({ items: [pod({ containers: mesh })] }, { ...chosen, container: 'log' }).pods[0]?.container, 'log')
    const fails = (containers: Record<string, readonly string[]>, container: string, message: string) =>
      assert.throws(
        () => sorted({ items: [pod({ containers })] }, { ...chosen, container }),
        (error: Error) => error.message === message,
      )
    fails({ one: agent, two: agent }, '', 'a runs the agent in one and two - choose one: CONTAINER=one')
    fails(mesh, 'nope', 'a has no container nope: there are proxy, hello, log - correct CONTAINER in .env')
  },
)

pods('that run no agent in any of several containers are left out: those of production, while dev pods come up', () => {
  const found = sorted({ items: [pod({ containers: { one: ['/one'], two: ['/two'] } }), pod({ name: 'dev' })] }, chosen)
  assert.equal(
    found.pods.map(({ name }) => name),
    ['dev'],
  )
  assert.equal(found.leftOut, [
    {
      name: 'a',
      why: 'without the agent in its containers one, two',
      remedy: 'run npm run switch-dev, or choose one: CONTAINER=one',
    },
  ])
})

pods('of any shape are no crash', () => {
  for (const list of [null, 1, [], {}, { items: 1 }, { items: [] }])
    assert.equal(sorted(list, chosen), { pods: [], leftOut: [] })
  assert.equal(sorted({ items: [null, 1, {}] }, chosen).pods, [])
})

pods('servers of this machine and of private networks are local, all others are not', () => {
  for (const server of [
    'https://127.0.0.1:6443',
    'https://[::1]:6443',
    'https://10.1.2.3',
    'https://192.168.49.2:8443',
    'https://172.16.0.1',
    'https://kubernetes.docker.internal:6443',
    'https://box.local',
    'https://localhost:1',
  ])
    assert.ok(isLocalServer(server), server)
  for (const server of [
    'https://1.2.3.4',
    'https://172.32.0.1',
    'https://11.0.0.1',
    'https://api.example.com',
    'https://127.0.0.1.example.com',
    'https://localhost.example.com',
    'not a url',
    '',
  ])
    assert.not.ok(isLocalServer(server), server)
})

pods('a complaint is one line with the next step', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['error: context "nope" does not exist', /^context "nope" does not exist - see kubectl config get-contexts/],
    ['error: You must be logged in to the server (Unauthorized)', /^the cluster does not accept the credentials \(/],
    [
      'E1125 12:00:00.1 1 x.go:1] noise\nUnable to connect to the server: dial tcp: i/o timeout',
      /^the cluster cannot be reached \(Unable/,
    ],
    [
      'Error from server (Forbidden): pods is forbidden: User "x" cannot list',
      /forbidden.* - ask the cluster's administrator/,
    ],
    [
      'exec: "hotswap-dev": executable file not found in $PATH',
      /^there is no such program in the container: hotswap-dev$/,
    ],
    [
      'The Deployment "hello" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"b: c"}}: field is immutable',
      /^The Deployment "hello" is invalid: spec\.selector: field is immutable$/,
    ],
    [
      'The Deployment "hello" is invalid: \n* spec.template.metadata.labels: Invalid value: {}: does not match\n* spec.selector: Invalid value: {}: field is immutable',
      /^The Deployment "hello" is invalid: spec\.template\.metadata\.labels: does not match; spec\.selector: field is immutable$/,
    ],
    // as kubectl 1.33 says it
    [
      'error: unable to read client-cert /no/c.crt for u due to open /no/c.crt: no such file or directory',
      /^the kubeconfig names a file that cannot be read: \/no\/c\.crt \(no such file or directory\) - write the kubeconfig anew \(kind .*KUBE_CONTEXT/,
    ],
    [
      'error: unable to read certificate-authority /my ca/ca.crt for a cluster due to open /my ca/ca.crt: permission denied',
      /^the kubeconfig names a file that cannot be read: \/my ca\/ca\.crt \(permission denied\) - /,
    ],
    [
      'Error in configuration: \n* unable to read client-cert /no/c.crt for u due to open /no/c.crt: no such file or directory\n* unable to read client-key /no/c.key for u due to open /no/c.key: no such file or directory',
      /^the kubeconfig names files that cannot be read: \/no\/c\.crt, \/no\/c\.key \(no such file or directory\) - /,
    ],
    ['error: open /no/token: no such file or directory', /^the kubeconfig names a file .*: \/no\/token \(no such/],
    [
      `error: error loading config file "/k": yaml: line 1: did not find expected ',' or ']'`,
      /^the kubeconfig \/k cannot be read: yaml: line 1: .* - correct it, or set KUBECONFIG to another$/,
    ],
    ['error: cannot locate cluster gone', /^the kubeconfig has no cluster gone, which its context names - /],
    ['error: current-context must exist in order to minify', /^no context is chosen - see kubectl config get-contexts/],
    [
      'E1 x] getting credentials\nUnable to connect to the server: getting credentials: exec: executable plug-in not found\n\nIt looks like you are trying to use a plugin that is not installed.',
      /^plug-in is not on PATH: the kubeconfig gets its credentials from it - install it$/,
    ],
    [
      'Unable to connect to the server: getting credentials: exec: executable aws failed with exit code 255',
      /^kubectl has got no credentials \(aws failed with exit code 255\) - log in again/,
    ],
    [
      'error: unable to load root certificates: unable to parse bytes as PEM block',
      /^the kubeconfig has certificates that cannot be read \(unable to load .*\) - write the kubeconfig anew/,
    ],
    [
      'Unable to connect to the server: x509: certificate signed by unknown authority',
      /^the cluster's certificate is not accepted \(.*\) - /,
    ],
    [
      'The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?',
      /^the cluster cannot be reached \(The connection to the server 127\.0\.0\.1:1 was refused\) - is it up\? kubectl cluster-info$/,
    ],
    [
      'Error from server (NotFound): error when creating "m.yml": namespaces "shop" not found',
      /^there is no namespace shop - kubectl create namespace shop, or name another one in \.env: KUBE_NAMESPACE=/,
    ],
    // what a pod's own programs lack is no program that is missing there
    ['cat: /x: No such file or directory', /^cat: \/x: No such file or directory$/],
    [
      'error: Internal error occurred: OCI runtime exec failed: exec failed: unable to start container process: exec: "hotswap-dev": stat hotswap-dev: no such file or directory: unknown',
      /^there is no such program in the container: hotswap-dev$/,
    ],
    ['\u001b[31mred\u001b[0m', /^red$/],
    ['', /^$/],
  ]
  for (const [stderr, expected] of cases) assert.match(meaning(stderr), expected)
})

pods('a user that a cluster forbids is answered by one that it allows', () => {
  const message =
    'pods "web-1" is forbidden: unable to validate against any security context constraint: [provider restricted-v2: .initContainers[0].runAsUser: Invalid value: 65532: must be in the ranges: [1000680000, 1000689999]]'
  const conditions = [{ type: 'ReplicaFailure', status: 'True', message }]
  const way =
    ' - put runAsUser: 1000680000 into the securityContext of its container in MANIFEST, then npm run generate-deployment-dev && npm run switch-dev'
  assert.is(
    awaited({ kind: 'Deployment', metadata: { name: 'web' }, status: { conditions } }),
    `Deployment web: ${message}${way}`,
  )
})

pods('a rollout says what is awaited', () => {
  const deployment = (status: object, generation = 2) => ({
    kind: 'Deployment',
    metadata: { name: 'hello', generation },
    spec: { replicas: 2 },
    status: { observedGeneration: 2, ...status },
  })
  assert.is(awaited(deployment({}, 3)), 'Deployment hello: not yet noticed')
  assert.is(awaited(deployment({ updatedReplicas: 1, replicas: 2 })), 'Deployment hello: 1 of 2 pods are new')
  assert.is(
    awaited(deployment({ updatedReplicas: 2, replicas: 2, availableReplicas: 1 })),
    'Deployment hello: 1 of 2 pods are ready',
  )
  assert.is(
    awaited(deployment({ updatedReplicas: 2, replicas: 3, availableReplicas: 3 })),
    'Deployment hello: 1 old pods are still there',
  )
  assert.is(awaited(deployment({ updatedReplicas: 2, replicas: 2, availableReplicas: 2 })), undefined)
  const conditions = [{ type: 'ReplicaFailure', status: 'True', message: 'exceeded quota: small' }]
  assert.is(awaited(deployment({ conditions })), 'Deployment hello: exceeded quota: small')
  assert.is(trouble(pod()), undefined)
  assert.is(
    trouble(pod({ states: { hello: { waiting: { reason: 'ErrImageNeverPull' } } } })),
    'a, container hello: waiting (ErrImageNeverPull)',
  )
})

pods('a container that ended says its last words, where its message has them', () => {
  const failed = (name: string, message: string) => {
    const waiting = { reason: 'CrashLoopBackOff', message: 'back-off' }
    const terminated = { exitCode: 1, reason: 'Error', message }
    const made = pod({ states: { hello: { waiting } } })
    const [status] = made.status.containerStatuses
    return trouble({ ...made, status: { containerStatuses: [{ ...status, name, lastState: { terminated } }] } })
  }
  assert.is(
    failed('hello', 'sh: oh\nhotswap-dev: no luck\n'),
    'a, container hello: waiting (CrashLoopBackOff: back-off, it ended with exit code 1 (hotswap-dev: no luck))',
  )
  assert.is(
    failed('hello', ''),
    'a, container hello: waiting (CrashLoopBackOff: back-off, it ended with exit code 1 Error)',
  )
})

pods.run()
