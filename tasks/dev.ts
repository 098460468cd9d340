// The daily loop: builds on every save, brings the new binary to all dev pods, and shows what they print, until Ctrl-C.
import { resolve } from 'node:path'
import { recordBuild, recordMachine } from './lib/go/builds.ts'
import { has, remember } from './lib/patches/cache.ts'
import type { Binary } from './lib/binary/read.ts'
import { developer, parcelFrom, type Parcel } from './lib/delivery/parcel.ts'
import { clock, edit, momentOf, type Edit } from './lib/delivery/edit.ts'
import { archOfUname } from './lib/binary/elf.ts'
import { fleet, type Outcome } from './lib/delivery/fleet.ts'
import { goBuild } from './lib/go/go.ts'
import { latest } from './lib/frame/latest.ts'
import { followed, prefixes } from './lib/pods/logs.ts'
import { claimed, takeOver, type Claim } from './lib/delivery/owner.ts'
import { encodingOf } from './lib/delivery/packing.ts'
import { panics } from './lib/delivery/panics.ts'
import { warm } from './lib/patches/patches.ts'
import { equipper } from './lib/delivery/pod-tool.ts'
import { isUpload, rowOf } from './lib/protocol/rows.ts'
import { SWAPPED } from './lib/protocol/words.ts'
import { binaryWords, type Receipt } from './lib/protocol/receipt.ts'
import { roster } from './lib/pods/roster.ts'
import { screen } from './lib/frame/screen.ts'
import { settings } from './lib/settings/settings.ts'
import { statusOf } from './lib/pods/status.ts'
import { swaps } from './lib/delivery/swaps.ts'
import { task } from './lib/frame/task.ts'
import { onEnd } from './lib/frame/ending.ts'
import { clean, inWords, print, say, sayLast, UserError } from './lib/frame/talk.ts'
import type { Pod } from './lib/pods/target.ts'
import { target } from './lib/pods/reach.ts'
import { watch } from './lib/go/watch.ts'
import { size } from './lib/frame/words.ts'

