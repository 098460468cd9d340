// Opens a shell in the container of a dev pod; on local, in the sandbox folder.
import { settings } from './lib/settings.ts'
import { shellOf } from './lib/shell.ts'
import { say, task, UserError } from './lib/task.ts'
import { target } from './lib/target.ts'

const about = {
  name: 'shell-dev',
  summary: 'opens a shell in the container of a dev pod; on local, in the sandbox folder',
  options: { pod: { type: 'string', value: 'NAME', help: 'default: the newest' } },
  more: 'Without a terminal it runs what stdin says. Exit code 1: the shell ended with another one than 0, without a terminal.',
} as const

await task(about, async ({ flags }) => {
  const there = await target(await settings())
  say(there.where)
  if (there.kind === 'kubernetes') there.cluster.guard()
  const { pods } = await there.pods()
  const pod = flags.pod === undefined ? pods[0] : pods.find(({ name }) => name === flags.pod)
  if (pod === undefined)
    throw new UserError(`there is no pod ${flags.pod}: there are ${pods.map(({ name }) => name).join(', ')}`)
  const shell = await shellOf(there, pod)
  say(`${pod.name}: ${shell.join(' ')}`)
  const child = there.exec(pod, shell, 'terminal')
  const code = await new Promise<number>((resolve) => {
    child.once('error', () => resolve(1))
    child.once('exit', (status) => resolve(status ?? 1))
  })
  // what the last command of a conversation ended with is no failure of this task
  return process.stdin.isTTY || code === 0 ? 0 : 1
})
