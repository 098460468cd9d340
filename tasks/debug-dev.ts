// Owns a port of this machine for as long as it runs, and leads an IDE from it to the Delve of a dev pod, over every swap.
import { ownPort } from './lib/debug/port.ts'
import { linkOf, pathRules } from './lib/debug/paths.ts'
import { link, type Link } from './lib/debug/link.ts'
import { relay, type Relay } from './lib/debug/relay.ts'
import { story } from './lib/debug/story.ts'
import { sendDelve } from './lib/delivery/pod-tool.ts'
import { waits } from './lib/protocol/command.ts'
import type { Receipt } from './lib/protocol/receipt.ts'
import { settings } from './lib/settings/settings.ts'
import { task } from './lib/frame/task.ts'
import { onEnd } from './lib/frame/ending.ts'
import { print, say, UserError } from './lib/frame/talk.ts'
import type { Pod } from './lib/pods/target.ts'
import { target } from './lib/pods/reach.ts'

const about = {
  name: 'debug-dev',
  summary: 'opens a port on this machine through which an IDE debugs a dev pod, over every swap, until Ctrl-C',
  options: {
    pod: { type: 'string', value: 'NAME', help: 'the pod to debug; default: the newest' },
    setup: { type: 'string', value: 'EDITOR', help: 'vscode: write the attach configuration to .vscode/launch.json' },
  },
  more:
    'DAP (VS Code, nvim-dap, Zed, Helix) and JSON-RPC (GoLand, dlv connect) clients connect to the port that it prints.\n' +
    'Settings: DEBUG_PORT, DEBUG_LOCAL_PORT, DEBUG_WAIT in .env.',
} as const

await task(about, async ({ flags }) => {
  const chosen = await settings()
  if (flags.setup !== undefined) {
    if (flags.setup !== 'vscode') throw new UserError(`--setup knows vscode, not ${flags.setup}`, 2)
    const { setupVsCode } = await import('./lib/debug/editor.ts')
    print(await setupVsCode(chosen))
    return
  }
  const port = await ownPort(chosen.debugLocalPort)
  const where = await target(chosen)
  say(where.where)
  if (where.kind === 'kubernetes') where.cluster.guard()

  let there: Link | undefined
  let ide: Relay | undefined
  let takeBack = onEnd(end)
  const plot = story(tell)
  there = await link(where, typeof flags.pod === 'string' ? flags.pod : undefined, {
    equip: (pod, receipt) => sendDelve(where, chosen, pod, receipt),
    found,
    tell,
    changed: plot.changed,
    started,
  })
  ide = relay(there, await pathRules(chosen), plot.why, await linkOf(chosen))
  port.serve(ide.visitor)
  plot.begin(there)
  const address = `127.0.0.1:${chosen.debugLocalPort}`
  print(`connect to ${address} (VS Code: npm run debug-dev -- --setup vscode; a terminal: dlv connect ${address})`)
  await new Promise(() => undefined)

  async function end(): Promise<void> {
    await ide?.close()
    await there?.close()
  }

  /** What the end needs is ended last: clean-up goes backwards. */
  function started(): void {
    takeBack()
    takeBack = onEnd(end)
  }

  function tell(line: string): void {
    say(line)
    ide?.note(line)
  }

  function found(pod: Pod, others: readonly Pod[], { values }: Receipt): void {
    say(`${pod.name}: Delve's port there is ${pod.debugPort}`)
    const [other] = others
    if (other !== undefined)
      say(
        `${others.map(({ name }) => name).join(', ')}: also receive requests, which breakpoints do not stop - to debug another pod: npm run debug-dev -- --pod ${other.name}`,
      )
    const renew =
      where.kind === 'local'
        ? 'npm run switch-prod && npm run switch-dev'
        : 'npm run generate-deployment-dev && npm run switch-dev'
    if (pod.debugPort !== chosen.debugPort && where.kind === 'kubernetes')
      say(
        `DEBUG_PORT is ${chosen.debugPort} in .env, but the pod was started with ${pod.debugPort}, and that counts - to change it: ${renew}`,
      )
    const wrapper = values.get('wrapper') ?? ''
    if (wrapper !== '' && waits(wrapper) !== chosen.debugWait)
      say(
        `DEBUG_WAIT is ${chosen.debugWait ? 1 : 0} in .env, but Delve there ${chosen.debugWait ? 'starts the program at once' : 'waits for a client'} - to change it: ${renew}`,
      )
  }
})