const about = {
  name: 'dev',
  summary: 'builds on every save, brings the new binary to all dev pods, and shows what they print, until Ctrl-C',
  operands: '[-- ARG...]',
  options: {
    debug: { type: 'boolean', help: 'build with debug information, and run under Delve (npm run debug-dev)' },
    json: { type: 'boolean', help: 'print one JSON object per event: docs/json.md' },
    wide: { type: 'boolean', help: 'print all of an edit, also where the terminal is narrower than its line' },
  },
  more:
    'Watches what go build reads. Runs switch-dev first where there are no dev pods; on local, ARG... are the arguments\n' +
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
  const pods = fleet(there, encoding)
  const shown = screen(json)
  const room = () => (flags.wide === true ? Infinity : shown.room())
  const prefix = prefixes(process.stderr)
  const tails = new Map<string, string[]>()
  const own = swaps()
  const lives = new Set<string>()
  const runs = new Map<string, string>()
  const me = { by: developer(), knows: (sha256: string) => has(chosen.binary, sha256) }
  /** Another developer has put a binary there: nothing is deployed, until one's own runs there again. */
  let held = ''
  const taken = new Map<string, Claim>() // the pods that run it
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
      runs.delete(pod.name)
      own.forget(pod.name)
      logs.drop(pod)
      pods.remove(pod)
      taken.delete(pod.name)
    },
    trouble: (why) => say(`waiting: ${why}`),
  })
  first = false
  const watched = await watch(chosen, (when) => void saved(when), say)
  const files = watched.count()
  if (json) print(JSON.stringify({ event: 'watching', files, pods: pods.pods().map(({ name }) => name) }))
  else say(`watching ${files} files of ${chosen.goMain}; Ctrl-C ends this and leaves the pods as they are`)
  onEnd(farewell)
  await saved(performance.now())
  await new Promise(() => undefined)

  /** Dev pods: those that are there, else what switch-dev makes. */
  async function provide(): Promise<void> {
    if (there.kind === 'local') {
      const { sandboxWrapper, startSandbox } = await import('./lib/pods/sandbox.ts')
      if (debug) await (await import('./lib/go/delve.ts')).provideLocalDelve(chosen)
      const pid = await startSandbox(chosen, operands, { wrapper: await sandboxWrapper(chosen) })
      if (pid !== undefined) say(`the agent runs, pid ${pid}`)
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
    say('there are no dev pods yet, or not all of them are: npm run switch-dev')
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
      if (current?.over() !== false) shown.open(`${clock(momentOf(begin))} building`)
      let program: Binary | undefined
      const made = await goBuild(chosen, {
        debug,
        signal,
        said: (text) => (said += text),
        made: (binary) => (program = binary),
      })
      if (signal.aborted || program === undefined) return
      for (const line of lines(said)) say(line)
      recordBuild(made)
      if (made.sha256 === newest?.parcel.sha256 && held === '') return unchanged(made, begin)
      const parcel: Parcel = {
        ...parcelFrom(chosen.binary, program, made.version),
        equip: equipper(there, chosen),
      }
      newest = { parcel, words: `${made.version} ${made.sha256.slice(0, 8)}` }
      if (held !== '') kept(newest.words, parcel, begin)
      else deploy(begin, parcel)
    } catch (error) {
      // whatever it was, the next save may do better
      if (signal.aborted) return
      failed(said, inWords(error).message, begin)
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
    let told = false
    const mine = edit(saved, {
      changed: () => {
        if (told) return
        if (current === mine) shown.open(mine.line(room()))
        if (!mine.over()) return
        told = true
        finished(mine)
      },
      up: (pod) => mark(pod, `${parcel.version} ${parcel.sha256.slice(0, 8)}`),
      late,
    })
    current = mine
    if (saved.pods.length === 0) {
      told = true
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
    if (receipt !== undefined) runs.set(pod.name, binaryWords(receipt))
    mine.order.done(pod, outcome)
    if (own.ended(pod.name, mine, outcome.result === 'running')) others(pod.name, SWAPPED)
    if (outcome.claim !== undefined) takenOver(pod, outcome.claim)
  }

  /** What a pod says it runs: is it another developer's, or one's own again? */
  function owned(pod: Pod, receipt: Receipt): void {
    if (!pods.pods().includes(pod)) return // gone while it was asked
    runs.set(pod.name, binaryWords(receipt))
    const claim = claimed(receipt, me)
    if (claim !== undefined) return takenOver(pod, claim)
    taken.delete(pod.name)
    // a pod that is new, with the binary of its image, is no consent
    if (held !== '' && taken.size === 0 && receipt.values.get('by') === me.by) free()
  }

  function takenOver(pod: Pod, claim: Claim): void {
    const before = taken.get(pod.name)
    taken.set(pod.name, claim)
    held = `${pod.name}: ${claim.words}`
    pods.halt()
    if (before?.words === claim.words) return
    if (json) print(JSON.stringify({ event: 'taken', pod: pod.name, by: claim.by, error: claim.words }))
    else say(`taken over: ${held}; nothing is deployed any more - ${takeOver}`)
  }

  /** deploy-dev --take-over was told to. */
  function free(): void {
    held = ''
    if (json) print(JSON.stringify({ event: 'free' }))
    else say('the pods are yours again: each save is deployed')
    if (newest !== undefined) deploy(performance.now(), newest.parcel)
  }

  /** A build that is not deployed. */
  function kept(words: string, { version, sha256 }: Parcel, begin: number): void {
    rest()
    const time = new Date()
    if (json) print(JSON.stringify({ event: 'edit', time: time.toISOString(), result: 'taken', version, sha256 }))
    else shown.result(`${clock(momentOf(begin))} ${words} built, not deployed: ${held} - ${takeOver}`)
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
    if (json) print(JSON.stringify(mine.record()))
    else shown.result(mine.line(room()), mine.tone())
    for (const trouble of mine.troubles()) say(`error: ${trouble}`)
    // what the next save would else wait for; not before the pods are done with
    if (there.kind === 'kubernetes' && current === mine) setImmediate(open)
    // not before the pods have it
    if (mine.troubles().length > 0 || held !== '') return
    remember(chosen.binary, parcel)
    if (encoding === 'delta') warm(chosen.binary, parcel.sha256)
  }

  /** A pod that came after an edit, or could not be reached then. */
  function late(pod: Pod, outcome: Outcome): void {
    const { result, delivery, error } = outcome
    if (result === 'gone' || result === 'overtaken' || result === 'taken') return // takenOver has told of it
    const { sent = 0, receipt, ms = 0 } = delivery ?? {}
    const version = receipt?.values.get('version') ?? ''
    const sha256 = receipt?.values.get('sha256') ?? ''
    const seconds = Math.round(ms) / 1000
    if (json) print(JSON.stringify({ event: 'pod', pod: pod.name, result, version, sha256, sent, seconds, error }))
    else if (receipt !== undefined)
      shown.result(
        `${clock(new Date())} ${pod.name}: ${binaryWords(receipt)} ${result === 'already' ? 'runs there' : size(sent)} ${seconds.toFixed(2)} s ok`,
      )
    if (error !== undefined) say(`error: ${error}`)
  }

  function unchanged({ version, sha256 }: { readonly version: string; readonly sha256: string }, begin: number): void {
    rest()
    if (json) print(JSON.stringify({ event: 'edit', time: new Date().toISOString(), result: 'same', version, sha256 }))
    else if (current?.over() !== false)
      shown.result(`${clock(momentOf(begin))} ${version} ${sha256.slice(0, 8)} the same binary: nothing to deploy`)
  }

  /** What Go said, and what went wrong besides. */
  function failed(said: string, why: string, begin: number): void {
    rest()
    for (const line of lines(said)) say(line)
    if (why !== '') say(`error: ${why}`)
    const output = why === '' ? said : `${said}${why}\n`
    const stays = newest === undefined ? '' : `; ${newest.words} runs on`
    if (json) print(JSON.stringify({ event: 'edit', time: new Date().toISOString(), result: 'build-failed', output }))
    else
      shown.result(
        `${clock(momentOf(begin))} the build failed ${((performance.now() - begin) / 1000).toFixed(2)} s${stays}`,
        'bad',
      )
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
    if (message === SWAPPED || held !== '') void look(pod)
    show(pod, `── ${message}${reason === '' ? '' : `: ${reason}`} ──`)
  }

  function mark(pod: Pod, words: string): void {
    tails.delete(pod.name)
    show(pod.name, `── ${clock(new Date())} ${words} ──`)
  }

  function tailOf(pod: string): readonly string[] {
    return tails.get(pod) ?? []
  }

  /** What runs, as far as it is known: the pods stay as they are. */
  function farewell(): void {
    const list = pods.pods().map(({ name }) => ({ pod: name, runs: runs.get(name) ?? '' }))
    if (json) return print(JSON.stringify({ event: 'end', pods: list }))
    const same = new Map<string, string[]>()
    for (const { pod, runs: words } of list) same.set(words, [...(same.get(words) ?? []), pod])
    if (list.length === 0) sayLast('no pod is there')
    for (const [words, names] of same)
      sayLast(`${names.join(', ')}: ${words === '' ? 'not heard of' : words} runs on - npm run switch-prod ends it`)
  }
})

function lines(text: string): string[] {
  const trimmed = text.replace(/\n$/, '')
  return trimmed === '' ? [] : trimmed.split('\n')
}
