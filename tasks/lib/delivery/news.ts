// What dev tells of its work: each event as a line, or as a JSON object (docs/json.md).
import type { Build } from '../go/builds.ts'
import type { Screen } from '../frame/screen.ts'
import { print, say, sayLast } from '../frame/talk.ts'
import { size } from '../frame/words.ts'
import type { Pod } from '../pods/target.ts'
import { binaryWords } from '../protocol/receipt.ts'
import { clock, momentOf, type Edit } from './edit.ts'
import type { Outcome } from './fleet.ts'
import { takeOver, type Claim } from './owner.ts'

type Made = Pick<Build, 'version' | 'sha256'>

/** `wide`: an edit has all of its line, however narrow the terminal is. */
export function news(json: boolean, shown: Screen, wide: boolean) {
  const room = () => (wide ? Infinity : shown.room())
  const object = (event: string, fields: Readonly<Record<string, unknown>>) =>
    print(JSON.stringify({ event, ...fields }))
  const edited = (result: string, fields: Readonly<Record<string, unknown>>) =>
    object('edit', { time: new Date().toISOString(), result, ...fields })

  return {
    watching: (files: number, pods: readonly Pod[], goMain: string) => {
      if (json) object('watching', { files, pods: pods.map(({ name }) => name) })
      else say(`watching ${files} files of ${goMain}; Ctrl-C ends this and leaves the pods as they are`)
    },
    building: (begin: number) => shown.open(`${clock(momentOf(begin))} building`),
    /** An edit that is under way. */
    progress: (mine: Edit) => shown.open(mine.line(room())),
    finished: (mine: Edit) => {
      if (json) print(JSON.stringify(mine.record()))
      else shown.result(mine.line(room()), mine.tone())
      if (!json && mine.waits() !== '') say(mine.waits())
      for (const trouble of mine.troubles()) say(`error: ${trouble}`)
    },
    /** A build that gave the binary that is deployed; a line would break into that of an edit under way. */
    unchanged: ({ version, sha256 }: Made, begin: number, quiet: boolean) => {
      if (json) edited('same', { version, sha256 })
      else if (!quiet)
        shown.result(`${clock(momentOf(begin))} ${words({ version, sha256 })} the same binary: nothing to deploy`)
    },
    /** A build that is not deployed, and why. */
    kept: ({ version, sha256 }: Made, begin: number, why: string) => {
      if (json) edited('taken', { version, sha256 })
      else
        shown.result(
          `${clock(momentOf(begin))} ${words({ version, sha256 })} built, not deployed: ${why} - ${takeOver}`,
        )
    },
    /** What Go said of a build that failed, what went wrong besides, and what runs on. */
    failed: (said: string, why: string, begin: number, runs: string) => {
      for (const line of lines(said)) say(line)
      if (why !== '') say(`error: ${why}`)
      if (json) return edited('build-failed', { output: why === '' ? said : `${said}${why}\n` })
      const took = ((performance.now() - begin) / 1000).toFixed(2)
      const stays = runs === '' ? '' : `; ${runs} runs on`
      shown.result(`${clock(momentOf(begin))} the build failed ${took} s${stays}`, 'bad')
    },
    /** What Go said of a build that worked. */
    said: (text: string) => lines(text).forEach(say),
    taken: ({ name }: Pod, { by, words: claim }: Claim) => {
      if (json) object('taken', { pod: name, by, error: claim })
      else say(`taken over: ${name}: ${claim}; nothing is deployed any more - ${takeOver}`)
    },
    free: () => {
      if (json) object('free', {})
      else say('the pods are yours again: each save is deployed')
    },
    /** A pod that came after an edit, or could not be reached then. */
    late: (pod: Pod, { result, delivery, error }: Outcome) => {
      if (result === 'gone' || result === 'overtaken' || result === 'taken') return // a taken one was told of
      const { sent = 0, receipt, ms = 0 } = delivery ?? {}
      const version = receipt?.values.get('version') ?? ''
      const sha256 = receipt?.values.get('sha256') ?? ''
      const seconds = Math.round(ms) / 1000
      if (json) object('pod', { pod: pod.name, result, version, sha256, sent, seconds, error })
      else if (receipt !== undefined) {
        const how = result === 'already' ? 'runs there' : size(sent)
        shown.result(`${clock(new Date())} ${pod.name}: ${binaryWords(receipt)} ${how} ${seconds.toFixed(2)} s ok`)
      }
      if (error !== undefined) say(`error: ${error}`)
    },
    /** What runs, as far as it is known: the pods stay as they are. */
    end: (pods: readonly Pod[], runs: (pod: string) => string) => {
      const list = pods.map(({ name }) => ({ pod: name, runs: runs(name) }))
      if (json) return object('end', { pods: list })
      const same = new Map<string, string[]>()
      for (const { pod, runs: binary } of list) same.set(binary, [...(same.get(binary) ?? []), pod])
      if (list.length === 0) sayLast('there is no dev pod')
      for (const [binary, names] of same)
        sayLast(
          `${names.join(', ')}: ${binary === '' ? 'it has not said what it runs, and' : binary} runs on - npm run switch-prod ends it`,
        )
    },
  }
}

/** Version and 8 digits of the hash. */
export function words({ version, sha256 }: Made): string {
  return `${version} ${sha256.slice(0, 8)}`
}

function lines(text: string): string[] {
  const trimmed = text.replace(/\n$/, '')
  return trimmed === '' ? [] : trimmed.split('\n')
}
