// Go: how `go build` is called, and what comes out of it.
import { mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { readBinary, type Binary } from '../binary/read.ts'
import type { Build } from './builds.ts'
import { elf } from '../binary/elf.ts'
import { gitVersion } from './git.ts'
import { buildArch, goSays, homeless } from './go-env.ts'
import type { Settings } from '../settings/table.ts'
import { onEnd } from '../frame/ending.ts'
import { say, UserError } from '../frame/talk.ts'
import { need, run } from '../frame/tools.ts'
import { InnerQuote, seconds, size, words } from '../frame/words.ts'

export interface Recipe {
  readonly debug: boolean
  readonly version: string
  /** Absolute path to write to. */
  readonly output: string
}

/**
 * The arguments of go for a build. `goflags` are the words of GOFLAGS: go drops what the command line has too, so that its
 * -ldflags and -gcflags are added to ours. Throws UserError (1) if GO_LDFLAGS has an open quote.
 */
export function goBuildArgs(
  { goMain, versionVar, goLdflags, goFlags }: Pick<Settings, 'goMain' | 'versionVar' | 'goLdflags' | 'goFlags'>,
  { debug, version, output }: Recipe,
  goflags: readonly string[] = [],
): string[] {
  linkerWords(goLdflags)
  const own = [
    // compressed DWARF would make each delta several times larger
    debug ? '-compressdwarf=false' : '-s',
    versionVar === '' ? '' : `-X ${versionVar}=${version}`,
  ]
  const theirs = valuesOf('ldflags', goflags)
  const linked = (value: string) => joined(...own, value, goLdflags)
  const compiled = (value: string) => joined('-N -l', value)
  return [
    'build',
    // the stamp costs time and fails in a repository of another user; the version says more
    ...(valuesOf('buildvcs', goflags).length > 0 ? [] : ['-buildvcs=false']),
    ...(debug ? ['-gcflags', 'all=-N -l'] : []),
    // the last one that fits a package counts
    ...(debug ? valuesOf('gcflags', goflags).flatMap((each) => ['-gcflags', behindPattern(each, compiled)]) : []),
    '-ldflags',
    linked(''),
    ...theirs.flatMap((each) => ['-ldflags', behindPattern(each, linked)]),
    '-o',
    output,
    ...goFlags,
    goMain,
  ]
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' ')
}

/** Changes the flags of `-gcflags` or `-ldflags` behind the pattern of packages that they may begin with (`all=-m`). */
function behindPattern(value: string, change: (flags: string) => string): string {
  const [, pattern = '', flags = ''] = /^\s*([^-\s'"=][^=]*=)?(.*)$/s.exec(value) ?? []
  return pattern + change(flags.trim())
}

/** What a flag is given in a list of words, in each spelling: `-x=value`, `--x=value`; '' for the bare flag. */
export function valuesOf(flag: string, list: readonly string[]): string[] {
  const spelling = new RegExp(`^--?${flag}(?:=(.*))?$`, 's')
  return list.flatMap((word) => {
    const match = spelling.exec(word)
    return match === null ? [] : [match[1] ?? '']
  })
}

/** Whether a list of words turns a flag of go build on: the last one counts. */
export function isOn(flag: string, list: readonly string[]): boolean {
  return ['', '1', 't', 'T', 'true', 'TRUE', 'True'].includes(valuesOf(flag, list).at(-1) ?? 'false')
}

function linkerWords(goLdflags: string): string[] {
  try {
    return words(goLdflags)
  } catch (error) {
    // go takes a quote inside a word as a character: so do we
    if (error instanceof InnerQuote) return goLdflags.split(/\s+/)
    throw new UserError(`GO_LDFLAGS ${error instanceof Error ? error.message : String(error)}`)
  }
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
  const [{ env, goflags, variables }, version] = await Promise.all([goSays(settings), gitVersion(settings)])
  const goFlagWords = [...goflags, ...goFlags]
  tellOfGoflags(goflags, debug)
  if (debug) warnOfDebugger(goFlagWords, valuesOf('ldflags', goflags).flatMap(linkerWords), linkerWords(goLdflags))

  mkdirSync(dirname(target), { recursive: true })
  const output = join(dirname(target), `.${basename(target)}.${process.pid}`)
  const args = goBuildArgs(settings, { debug, version, output }, goflags)
  // go that is ended by a signal leaves its work folder: it is to lie in one that goes in any case
  const work = mkdtempSync(join(variables.GOTMPDIR || tmpdir(), 'hotswap-build-'))
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
  }).finally(cleared) // also if there is no such folder to run it in
  if (signal?.aborted !== true && stderr !== '') said?.(stderr)
  if (exitCode !== 0) {
    rmSync(output, { force: true })
    takeBack()
    if (env.CGO_ENABLED === '0' && isOn('race', goFlagWords))
      say(
        '-race needs cgo, and the build sets CGO_ENABLED=0: export CGO_ENABLED=1 (the container then needs a C library)',
      )
    throw new UserError(homeless(env)) // go has said the rest
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

let told = '' // a build after each save needs to say it once

/** GOFLAGS has flags that the task has too: those that can be are added to its own. Throws UserError (2) for the others. */
function tellOfGoflags(goflags: readonly string[], debug: boolean): void {
  const [output] = valuesOf('o', goflags)
  if (output !== undefined)
    throw new UserError(
      `GOFLAGS has -o=${output}, but the task says where the build goes: use BINARY in .env, and take it out of GOFLAGS (go env GOFLAGS)`,
      2,
    )
  const added = goflags.filter((word) => (debug ? /^--?(ld|gc)flags=/ : /^--?ldflags=/).test(word)).join(' ')
  if (added !== '' && added !== told) say(`GOFLAGS has ${added}: that is added to what the task gives go build`)
  told = added
}

function warnOfDebugger(
  goFlagWords: readonly string[],
  fromGoflags: readonly string[],
  fromSetting: readonly string[],
): void {
  if (isOn('trimpath', goFlagWords))
    say('-trimpath takes the folders out of the binary: breakpoints need a path mapping in the IDE (substitutePath)')
  for (const [where, list] of Object.entries({ GOFLAGS: fromGoflags, GO_LDFLAGS: fromSetting })) {
    const strips = list.find((word) => /^--?[sw](=true|=1)?$/.test(word))
    if (strips !== undefined) say(`${where} has ${strips}, which takes the debug information out again`)
  }
}

/** The file that go has written, whole. Throws UserError if it is no program for the machine. */
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
