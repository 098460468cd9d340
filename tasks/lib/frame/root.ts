// The folder of this project.
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The top folder of this repository, without a slash at its end. task() makes it the working directory. */
export const root = above(dirname(fileURLToPath(import.meta.url)))

/** The nearest folder that has a package.json: a source and what is compiled from it lie at different depths. */
function above(folder: string): string {
  return existsSync(join(folder, 'package.json')) || folder === dirname(folder) ? folder : above(dirname(folder))
}
