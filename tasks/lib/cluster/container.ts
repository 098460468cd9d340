// Container tools: how docker, podman, nerdctl and buildah build and push, and how an image gets into a local cluster.
import type { Settings } from '../settings/table.ts'
import { UserError } from '../frame/talk.ts'
import { find, need, run } from '../frame/tools.ts'

const known = ['docker', 'podman', 'nerdctl', 'buildah'] as const

/** CONTAINER_TOOL, or the first that is found. Throws UserError if there is none. */
export function containerTool({ containerTool: chosen }: Pick<Settings, 'containerTool'>): string {
  if (chosen !== '') {
    need(chosen, 'to build the image (CONTAINER_TOOL)')
    return chosen
  }
  const found = known.find((tool) => find(tool) !== undefined)
  if (found === undefined) throw new UserError(`no container tool is on PATH: install one of ${known.join(', ')}`)
  return found
}

/** The arguments of a build: without a network, since nothing is installed in it. */
export function buildArgs(
  tool: string,
  image: string,
  variables: Readonly<Record<string, string>>,
  context: string,
): string[] {
  return [
    tool === 'buildah' ? 'bud' : 'build',
    '--network=none',
    ...Object.entries(variables).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]),
    '-t',
    image,
    context,
  ]
}

/** The user that a base image runs as; empty if it names none, or the tool cannot say. */
export async function userOf(tool: string, image: string): Promise<string> {
  const inspect =
    tool === 'buildah'
      ? ['inspect', '--type', 'image', '--format', '{{.OCIv1.Config.User}}', image]
      : ['image', 'inspect', '--format', '{{.Config.User}}', image]
  let answer = await run(tool, inspect, { cwd: '.', output: 'read' })
  if (answer.exitCode !== 0) {
    await run(tool, ['pull', image], { cwd: '.', output: 'show' })
    answer = await run(tool, inspect, { cwd: '.', output: 'read' })
  }
  const user = answer.stdout.trim()
  return answer.exitCode === 0 && /^[\w.:-]+$/.test(user) ? user : ''
}

/**
 * The command that brings an image where the pods of a context are pulled from; undefined if nothing is to be done. The tools
 * of local clusters name their contexts after the cluster: kind-NAME, k3d-NAME, and the profile of minikube as it is.
 */
export function imageTo(
  { imageTo: where, devImage }: Pick<Settings, 'imageTo' | 'devImage'>,
  tool: string,
  context: string,
): readonly [tool: string, ...args: string[]] | undefined {
  const cluster = (prefix: string) => (context.startsWith(prefix) ? [context.slice(prefix.length)] : [])
  switch (where) {
    case 'push':
      return [tool, 'push', devImage]
    case 'kind':
      return ['kind', 'load', 'docker-image', devImage, ...cluster('kind-').flatMap((name) => ['--name', name])]
    case 'minikube':
      return ['minikube', 'image', 'load', devImage, ...(context === '' ? [] : ['-p', context])]
    case 'k3d':
      return ['k3d', 'image', 'import', devImage, ...cluster('k3d-').flatMap((name) => ['--cluster', name])]
    case 'none':
      return undefined
  }
}
