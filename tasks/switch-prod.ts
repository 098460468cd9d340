// Brings the production pods back, or ends the local sandbox.
import { settings } from './lib/settings/settings.ts'
import { task } from './lib/frame/task.ts'
import { say } from './lib/frame/talk.ts'
import { target } from './lib/pods/reach.ts'

const about = { name: 'switch-prod', summary: 'brings the production pods back, or ends the local sandbox' } as const

await task(about, async () => {
  const chosen = await settings([])
  const there = await target(chosen)
  say(there.where)
  if (there.kind === 'local') {
    const { stopSandbox } = await import('./lib/pods/sandbox.ts')
    say((await stopSandbox(chosen)) ? 'the agent and its program have ended' : 'nothing ran')
  } else {
    const { rollOutProduction } = await import('./lib/cluster/rollout.ts')
    const isBack = await rollOutProduction(there.cluster, chosen)
    say(isBack ? 'production is back' : 'nothing ran there before switch-dev: nothing runs there now')
  }
})
