// Whose the pods are: another developer's binary in one of them holds each save back, until one's own runs there again.
import { binaryWords, type Receipt } from '../protocol/receipt.ts'
import type { Pod } from '../pods/target.ts'
import { claimed, type Claim, type Developer } from './owner.ts'

export interface Holding {
  /** Whose binary runs in which pod, in words; empty: nothing is held back. */
  readonly why: () => string
  /** A delivery to a pod has told what it runs. */
  readonly ran: (pod: Pod, receipt: Receipt) => void
  /** A pod says what it runs. */
  readonly seen: (pod: Pod, receipt: Receipt) => void
  /** A delivery was refused for a claim. */
  readonly taken: (pod: Pod, claim: Claim) => void
  readonly gone: (pod: Pod) => void
  /** What runs in a pod, in words; empty: not known. */
  readonly runs: (pod: string) => string
}

/** `took` is told of each claim once, `freed` when the pods are one's own again. */
export function holding(
  me: Developer,
  { took, freed }: { readonly took: (pod: Pod, claim: Claim) => void; readonly freed: () => void },
): Holding {
  let why = ''
  const claims = new Map<string, Claim>()
  const runs = new Map<string, string>()

  function taken(pod: Pod, claim: Claim): void {
    const before = claims.get(pod.name)
    claims.set(pod.name, claim)
    why = `${pod.name}: ${claim.words}`
    if (before?.words !== claim.words) took(pod, claim)
  }

  return {
    why: () => why,
    taken,
    ran: (pod, receipt) => void runs.set(pod.name, binaryWords(receipt)),
    seen: (pod, receipt) => {
      runs.set(pod.name, binaryWords(receipt))
      const claim = claimed(receipt, me)
      if (claim !== undefined) return taken(pod, claim)
      claims.delete(pod.name)
      // a pod that is new, with the binary of its image, is no consent
      if (why === '' || claims.size > 0 || receipt.values.get('by') !== me.by) return
      why = ''
      freed()
    },
    gone: (pod) => {
      runs.delete(pod.name)
      claims.delete(pod.name)
    },
    runs: (pod) => runs.get(pod) ?? '',
  }
}
