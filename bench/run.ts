// Measures on a real cluster what this project promises: how fast a deploy is, what faults do to it, and what many leave behind.
import { mkdirSync, writeFileSync } from 'node:fs'
import { task } from '../tasks/lib/frame/task.ts'
import { onEnd } from '../tasks/lib/frame/ending.ts'
import { print, say, UserError } from '../tasks/lib/frame/talk.ts'
import { size } from '../tasks/lib/frame/words.ts'
import { codec } from './codec.ts'
import { faults, Field, type Tally } from './faults.ts'
import { linkNames, pairs, type Cell, type LinkName, type Sample } from './pairs.ts'
import { morePods, patchPlot, patchTable, plot, table, type Patched } from './report.ts'
import { soak } from './soak.ts'

const about = {
  name: 'bench',
  summary:
    'compares deploy-dev with kubectl cp and a classical agent on the test cluster, tries faults, or deploys often',
  options: {
    only: { type: 'string', value: 'LINKS', help: 'direct, 50 or 10 (Mbit/s), with commas between; default: all' },
    limited: { type: 'boolean', help: 'the pods that are limited to 200m CPU alone' },
    pairs: {
      type: 'string',
      value: 'N',
      help: 'pairs for each comparison, instead of 9 on the direct link and else 3',
    },
    encoding: {
      type: 'string',
      value: 'NAME',
      help: 'how deploy-dev sends; default: raw on the direct link, else gzip',
    },
    pods: { type: 'string', value: 'N', help: '1 or 5; default: both' },
    all: { type: 'boolean', help: 'debug builds to 5 pods over slow links too: half an hour more' },
    faults: { type: 'boolean', help: 'instead: try each fault of an upload, and count the wrong outcomes' },
    times: { type: 'string', value: 'N', help: 'how often each fault is tried; default: 30' },
    soak: { type: 'boolean', help: 'instead: deploy many times in a row, and show what is in use' },
    deploys: { type: 'string', value: 'N', help: 'how many times; default: 200' },
    codec: { type: 'boolean', help: 'instead: the delta by itself, beside bsdiff and zstd' },
  },
  more: 'Writes tables into bench/results. bench/README.md says what is measured and how long it takes.',
} as const

await task(about, async ({ flags }) => {
  if (flags.faults === true) return faultRuns(count('times', flags.times, 30))
  if (flags.soak === true) return soakRun(count('deploys', flags.deploys, 200))
  if (flags.codec === true) return codecRun()
  const names = [...linkNames]
  const only: readonly string[] = typeof flags.only === 'string' ? flags.only.split(',') : names
  const chosen = names.filter((name) => only.includes(name))
  if (chosen.length !== only.length) throw new UserError(`--only takes ${names.join(', ')}, not '${only.join(',')}'`, 2)
  const given = flags.pairs === undefined ? undefined : count('pairs', flags.pairs, 1)
  const replicas = [1, 5].filter((number) => flags.pods === undefined || flags.pods === String(number))
  if (replicas.length === 0) throw new UserError('--pods is 1 or 5', 2)
  const encoding = typeof flags.encoding === 'string' ? flags.encoding : undefined
  const wanted = cells(chosen, replicas, given, flags.all === true)
  return comparison(flags.limited === true ? wanted.filter(({ cpu }) => cpu !== undefined) : wanted, encoding)
})

/** What is compared: one pod and more of them one after the other, so that the program is as large. */
function cells(chosen: readonly LinkName[], pods: readonly number[], given: number | undefined, all: boolean): Cell[] {
  const cpu = '200m' // as a small pod, or a slow machine
  const limited = (['release', 'debug'] as const).map((build) => ({ build, replicas: 1, pairs: given ?? 3, cpu }))
  const free = chosen.flatMap((link) =>
    (['release', 'debug'] as const).flatMap((build) =>
      pods
        // kubectl cp of these takes minutes each
        .filter((replicas) => all || link === 'direct' || replicas === 1 || build === 'release')
        .map((replicas) => ({ link, build, replicas, pairs: given ?? (link === 'direct' && replicas === 1 ? 9 : 3) })),
    ),
  )
  return [
    ...free,
    ...(chosen.includes('direct') && pods.includes(1) ? limited.map((of) => ({ link: 'direct' as const, ...of })) : []),
  ]
}

