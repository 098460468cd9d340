// Which containers are meant: those of the image in the pods of SELECTOR, of CONTAINER, that run BINARY_PATH. Pure.
import { candidates, isAgent } from './dev-pod.ts'
import type { Container, DevOptions, PodTemplate } from './template.ts'
import { type Entry, entryOf } from '../yaml/entry.ts'
import { chooseLine, matches, selectorFor, selectorLine } from '../yaml/labels.ts'
import { UserError } from '../frame/talk.ts'
import { type Source, faultsError, positionOf, valueAt } from '../yaml/text.ts'

/** A pod template, and those of its containers that are meant. */
export interface Meant {
  readonly pod: PodTemplate
  readonly containers: readonly Container[]
}

export interface Scope {
  readonly meant: readonly Meant[]
  readonly faults: readonly string[]
  /** What stays as it is although it has the image. */
  readonly notes: readonly string[]
  readonly warnings: readonly string[]
}

/** @throws UserError if SELECTOR or CONTAINER leave it open. */
export function scopeOf(source: Source, pods: readonly PodTemplate[], options: DevOptions): Scope {
  const found = pods
    .map((pod) => ({ pod, containers: candidates(pod, options) }))
    .filter(({ containers }) => containers.length > 0)
  const selected = bySelector(source, found, options)
  const named = byContainer(source, selected.meant, options)
  const running = byProgram(source, named.meant, options)
  const all = [selected, named, running]
  return {
    meant: running.meant,
    faults: running.faults,
    notes: all.flatMap(({ notes }) => notes),
    warnings: all.flatMap(({ warnings }) => warnings),
  }
}

function labelsOf({ fields }: PodTemplate): unknown {
  return valueAt(fields, ['metadata', 'labels'])
}

/** The pods that SELECTOR matches; the only one there is, if it matches none. */
function bySelector(source: Source, found: readonly Meant[], { selector, prodImage }: DevOptions): Scope {
  if (selector === undefined) return { meant: found, faults: [], notes: [], warnings: [] }
  const meant = found.filter(({ pod }) => matches(selector, labelsOf(pod)))
  const own = ({ pod }: Meant) =>
    selectorFor(
      labelsOf(pod),
      found.filter((each) => each.pod !== pod).map((each) => labelsOf(each.pod)),
    )
  const place = ({ pod }: Meant) => `${positionOf(source, [...pod.path, 'metadata', 'labels'])}: ${pod.name}`
  const [only, second] = found
  if (meant.length > 0 || only === undefined) {
    const left = found.filter((each) => !meant.includes(each))
    const notes = left.map((each) => `${place(each)} stays as it is: SELECTOR=${selector} does not match its pods`)
    return { meant, faults: [], notes, warnings: [] }
  }
  if (second === undefined) {
    const labels = own(only)
    const why = `SELECTOR=${selector} does not match its pods, so the other tasks will not find them`
    const warnings = labels === undefined ? [] : [`${place(only)}: ${why} - put into .env: SELECTOR=${labels}`]
    return { meant: found, faults: [], notes: [], warnings }
  }
  const lines = found.map((each) => `${place(each)}: ${selectorLine(own(each))}`)
  const why = `${found.length} workloads have the image ${prodImage}, and SELECTOR=${selector} matches the pods of none`
  throw new UserError([`${source.file}: ${why} - ${chooseLine}`, ...lines].join('\n  '))
}

/** The containers of the name CONTAINER. */
function byContainer(source: Source, found: readonly Meant[], { container: name, prodImage }: DevOptions): Scope {
  if (!name || found.length === 0) return { meant: found, faults: [], notes: [], warnings: [] }
  const [meant, left] = parted(found, (container) => container.fields.name === name)
  const place = ({ path, ...container }: Container) => `${positionOf(source, path)}: ${container.name}`
  if (meant.length === 0) {
    const lines = left.map((each) => `${place(each)}: CONTAINER=${String(each.fields.name)}`)
    const why = `no container of the image ${prodImage} is named ${name}, as CONTAINER says`
    throw new UserError([`${source.file}: ${why} - put one of these lines into .env`, ...lines].join('\n  '))
  }
  const notes = left.map((each) => `${place(each)} stays as it is: CONTAINER=${name} is another one`)
  return { meant, faults: [], notes, warnings: [] }
}

