// Packing: under which encoding a binary goes to a pod, from what the pod said it has and understands.
import { buildOf } from '../go/builds.ts'
import type { Parcel } from './parcel.ts'
import type { Encoding, Receipt, Whole } from '../protocol/receipt.ts'
import type { Target } from '../pods/target.ts'
import { UserError } from '../frame/talk.ts'

/** What goes over the link. */
export interface Packed {
  readonly encoding: Encoding
  readonly body: Buffer
  /** sha256 of what a patch is for. */
  readonly base?: string
  /** Why it is not the encoding that was wanted, or empty. */
  readonly why: string
}

/** No gzip of a Go binary is smaller than this part of it: a patch below need not be compared with one. */
const surely = 1 / 8

/**
 * Packs a parcel for a pod: a delta where its base is known here and it is smaller than the whole file, which goes as `whole`
 * says, or raw. The base is what runs there or the binary before, the one of the same kind first: release and debug builds
 * often alternate.
 */
export async function pack(parcel: Parcel, wanted: Encoding, whole: Whole, greeting: Receipt): Promise<Packed> {
  let why = ''
  if (wanted === 'delta') {
    const bases = [greeting.values.get('sha256'), greeting.values.get('prev')].filter((base) => base !== undefined)
    const kindred = (base: string) => Number(buildOf(base)?.debug === parcel.debug)
    bases.sort((a, b) => kindred(b) - kindred(a))
    let best: Packed | undefined
    for (const base of new Set(bases)) {
      const body = await parcel.patch(base).catch(() => undefined) // its thread failed: the whole file will do
      if (body !== undefined && body.length < (best?.body.length ?? Infinity))
        best = { encoding: 'delta', body, base, why: ` on ${base.slice(0, 8)}` }
      if (best !== undefined && best.body.length < parcel.bytes.length * surely) return best
    }
    if (best !== undefined && best.body.length < (await parcel.encoded(whole)).length) return best
    why = best === undefined ? ': what the pod has is not in .hotswap/cache' : ': the delta is not smaller'
  }
  const encoding = wanted === 'delta' ? whole : wanted
  return { encoding, body: await parcel.encoded(encoding), why }
}

/** gzip, unless the way is short: there it takes longer than the bytes that it saves. */
export function wholeOf(target: Target): Whole {
  return target.kind === 'local' || target.cluster.local ? 'raw' : 'gzip'
}

/**
 * A delta, unless the way is short. One who is `resident` has the index of the old file at hand: to a pod, a delta is then
 * the fastest on any way. Throws UserError (2) where it is no encoding.
 */
export function encodingOf(chosen: string | boolean, target: Target, resident = false): Encoding {
  switch (chosen) {
    case 'raw':
    case 'gzip':
    case 'delta':
      return chosen
    case 'auto':
      return wholeOf(target) === 'gzip' || (resident && target.kind === 'kubernetes') ? 'delta' : 'raw'
    default:
      throw new UserError(`--encoding is raw, gzip, delta or auto, not ${String(chosen)}`, 2)
  }
}
