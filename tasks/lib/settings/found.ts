// What is found in a repository and its manifest, for settings that still have the value of the bundled example.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join, posix, resolve } from 'node:path'
import { isLauncher } from '../protocol/command.ts'
import { entryOf } from '../yaml/entry.ts'
import { type Format, binaryPath, filePath, image, selector as selectorFormat } from './formats.ts'
import { isSameImage, leftover } from './image.ts'
import { at, items, nameOf, text } from '../frame/json.ts'
import { matches } from '../yaml/labels.ts'
import { workloadReader } from '../yaml/workload-cache.ts'
import { podLabels, podSpec, workloadsIn } from '../yaml/workloads.ts'
import type { Settings } from './table.ts'
import { UserError } from '../frame/talk.ts'

/** A settings' value is a choice, or the example's, which means nothing elsewhere. */
const untouched = (settings: Settings, usual: Settings, key: keyof Settings) => settings[key] === usual[key]

const asked = ['goMain', 'selector', 'prodImage', 'binary', 'binaryPath', 'devImage'] as const

/**
 * The settings, with what the repository of GO_DIR and the workload of MANIFEST say in the place of what says `hello`. `usual`
 * are the defaults. What is ambiguous throws UserError (2) that names what was found: at once for what the task `uses` in any
 * case, for all else where it is read, so that nobody has to choose what no one needs.
 */
