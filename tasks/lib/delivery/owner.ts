// Whose binary a pod runs: one's own work is replaced without a word, somebody else's only where that was asked for. Pure.
import { binaryWords, type Receipt } from '../protocol/receipt.ts'

/** Who asks: USER@HOST, and whether a binary was delivered from here. */
export interface Developer {
  readonly by: string
  readonly knows: (sha256: string) => boolean
}

/** Another developer's binary that a pod runs. */
export interface Claim {
  /** USER@HOST. */
  readonly by: string
  /** Whose, which version, since when: `bob@laptop's v1.2 3f9c01ab has run there since 2026-11-25T07:08:05Z`. */
  readonly words: string
  /** The same of one whose place was taken: it `had run there`. */
  readonly past: string
}

/** How to put one's own binary over another developer's. */
export const takeOver = 'agree with them, then npm run deploy-dev -- --take-over'

/**
 * What a pod runs where somebody else has put it there; undefined if it is one's own, was delivered from here, is the
 * image's, or nothing runs.
 */
export function claimed(receipt: Receipt, { by: own, knows }: Developer): Claim | undefined {
  const value = (key: string) => receipt.values.get(key) ?? ''
  const by = value('by')
  if (by === '' || by === own || value('sha256') === '' || knows(value('sha256'))) return undefined
  const [whose, since] = [`${by}'s ${binaryWords(receipt)}`, `run there since ${value('deployed') || value('started')}`]
  return { by, words: `${whose} has ${since}`, past: `${whose} had ${since}` }
}
