// The permissions that the README asks for are enough: a user with that Role alone goes through the daily tasks.
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { developer, production, project, switched, type Project } from './project.ts'

const permissions = suite<{ it: Project; kubeconfig: string }>('permissions')
permissions.before(async (context) => {
  const it = await project('role')
  context.it = it
  // nothing is there before: what switch-dev makes, switch-prod has to be allowed to take away
  await production(it)
  await switched(it)
  context.kubeconfig = (await developer(it)).kubeconfig
})
permissions.after(async ({ it }) => it.remove())

permissions(
  'the Role of the README is enough for switch-prod, switch-dev, deploy-dev, status-dev and their way back',
  async ({ it, kubeconfig }) => {
    it.edit('allowed, version ')
    await it.run('build')
    for (const name of ['switch-prod', 'switch-dev', 'switch-prod', 'switch-dev', 'deploy-dev', 'status-dev']) {
      const { code, stdout, stderr } = await it.checkout.run(name, [], {
        env: { KUBECONFIG: kubeconfig },
        limit: 120_000,
      })
      assert.is(code, 0, `${name}: ${stdout}${stderr}`)
    }
    assert.match(await it.answer((await it.pods())[0] ?? ''), /^allowed, version /)
  },
)

permissions('without pods/exec the error says what is missing', async ({ it, kubeconfig }) => {
  const role = JSON.parse(await it.kubectl(['get', 'role', 'hotswap-dev', '-o', 'json']))
  role.rules = role.rules.filter(({ resources }: { resources: string[] }) => !resources.includes('pods/exec'))
  await it.kubectl(['apply', '-f', '-'], JSON.stringify(role))
  const { code, stderr } = await it.checkout.run('deploy-dev', [], { env: { KUBECONFIG: kubeconfig }, limit: 120_000 })
  assert.is(code, 1)
  assert.match(stderr, /error: .*forbidden.* - ask the cluster's administrator for that permission/)
})

permissions.run()
