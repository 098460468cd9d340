import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crashOf } from '../../tasks/lib/delivery/crash.ts'
import { listing, matchesGlob, named } from '../../tasks/lib/go/sources.ts'

const sources = suite('sources')

const list = (...packages: object[]) => packages.map((each) => `${JSON.stringify(each, undefined, '\t')}\n`).join('')
const module = { Path: 'example.com/app', Dir: '/app', GoMod: '/app/go.mod', Main: true }

sources('are the files of packages that can be edited, with go.mod and what they embed', () => {
  const text = list(
    { Dir: '/go/src/fmt', ImportPath: 'fmt', Standard: true, GoFiles: ['print.go'] },
    {
      Dir: '/cache/k8s.io/api@v1',
      ImportPath: 'k8s.io/api',
      GoFiles: ['a.go'],
      Module: { GoMod: '/cache/k8s.io/api@v1/go.mod' },
    },
    { Dir: '/other', ImportPath: 'example.com/other', SFiles: ['x.s'], Module: { GoMod: '/other/go.mod' } },
    {
      Dir: '/app',
      ImportPath: 'example.com/app',
      Name: 'main',
      GoFiles: ['main.go'],
      EmbedPatterns: ['web/*'],
      EmbedFiles: ['web/a/b.css'],
      Module: module,
    },
  )
  assert.equal(named(text, '/cache'), {
    files: [
      '/other/x.s',
      '/other/go.mod',
      '/other/go.sum',
      '/app/main.go',
      '/app/web/a/b.css',
      '/app/go.mod',
      '/app/go.sum',
    ],
    folders: ['/other', '/app'],
    patterns: [['/app', 'web/*']],
    aside: ['/app/default.pgo'],
    vendors: ['/app'],
    unwritten: [],
    why: '',
  })
})

sources('have a place for a package that is imported and not yet written', () => {
  const main = { Dir: '/app', ImportPath: 'example.com/app', GoFiles: ['main.go'], Module: module }
  const text = list({ ImportPath: 'example.com/app/inner/new', Incomplete: true, Error: { Err: 'no package' } }, main)
  assert.equal(named(text, '/cache').folders, ['/app/inner/new', '/app'])
  assert.equal(named(list({ ImportPath: 'example.com/unknown', Incomplete: true }), '/cache').folders, [])
})

sources('have the folders of embed patterns that match nothing, and files that tags leave out', () => {
  const main = {
    Dir: '/app',
    ImportPath: 'example.com/app',
    IgnoredGoFiles: ['_draft.go', 'tool.go'],
    EmbedPatterns: ['all:dist', 'web/*'],
    Error: { Err: 'pattern all:dist: no matching files found' },
    Module: module,
  }
  const found = named(list(main), '/cache')
  assert.equal(found.files, ['/app/tool.go', '/app/go.mod', '/app/go.sum'])
  assert.equal(found.patterns, [
    ['/app', 'all:dist'],
    ['/app', 'web/*'],
  ])
})

sources('of nothing are none', () => {
  const { files, folders, patterns, aside, vendors, unwritten, why } = named('', '/cache')
  assert.equal([files, folders, patterns, aside, vendors, unwritten, why], [[], [], [], [], [], [], ''])
})

sources('look for a package that is not there in the modules of neighbours, which Go does not name then', () => {
  const main = { Dir: '/app', ImportPath: 'app', GoFiles: ['main.go'], Module: { ...module, Path: 'app' } }
  // as go 1.26 prints it
  const missing = { ImportPath: 'lib/x', Incomplete: true, Error: { Err: 'package lib/x is not in std' } }
  const found = named(list(missing, main), '/cache', new Map([['lib', '/lib']]))
  assert.equal(found.folders, ['/lib/x', '/app'])
  assert.equal(found.unwritten, ['lib/x'])
})

sources('are looked for by the go.mod that would take a package out of its module', () => {
  const inner = { Dir: '/app/a/b', ImportPath: 'example.com/app/a/b', GoFiles: ['x.go'], Module: module }
  assert.equal(named(list(inner), '/cache').aside, ['/app/a/b/go.mod', '/app/a/go.mod'])
})

sources('are embedded by patterns as Go has them', () => {
  const yes = (name: string, pattern: string) => assert.ok(matchesGlob(name, pattern), `${name} ${pattern}`)
  const no = (name: string, pattern: string) => assert.not(matchesGlob(name, pattern), `${name} ${pattern}`)
  yes('.well-known', '*')
  yes('a.b', '?.[a-c]')
  yes('d', '[^a-c]')
  yes('*', '\\*')
  no('axb', 'a.b')
  no('b', '\\*')
  no('a+', 'a?+')
})

sources('are listed anew where imports, build lines or embeds change, not for other edits', () => {
  const source = (imports: string, body: string) =>
    `//go:build linux\n\npackage main\n\nimport (\n${imports})\n\n${body}\n`
  const before = listing(source('\t"fmt"\n', 'func main() { fmt.Println(1) }'))
  assert.is(listing(source('\t"fmt"\n', 'func main() { fmt.Println("import (") }')), before)
  assert.is.not(listing(source('\t"fmt"\n\t"os"\n', '')), before)
  assert.is.not(listing(source('\t"fmt"\n', '//go:embed x.txt\nvar x string')), before)
  assert.is.not(listing(source('\t"fmt"\n', '').replace('linux', 'darwin')), before)
  assert.is.not(listing(source('\t"fmt" // (printing)\n\t"os"\n', '')), listing(source('\t"fmt" // (printing)\n', '')))
  assert.is.not(listing(source('\t"fmt"\n', 'var (\n\t//go:embed x.txt\n\tx string\n)')), before)
  const long = source('\t"fmt"\n', '').replace('package', '/*\nfunc main() {}\n*/\npackage')
  assert.is.not(listing(long.replace('"fmt"', '"os"')), listing(long))
})

sources.run()

const crash = suite('crash')
const trace = [
  'starting',
  'panic: runtime error: index out of range [3] with length 2',
  '',
  'goroutine 1 [running]:',
  'main.main.func1()',
  '\t/usr/local/go/src/runtime/panic.go:884 +0x1d',
  '\t/home/me/go/pkg/mod/example.com/lib@v1.2.3/lib.go:9 +0x2',
  'main.main()',
  '\t/src/app/cmd/main.go:21 +0x25',
  'exit status 2',
]

crash("names what and where, in the developer's own code", () => {
  assert.equal(crashOf(trace, '/src/app'), { what: trace[1], where: 'cmd/main.go:21' })
  assert.equal(crashOf(trace, '/elsewhere'), { what: trace[1], where: '/src/app/cmd/main.go:21' })
})

crash('of a program that says nothing, or ends in another way, is empty', () => {
  assert.equal(crashOf([], '/src'), { what: '', where: '' })
  assert.equal(crashOf(['listen tcp :8080: bind: address already in use'], '/src'), { what: '', where: '' })
  assert.equal(crashOf(['fatal error: all goroutines are asleep - deadlock!', '', 'goroutine 1 [select]:'], '/src'), {
    what: 'fatal error: all goroutines are asleep - deadlock!',
    where: '',
  })
})

crash.run()
