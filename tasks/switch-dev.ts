// Brings up the dev pods, or the local sandbox, and waits until their agents answer.
import { basename } from 'node:path'
import { settings } from './lib/settings.ts'
import { settledStatus } from './lib/status.ts'
import { say, task } from './lib/task.ts'
import { target } from './lib/target.ts'

const about = {
  name: 'switch-dev',
  summary: 'brings up the dev pods, or the local sandbox, and waits until their agents answer',
  operands: '[-- ARG...]',
  more: 'On local, ARG... are the arguments of the program. On a cluster the dev manifest is applied over the production one.',
} as const

await task(about, async ({ operands }) => {
  const chosen = await settings()
  const there = await target(chosen)
  say(there.where)
  if (there.kind === 'local') {
    const { sandboxWrapper, startSandbox } = await import('./lib/local.ts')
    const pid = await startSandbox(chosen, operands, { wrapper: await sandboxWrapper(chosen) })
    say(pid === undefined ? 'the agent runs already' : `the agent runs, pid ${pid}`)
    say(`what the program prints is in .hotswap/local/${basename(chosen.binaryPath)}.log`)
  } else {
    await (await import('./lib/rollout.ts')).rollOutDev(there, chosen)
    const { pods } = await there.pods()
    for (const pod of pods) {
      const { values } = await settledStatus(there, pod, 1000 * (chosen.settle + chosen.limit))
      const why = values.get('reason') ?? ''
      say(
        `${pod.name}: the agent answers (${values.get('result')}${why === '' ? '' : `: ${why}`}, agent ${values.get('agent')})`,
      )
    }
  }
  say('next: npm run build && npm run deploy-dev')
})
