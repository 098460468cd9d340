// Opens a shell in the container of a dev pod; on local, in the sandbox folder.
import { settings } from './lib/settings/settings.ts'
import { podNamed } from './lib/pods/pod-list.ts'
import { conversation, shellOf } from './lib/pods/shell.ts'
import { task } from './lib/frame/task.ts'
import { say } from './lib/frame/talk.ts'
import { target } from './lib/pods/reach.ts'

const about = {
  name: 'shell-dev',
  summary: 'opens a shell in the container of a dev pod; on local, in the sandbox folder',
  options: { pod: { type: 'string', value: 'NAME', help: 'default: the newest' } },
  more:
    'Without a terminal, the shell runs the commands on stdin. Exit code 0: there was a shell, whatever its last command ended\n' +
    'with (echo $? prints that). Exit code 1: there was no shell, or the connection to it broke.',
} as const

await task(about, async ({ flags }) => {
  const there = await target(await settings([]))
  say(there.where)
  if (there.kind === 'kubernetes') there.cluster.guard()
  const { pods } = await there.pods()
  const pod = podNamed(pods, typeof flags.pod === 'string' ? flags.pod : undefined)
  const shell = await shellOf(there, pod)
  say(`${pod.name}: ${shell.join(' ')}`)
  await conversation(there, pod, shell)
})
