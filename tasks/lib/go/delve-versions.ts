// Which Go a Delve knows. Pure.
import { tooOld } from '../protocol/debugger-fault.ts'

/**
 * The newest Go that a Delve debugs, as the N of Go 1.N. Since 1.20, Delve 1.N knows Go up to 1.N; 1.25.0 was still at 24
 * (MaxSupportedVersionOfGoMinor in pkg/goversion/compat.go, at each tag). undefined for what is no version.
 */
export function newestGo(delve: string): number | undefined {
  const [, minor = '', patch = ''] = /^v?1\.(\d+)\.(\d+)/.exec(delve) ?? []
  if (minor === '') return undefined
  if (Number(minor) < 20) return 19
  return Number(minor) === 25 && patch === '0' ? 24 : Number(minor)
}

/** Why a Delve cannot debug what a Go builds (`go1.26.8`), with the next step; undefined if it can, or that is unknown. */
export function delveFault(delve: string, go: string): string | undefined {
  const known = newestGo(delve)
  const built = Number(/^go1\.(\d+)/.exec(go)?.[1])
  if (known === undefined || !(built > known)) return undefined
  return tooOld(`Delve ${delve}`, `1.${known}`, go)
}
