// How fast this machine is: the clocks of the tests go by it, so that a slow machine changes no outcome.
import { spawn } from 'node:child_process'

/** Subshells, three times abreast, which are what the agent does most; on a quiet machine of 2020 this takes less than 120 ms. */
const work = 'i=0; while [ $i -lt 50 ]; do x=$(:); i=$((i + 1)); done'
const abreast = 3

const begin = performance.now()
await Promise.all(
  Array.from({ length: abreast }, () => new Promise((end) => spawn('sh', ['-c', work]).on('close', end))),
)

/**
 * So many times is everything slower here: each limit and bound of a test is that much longer. In the agent's tests a
 * second lasts so many seconds altogether: also pauses, SETTLE and LIMIT, and what the program and the wrapper wait. The
 * clocks that are built into the agent know nothing of it: a case about one of those counts in `real`.
 */
export const pace = Math.min(8, Math.max(1, Math.round((performance.now() - begin) / 120)))

/** Real seconds in the tests' seconds. */
export const real = (seconds: number) => seconds / pace

/** The tests' seconds in real ones, as an option or a variable of the agent has them. */
export const clock = (seconds: number | string) => String(Math.round(Number(seconds) * pace * 100) / 100)

if (pace > 1) process.stdout.write(`measured: subshells are slow here, clocks have ${pace} times as long\n`)