/** deploy-dev against kubectl cp. */
async function comparison(chosen: readonly Cell[], encoding: string | undefined): Promise<number> {
  const samples: Sample[] = []
  const name = encoding === undefined ? 'pairs' : `pairs-${encoding}`
  await pairs(chosen, encoding, (sample) => {
    samples.push(sample)
    const { link, build, replicas, edit, side, seconds, up } = sample
    const bytes = up === undefined ? '' : `  ${size(up)} up`
    print(`${link} ${build} ×${replicas}  ${edit}  ${side}: ${seconds.toFixed(2)} s${bytes}`)
    result(`${name}.json`, ['[', samples.map((each) => JSON.stringify(each)).join(',\n'), ']'])
  })
  const lines = [...table(samples), ...morePods(samples)]
  result(`${name}.md`, lines)
  result(`${name}.svg`, [plot(samples)])
  for (const line of lines) print(line)
  return 0
}

/** The delta by itself. */
async function codecRun(): Promise<number> {
  const all: Patched[] = []
  print(patchTable([]).join('\n'))
  await codec((of) => {
    all.push(of)
    print(patchTable([of]).at(-1) ?? '')
  })
  result('codec.md', patchTable(all))
  result('codec.svg', [patchPlot(all)])
  return 0
}

/** Many deploys. */
async function soakRun(deploys: number): Promise<number> {
  const field = await Field.make(1)
  onEnd(() => field.remove())
  const head =
    '| deploys | agent, KiB | its descriptors | processes in the pod | disk there, KiB | processes left here | .hotswap here, KiB |'
  const rows = [head, '|---:|---:|---:|---:|---:|---:|---:|']
  print(head)
  await soak(field, deploys, 10, (use) => {
    const { agentMemory, agentDescriptors, podProcesses, podDisk, leftHere, diskHere } = use
    const cells = [use.deploys, agentMemory, agentDescriptors, podProcesses, podDisk, leftHere, diskHere]
    rows.push(`| ${cells.join(' | ')} |`)
    print(rows.at(-1) ?? '')
  })
  result('soak.md', rows)
  return 0
}

/** Each fault so many times; exit code 1 where an outcome was wrong. */
async function faultRuns(times: number): Promise<number> {
  const field = await Field.make()
  onEnd(() => field.remove())
  const tallies: Tally[] = []
  for (const fault of faults) {
    const tally = await field.tally(fault, times)
    for (const wrong of tally.wrong) say(wrong)
    print(`${fault}: ${tally.tried} tried, ${tally.wrong.length} wrong`)
    tallies.push(tally)
  }
  const sum = (of: (tally: Tally) => number) => tallies.reduce((all, tally) => all + of(tally), 0)
  const tried = sum((tally) => tally.tried)
  const wrong = sum((tally) => tally.wrong.length)
  print(`faults tried: ${tried}, wrong outcomes: ${wrong}`)
  const rows = tallies.map((tally) => `| ${tally.fault} | ${tally.tried} | ${tally.wrong.length} |`)
  result('faults.md', [
    '| fault | tried | wrong outcomes |',
    '|---|---:|---:|',
    ...rows,
    `| all | ${tried} | ${wrong} |`,
  ])
  return wrong === 0 ? 0 : 1
}

/** Writes a file of results. */
function result(name: string, lines: readonly string[]): void {
  mkdirSync('bench/results', { recursive: true })
  writeFileSync(`bench/results/${name}`, `${lines.join('\n')}\n`)
}

function count(name: string, text: string | boolean | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^[1-9]\d{0,4}$/.test(String(text))) throw new UserError(`--${name} is a number from 1, not '${text}'`, 2)
  return Number(text)
}
