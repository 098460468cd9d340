// The story: what happened to the program under the debugger, one line each time, from what the agent says.
import { JUST_ENDED, NO_DEBUGGER } from '../protocol/words.ts'
import { pause } from '../frame/pause.ts'
import type { Link } from './link.ts'
import { debuggerFault } from '../protocol/debugger-fault.ts'
import { binaryWords, reasonOf, type Receipt } from '../protocol/receipt.ts'
import { UserError } from '../frame/talk.ts'

export interface Story {
  /** What runs at the start is no news, unless it cannot be debugged. */
  readonly begin: (link: Link) => void
  /** Another Delve has come or gone, or a pod was taken: asks the agent until what it says stays, and tells what is new. */
  readonly changed: () => void
  /** Why there is no Delve, in a sentence. */
  readonly why: () => string
}

const step = 300 // ms between two questions while a swap is under way
const limit = 90_000 // ms for a swap to come to an end
const patience = 3_000 // ms without an answer of the agent that are no news
const again = 2_000 // ms until the next question if nothing runs: no Delve tells what comes next
const noDebugger = 'this build has no debugger: npm run build-debug && npm run deploy-dev'
const none = 'no debugger has come up there - see npm run status-dev'

/** `tell` gets each line. */
export function story(tell: (line: string) => void): Story {
  let link: Link | undefined
  /** What ran last, and where. */
  let last: { readonly pod: string; readonly receipt: Receipt } | undefined
  let told = ''
  let occasions = 0
  let asking = false
  let next: NodeJS.Timeout | undefined
  let reason = ''

  async function ask(): Promise<void> {
    asking = true
    for (let seen = -1; seen !== occasions;) {
      seen = occasions
      clearTimeout(next)
      try {
        const now = await settled(link)
        if (now === undefined) continue
        const line =
          last === undefined
            ? fault(now.receipt)
            : last.pod === now.pod
              ? plot(last.receipt, now.receipt)
              : moved(now.receipt)
        if (line !== '' && line !== told) tell(`${now.pod}: ${line}`)
        told = line
        reason = fault(now.receipt)
        if (now.receipt.values.has('pid')) last = now
        else next = setTimeout(changed, again).unref()
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        reason = error.message
      }
    }
    asking = false
  }

  const changed = () => {
    occasions += 1
    if (!asking) void ask()
  }

  return {
    begin: (from) => {
      link = from
      changed()
    },
    changed,
    why: () => link?.trouble() || reason || none,
  }
}

/** What the agent says once no swap is under way. Throws UserError if it says nothing. */
async function settled(link: Link | undefined): Promise<{ pod: string; receipt: Receipt } | undefined> {
  const begin = Date.now()
  for (let heard = begin; link !== undefined; await pause(step)) {
    try {
      const found = await link.receipt()
      heard = Date.now()
      const { values } = found.receipt
      const busy = values.get('result') === 'starting' || values.has('swapping') || values.get('reason') === JUST_ENDED
      if (!busy || heard > begin + limit) return found
    } catch (error) {
      if (!(error instanceof UserError) || Date.now() > heard + patience) throw error
    }
  }
  return undefined
}

/** What has happened to the program that ran before, in one line; empty if nothing has. Pure. */
export function plot(before: Receipt, now: Receipt): string {
  const { values } = now
  const value = (key: string) => values.get(key) ?? ''
  const same = (key: string) => value(key) === before.values.get(key)
  const because = `(${reasonOf(now) || 'no reason given'})`
  if (!values.has('pid')) return joined(`nothing runs now ${because}`, fault(now))
  if (same('pid')) return same('reason') ? '' : fault(now)
  if (value('result') === 'rolled-back')
    return joined(`the new binary crashed ${because}, ${binaryWords(now)} is back`, fault(now))
  if (same('sha256')) return joined(`${binaryWords(now)} was started again`, fault(now))
  const by = same('by') || value('by') === '' ? '' : ` by ${value('by')}`
  return joined(`swapped${by}: ${binaryWords(before)} → ${binaryWords(now)}`, fault(now))
}

function moved(now: Receipt): string {
  return joined(`this pod is debugged from now on, it runs ${binaryWords(now)}`, fault(now))
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' - ')
}

/** Why there is no debugger; empty if there is one. */
function fault({ values, log }: Receipt): string {
  if (!values.has('wrapper'))
    return 'the agent there runs without a debugger: npm run build-debug && npm run switch-dev'
  const found = debuggerFault(values.get('reason') ?? '', log)
  if (found !== undefined) return found
  if (values.get('run') === 'plain') return noDebugger
  if (values.get('reason') === NO_DEBUGGER) return 'its Delve has ended, the program runs on: deploy another build'
  return ''
}
