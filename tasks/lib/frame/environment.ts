// The environment: what the children of a task get.

let added: Readonly<Record<string, string>> = {}

/** Adds variables that every child gets, unless this process has its own. */
export function addToEnvironment(variables: Readonly<Record<string, string>>): void {
  added = variables
}

/**
 * What git exports to a hook, so that all that the hook runs works on its repository (`git rev-parse --local-env-vars`): a
 * task works on that of GO_DIR. Without GIT_CONFIG_COUNT and its like, which name none and may lead go to its modules.
 */
const hookVariable =
  /^GIT_(ALTERNATE_OBJECT_DIRECTORIES|CONFIG|OBJECT_DIRECTORY|DIR|WORK_TREE|IMPLICIT_WORK_TREE|GRAFT_FILE|INDEX_FILE|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|PREFIX|INTERNAL_SUPER_PREFIX|SHALLOW_FILE|COMMON_DIR)$/

/**
 * The environment that children get: this process's own, without what would change zx and dotenv from outside, and without
 * the repository of a git hook. Of .env it has the variables of Go alone.
 */
export function environment(): Record<string, string> {
  const own: Record<string, string> = { ...added }
  for (const [key, value] of Object.entries(process.env))
    if (value !== undefined && !/^(ZX_|DOTENV_)/.test(key) && !hookVariable.test(key)) own[key] = value
  return own
}

/** Takes ZX_* out of this process's environment: zx reads them as it is loaded, and they change every command. */
export function dropZxVariables(): void {
  for (const key of Object.keys(process.env)) if (key.startsWith('ZX_')) delete process.env[key]
}
