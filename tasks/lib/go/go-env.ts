// What go takes for set, and the environment in which it builds: for the service, and for the tools' own programs.
import { accessSync, constants, realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { lastMachine } from './builds.ts'
import { hostArch } from '../binary/elf.ts'
import { environment } from '../frame/environment.ts'
import { at, jsonOf } from '../frame/json.ts'
import { root } from '../frame/root.ts'
import { run } from '../frame/tools.ts'
import { words } from '../frame/words.ts'
import type { Settings } from '../settings/table.ts'

/** The environment of go for a build: Linux and the pods' machine, whatever GOOS and GOARCH the shell exports. */
export function goBuildEnv(outside: Readonly<Record<string, string>>, arch: string): Record<string, string> {
  return { CGO_ENABLED: '0', ...outside, GOOS: 'linux', GOARCH: arch }
}

/** What go takes for set in a folder: by the environment, by `go env -w`, by a GOENV file. */
export interface GoSays {
  /** Its variables; none if it cannot say, which a build will tell. */
  readonly variables: Readonly<Record<string, string>>
  /** The words of GOFLAGS. */
  readonly goflags: readonly string[]
  /** The environment for a build there. */
  readonly env: Readonly<Record<string, string>>
}

/** Asks go. */
export async function goSays(settings: Pick<Settings, 'goDir' | 'goArch' | 'target'>): Promise<GoSays> {
  const arch = buildArch(settings)
  const variables = await goVariables(settings.goDir)
  // go records the folder as PWD spells it, which may be a link: paths.ts counts on the physical one
  const outside: Record<string, string> = { ...environment(), PWD: physical(settings.goDir) }
  if (variables.CGO_ENABLED === '1') outside.CGO_ENABLED = '1'
  return { variables, goflags: flagWords(variables.GOFLAGS ?? ''), env: goBuildEnv(outside, arch) }
}

function flagWords(goflags: string): readonly string[] {
  try {
    return words(goflags)
  } catch {
    return goflags.split(/\s+/) // a quote inside a word is a character there; an open one go names itself
  }
}

/** A path without symbolic links; the path itself if nothing is there. */
export function physical(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}

async function goVariables(folder: string): Promise<Readonly<Record<string, string>>> {
  // for another machine than this one cgo is on only where somebody has asked for it
  const env = {
    ...environment(),
    PWD: physical(folder),
    GOOS: 'linux',
    GOARCH: hostArch() === 'arm64' ? 'amd64' : 'arm64',
  }
  const { exitCode, stdout } = await run('go', ['env', '-json'], { cwd: folder, env, output: 'read' })
  const said = exitCode === 0 ? jsonOf(stdout) : undefined
  const names = typeof said === 'object' && said !== null ? Object.keys(said) : []
  return Object.fromEntries(names.map((name) => [name, String(at(said, name))]))
}

/** What of go's variables says where modules and toolchains come from and are kept: a company's builds need it. */
const supplies =
  /^(GOPROXY|GOSUMDB|GOPRIVATE|GONOPROXY|GONOSUMDB|GOINSECURE|GOVCS|GOAUTH|GOCACHE|GOCACHEPROG|GOMODCACHE|GOPATH|GOTOOLCHAIN)$/

/**
 * The environment in which what is built for the tools themselves is built, for Linux and a machine: nothing that is meant
 * for the program (GOFLAGS, GO111MODULE, GOARM, a workspace, …) reaches it, only where go gets its modules.
 */
export async function ownGoEnv(arch: string): Promise<Record<string, string>> {
  const variables = await goVariables(root)
  const outside = Object.entries(environment()).filter(
    ([key]) => key === 'GOROOT' || !(key in variables || /^(GO[A-Z0-9]|CGO_)/.test(key)),
  )
  return {
    ...Object.fromEntries([...outside, ...Object.entries(variables).filter(([key]) => supplies.test(key))]),
    GOENV: 'off',
    GO111MODULE: 'on',
    GOWORK: 'off',
    GOOS: 'linux',
    GOARCH: arch,
    CGO_ENABLED: '0',
  }
}

/** GO_ARCH, else what the pods last said, else this machine's. The local pods are always this machine. */
export function buildArch({ goArch, target }: Pick<Settings, 'goArch' | 'target'>): string {
  if (goArch !== '') return goArch
  return (target === 'kubernetes' ? lastMachine() : undefined) ?? hostArch()
}

/** What else go needs to be told where it has no place for its caches, as in a container that knows nothing of the user; else empty. */
export function homeless({ GOCACHE, XDG_CACHE_HOME, HOME }: Readonly<Record<string, string | undefined>>): string {
  if (GOCACHE !== undefined || XDG_CACHE_HOME !== undefined) return ''
  const remedy = 'export HOME=FOLDER, one that you may write to'
  if (HOME === undefined) return `Go keeps its caches below HOME, which is not set - ${remedy}`
  try {
    accessSync(HOME, constants.W_OK)
    return ''
  } catch {
    return `Go keeps its caches below HOME, and nothing can be written to ${HOME} - ${remedy}`
  }
}