export async function found(
  settings: Settings,
  usual: Settings,
  uses: readonly (keyof Settings)[] = asked,
): Promise<Settings> {
  if (untouched(settings, usual, 'goDir') || !isFolder(settings.goDir)) return settings
  const { goDir, manifest } = settings
  const goMain = once(() =>
    untouched(settings, usual, 'goMain') && !isFolder(join(goDir, usual.goMain)) ? mainPackage(goDir) : settings.goMain,
  )
  const hasManifest = !untouched(settings, usual, 'manifest') && isFile(manifest)
  const look = asked.slice(1).some((key) => untouched(settings, usual, key)) && hasManifest
  const objects = look ? await workloadReader(manifest, readFileSync(manifest, 'utf8')) : () => []
  const selector = untouched(settings, usual, 'selector')
  /** Undefined where SELECTOR says more than labels, or another manifest makes the pods. */
  const workload = once(() => {
    if (!look) return undefined
    const all = lasting(objects())
    const chosen = selector
      ? (all.find((each) => pairs(podLabels(each)).includes(usual.selector)) ?? onlyWorkload(all, settings))
      : undefined
    return chosen ?? all.find((each) => matches(settings.selector, podLabels(each)))
  })
  const containers = () => items(podSpec(workload()), 'containers')
  const prodImage = once(() =>
    workload() !== undefined && untouched(settings, usual, 'prodImage')
      ? onlyImage(workload(), containers(), usual)
      : settings.prodImage,
  )
  const name = () =>
    basename(resolve(goDir, goMain()))
      .replace(/\.go$/, '')
      .replace(/[^\w.-]/g, '-')
      .toLowerCase()
  /** Where the image has the program: the manifest's command says it, or the Dockerfile of the repository. */
  const programPath = once(() => {
    const ofImage = containers().filter((each) => isSameImage(text(each, 'image'), prodImage()))
    const container = ofImage.find((each) => text(each, 'name') === settings.container) ?? ofImage[0]
    const { program, folder } = lastStage(goDir)
    const path = [programOf(container), program]
      .map((word) => (/^[^/]+\//.test(word) ? posix.join(text(container, 'workingDir') || folder, word) : word))
      .find((word) => word.startsWith('/') && !isLauncher(word))
    if (path !== undefined) return path
    if (settings.target === 'local') return `/usr/local/bin/${name()}`
    throw new UserError(
      `neither ${nameOf(workload())} nor a Dockerfile in ${goDir} names the program - put its path in the image into .env: BINARY_PATH=/path/to/${name()}`,
      2,
    )
  })
  const where = () => `${manifest}: ${nameOf(workload())}`
  const own: Settings = {
    ...settings,
    get goMain() {
      return goMain()
    },
    get selector() {
      const found = selector ? selectorOf(workload()) : undefined
      return found === undefined ? settings.selector : held('SELECTOR', found, selectorFormat, where())
    },
    get prodImage() {
      return workload() === undefined ? prodImage() : held('PROD_IMAGE', prodImage(), image(''), where())
    },
    get binary() {
      return look && untouched(settings, usual, 'binary')
        ? held('BINARY', `bin/${name()}`, filePath(''), goDir)
        : settings.binary
    },
    get binaryPath() {
      return untouched(settings, usual, 'binaryPath') && workload() !== undefined
        ? held('BINARY_PATH', programPath(), binaryPath, where())
        : settings.binaryPath
    },
    get devImage() {
      // injection: no image is to be built or brought anywhere
      return untouched(settings, usual, 'devImage') && workload() !== undefined ? '' : settings.devImage
    },
  }
  for (const key of asked) if (uses.includes(key)) void own[key]
  return own
}

/** The same function, which works once. */
function once<T>(work: () => T): () => T {
  let done: { readonly value: T } | undefined
  return () => (done ??= { value: work() }).value
}

/** What is found is held to the rule of its key: a value that nobody could set is no value. */
function held(key: string, value: string, { read, allowed }: Format<string>, where: string): string {
  if (read(value) !== undefined) return value
  const remedy = leftover(value) ?? `put what you mean into .env: ${key}=…`
  throw new UserError(`${where} says ${value}, and ${key} must be ${allowed} - ${remedy}`, 2)
}

/** The program that a container names: its command, or what is started there; empty if only the image knows. */
function programOf(container: unknown): string {
  const fields = { command: at(container, 'command'), args: at(container, 'args') }
  const entry = entryOf(fields, '')
  return entry.runs === 'other' && !entry.inText ? entry.word : ''
}

/** What the last stage of a Dockerfile starts, and in which folder; empty if it does not say so. */
function lastStage(goDir: string): { readonly program: string; readonly folder: string } {
  const file = join(goDir, 'Dockerfile')
  const [, lines = ''] = /^(?:[^]*\n)?FROM\s([^]*)/i.exec(isFile(file) ? readFileSync(file, 'utf8') : '') ?? []
  const last = (line: RegExp) => [...lines.matchAll(line)].at(-1)?.[1]
  const started = (key: string) => last(new RegExp(`^${key}\\s+\\[\\s*"([^"]+)"`, 'gim'))
  return { program: started('ENTRYPOINT') ?? started('CMD') ?? '', folder: last(/^WORKDIR\s+(\/\S*)/gim) ?? '' }
}

/**
 * The main package of a module, as GO_MAIN has it: its own folder, or one below cmd; of several there the one that is named as
 * the module's folder.
 */
function mainPackage(goDir: string): string {
  const below = isFolder(join(goDir, 'cmd')) ? readdirSync(join(goDir, 'cmd')).sort() : []
  const all = ['.', ...(isFolder(join(goDir, 'cmd')) ? ['./cmd'] : []), ...below.map((name) => `./cmd/${name}`)]
  const mains = all.filter((folder) => isMain(join(goDir, folder)))
  const [first, second] = mains
  if (first === undefined)
    throw new UserError(
      `no main package in ${goDir}, neither there nor in cmd/* - name the folder in .env: GO_MAIN=./path/to/it`,
      2,
    )
  const same = first === '.' ? undefined : mains.find((each) => each === `./cmd/${basename(resolve(goDir))}`)
  if (second !== undefined && same === undefined)
    throw new UserError(`${goDir} has main packages ${mains.join(', ')} - choose one in .env: GO_MAIN=${first}`, 2)
  return same ?? first
}

function isMain(folder: string): boolean {
  if (!isFolder(folder)) return false
  return readdirSync(folder)
    .filter((name) => name.endsWith('.go') && !name.endsWith('_test.go'))
    .map((name) => readFileSync(join(folder, name), 'utf8'))
    .some((source) => /^package\s+main\b/m.test(source) && !/^\/\/go:build\s+ignore\b/m.test(source))
}

/** The workloads among some objects. A Pod beside others is a test, as charts have them. */
function lasting(objects: readonly unknown[]): readonly unknown[] {
  const all = workloadsIn(objects)
  const others = all.filter(({ kind }) => kind !== 'Pod')
  return (others.length > 0 ? others : all).map(({ object }) => object)
}

/** Labels as key=value. */
function pairs(map: unknown): string[] {
  return typeof map === 'object' && map !== null ? Object.keys(map).map((key) => `${key}=${text(map, key)}`) : []
}

/** What selects its pods; undefined if that is more than labels. */
function selectorOf(workload: unknown): string | undefined {
  const isPod = text(workload, 'kind') === 'Pod'
  const matched = pairs(isPod ? podLabels(workload) : at(workload, 'spec', 'selector', 'matchLabels'))
  return matched.length === 0 ? undefined : matched.join(',')
}

function onlyWorkload(all: readonly unknown[], { manifest }: Settings): unknown {
  const [first, second] = all
  if (second === undefined) return first
  throw new UserError(
    `${manifest} has ${all.map(nameOf).join(', ')} - choose one by its labels in .env: SELECTOR=${selectorOf(first) ?? 'app=NAME'}`,
    2,
  )
}

/** The one image of a workload, without its tag; the example's where it is there. */
function onlyImage(workload: unknown, containers: readonly unknown[], { prodImage }: Settings): string {
  const images = [...new Set(containers.map((each) => text(each, 'image')))].filter((image) => image !== '')
  if (images.some((image) => isSameImage(image, prodImage))) return prodImage
  const [first = prodImage, second] = images.map((each) =>
    image('').read(each) === undefined ? each : each.replace(/@.*$/, '').replace(/:[^:/]*$/, ''),
  )
  if (second === undefined) return first
  throw new UserError(
    `${nameOf(workload)} has images ${images.join(', ')} - choose the program's in .env: PROD_IMAGE=${first}`,
    2,
  )
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}
