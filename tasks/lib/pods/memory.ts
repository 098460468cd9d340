// Memory: what a binary costs a container with a limit. Pure.
import { posix } from 'node:path'
import { at, items, text } from '../frame/json.ts'

/** What is known of a container's memory. */
export interface Memory {
  /** Bytes; Infinity without a limit. */
  readonly limit: number
  /** The folder of the binary is memory too: a volume whose medium is Memory. */
  readonly volume: boolean
}

const mega = 1_000_000
const mebi = 1_048_576

/** The memory of a container of a pod, from their JSON, whose program is at the path `binary`. */
export function memoryOf(pod: unknown, container: unknown, binary: string): Memory {
  const folder = `${posix.dirname(binary)}/`
  const mount = items(container, 'volumeMounts')
    .filter((each) => folder.startsWith(`${text(each, 'mountPath').replace(/\/+$/, '')}/`))
    .sort((a, b) => text(b, 'mountPath').length - text(a, 'mountPath').length)[0]
  const volume = items(at(pod, 'spec'), 'volumes').find((each) => text(each, 'name') === text(mount, 'name'))
  return {
    limit: bytesOf(text(container, 'resources', 'limits', 'memory')) ?? Infinity,
    volume: mount !== undefined && text(volume, 'emptyDir', 'medium') === 'Memory',
  }
}

/** A quantity of Kubernetes (64Mi, 128M, 1e9, 500m) in bytes; undefined for anything else. */
export function bytesOf(quantity: string): number | undefined {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d*)?(?:[eE]\d+)?)([mkKMGTPE]i?|)$/.exec(quantity) ?? []
  if (number === '' || unit === 'mi' || unit === 'K' || unit === 'ki') return undefined
  if (unit === 'm') return Number(number) / 1000
  const power = 'kMGTPE'.indexOf(unit.charAt(0).replace('K', 'k')) + 1
  return Number(number) * (unit === '' ? 1 : (unit.endsWith('i') ? 1024 : 1000) ** power)
}

/**
 * Bytes that Delve takes to run a debug build of so many bytes, the program's own not counted. Measured with Delve 1.27 and
 * Go 1.26, uncompressed DWARF, memory that is not the file's: 28 MB for a binary of 12 MB, 34 for 17, 146 for 99, 280 for 143.
 */
export function delveNeeds(size: number): number {
  return 2 * size + 16 * mega
}

/** Why the container would be killed for this binary, and what to raise; undefined if there is room. */
export function memoryFault({ limit, volume }: Memory, size: number, wrapped: boolean): string | undefined {
  const parts = [
    ...(wrapped ? [{ bytes: delveNeeds(size), what: 'Delve' }] : []),
    ...(volume ? [{ bytes: 3 * size, what: 'three binaries in the memory-backed volume' }] : []), // new, present, previous
  ]
  const need = parts.reduce((sum, { bytes }) => sum + bytes, 0)
  if (parts.length === 0 || need <= limit) return undefined
  const why = parts.map(({ bytes, what }) => `${Math.ceil(bytes / mebi)} MiB for ${what}`).join(' and ')
  const other = wrapped && !volume ? ', or deploy a release build (npm run build)' : ''
  return `the memory limit of its container is ${Math.floor(limit / mebi)} MiB, this binary takes ${why}, and the program comes on top - raise resources.limits.memory in MANIFEST, then run npm run generate-deployment-dev and npm run switch-dev${other}`
}
