// How the program of a pod is, by its agent's receipt, and what to do about it. Pure.
import type { Finding } from './finding.ts'
import { HALTED, NOT_STARTED, WAITING_FOR_ONE } from '../protocol/words.ts'
import { binaryWords, reasonOf, type Receipt } from '../protocol/receipt.ts'

const deploy = 'npm run build && npm run deploy-dev'

/** A `fault` is a program that was started and has died; one that waits for its first binary, or halts, is none. */
export function programState(receipt: Receipt): Pick<Finding, 'result' | 'found' | 'remedy'> {
  const result = receipt.values.get('result') ?? ''
  const reason = receipt.values.get('reason') ?? ''
  const why = reasonOf(receipt)
  const because = why === '' ? '' : ` (${why})`
  const binary = binaryWords(receipt)
  const words = [result === 'rolled-back' ? 'running' : result, ...(binary === '' ? [] : [binary])].join(', ')
  if (reason === HALTED)
    return {
      result: 'note',
      found: `${words}, halted by its debugger`,
      remedy: 'let it go on there: npm run debug-dev',
    }
  if (reason.endsWith(WAITING_FOR_ONE)) return { result: 'note', found: `none yet: ${reason}`, remedy: deploy }
  // the checks of the debugger say what is wrong with it
  if (reason.includes(NOT_STARTED))
    return { result: 'note', found: `its debugger did not start it${because}`, remedy: `without one: ${deploy}` }
  switch (result) {
    case 'running':
      return { result: 'ok', found: `${words}${because}`, remedy: '' }
    case 'starting':
      return { result: 'note', found: `still starting${because}`, remedy: 'npm run logs-dev shows what it waits for' }
    case 'rolled-back':
      return {
        result: 'note',
        found: `the last binary crashed${because}, the one before it is back: ${words}`,
        remedy: `fix it, then ${deploy}`,
      }
    case 'crashed':
      return {
        result: 'fault',
        found: `crashed${because}${binary === '' ? '' : `, ${binary}`}`,
        remedy: `npm run logs-dev shows its last words; fix it, then ${deploy}`,
      }
    default:
      return {
        result: 'note',
        found: `its agent says ${result === '' ? 'nothing of it' : result}${because}`,
        remedy: '',
      }
  }
}
