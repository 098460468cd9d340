// Go: how `go build` is called, and what comes out of it.
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { readBinary, type Binary } from './binary.ts'
import { lastMachine, type Build } from './builds.ts'
import { elf, hostArch } from './elf.ts'
import { gitVersion } from './git.ts'
import { environment, type Settings } from './settings.ts'
import { onEnd, say, UserError } from './task.ts'
import { need, run } from './tools.ts'
import { seconds, size, words } from './words.ts'

export interface Recipe {
  readonly debug: boolean
  readonly version: string
  /** Absolute path to write to. */
  readonly output: string
}

/** The arguments of go for a build. Throws UserError (1) where GO_LDFLAGS has an open quote. */
export function goBuildArgs(
  { goMain, versionVar, goLdflags, goFlags }: Pick<Settings, 'goMain' | 'versionVar' | 'goLdflags' | 'goFlags'>,
  { debug, version, output }: Recipe,
): string[] {
  linkerWords(goLdflags)
  const ldflags = [
    // compressed DWARF would make each delta several times larger
    debug ? '-compressdwarf=false' : '-s',
    versionVar === '' ? '' : `-X ${versionVar}=${version}`,
    goLdflags,
  ].filter((part) => part !== '')
  return [
    'build',
    // the stamp costs time and fails in a repository of another user; the version says more
    '-buildvcs=false',
    ...(debug ? ['-gcflags', 'all=-N -l'] : []),
    '-ldflags',
    ldflags.join(' '),
    '-o',
    output,
    ...goFlags,
    goMain,
  ]
}

function linkerWords(goLdflags: string): string[] {
  try {
    return words(goLdflags)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    // go takes a quote inside a word as a character: so do we
    if (why.startsWith('has a quote inside')) return goLdflags.split(/\s+/)
    throw new UserError(`GO_LDFLAGS ${why}`)
  }
}

/** The environment of go for a build: Linux and the pods' machine, whatever GOOS and GOARCH the shell exports. */
export function goBuildEnv(outside: Readonly<Record<string, string>>, arch: string): Record<string, string> {
  return { CGO_ENABLED: '0', ...outside, GOOS: 'linux', GOARCH: arch }
}

/** GO_ARCH, else what the pods last said, else this machine's. The local pods are always this machine. */
export function buildArch({ goArch, target }: Pick<Settings, 'goArch' | 'target'>): string {
  if (goArch !== '') return goArch
  return (target === 'kubernetes' ? lastMachine() : undefined) ?? hostArch()
}

export interface How {
  readonly debug: boolean
  /** Ends the build before its time. */
  readonly signal?: AbortSignal
  /** Gets what Go says, at its end, instead of the user. */
  readonly said?: (text: string) => void
  /** Gets the binary, so that nobody has to read it again. */
  readonly made?: (binary: Binary) => void
}

/**
 * Builds BINARY. Go's own errors go to the user as they are; whatever fails, the last good binary is
 * untouched. Throws UserError.
 */
export async function goBuild(settings: Settings, { debug, signal, said, made }: How): Promise<Build> {
  const { goDir, goMain, goLdflags, goFlags, binary } = settings
  need('go', 'to build the service')
  if (!statSync(goDir, { throwIfNoEntry: false })?.isDirectory())
    throw new UserError(`GO_DIR is no folder: ${resolve(goDir)} - set GO_DIR in .env to the folder of the Go module`, 2)
  const target = resolve(binary)
  if (statSync(target, { throwIfNoEntry: false })?.isDirectory())
    throw new UserError(
      `BINARY is a folder: ${target} - set BINARY in .env to the file to write, for example bin/hello`,
      2,
    )

  const begin = performance.now()
  const arch = buildArch(settings)
  const env = goBuildEnv(environment(), arch)
  const goFlagWords = [...goFlags, ...(env.GOFLAGS ?? '').split(/\s+/)]
  const version = await gitVersion(settings)
  if (debug) warnOfDebugger(goFlagWords, linkerWords(goLdflags))

  mkdirSync(dirname(target), { recursive: true })
  const output = join(dirname(target), `.${basename(target)}.${process.pid}`)
  const args = goBuildArgs(settings, { debug, version, output })
  // go that is ended by a signal leaves its work folder: it is to lie in one that goes in any case
  const work = mkdtempSync(join(env.GOTMPDIR || tmpdir(), 'hotswap-build-'))
  const cleared = () => rmSync(work, { recursive: true, force: true, maxRetries: 3 })
  const takeBack = onEnd(() => {
    cleared()
    rmSync(output, { force: true })
  })
  const { exitCode, stderr } = await run('go', args, {
    cwd: goDir,
    env: { ...env, GOTMPDIR: work },
    output: said === undefined ? 'show' : 'read',
    ...(signal === undefined ? {} : { signal }),
  })
  cleared()
  if (signal?.aborted !== true && stderr !== '') said?.(stderr)
  if (exitCode !== 0) {
    rmSync(output, { force: true })
    takeBack()
    if (env.CGO_ENABLED === '0' && goFlagWords.some((word) => /^--?race(=|$)/.test(word)))
      say(
        '-race needs cgo, and the build sets CGO_ENABLED=0: export CGO_ENABLED=1 (the container then needs a C library)',
      )
    throw new UserError('') // go has said it
  }

  const { made: program, debug: holdsDebug } = await programAt(output, goMain, arch)
  if (debug && !holdsDebug) say('the binary holds no debug information: a debugger will find no lines in it')
  const build = {
    path: binary,
    version,
    size: program.bytes.length,
    sha256: program.sha256,
    seconds: 0,
    debug: holdsDebug,
    arch,
  }
  renameSync(output, target)
  takeBack()
  made?.(program)
  return { ...build, seconds: Math.round(performance.now() - begin) / 1000 }
}

function warnOfDebugger(goFlagWords: readonly string[], ldflagWords: readonly string[]): void {
  if (goFlagWords.some((word) => /^--?trimpath(=true|=1)?$/.test(word)))
    say('-trimpath takes the folders out of the binary: breakpoints need a path mapping in the IDE (substitutePath)')
  const strips = ldflagWords.find((word) => /^--?[sw](=true|=1)?$/.test(word))
  if (strips !== undefined) say(`GO_LDFLAGS has ${strips}, which takes the debug information out again`)
}

/** The file that go has written, whole. Throws UserError where it is no program for the machine. */
async function programAt(
  output: string,
  goMain: string,
  arch: string,
): Promise<{ readonly made: Binary; readonly debug: boolean }> {
  if (statSync(output, { throwIfNoEntry: false }) === undefined)
    throw new UserError(
      'go build wrote no file - is there a flag in GO_FLAGS or GOFLAGS, such as -n, that keeps it from building?',
    )
  const made = await readBinary(output)
  const facts = elf(made.bytes)
  if ('reason' in facts)
    throw new UserError(`${goMain} built, but it is ${facts.reason} - set GO_MAIN in .env to a main package`)
  if (facts.machine !== arch) throw new UserError(`the binary is for ${facts.machine}, not for ${arch}`)
  return { made, debug: facts.debug }
}

/** One line about a build: path, version, size, 8 digits of the hash, seconds. */
export function buildLine({ path, version, size: bytes, sha256, seconds: took }: Build): string {
  return [path, version, size(bytes), sha256.slice(0, 8), seconds(took * 1000)].join('  ')
}
