// Image references. Pure.

/**
 * Whether two references name the same image: tag, digest and the registry's port aside, and with the names that Docker Hub
 * goes by as one. Grammar: https://github.com/distribution/reference/blob/main/reference.go
 */
export function isSameImage(a: string, b: string): boolean {
  return imageName(a) === imageName(b)
}

function imageName(reference: string): string {
  const name = reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
  const [host = '', ...path] = name.split('/')
  // Without a dot, a port or localhost the first part is a folder of Docker Hub.
  if (path.length === 0 || !(/[.:]/.test(host) || host === 'localhost')) return name.replace(/^library\//, '')
  const registry = host.replace(/:\d+$/, '')
  if (registry === 'docker.io' || registry === 'index.docker.io') return path.join('/').replace(/^library\//, '')
  return [registry, ...path].join('/')
}

/**
 * The way out where an image, or another value, is a placeholder that a tool should have filled in; undefined if it looks
 * like none.
 */
export function leftover(value: string): string | undefined {
  const inEnv = 'and put the path of the result into .env: MANIFEST=PATH'
  if (value.startsWith('ko://')) return `ko builds it: ko resolve -f FILE > PATH, ${inEnv}`
  if (/\$\{?\w+/.test(value)) return `a variable that is not filled in: envsubst < FILE > PATH, ${inEnv}`
  if (/[$%@#(){}<>[\]]/.test(value.replace(/@sha256:[0-9a-f]{64}$/, '')))
    return `a placeholder that is not filled in: let the tool that does it write the manifest to PATH, ${inEnv}`
  return undefined
}
