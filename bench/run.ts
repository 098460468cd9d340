// Measures on a real cluster what this project promises: how fast a deploy is, what faults do to it, and what many leave behind.
import { mkdirSync, writeFileSync } from 'node:fs'
import { print, say, task, UserError } from '../tasks/lib/task.ts'
import { faults, Field, type Tally } from './faults.ts'

const about = {
  name: 'bench',
  summary: 'compares deploy-dev with kubectl cp and a classical agent on the test cluster, or tries faults',
  options: {
    faults: { type: 'boolean', help: 'try each fault of an upload, and count the wrong outcomes' },
    times: { type: 'string', value: 'N', help: 'how often each fault is tried; default: 30' },
  },
  more: 'Writes tables into bench/results. bench/README.md says what is measured and how long it takes.',
} as const

await task(about, async ({ flags }) => {
  if (flags.faults === true) return faultRuns(count('times', flags.times, 30))
  return 0
})

/** Each fault so many times; exit code 1 where an outcome was wrong. */
async function faultRuns(times: number): Promise<number> {
  const field = await Field.make()
  const tallies: Tally[] = []
  try {
    for (const fault of faults) {
      const tally = await field.tally(fault, times)
      for (const wrong of tally.wrong) say(wrong)
      print(`${fault}: ${tally.tried} tried, ${tally.wrong.length} wrong`)
      tallies.push(tally)
    }
  } finally {
    await field.remove()
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
  say(`bench/results/${name} is written`)
}

function count(name: string, text: string | boolean | undefined, otherwise: number): number {
  if (text === undefined) return otherwise
  if (!/^[1-9]\d{0,4}$/.test(String(text))) throw new UserError(`--${name} is a number from 1, not '${text}'`, 2)
  return Number(text)
}
