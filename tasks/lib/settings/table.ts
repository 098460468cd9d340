// The table of the settings: every key, its default, its meaning and what it may hold. Pure.
import * as dotenv from 'dotenv'
import { cleanEnv, EnvError, makeExactValidator } from 'envalid'
import { architectures } from '../binary/elf.ts'
import { assignment, isGoVariable, normal, scan, type Fault } from './env-file.ts'
import {
  binaryPath,
  control,
  filePath,
  type Format,
  goFlags,
  image,
  label,
  matching,
  oneOf,
  orEmpty,
  path,
  port,
  seconds,
  selector,
} from './formats.ts'
import { clean } from '../frame/talk.ts'

export interface Settings {
  readonly target: 'local' | 'kubernetes'
  readonly goMain: string
  readonly goDir: string
  readonly binary: string
  readonly binaryPath: string
  /** Empty: no version is linked in. */
  readonly versionVar: string
  /** As given: go splits it. */
  readonly goLdflags: string
  readonly goFlags: readonly string[]
  /** Empty: what the pods last said, else the host's. */
  readonly goArch: string
  readonly kubeContext: string
  readonly kubeNamespace: string
  readonly selector: string
  readonly container: string
  readonly prodImage: string
  /** Empty: injection. */
  readonly devImage: string
  /** Has a static busybox. */
  readonly injectImage: string
  readonly baseImage: string
  /** Empty: the first that is found. */
  readonly containerTool: '' | 'docker' | 'podman' | 'nerdctl' | 'buildah'
  readonly imageTo: 'none' | 'push' | 'kind' | 'minikube' | 'k3d'
  readonly manifest: string
  readonly manifestDev: string
  readonly encoding: 'auto' | 'raw' | 'gzip' | 'delta'
  readonly debugPort: number
  readonly debugLocalPort: number
  readonly debugWait: boolean
  readonly dlvVersion: string
  /** Seconds. */
  readonly settle: number
  /** Seconds. */
  readonly limit: number
  /** The program's ports stay open over a swap. */
  readonly hold: boolean
}

/** An envalid specification that also carries its default as it stands in .env.example. */
const row = <T>(text: string, meaning: string, { allowed, example, read }: Format<T>) => ({
  ...makeExactValidator<T>((given) => {
    if (control.test(given)) throw new EnvError('must not hold a newline, NUL or another control character')
    const value = read(given)
    if (value === undefined) throw new EnvError(`must be ${allowed}`)
    return value
  })({ desc: meaning, example }),
  text,
})