/** Those that run BINARY_PATH, or may; if none does, a fault for each, or one for all where they run several programs. */
function byProgram(source: Source, found: readonly Meant[], options: DevOptions): Scope {
  const { binaryPath, inject } = options
  const entries = new Map(
    found.flatMap(({ containers }) =>
      containers.filter((each) => !isAgent(each)).map((each) => [each, entryOf(each.fields, binaryPath)] as const),
    ),
  )
  const [meant, others] = parted(found, (each) => entries.get(each)?.runs !== 'other' || (each.init && !isFile(each)))
  /** Whether an init container runs another file of the image: the dev image has BINARY_PATH alone. */
  function isFile(container: Container): boolean {
    const entry = entries.get(container)
    return entry?.runs === 'other' && !entry.inText && entry.path !== undefined && entry.path === entry.word
  }

  const running = meant.flatMap(({ containers }) => containers).filter((each) => !each.init)
  const known = running.filter((each) => entries.get(each)?.runs !== 'image')
  const isSettled = known.length > 0 || (running.length > 0 && inject?.binaryChosen !== false)
  const warnings = running
    .filter((each) => !known.includes(each) && known.length > 0)
    .map((each) => onlyImageKnows(source, each, known, options))

  const notes: string[] = []
  const faults: { path: string | undefined; text: string }[] = []
  for (const each of others) {
    const entry = entries.get(each)
    if (entry?.runs !== 'other') continue
    const at = positionOf(source, [...each.path, entry.list, ...(entry.word === '' ? [] : [0])])
    const isText = entry.inText && entry.path === binaryPath
    if (each.init || (isSettled && entry.word !== '' && !isText)) {
      notes.push(`${at}: ${each.name} stays as it is: it runs ${entry.word}, not ${binaryPath}`)
    } else {
      faults.push({ path: entry.path, text: `${at}: ${each.name}${whyNot(entry, binaryPath)}` })
    }
  }
  const paths = new Set(faults.flatMap(({ path }) => (path === undefined ? [] : [path])))
  if (paths.size < 2) return { meant, faults: faults.map(({ text }) => text), notes, warnings }
  const choice = `no container of the image ${options.prodImage} runs BINARY_PATH=${binaryPath}`
  const lines = faults.map(({ text }) => text)
  throw faultsError([
    [`${source.file}: ${choice} - choose one; the others then stay as they are`, ...lines].join('\n  '),
  ])
}

/** What to know of a container whose program only the image knows, beside others that name it. */
function onlyImageKnows(
  source: Source,
  { name, path, fields }: Container,
  [known]: readonly Container[],
  { binaryPath }: DevOptions,
): string {
  const why = `${name} has no command, and is taken to run ${binaryPath} as ${known?.name} does`
  const line =
    typeof known?.fields.name === 'string' && known.fields.name !== fields.name
      ? `put into .env: CONTAINER=${known.fields.name}`
      : 'put the labels of the other one into .env as SELECTOR'
  return `${positionOf(source, path)}: ${why} - if its image runs another program, ${line}`
}

/** Why a container cannot be changed, and the line that helps. */
function whyNot({ list, word, path, inText }: Extract<Entry, { runs: 'other' }>, binaryPath: string): string {
  if (word === '') return ': its command is not a list of words'
  const overwritten = `the first deploy would overwrite ${word}`
  if (inText || path === undefined) {
    const begin = 'let its command begin with the program (the agent passes signals on and reaps)'
    const remedy =
      path === undefined || path === binaryPath
        ? `: command: [${binaryPath}]`
        : `, and put into .env: BINARY_PATH=${path}`
    return ` runs ${word}, which is there to start the program: ${overwritten} - ${begin}${remedy}`
  }
  const why = ` runs ${word}, not ${binaryPath}: ${overwritten}`
  if (!word.startsWith('/')) return `${why} - put its path in the image into .env, if this is it: BINARY_PATH=${path}`
  const argument = list === 'args' ? `; if ${word} is an argument of ${binaryPath}, write command: [${binaryPath}]` : ''
  return `${why} - put into .env: BINARY_PATH=${path}${argument}`
}

/** What is found, in two: the containers that a test lets through, by pod, and the others. */
function parted(found: readonly Meant[], test: (container: Container) => boolean): [Meant[], Container[]] {
  const meant = found
    .map(({ pod, containers }) => ({ pod, containers: containers.filter(test) }))
    .filter(({ containers }) => containers.length > 0)
  return [meant, found.flatMap(({ containers }) => containers.filter((each) => !test(each)))]
}
