import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { keys } from '../../tasks/lib/settings/table.ts'
import { root } from '../../tasks/lib/frame/root.ts'

const text = (file: string) => readFileSync(join(root, file), 'utf8')
const docs = readdirSync(join(root, 'docs')).filter((file) => file.endsWith('.md'))
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'test/README.md', 'bench/README.md'],
  ...docs.map((file) => `docs/${file}`),
]

/** A chapter of a document: what stands under `## title`, up to the next one. */
const chapter = (document: string, title: string) =>
  text(document)
    .split(/^## /m)
    .find((part) => part.startsWith(`${title}\n`)) ?? ''

test('README.md is of one sitting, and leads to every document', () => {
  const readme = text('README.md')
  assert.ok(readme.split('\n').length <= 250)
  for (const file of docs) assert.ok(readme.includes(`(docs/${file})`), file)
})

test('the settings in docs/settings.md are those of the table: keys, defaults and meanings, in the same order', () => {
  const rows = text('docs/settings.md').match(/^\| `[A-Z_]+` \|.*$/gm) ?? []
  assert.equal(
    rows,
    keys.map((row) => `| \`${row.key}\` | ${row.default === '' ? 'empty' : `\`${row.default}\``} | ${row.meaning} |`),
  )
})

test('a release has one number, in package.json, the agent and CHANGELOG.md', () => {
  const { version } = JSON.parse(text('package.json')) as { version: string }
  assert.is((JSON.parse(text('package-lock.json')) as { version: string }).version, version)
  assert.is(/\brelease_version=(\S+)/.exec(text('agent/hotswap-dev'))?.[1], version)
  const [first = '', second = ''] = text('CHANGELOG.md').match(/^## .*$/gm) ?? []
  assert.is(first, '## [Unreleased]')
  assert.match(second, new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d$`))
})

test('every npm script that a document names is there, and so is its file', () => {
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> }
  for (const document of documents) {
    const named = [...text(document).matchAll(/\bnpm (?:run (?:--?[\w-]+ )*([a-z][\w:-]*)|(test)\b)/g)]
    for (const [whole, name = 'test'] of named) {
      const script = scripts[name]
      assert.ok(script !== undefined, `${document}: ${whole}: package.json has no such script`)
      const [, file = ''] = /^exec sh tasks\/run (\S+)/.exec(script) ?? []
      const path = `${file.includes('/') ? file : `tasks/${file}`}.ts`
      assert.ok(existsSync(join(root, path)), `${document}: ${whole}: there is no ${path}`)
    }
  }
  assert.match(text('README.md'), /npm run demo[^]*npm test/, 'the two commands of the quick start')
})

test('every link in a document leads to a file or a heading', () => {
  const anchors = (file: string) =>
    [...text(file).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    )
  for (const document of documents)
    for (const [whole, link = ''] of text(document).matchAll(/\]\(([^)]+)\)/g)) {
      if (/^https?:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const file = path === '' ? document : join(dirname(document), path)
      assert.ok(existsSync(join(root, file)), `${document}: ${whole}: there is no ${file}`)
      if (anchor !== undefined)
        assert.ok(anchors(file).includes(anchor), `${document}: ${whole}: ${file} has no such heading`)
    }
})

test('CONTRIBUTING.md says why each dependency is there', () => {
  const { dependencies, devDependencies } = JSON.parse(text('package.json')) as Record<string, Record<string, string>>
  const named = (chapter('CONTRIBUTING.md', 'Dependencies').match(/^\| [^|]+/gm) ?? []).join(', ')
  for (const name of Object.keys({ ...dependencies, ...devDependencies }))
    assert.ok(` ${named.replace(/[|,]/g, ' ')} `.includes(` ${name} `), `${name} is not named`)
})

test('the ways to call the agent are those of its header', () => {
  const header = text('agent/hotswap-dev').match(/^# {3}(hotswap-dev .*)$/gm) ?? []
  assert.is(header.length, 5)
  for (const line of header) assert.ok(chapter('docs/agent.md', 'The agent').includes(line.slice(4)), line)
})

test.run()