/** Every key: the single source for its default, its meaning and what it may hold. */
const table = {
  TARGET: row(
    '',
    'where the pods are: kubernetes or local; empty: kubernetes if KUBE_CONTEXT is set, else local',
    oneOf('local', 'kubernetes', ''),
  ),
  GO_MAIN: row('./examples/hello', 'package or file given to go build', path('./cmd/server')),
  GO_DIR: row('.', 'folder that go build runs in: the tasks work on a Go repository elsewhere', path('../my-service')),
  BINARY: row('bin/hello', 'where the build is written, relative to this repository', filePath('bin/server')),
  BINARY_PATH: row('/usr/local/bin/hello', 'absolute path of the binary in the container', binaryPath),
  VERSION_VAR: row(
    'main.version',
    'linker variable that receives the version, git describe --tags --always --dirty of GO_DIR; empty: none',
    orEmpty(
      matching(
        /^(?![-./])[A-Za-z0-9._/~-]+\.[A-Za-z_][A-Za-z0-9_]*$/,
        'PACKAGE.VARIABLE',
        'example.com/app/version.Version',
      ),
    ),
  ),
  GO_LDFLAGS: row('', 'added to the -ldflags of the build', {
    allowed: 'linker flags',
    example: "-X 'main.by=Jane Q. Doe'",
    read: (text: string) => text,
  }),
  GO_FLAGS: row('', 'added to go build', goFlags),
  GO_ARCH: row(
    '',
    "amd64, arm64, ...; empty: what the pods last said, else this machine's",
    oneOf(...architectures, ''),
  ),
  KUBE_CONTEXT: row(
    '',
    'kubectl context to use; naming it here is consent to deploy there; empty: the current one if it is local',
    orEmpty(matching(/^[A-Za-z0-9][A-Za-z0-9._:/@+=~ -]{0,252}$/, 'the name of a kubectl context', 'kind-dev')),
  ),
  KUBE_NAMESPACE: row('', "namespace; empty: the manifest's, else the context's", orEmpty(label('default'))),
  SELECTOR: row('app=hello', 'label selector of the pods', selector),
  CONTAINER: row('', 'container name; empty: the one that runs the agent', orEmpty(label('hello'))),
  PROD_IMAGE: row('hello', 'image of the production manifest', image('registry.example.com/hello:1.2')),
  DEV_IMAGE: row(
    'hello-dev',
    'image with the agent, for the dev manifest and container-dev; empty: the agent is injected',
    orEmpty(image('registry.example.com/hello-dev')),
  ),
  INJECT_IMAGE: row(
    'busybox:stable-musl',
    'image with a static busybox, from which an injected pod gets its tools',
    image('registry.example.com/busybox:stable-musl'),
  ),
  BASE_IMAGE: row('debian:bookworm-slim', 'image that container-dev builds on', image('debian:bookworm-slim')),
  CONTAINER_TOOL: row(
    '',
    'docker, podman, nerdctl or buildah; empty: the first that is found',
    oneOf('docker', 'podman', 'nerdctl', 'buildah', ''),
  ),
  IMAGE_TO: row(
    'none',
    'where container-dev puts the image: push, kind, minikube, k3d or none',
    oneOf('none', 'push', 'kind', 'minikube', 'k3d'),
  ),
  MANIFEST: row('manifests/deployment.yml', 'the production manifest', filePath('manifests/deployment.yml')),
  MANIFEST_DEV: row(
    'manifests-dev/deployment-dev.yml',
    'the dev manifest that is generated from it',
    filePath('manifests-dev/deployment-dev.yml'),
  ),
  ENCODING: row('auto', 'how a binary is sent: raw, gzip, delta or auto', oneOf('auto', 'raw', 'gzip', 'delta')),
  DEBUG_PORT: row('2345', "Delve's port in the pod", port('2345')),
  DEBUG_LOCAL_PORT: row('', 'the port of debug-dev on this machine; empty: the same as DEBUG_PORT', {
    ...port('2346'),
    read: (text: string) => (text === '' ? 0 : port('').read(text)),
  }),
  DEBUG_WAIT: row('0', '1: the program waits for a debugger before main', oneOf('0', '1')),
  DLV_VERSION: row(
    'v1.27.2',
    'the version of Delve that is built for the pods',
    matching(/^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/, 'a version', 'v1.27.2'),
  ),
  SETTLE: row('0.5', 'seconds that a new process must live before it counts as running', seconds(0.05, 60, '0.5')),
  LIMIT: row(
    '10',
    'seconds to wait for a process that does not end, or for an upload that does not grow',
    seconds(0.5, 3600, '10'),
  ),
  HOLD: row('1', "0: the program's ports close over a swap, as they do without the agent", oneOf('1', '0')),
}

/** Every key with its default and its meaning, in the order of .env.example and of the README. */
export const keys: readonly { readonly key: string; readonly default: string; readonly meaning: string }[] =
  Object.entries(table).map(([key, { text, desc }]) => ({ key, default: text, meaning: desc ?? '' }))

/** Keys that .env has and that are no settings. */
export interface Others {
  /** Go's own: they reach each tool as if they were exported. */
  readonly go: Readonly<Record<string, string>>
  /** On `local` the program's, else nobody's. */
  readonly program: Readonly<Record<string, string>>
}

export type Parsed = { readonly settings: Settings; readonly others: Others } | { readonly faults: readonly Fault[] }

