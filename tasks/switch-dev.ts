// Brings up the dev pods, or the local sandbox, and waits until their agents answer.
import { basename } from 'node:path'
import { recordMachine } from './lib/go/builds.ts'
import { archOfUname } from './lib/binary/elf.ts'
import { buildArch } from './lib/go/go-env.ts'
import { oneMachine } from './lib/delivery/obstacles.ts'
import { settings } from './lib/settings/settings.ts'
import { programState } from './lib/doctor/program.ts'
import { settledStatus } from './lib/pods/status.ts'
import { task } from './lib/frame/task.ts'
import { say } from './lib/frame/talk.ts'
import { target } from './lib/pods/reach.ts'

const about = {
  name: 'switch-dev',
  summary: 'brings up the dev pods, or the local sandbox, and waits until their agents answer',
  operands: '[-- ARG...]',
  more:
    'On local, ARG... are the arguments of the program. On a cluster the dev manifest is applied over the production one.\n' +
    'Exit code 1 on a cluster: no agent answers, or the program crashed. A program that waits for its first binary is no failure.',
} as const

await task(about, async ({ operands }) => {
  const chosen = await settings()
  const there = await target(chosen)
  say(there.where)
  let failed = false
  if (there.kind === 'local') {
    const { agentRuns, sandboxWrapper, startSandbox } = await import('./lib/pods/sandbox.ts')
    const pid = await startSandbox(chosen, operands, { wrapper: await sandboxWrapper(chosen) })
    say(pid === undefined ? 'the agent runs already' : agentRuns(pid))
    say(`what the program prints is in .hotswap/local/hotswap-dev-${basename(chosen.binaryPath)}.log`)
  } else {
    await (await import('./lib/cluster/rollout.ts')).rollOutDev(there, chosen)
    const { pods } = await there.pods()
    const archs = new Set<string>()
    for (const pod of pods) {
      const receipt = await settledStatus(there, pod, 1000 * (chosen.settle + chosen.limit))
      const { result, found, remedy } = programState(receipt)
      const machine = archOfUname(receipt.values.get('machine') ?? '')
      if (machine !== undefined) {
        recordMachine(machine)
        archs.add(machine)
      }
      const agent = `agent ${receipt.values.get('agent')}`
      if (result === 'fault') say(`error: ${pod.name}: the program ${found} - ${remedy} (the pod is up: ${agent})`)
      else say(`${pod.name}: the agent answers (${result === 'ok' ? 'running' : found}, ${agent})`)
      failed ||= result === 'fault'
    }
    const arch = buildArch(chosen)
    if (archs.size > 1)
      say(
        `warning: the pods are ${[...archs].sort().join(' and ')}, and a build is for ${arch} alone - ${oneMachine(arch)}`,
      )
  }
  say('next: npm run build && npm run deploy-dev')
  return failed ? 1 : 0
})
