// A selector cannot be changed: that one workload is deleted by name, and made anew.
import * as assert from 'uvu/assert'
import { suite } from '../lib/suite.ts'
import { devPods, project, type Project } from './project.ts'

const selector = suite<{ it: Project }>('an immutable selector')
selector.before(async (context) => {
  context.it = await project('selector')
  context.it.set({ SETTLE: '5' }) // a pod is ready before
  await devPods(context.it)
})
selector.after(async ({ it }) => it.remove())

selector('that differs costs that one workload, which switch-dev says; nothing else is deleted', async ({ it }) => {
  await it.kubectl(['create', 'configmap', 'bystander'])
  const dev = it.checkout.read('manifests-dev/deployment-dev.yml')
  const path = 'manifests-dev/deployment-dev.yml'
  const selecting = dev.replace('    matchLabels:\n', '    matchLabels:\n      tier: dev\n')
  const uid = () => it.kubectl(['get', 'deployment', 'hello', '-o', 'jsonpath={.metadata.uid}'])
  const before = await uid()
  // what is wrong beside that is said first, and nothing is deleted
  it.checkout.file(path, selecting)
  const { stderr: wrong } = await it.run('switch-dev', [], { code: 1 })
  assert.match(wrong, /error: The Deployment "hello" is invalid: .*`selector` does not match template `labels`/)
  assert.is(await uid(), before)
  it.checkout.file(
    path,
    selecting.replace('      labels:\n        app: hello\n', '      labels:\n        tier: dev\n        app: hello\n'),
  )
  const { stderr } = await it.run('switch-dev')
  assert.match(stderr, /Deployment hello has another selector, which cannot be changed: it is deleted and made anew\n/)
  assert.match(stderr, /: the agent answers \(running, /, 'once the program has lived SETTLE')
  assert.is.not(await uid(), before)
  assert.match(await it.kubectl(['get', 'configmap', 'bystander', '-o', 'name']), /bystander/)
  assert.match(await it.answer((await it.pods())[0] ?? ''), /^hello, version /)
})

selector.run()
