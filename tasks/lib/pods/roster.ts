// The roster: the pods as they come and go. A container that was started anew is another one: its binary is the image's.
import { onEnd } from '../frame/ending.ts'
import { inWords } from '../frame/talk.ts'
import type { Pod, Target } from './target.ts'

export interface RosterListener {
  /** A pod is there, or its container was started anew. */
  readonly came: (pod: Pod) => void
  /** It is gone, or its container was started anew. */
  readonly went: (pod: Pod) => void
  /** Why the pods are not known, once for each reason. */
  readonly trouble: (why: string) => void
}

const gather = 50 // ms in which changes count as one
const longest = 10_000 // ms without a look: a watch may hang

/** Tells of the pods there are, then of those that come and go, until the task ends. Throws UserError if the first look fails. */
export async function roster(target: Target, { came, went, trouble }: RosterListener): Promise<void> {
  const present = new Map<string, Pod>()
  let going = true
  let told = ''
  let looking: Promise<void> | undefined
  let again = false
  let timer: NodeJS.Timeout | undefined
  onEnd(() => {
    going = false
    clearTimeout(timer)
  })
  await look()
  soon(longest)
  target.watch(() => soon(gather))

  async function look(): Promise<void> {
    const { pods } = await target.anyPods()
    if (!going) return
    const lives = new Set(pods.map(({ name, life }) => `${name} ${life}`))
    for (const [key, pod] of present)
      if (!lives.has(key)) {
        present.delete(key)
        went(pod)
      }
    for (const pod of pods) {
      const key = `${pod.name} ${pod.life}`
      if (!present.has(key)) came(pod)
      present.set(key, pod)
    }
  }

  function soon(ms: number): void {
    clearTimeout(timer)
    if (going) timer = setTimeout(() => void turn(), ms)
  }

  async function turn(): Promise<void> {
    if (looking !== undefined) {
      again = true
      return
    }
    looking = look().then(
      () => void (told = ''),
      (error: unknown) => {
        const { message } = inWords(error)
        if (going && message !== told) trouble(message)
        told = message
      },
    )
    await looking
    looking = undefined
    soon(again ? gather : longest)
    again = false
  }
}
