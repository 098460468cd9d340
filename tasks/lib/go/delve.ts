// Delve: built here by the toolchain that builds the program, so that it knows the program's Go version.
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { hostArch } from '../binary/elf.ts'
import { ownGoEnv } from './go-env.ts'
import { madeOnce } from '../frame/once.ts'
import type { Settings } from '../settings/table.ts'
import { root } from '../frame/root.ts'
import { say, UserError } from '../frame/talk.ts'
import { need, run } from '../frame/tools.ts'

const tools = join(root, '.hotswap', 'tools')

/** The folder that the local sandbox has in front of its PATH. */
export const toolFolder = join(tools, 'bin')

/** The dlv of the local sandbox, once build-debug has put it there. */
export const localDelve = join(toolFolder, 'dlv')

/** Puts a dlv for this machine where the local sandbox finds it. Throws UserError if it cannot be built. */
export async function provideLocalDelve(settings: Pick<Settings, 'dlvVersion' | 'goDir'>): Promise<void> {
  const built = await delve(settings, hostArch())
  mkdirSync(toolFolder, { recursive: true })
  const link = `${localDelve}.${process.pid}`
  rmSync(link, { force: true })
  symlinkSync(join('..', basename(built)), link)
  renameSync(link, localDelve)
}

/** The Go that builds in a folder (`go1.26.8`), and its cache of modules. Throws UserError. */
export async function toolchain(goDir: string): Promise<{ readonly goVersion: string; readonly moduleCache: string }> {
  need('go', 'to build the service, and Delve')
  const { stdout } = await run('go', ['env', 'GOVERSION', 'GOMODCACHE'], { cwd: goDir, output: 'read' })
  const [goVersion = '', moduleCache = ''] = stdout.trim().split('\n')
  return { goVersion, moduleCache }
}

/**
 * The path of a dlv for Linux and the architecture, built on first use and kept by version, toolchain and architecture.
 * Throws UserError if it cannot be built.
 */
export async function delve(
  { dlvVersion, goDir }: Pick<Settings, 'dlvVersion' | 'goDir'>,
  arch: string,
): Promise<string> {
  const { goVersion, moduleCache } = await toolchain(goDir)
  const kept = join(tools, `dlv-${dlvVersion}-${goVersion.replace(/[^\w.-]/g, '-')}-${arch}`)
  return madeOnce(kept, (part) => build(part, { dlvVersion, goVersion, moduleCache, arch }))
}

async function build(
  part: string,
  { dlvVersion, goVersion, moduleCache, arch }: Record<'dlvVersion' | 'goVersion' | 'moduleCache' | 'arch', string>,
): Promise<void> {
  say(`building Delve ${dlvVersion} with ${goVersion} for ${arch}, once`)
  // the result lands under a GOPATH of our own, in a folder named for the machine where that is not this one
  const gopath = `${part}.gopath`
  const { exitCode } = await run('go', ['install', `github.com/go-delve/delve/cmd/dlv@${dlvVersion}`], {
    cwd: root,
    env: {
      ...(await ownGoEnv(arch)),
      GOPATH: gopath,
      GOMODCACHE: moduleCache,
      ...(/^go[\d.]+$/.test(goVersion) ? { GOTOOLCHAIN: goVersion } : {}),
    },
    output: 'show',
  })
  const built = [join(gopath, 'bin', `linux_${arch}`, 'dlv'), join(gopath, 'bin', 'dlv')].find((file) =>
    existsSync(file),
  )
  if (exitCode !== 0 || built === undefined)
    throw new UserError(
      `Delve ${dlvVersion} could not be built with ${goVersion} - mend what Go says above: if it could not download, set GOPROXY (go env GOPROXY); if the version does not fit, set DLV_VERSION in .env`,
    )
  renameSync(built, part)
}
