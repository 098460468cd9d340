// How fast this machine is: the clocks of the tests go by it, so that a slow machine changes no outcome.
import { spawn } from 'node:child_process'

/** Subshells, three times abreast, which are what the agent does most; on a quiet machine of 2020 this takes less than 120 ms. */
const work = 'i=0; while [ $i -lt 50 ]; do x=$(:); i=$((i + 1)); done'
const abreast = 3
const most = 8

/** Measures it: so many times is everything slower here than on that machine. */
async function measured(): Promise<number> {
  const begin = performance.now()
  await Promise.all(
    Array.from({ length: abreast }, () => new Promise((end) => spawn('sh', ['-c', work]).on('close', end))),
  )
  return Math.min(most, Math.max(1, Math.round((performance.now() - begin) / 120)))
}

/**
 * At the start of this file. In the agent's tests a second lasts so many seconds altogether: also pauses, SETTLE and LIMIT,
 * and what the program and the wrapper wait. The clocks that are built into the agent know nothing of it: a case about one
 * of those counts in `real`.
 */
export const pace = await measured()

/** Real seconds in the tests' seconds. */
export const real = (seconds: number) => seconds / pace

/** The tests' seconds in real ones, as an option or a variable of the agent has them. */
export const clock = (seconds: number | string) => String(Math.round(Number(seconds) * pace * 100) / 100)

let lately = pace
let measuring: Promise<number> | undefined

/** Measures again, once for all who ask meanwhile. It stays as high as it ever was: what was late may just be over. */
async function now(): Promise<number> {
  measuring ??= measured().finally(() => (measuring = undefined))
  return (lately = Math.max(lately, await measuring))
}

/**
 * A limit for a fact: patience, which a machine that has become slower since the start of this file makes longer. It is
 * measured again where the limit is reached; `most` times is the end of it.
 */
export function patience(seconds: number) {
  const begin = performance.now()
  let times = pace
  const passed = () => (performance.now() - begin) / 1000
  return {
    async over() {
      if (passed() > seconds * times) times = lately
      if (passed() > seconds * times) times = await now()
      return passed() > seconds * times
    },
    /** How long it has been, in words. */
    toString: () => `${Math.round(passed() * 10) / 10} s${times > 1 ? ` (${seconds} s times ${times})` : ''}`,
  }
}

/** Did something take less? Both in the tests' seconds, as a slow machine has them by now. */
export const tookLess = async (took: number, seconds: number) => took < seconds || took * pace < seconds * (await now())

/** Rejects where something is not over within the patience for it. */
export async function within<T>(seconds: number, work: Promise<T>, what: () => string): Promise<T> {
  const limit = patience(seconds)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const look = async () => {
      if (await limit.over()) reject(new Error(`not over after ${limit}: ${what()}`))
      else timer = setTimeout(look, 100)
    }
    timer = setTimeout(look, seconds * pace * 1000)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

if (pace > 1) process.stdout.write(`measured: subshells are slow here, clocks have ${pace} times as long\n`)
