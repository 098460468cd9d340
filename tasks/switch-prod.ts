// Brings the production pods back, or ends the local sandbox.
import { settings } from './lib/settings.ts'
import { say, task } from './lib/task.ts'
import { target } from './lib/target.ts'

const about = { name: 'switch-prod', summary: 'brings the production pods back, or ends the local sandbox' } as const

await task(about, async () => {
  const chosen = await settings([])
  const there = await target(chosen)
  say(there.where)
  if (there.kind === 'local') {
    const { stopSandbox } = await import('./lib/local.ts')
    say((await stopSandbox(chosen)) ? 'the agent and its program have ended' : 'nothing ran')
  } else {
    await (await import('./lib/rollout.ts')).rollOutProduction(there.cluster, chosen)
    say('production is back')
  }
})
