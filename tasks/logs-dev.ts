// Follows what the program and the agent print in every dev pod, since the last swap.
import { leftOutWords } from './lib/pods/pod-list.ts'
import { followed, prefixes, sinceSwap } from './lib/pods/logs.ts'
import { roster } from './lib/pods/roster.ts'
import { settings } from './lib/settings/settings.ts'
import { statusOf } from './lib/pods/status.ts'
import { task } from './lib/frame/task.ts'
import { print, say, UserError } from './lib/frame/talk.ts'
import type { From, Pod } from './lib/pods/target.ts'
import { target } from './lib/pods/reach.ts'

const about = {
  name: 'logs-dev',
  summary: 'follows what the program and the agent print in every dev pod, since the last swap, until Ctrl-C',
  options: { agent: { type: 'boolean', help: "only the agent's log, from its beginning" } },
  more: 'Each line begins with its pod. Pods that come later are followed too.',
} as const

await task(about, async ({ flags }) => {
  const there = await target(await settings([]))
  say(there.where)
  const { leftOut } = await there.pods()
  for (const pod of leftOut) say(`${pod.name}: ${leftOutWords(pod)}`)
  const shown = prefixes(process.stdout)
  const logs = followed(there, (pod, line, row) => {
    if (flags.agent !== true || row) print(shown([pod], line, row))
  })
  let first = true
  await roster(there, {
    came: (pod) => logs.add(pod, first && flags.agent !== true ? lastSwap(pod) : 'start'),
    went: (pod) => {
      say(`${pod.name}: gone, or started anew`)
      logs.drop(pod)
    },
    trouble: (why) => say(`waiting: ${why}`),
  })
  first = false
  await new Promise(() => undefined)

  async function lastSwap(pod: Pod): Promise<From> {
    try {
      return sinceSwap(await statusOf(there, pod))
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      say(error.message)
      return 'start'
    }
  }
})
