// A cluster that gives each namespace a range of users, as OpenShift does: here a policy of admission says so in its words.
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { kubectl, until } from './cluster.ts'
import { modes, production, project, type Project } from './project.ts'

const [, , injected] = modes
const users = suite<{ it: Project }>('runAsNonRoot without a user')
const [first, last] = [1000680000, 1000689999]

users.before(async (context) => {
  const it = await project('users', injected)
  context.it = it
  await production(it)
  const name = it.namespace
  const all = '(object.spec.containers + object.spec.?initContainers.orValue([]))'
  const user = 'c.?securityContext.?runAsUser'
  const policy = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name },
    spec: {
      matchConstraints: {
        resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
      },
      validations: [
        {
          expression: `${all}.all(c, !${user}.hasValue() || (${user}.value() >= ${first} && ${user}.value() <= ${last}))`,
          message: `unable to validate against any security context constraint: [provider restricted-v2: .initContainers[0].runAsUser: Invalid value: 65532: must be in the ranges: [${first}, ${last}]]`,
        },
      ],
    },
  }
  const binding = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name },
    spec: {
      policyName: name,
      validationActions: ['Deny'],
      matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } } },
    },
  }
  for (const each of [policy, binding]) await kubectl(['apply', '-f', '-'], { input: JSON.stringify(each) })
  const strict = {
    allowPrivilegeEscalation: false,
    runAsNonRoot: true,
    capabilities: { drop: ['ALL'] },
    seccompProfile: { type: 'RuntimeDefault' },
  }
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'try' },
    spec: { containers: [{ name: 'try', image: 'x', securityContext: { ...strict, runAsUser: 65532 } }] },
  }
  await until('the policy', 60, async () =>
    it.kubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(pod)).then(
      () => false,
      (error: Error) => error.message.includes('must be in the ranges'),
    ),
  )
  await it.kubectl(['apply', '-f', join(it.checkout.dir, 'manifests/deployment.yml')])
})
users.after(async ({ it }) => {
  for (const kind of ['validatingadmissionpolicybinding', 'validatingadmissionpolicy'])
    await kubectl(['delete', kind, it.namespace, '--ignore-not-found'])
  await it.remove()
})

users(
  'the generator says which user the init container gets, switch-dev which field is to be set; then it comes up',
  async ({ it }) => {
    const { stderr: note } = await it.run('generate-deployment-dev')
    assert.match(
      note,
      /^note: .*: runAsNonRoot without runAsUser: the init container hotswap-dev runs as user 65532 - /m,
    )
    const begin = performance.now()
    const { stderr } = await it.run('switch-dev', [], { code: 1 })
    const seconds = (performance.now() - begin) / 1000
    assert.ok(seconds < 40, `${seconds} s`)
    const field = `put runAsUser: ${first} into the securityContext of its container in MANIFEST`
    assert.ok((stderr.trim().split('\n').at(-1) ?? '').includes(field), stderr)

    const manifest = it.checkout.read('manifests/deployment.yml')
    it.checkout.file(
      'manifests/deployment.yml',
      manifest.replace(
        '            runAsNonRoot: true\n',
        `            runAsNonRoot: true\n            runAsUser: ${first}\n`,
      ),
    )
    const { stderr: up } = await it.run('switch-dev')
    assert.match(up, /older than manifests\/deployment\.yml or the settings/)
    assert.match(up, /: the agent answers \(running, /)
  },
)

users('a manifest that names OpenShift gets no user of its own', async ({ it }) => {
  const manifest = it.checkout.read('manifests/deployment.yml').replace(/ {12}runAsUser: .*\n/, '')
  it.checkout.file(
    'manifests/deployment.yml',
    manifest.replace('  labels:\n', '  annotations: {app.openshift.io/vcs-ref: main}\n  labels:\n'),
  )
  await it.run('generate-deployment-dev')
  assert.not.match(it.checkout.read('manifests-dev/deployment-dev.yml'), /runAsUser/)
  // here no user is put in its place: busybox would be root
  await it.kubectl(['apply', '--dry-run=server', '-f', join(it.checkout.dir, 'manifests-dev/deployment-dev.yml')])
})

users.run()
