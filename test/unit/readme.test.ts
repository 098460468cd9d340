import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { keys } from '../../tasks/lib/settings/table.ts'
import { root } from '../../tasks/lib/frame/root.ts'

const text = (file: string) => readFileSync(join(root, file), 'utf8')
const documents = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'test/README.md', 'bench/README.md', 'docs/json.md']

/** A chapter of a document: what stands under `## title`, up to the next one. */
const chapter = (document: string, title: string) =>
  text(document)
    .split(/^## /m)
    .find((part) => part.startsWith(`${title}\n`)) ?? ''

test('the settings in README.md are those of settings.ts: keys, defaults and meanings, in the same order', () => {
  const rows = chapter('README.md', 'Settings').match(/^\| `.*$/gm) ?? []
  assert.equal(
    rows,
    keys.map((row) => `| \`${row.key}\` | ${row.default === '' ? 'empty' : `\`${row.default}\``} | ${row.meaning} |`),
  )
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
  for (const line of header) assert.ok(chapter('README.md', 'The agent').includes(line.slice(4)), line)
})

test.run()
