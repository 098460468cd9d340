// Why Delve did not start the program, from its last words: both sides named, and the next step. Pure.
import { EXIT_STATUS, NOT_STARTED } from './words.ts'

/** A sentence; undefined if Delve is not to blame. */
export function debuggerFault(reason: string, log: readonly string[]): string | undefined {
  if (!reason.includes(NOT_STARTED)) return undefined
  const said = log.join('\n')
  const [, tooNew, known] =
    /Version of Delve is too old for Go version (\S+) \(maximum supported version ([\d.]+)/.exec(said) ?? []
  if (tooNew !== undefined) return tooOld('Delve', known ?? '', `Go ${tooNew}`)
  const [, older, needed] =
    /Go version (\S+) is too old for this version of Delve \(minimum supported version ([\d.]+)/.exec(said) ?? []
  if (older !== undefined)
    return `Delve there needs Go ${needed}, the program is built by Go ${older} - set DLV_VERSION in .env to an older one, then npm run container-dev && npm run switch-dev`
  const [, port] = /couldn't start listener: listen tcp \S*:(\d+): bind: address already in use/.exec(said) ?? []
  if (port !== undefined)
    return `port ${port} of the pod is taken by another program, Delve cannot listen there - set DEBUG_PORT in .env, npm run generate-deployment-dev && npm run switch-dev`
  if (/dlv: (?:not found|No such file)/i.test(said) || reason.includes(`${EXIT_STATUS} 127`))
    return 'there is no dlv in the pod - npm run debug-dev sends one'
  return undefined
}

/** What to say of a Delve that does not know the Go of the program yet. */
export function tooOld(delve: string, known: string, go: string): string {
  return `${delve} there knows Go up to ${known}, the program is built by ${go} - npm run container-dev && npm run switch-dev`
}
