// Injection: what a pod template gets, so that the agent runs in the production image as it is. Pure.
import { isRecord } from '../frame/json.ts'
import { posix } from 'node:path'
import { FOLDER } from '../protocol/command.ts'
import { SCRIPT } from '../protocol/annotations.ts'
import type { Container, PodTemplate, Injection } from './template.ts'
import type { Change } from '../yaml/edit.ts'
import type { Value } from '../yaml/splice.ts'
import { type Source, positionOf, valueAt } from '../yaml/text.ts'

interface Item {
  readonly [key: string]: Value
}

/** The volume of tools and binaries, and the init container that fills it. */
const NAME = 'hotswap-dev'
const AGENT_VOLUME = 'hotswap-agent'
const TMP_VOLUME = 'hotswap-tmp'

// Any user but root will do where the image's own is not known: the folder of an emptyDir is open to all.
const SOME_USER = 65532

// Kubernetes replaces $(NAME) and $$ in a command: there is none. busybox is /proc/self/exe wherever its image has it.
export const SETUP = `umask 022
rm -rf ${FOLDER}/bin
mkdir ${FOLDER}/bin && cp /proc/self/exe ${FOLDER}/bin/busybox || exit 1
if head -c 4096 ${FOLDER}/bin/busybox | tr '\\0' '\\n' | grep -q '^/.*/ld-'; then
  echo 'hotswap-dev: the busybox of INJECT_IMAGE is not a static one - set INJECT_IMAGE=busybox:stable-musl in .env'
elif ! ${FOLDER}/bin/busybox true 2>/dev/null; then
  echo 'hotswap-dev: no program can be run from an emptyDir of this node, which mounts them noexec - set DEV_IMAGE in .env to an image that npm run container-dev builds'
else
  exec ${FOLDER}/bin/busybox --install -s ${FOLDER}/bin
fi
exit 1
`

/** Where an injected agent has the binary of a container: in a folder of the container's own, as containers share the volume. */
export function injectedBinary({ fields, path }: Container, binaryPath: string): string {
  const folder = typeof fields.name === 'string' ? fields.name : String(path.at(-1))
  return posix.join(FOLDER, folder, posix.basename(binaryPath))
}

/** The changes of a pod template whose `containers` get an injected agent. */
export function injection(
  source: Source,
  pod: PodTemplate,
  containers: readonly Container[],
  { image }: Injection,
): Change[] {
  const [first] = containers
  if (!first) return []
  const tmp = containers.map((container) => (needsTmp(container) ? tmpVolume(container) : undefined))
  const volumes: Item[] = [
    { name: NAME, emptyDir: {} },
    {
      name: AGENT_VOLUME,
      downwardAPI: { items: [{ path: 'hotswap-dev', fieldRef: { apiVersion: 'v1', fieldPath } }] },
    },
    ...tmp.filter((name) => name !== undefined).map((name) => ({ name, emptyDir: {} })),
  ]
  return [
    ...containers.flatMap(({ path, fields }, index) => {
      const own = tmp[index]
      const mounts: Item[] = [
        { name: NAME, mountPath: FOLDER },
        { name: AGENT_VOLUME, mountPath: `${FOLDER}/agent`, readOnly: true },
        ...(own === undefined ? [] : [{ name: own, mountPath: '/tmp' }]),
      ]
      return more(path, fields, ['volumeMounts'], mounts, ['env', 'args', 'command', 'image', 'name'])
    }),
    // above the containers: the last of them may lose what stands at its end
    ...more(pod.path, pod.fields, ['spec', 'volumes'], volumes, []),
    // the last change: it moves the other init containers
    ...more(pod.path, pod.fields, ['spec', 'initContainers'], [setup(source, pod, first, image)], []),
  ]
}

// With its version, which the API server would add: else each kubectl apply would find a difference.
const fieldPath = `metadata.annotations['${SCRIPT}']`

/** Items in front of a list, those left out whose name is there. */
function more(
  top: PodTemplate['path'],
  fields: PodTemplate['fields'],
  below: readonly string[],
  items: readonly Item[],
  after: readonly string[],
): Change[] {
  const there: unknown = valueAt(fields, below)
  const list: unknown[] = Array.isArray(there) ? there : []
  const missing = items.filter((item) => !list.some((each) => valueAt(each, ['name']) === item.name))
  if (missing.length === 0) return []
  const path = [...top, ...below]
  return [list.length > 0 ? { op: 'insert', path, values: missing } : { op: 'add', path, value: missing, after }]
}

