// uvu's suite as the tests here need it: a before hook that throws is heard, and a case that never ends fails by itself.
import { suite as silent, type Test } from 'uvu'

/** Seconds for one case, on any machine. Half of what a file has, so that the cases after one that hangs are run. */
const limit = 600

/** A suite as uvu makes it; what its before hook throws goes to stderr too, and a case fails after ten minutes. */
export function suite<T>(title: string): Test<T> {
  const made = silent<T>(title)
  const { before } = made
  const heard = (hook: Parameters<typeof before>[0]) =>
    before(async (context) => {
      try {
        await hook(context)
      } catch (error) {
        process.stderr.write(`\nbefore ${title}: ${error instanceof Error ? error.stack : String(error)}\n`)
        throw error
      }
    })
  const bounded = (name: string, work: Parameters<typeof made>[1]) =>
    made(name, async (context) => {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not over after ${limit} s`)), limit * 1000)
      })
      const whole = async () => work(context) // a case that throws at once rejects too
      await Promise.race([whole(), late]).finally(() => clearTimeout(timer))
    })
  return Object.assign(bounded, made, { before: Object.assign(heard, { each: before.each }) })
}
