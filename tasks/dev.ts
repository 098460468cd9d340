// The daily loop: builds on every save, brings the new binary to all dev pods, and shows what they print, until Ctrl-C.
import { resolve } from 'node:path'
import { recordBuild, recordMachine } from './lib/go/builds.ts'
import { has, remember } from './lib/patches/cache.ts'
import type { Binary } from './lib/binary/read.ts'
import { developer, parcelFrom, type Parcel } from './lib/delivery/parcel.ts'
import { clock, edit, type Edit } from './lib/delivery/edit.ts'
import { buildArch } from './lib/go/go-env.ts'
import { archOfUname } from './lib/binary/elf.ts'
import { fleet, type Outcome } from './lib/delivery/fleet.ts'
import { goBuild } from './lib/go/go.ts'
import { latest } from './lib/frame/latest.ts'
import { followed, prefixes } from './lib/pods/logs.ts'
import { holding } from './lib/delivery/holding.ts'
import { news, words } from './lib/delivery/news.ts'
import { encodingOf } from './lib/delivery/packing.ts'
import { panics } from './lib/delivery/panics.ts'
import { warm } from './lib/patches/patches.ts'
import { equipper } from './lib/delivery/pod-tool.ts'
import { isUpload, rowOf } from './lib/protocol/rows.ts'
import { SWAPPED } from './lib/protocol/words.ts'
import type { Receipt } from './lib/protocol/receipt.ts'
import { roster } from './lib/pods/roster.ts'
import { screen } from './lib/frame/screen.ts'
import { settings } from './lib/settings/settings.ts'
import { statusOf } from './lib/pods/status.ts'
import { swaps } from './lib/delivery/swaps.ts'
import { task } from './lib/frame/task.ts'
import { onEnd } from './lib/frame/ending.ts'
import { clean, inWords, say, UserError } from './lib/frame/talk.ts'
import type { Pod } from './lib/pods/target.ts'
import { target } from './lib/pods/reach.ts'
import { watch } from './lib/go/watch.ts'

const about = {
  name: 'dev',
  summary: 'builds on every save, brings the new binary to all dev pods, and shows what they print, until Ctrl-C',
  operands: '[-- ARG...]',
  options: {
    debug: { type: 'boolean', help: 'build with debug information, and run under Delve (npm run debug-dev)' },
    json: { type: 'boolean', help: 'print one JSON object per event: docs/json.md' },
    wide: { type: 'boolean', help: 'print all of an edit, also if the terminal is narrower than its line' },
  },
  more:
    'Watches what go build reads. Runs switch-dev first if there are no dev pods; on local, ARG... are the arguments\n' +
    'of the program. Prints a line per edit on stdout, the output of the pods on stderr. Ctrl-C leaves the pods as they are.',
} as const

const tailLength = 60 // lines of a pod's output, for a trace that is longer than the receipt's

