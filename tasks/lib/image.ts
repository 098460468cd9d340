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
