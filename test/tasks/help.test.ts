// The documents and --help never disagree: each task's help is from one place, and they repeat it word for word.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { root } from '../../tasks/lib/frame/root.ts'
import { checkout, type Checkout } from '../lib/checkout.ts'
import { suite } from '../lib/suite.ts'

const documents = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)]
  .filter((file) => file.endsWith('.md'))
  .map((file) => readFileSync(join(root, file), 'utf8'))
const tasks = readdirSync(join(root, 'tasks'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3))
  .sort()

interface Help {
  readonly summary: string
  /** `--json` or `--pod NAME`, and what it is for. */
  readonly options: readonly (readonly [option: string, help: string])[]
}

const help = suite<{ of: Map<string, Help> }>('documents and --help')
help.before(async (context) => {
  const copy: Checkout = checkout()
  context.of = new Map()
  for (const name of tasks) {
    const { stdout } = await copy.run(name, ['--help'])
    const [, summary = ''] = /\nThis task (.*)\.\n/.exec(stdout) ?? []
    const options = [...stdout.matchAll(/^ +(?:-\w, )?(--[\w-]+(?: [A-Z]+)?) {3,}(.*)$/gm)]
      .map(([, option = '', text = '']) => [option, text] as const)
      .filter(([option]) => option !== '--help')
    context.of.set(name, { summary, options })
  }
  copy.remove()
})

const cells = (row: string) => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim())
const chapter = (title: string) =>
  documents.flatMap((text) => text.split(/^## /m)).find((part) => part.startsWith(`${title}\n`)) ?? ''

help('every task is in the table of scripts, with the summary of its help', ({ of }) => {
  const rows = (chapter('The tasks').match(/^\|.*`npm run .*$/gm) ?? []).map(cells)
  for (const [name, { summary }] of of) {
    const row = rows.find(([, script = '']) => script === `\`npm run ${name}\``)
    assert.ok(row !== undefined, `README.md, The tasks: no row for npm run ${name}`)
    assert.is(row[2], summary, name)
  }
})

help('every option is in the table of options, with its words, and none is there that is not', ({ of }) => {
  const told = [...of].flatMap(([name, { options }]) =>
    options.map(([option, text]) => `| \`${name}\` | \`${option}\` | ${text} |`),
  )
  assert.equal(chapter('Tasks: output and exit codes').match(/^\| `[\w-]+` \| `--.*$/gm) ?? [], told)
})

help('every option that a document gives to a task is one of it', ({ of }) => {
  const used = documents.flatMap((text) => [...text.matchAll(/npm run (?:-s )?([\w-]+) -- (--[\w-]+)/g)])
  assert.ok(used.length > 3)
  for (const [whole, name = '', option = ''] of used) {
    if (!of.has(name)) continue // npm run bench is no task
    const options = of.get(name)?.options.map(([each]) => each.split(' ')[0]) ?? []
    assert.ok(option === '--help' || options.includes(option), `${whole}: ${name} has no ${option}`)
  }
})

help.run()