await task(about, async ({ flags, operands }) => {
  const chosen = await settings()
  const debug = flags.debug === true
  const json = flags.json === true
  const there = await target(chosen)
  say(there.where)
  await provide()

  const encoding = encodingOf(chosen.encoding, there, true)
  const pods = fleet(there, encoding, () => buildArch(chosen))
  const shown = screen(json)
  const told = news(json, shown, flags.wide === true)
  const prefix = prefixes(process.stderr)
  const tails = new Map<string, string[]>()
  const own = swaps()
  const lives = new Set<string>()
  const me = { by: developer(), knows: (sha256: string) => has(chosen.binary, sha256) }
  const hold = holding(me, {
    took: (pod, claim) => {
      pods.halt()
      told.taken(pod, claim)
    },
    freed: () => {
      told.free()
      if (newest !== undefined) deploy(performance.now(), newest.parcel)
    },
  })
  let current: Edit | undefined
  let newest: { readonly parcel: Parcel; readonly words: string } | undefined
  const saved = latest(built) // the build that is under way is ended, and a new one begun

  const show = panics(
    (names, line) => say(prefix(names, line)),
    () => pods.pods().length < 2,
  )
  // a row of one's own swap costs no exec
  const logs = followed(there, heard, (pod, line) => isUpload(rowOf(line)) && own.expected(pod))
  let first = true
  await roster(there, {
    came: (pod) => {
      logs.add(pod, first ? 'now' : 'start')
      const life = `${pod.name} ${pod.life}`
      if (!first) say(`${pod.name}: ${lives.has(life) ? 'is back, the same container' : 'a new container'}`)
      lives.add(life)
      pods.add(pod)
    },
    went: (pod) => {
      hold.gone(pod)
      own.forget(pod.name)
      logs.drop(pod)
      pods.remove(pod)
    },
    trouble: (why) => say(`waiting: ${why}`),
  })
  first = false
  const watched = await watch(chosen, (when) => void saved(when), say)
  told.watching(watched.count(), pods.pods(), chosen.goMain)
  onEnd(() => told.end(pods.pods(), hold.runs))
  await saved(performance.now())
  await new Promise(() => undefined)

  /** Dev pods: those that are there, else what switch-dev makes. */
  async function provide(): Promise<void> {
    if (there.kind === 'local') {
      const { agentRuns, sandboxWrapper, startSandbox } = await import('./lib/pods/sandbox.ts')
      if (debug) await (await import('./lib/go/delve.ts')).provideLocalDelve(chosen)
      const pid = await startSandbox(chosen, operands, { wrapper: await sandboxWrapper(chosen) })
      if (pid !== undefined) say(agentRuns(pid))
      return
    }
    there.cluster.guard()
    const { pods: found, leftOut } = await there.anyPods()
    const answers = await Promise.all(
      found.map((pod) =>
        statusOf(there, pod).catch((error: unknown) => {
          if (error instanceof UserError) return undefined
          throw error
        }),
      ),
    )
    for (const answer of answers) {
      const machine = archOfUname(answer?.values.get('machine') ?? '')
      if (machine !== undefined) recordMachine(machine)
    }
    const others = leftOut.some(({ remedy }) => remedy !== undefined) // of production, with several containers
    if (answers.length > 0 && !answers.includes(undefined) && !others) {
      if ((await import('./lib/manifest/dev-manifest.ts')).isOutdated(chosen))
        say(`warning: ${chosen.manifestDev} is older than ${chosen.manifest} or the settings - npm run switch-dev`)
      return
    }
    say('not every pod runs the agent yet: npm run switch-dev comes first')
    await (await import('./lib/cluster/rollout.ts')).rollOutDev(there, chosen)
  }

  function open(): void {
    pods.open((pod, greeting) => {
      owned(pod, greeting)
      if (encoding === 'delta') warm(chosen.binary, greeting.values.get('sha256'))
    })
  }

  /** Nothing is to be sent. In the sandbox an exec costs nothing; to a pod it stays open for the next save. */
  function rest(): void {
    if (there.kind === 'local') pods.close()
  }

  async function built(begin: number, signal: AbortSignal): Promise<void> {
    let said = ''
    try {
      open()
      if (current?.over() !== false) told.building(begin)
      let program: Binary | undefined
      const made = await goBuild(chosen, {
        debug,
        signal,
        said: (text) => (said += text),
        made: (binary) => (program = binary),
      })
      if (signal.aborted || program === undefined) return
      told.said(said)
      recordBuild(made)
      const isHeld = hold.why() !== ''
      if (made.sha256 === newest?.parcel.sha256 && !isHeld) {
        rest()
        return told.unchanged(made, begin, current?.over() === false)
      }
      const parcel: Parcel = {
        ...parcelFrom(chosen.binary, program, made.version),
        equip: equipper(there, chosen),
      }
      newest = { parcel, words: words(made) }
      if (!isHeld) return deploy(begin, parcel)
      rest()
      told.kept(made, begin, hold.why())
    } catch (error) {
      // whatever it was, the next save may do better
      if (signal.aborted) return
      rest()
      told.failed(said, inWords(error).message, begin, newest?.words ?? '')
      watched.failed()
    }
  }

  function deploy(begin: number, parcel: Parcel): void {
    const saved = {
      begin,
      built: performance.now(),
      parcel,
      pods: pods.pods(),
      own: resolve(chosen.goDir),
      tail: tailOf,
    }
    let over = false
    const mine = edit(saved, {
      changed: () => {
        if (over) return
        if (current === mine) told.progress(mine)
        if (!mine.over()) return
        over = true
        finished(mine)
      },
      up: (pod) => mark(pod, words(parcel)),
      late: told.late,
    })
    current = mine
    if (saved.pods.length === 0) {
      over = true
      finished(mine)
    }
    pods.deploy({
      ...mine.order,
      sent: (pod, count, total) => {
        own.begun(pod.name, mine)
        mine.order.sent(pod, count, total)
      },
      done: (pod, outcome) => done(mine, pod, outcome),
    })
  }

  function done(mine: Edit, pod: Pod, outcome: Outcome): void {
    const receipt = outcome.delivery?.receipt ?? outcome.receipt
    if (receipt !== undefined && pods.pods().includes(pod)) hold.ran(pod, receipt)
    mine.order.done(pod, outcome)
    if (own.ended(pod.name, mine, outcome.result === 'running')) others(pod.name, SWAPPED)
    if (outcome.claim !== undefined) hold.taken(pod, outcome.claim)
  }

  /** What a pod says it runs: is it another developer's, or one's own again? */
  function owned(pod: Pod, receipt: Receipt): void {
    if (pods.pods().includes(pod)) hold.seen(pod, receipt) // else it has gone while it was asked
  }

  /** A swap that was not ours: whose is it? */
  async function look(name: string): Promise<void> {
    const pod = pods.pods().find((each) => each.name === name)
    if (pod === undefined) return
    try {
      owned(pod, await statusOf(there, pod))
    } catch {
      // the next delivery will tell
    }
  }

  function finished(mine: Edit): void {
    const { parcel } = mine.order
    told.finished(mine)
    // what the next save would else wait for; not before the pods are done with
    if (there.kind === 'kubernetes' && current === mine) setImmediate(open)
    // not before the pods have it
    if (mine.troubles().length > 0 || hold.why() !== '') return
    remember(chosen.binary, parcel)
    if (encoding === 'delta') warm(chosen.binary, parcel.sha256)
  }

  /** A line of a pod: its program's, or the agent's, of which only news is shown. */
  function heard(pod: string, line: string, row: boolean): void {
    const text = clean(line)
    if (!row) {
      const tail = tails.get(pod) ?? []
      tails.set(pod, [...tail, text].slice(-tailLength))
      return show(pod, text)
    }
    const news = rowOf(text)
    if (news === undefined) return
    if (isUpload(news) && own.expected(pod)) return own.heard(pod)
    others(pod, news.message, news.reason)
  }

  /** What the agent has done, and was not told to from here. */
  function others(pod: string, message: string, reason = ''): void {
    if (message === SWAPPED || hold.why() !== '') void look(pod)
    show(pod, `── ${message}${reason === '' ? '' : `: ${reason}`} ──`)
  }

  function mark(pod: Pod, words: string): void {
    tails.delete(pod.name)
    show(pod.name, `── ${clock(new Date())} ${words} ──`)
  }

  function tailOf(pod: string): readonly string[] {
    return tails.get(pod) ?? []
  }
})
