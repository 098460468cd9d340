// The end of a task: what it has to undo, and what it must not begin any more.
import { AsyncLocalStorage } from 'node:async_hooks'
import { message, UserError } from './talk.ts'

let ending = false // before its time: the body, which nothing stops, is waited for no more
const inCleanUp = new AsyncLocalStorage<boolean>()
const cleanups: (() => void | Promise<void>)[] = []

/**
 * Registers something to undo or end when the task ends in any way (a child to kill, a temp file); returns a function
 * that takes it back. Run once, newest first, on normal end, on error and on a signal.
 */
export function onEnd(cleanup: () => void | Promise<void>): () => void {
  const entry = () => cleanup() // an object of its own, also where one function is registered twice
  cleanups.push(entry)
  return () => {
    const at = cleanups.indexOf(entry)
    if (at >= 0) cleanups.splice(at, 1)
  }
}

/** Throws, with nothing to say, once the task is being ended: for a body that would begin another piece of work. */
export function unlessEnding(): void {
  if (ending) throw new UserError('')
}

/** Whether the task is being ended before its time. */
export function isEnding(): boolean {
  return ending
}

/** From now on the task is being ended before its time. */
export function beginEnding(): void {
  ending = true
}

/** Whether this is called by a clean-up. */
export function isCleaningUp(): boolean {
  return inCleanUp.getStore() === true
}

/** Does what onEnd was given, newest first; what fails is said, and ends nothing. */
export async function cleanUp(): Promise<void> {
  for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) {
    try {
      await inCleanUp.run(true, cleanup)
    } catch (error) {
      process.stderr.write(`warning: clean-up failed: ${message(error)}\n`)
    }
  }
}