/** The init container that brings the tools: as narrow as the container, and within what that asks for. */
function setup(source: Source, pod: PodTemplate, { fields }: Container, image: string): Item {
  const resources = valueOf(pick(fields.resources, ['limits', 'requests']))
  return {
    name: NAME,
    image,
    command: ['busybox', 'sh', '-c', SETUP],
    terminationMessagePolicy: 'FallbackToLogsOnError',
    securityContext: {
      ...security(source, pod, fields),
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    // A quota may ask for them, and the pod's class of service depends on all containers. Init containers come on top of nothing.
    ...(isRecord(resources) && Object.keys(resources).length > 0 ? { resources } : {}),
    volumeMounts: [{ name: NAME, mountPath: FOLDER }],
  }
}

function security(source: Source, pod: PodTemplate, fields: Container['fields']): Item {
  const keys = ['runAsUser', 'runAsGroup', 'runAsNonRoot', 'seccompProfile', 'seLinuxOptions', 'appArmorProfile']
  const own = valueOf(pick(fields.securityContext, keys))
  const user = needsUser(pod, fields) && !isOpenShift(source)
  return { ...(isRecord(own) ? own : {}), ...(user ? { runAsUser: SOME_USER } : {}) }
}

/** Whether no root may run, and no user is named: the image of the program has one, that of the tools has none. */
function needsUser(pod: PodTemplate, fields: Container['fields']): boolean {
  const setting = (key: string): unknown =>
    valueAt(fields, ['securityContext', key]) ?? valueAt(pod.fields, ['spec', 'securityContext', key])
  return setting('runAsNonRoot') === true && typeof setting('runAsUser') !== 'number'
}

/** Whether a manifest is one of OpenShift, which gives each namespace a range of users and forbids every other. */
function isOpenShift({ text }: Source): boolean {
  return /\bopenshift\.io\//.test(text)
}

/** What to know of the user that the init container gets; undefined if it gets none of its own. */
export function userNote(source: Source, pod: PodTemplate, { name, path, fields }: Container): string | undefined {
  if (!needsUser(pod, fields) || isOpenShift(source)) return undefined
  const own = valueAt(fields, ['securityContext', 'runAsNonRoot']) !== undefined
  const at = positionOf(source, [...(own ? path : [...pod.path, 'spec']), 'securityContext', 'runAsNonRoot'])
  const way = 'if the cluster allows a range of users only, as OpenShift does, write runAsUser: with one of them there'
  return `${at}: ${name}: runAsNonRoot without runAsUser: the init container ${NAME} runs as user ${SOME_USER} - ${way}`
}

function pick(value: unknown, keys: readonly string[]): Record<string, unknown> {
  return isRecord(value) ? Object.fromEntries(Object.entries(value).filter(([key]) => keys.includes(key))) : {}
}

/** Plain values as they can be written; what is neither text, number, boolean, list nor map is left out. */
function valueOf(value: unknown): Value | undefined {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.map(valueOf).filter((item) => item !== undefined)
  if (!isRecord(value)) return undefined
  const fields = Object.entries(value).map(([key, field]) => [key, valueOf(field)] as const)
  return Object.fromEntries(fields.flatMap(([key, field]) => (field === undefined ? [] : [[key, field]])))
}

/** A root that cannot be written has no place for temporary files, unless one is mounted. */
function needsTmp({ fields }: Container): boolean {
  const mounts: unknown[] = Array.isArray(fields.volumeMounts) ? fields.volumeMounts : []
  return (
    valueAt(fields, ['securityContext', 'readOnlyRootFilesystem']) === true &&
    !mounts.some((mount) => posix.join(String(valueAt(mount, ['mountPath'])), '/') === '/tmp/')
  )
}

/** One of the container's own: the logs of two programs of one name would meet in it. */
function tmpVolume({ path }: Container): string {
  const [list, index] = path.slice(-2)
  if (list === 'containers') return index === 0 ? TMP_VOLUME : `${TMP_VOLUME}-${Number(index) + 1}`
  return `${TMP_VOLUME}-init-${Number(index) + 1}`
}
