// uvu's suite with a before hook that is heard: uvu alone drops what one throws, and nobody learns why no test ran.
import { suite as silent, type Test } from 'uvu'

/** A suite as uvu makes it; what its before hook throws goes to stderr too. */
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
  made.before = Object.assign(heard, { each: before.each })
  return made
}