/** The settings from the text of .env and the environment, which wins; or all faults, those of the file first, by line. */
export function parse(envFile: string, environment: Readonly<Record<string, string | undefined>>): Parsed {
  const file = scan(
    envFile,
    keys.map(({ key }) => key),
  )
  const fromFile = dotenv.parse(normal(envFile), { fast: false })
  const faults: Fault[] = [...file.faults]
  const given: Record<string, string> = {}
  for (const { key, default: text } of keys)
    // a line at fault has no value that could be judged
    given[key] = environment[key] ?? (file.lines.has(key) && !file.bad.has(key) ? fromFile[key] : undefined) ?? text

  const values = cleanEnv(given, table, {
    reporter: ({ errors }) => {
      for (const [key, { example = '' }] of Object.entries(table)) {
        const error = Object.entries(errors).find(([name]) => name === key)?.[1]
        const where = environment[key] === undefined ? `.env:${file.lines.get(key)}` : 'environment'
        if (error !== undefined)
          faults.push({
            where,
            key,
            value: given[key] ?? '',
            problem: error.message,
            example: assignment(key, example),
          })
      }
    },
  })
  if (faults.length > 0) return { faults: [...faults].sort((a, b) => lineOf(a) - lineOf(b)) }
  const rest = Object.entries(fromFile).filter(([key]) => file.lines.has(key) && !Object.hasOwn(table, key))
  return {
    others: {
      go: Object.fromEntries(rest.filter(([key]) => isGoVariable(key))),
      program: Object.fromEntries(rest.filter(([key]) => !isGoVariable(key))),
    },
    settings: {
      target: values.TARGET === '' ? (values.KUBE_CONTEXT === '' ? 'local' : 'kubernetes') : values.TARGET,
      goMain: values.GO_MAIN,
      goDir: values.GO_DIR,
      binary: values.BINARY,
      binaryPath: values.BINARY_PATH,
      versionVar: values.VERSION_VAR,
      goLdflags: values.GO_LDFLAGS,
      goFlags: values.GO_FLAGS,
      goArch: values.GO_ARCH,
      kubeContext: values.KUBE_CONTEXT,
      kubeNamespace: values.KUBE_NAMESPACE,
      selector: values.SELECTOR,
      container: values.CONTAINER,
      prodImage: values.PROD_IMAGE,
      devImage: values.DEV_IMAGE,
      injectImage: values.INJECT_IMAGE,
      baseImage: values.BASE_IMAGE,
      containerTool: values.CONTAINER_TOOL,
      imageTo: values.IMAGE_TO,
      manifest: values.MANIFEST,
      manifestDev: values.MANIFEST_DEV,
      encoding: values.ENCODING,
      debugPort: values.DEBUG_PORT,
      debugLocalPort: values.DEBUG_LOCAL_PORT === 0 ? values.DEBUG_PORT : values.DEBUG_LOCAL_PORT,
      debugWait: values.DEBUG_WAIT === '1',
      dlvVersion: values.DLV_VERSION,
      settle: values.SETTLE,
      limit: values.LIMIT,
      hold: values.HOLD === '1',
    },
  }
}

function lineOf(fault: Fault): number {
  return fault.where.startsWith('.env:') ? Number(fault.where.slice(5)) : Infinity
}

/** The faults as one message, a line for each. */
export function faultsText(faults: readonly Fault[]): string {
  const lines = faults.map(({ where, key, value, problem, example }) => {
    // JSON shows control characters as escapes
    const shown = JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value).replace(
      /[\x7f-\x9f\u2028\u2029]/g,
      '?',
    )
    return `${where}: ${key === '' ? shown : `${key}=${shown}`} ${problem} (example: ${clean(example).replace(/\n/g, ' ')})`
  })
  return lines.length === 1 ? (lines[0] ?? '') : `${lines.length} settings are wrong\n  ${lines.join('\n  ')}`
}

/** The settings with nothing set: the bundled example on this machine. */
export function defaults(): Settings {
  const result = parse('', {})
  if ('faults' in result) throw new Error(faultsText(result.faults))
  return result.settings
}
