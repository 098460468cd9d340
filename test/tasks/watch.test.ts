// The watch on real folders and the real Go: each change that a build would see is told.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Settings } from '../../tasks/lib/settings/table.ts'
import { pace, patience } from '../lib/pace.ts'
import { watch } from '../../tasks/lib/go/watch.ts'

const watching = suite('watch')
const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'hotswap-watch-')))
process.env.GOENV = join(scratch, 'goenv')

// a go whose list is held back once it has read the tree, while .hold is there
const go = execFileSync('sh', ['-c', 'command -v go'], { encoding: 'utf8' }).trim()
const slow = `#!/bin/sh
[ "$1" = list ] || exec ${go} "$@"
list=$(${go} "$@")
code=$?
[ ! -e .hold ] || : >.read
while [ -e .hold ]; do sleep .05; done
printf '%s\\n' "$list"
exit $code
`
mkdirSync(join(scratch, 'bin'))
writeFileSync(join(scratch, 'bin/go'), slow, { mode: 0o755 })
process.env.PATH = `${join(scratch, 'bin')}:${process.env.PATH}`

/** A module in a folder of its own, with its neighbours, and a watch of its folder `app`. */
function module(name: string) {
  const root = join(scratch, name)
  let told = 0
  let watched: Awaited<ReturnType<typeof watch>> | undefined
  const put = (file: string, text: string) => {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
  }
  const quiet = async () => {
    for (let last = -1; last !== told;) {
      last = told
      await new Promise((resolve) => setTimeout(resolve, 1_300 * pace)) // longer than the clock of the watch
    }
  }
  const until = async (what: string, isSo: () => boolean) => {
    const limit = patience(10)
    while (!isSo() && !(await limit.over())) await new Promise((resolve) => setTimeout(resolve, 50))
    assert.ok(isSo(), `${what}: not in ${limit}`)
  }
  const remove = (file: string) => rmSync(join(root, file), { recursive: true })
  return {
    root,
    put,
    remove,
    quiet,
    until,
    link(to: string, file: string) {
      rmSync(join(root, file), { recursive: true, force: true })
      symlinkSync(to, join(root, file))
    },
    failed: () => watched?.failed(),
    async watch() {
      const chosen = { goDir: join(root, 'app'), goMain: '.', goFlags: [], goArch: '' } as unknown as Settings
      const changed = () => void told++
      watched = await watch(chosen, changed, () => undefined)
    },
    /** Does it, and waits until the watch has told of it and is quiet. */
    async tells(what: string, act: () => void) {
      const before = told
      act()
      await until(`told of: ${what}`, () => told > before)
      await quiet()
    },
    /** Does it, and is told of nothing. */
    async tellsNothing(what: string, act: () => void) {
      const before = told
      act()
      await quiet()
      assert.is(told, before, what)
    },
    /** The second while Go, which was asked because of the first, has read the tree and not yet answered. */
    async meanwhile(first: () => void, second: () => void) {
      put('app/.hold', '')
      first()
      await until('Go has read the tree', () => existsSync(join(root, 'app/.read')))
      second()
      remove('app/.hold')
      remove('app/.read')
      await quiet()
    },
    close: () => watched?.close(),
  }
}

type Module = ReturnType<typeof module>

const earlier: Promise<unknown>[] = []

/** Cases run ahead of uvu, all at once: they mostly wait. */
function sees(title: string, body: (app: Module) => Promise<void>): void {
  const app = module(title.replace(/\W+/g, '-'))
  const outcome = body(app).finally(app.close)
  earlier.push(outcome)
  outcome.catch(() => undefined) // uvu looks at it later
  watching(title, () => outcome)
}

const inner = (text = '') => `package inner\n\nfunc F() { println("${text}") }\n`
const bare = 'package main\n\nfunc main() {}\n'
const importing = (path: string) => `package main\n\nimport _ "${path}"\n\nfunc main() {}\n`

sees('what comes back to a broken tree', async ({ put, remove, watch, tells }) => {
  const main =
    'package main\n\nimport (\n\t"embed"\n\t"app/inner"\n)\n\n//go:embed all:dist\nvar d embed.FS\n\nfunc main() { inner.F(); _ = d }\n'
  put('app/go.mod', 'module app\n\ngo 1.21\n')
  put('app/main.go', main)
  put('app/inner/a.go', inner())
  put('app/tool.go', '//go:build ignore\n\npackage main\n')
  put('app/dist/a.js', '1')
  await watch()
  await tells('dist is emptied', () => remove('app/dist/a.js'))
  await tells('dist is filled', () => put('app/dist/b.js', '2'))
  await tells('a name with _', () => put('app/dist/_new.html', '3'))
  await tells('a folder with a dot', () => put('app/dist/.well-known/x', '4'))
  await tells('a package goes', () => remove('app/inner'))
  await tells('a package comes again', () => put('app/inner/z.go', inner()))
  await tells('a file loses its ignore line', () => put('app/tool.go', 'package main\n'))
  await tells('main.go gets a tag', () => put('app/main.go', `//go:build ignore\n\n${main}`))
  await tells('main.go loses it', () => put('app/main.go', main))
})

sees(
  'what comes and goes between two looks, since a build may have read it',
  async ({ put, remove, watch, quiet, tells, tellsNothing }) => {
    put('app/go.mod', 'module app\n\ngo 1.21\n')
    put(
      'app/main.go',
      'package main\n\nimport "embed"\n\n//go:embed all:dist\nvar d embed.FS\n\nfunc main() { _ = d }\n',
    )
    put('app/dist/a.js', '1')
    await watch()
    await quiet() // until events come
    for (const file of ['app/default.pgo', 'app/new.go', 'app/dist/.tmp', 'app/go.work'])
      await tells(`${file} comes and goes`, () => {
        put(file, 'x')
        remove(file)
      })
    put('app/a_test.go', 'package main\n')
    await quiet()
    await tellsNothing('a test that was there goes', () => remove('app/a_test.go'))
  },
)

sees('what is above and beside the module', async ({ root, put, remove, watch, tells }) => {
  put('app/go.mod', 'module app\n\ngo 1.21\n')
  put('app/main.go', importing('app/a/b'))
  put('app/a/b/b.go', 'package b\n')
  await watch()
  await tells('a go.work above comes', () => put('go.work', 'go 1.21\n'))
  await tells('a go.work above goes', () => remove('go.work'))
  await tells('a go.mod between comes', () => put('app/a/go.mod', 'module other\n'))
  await tells('a go.mod between goes', () => remove('app/a/go.mod'))
  await tells('a vendor folder comes', () => mkdirSync(join(root, 'app/vendor')))
  await tells('a vendor folder goes', () => remove('app/vendor'))
  await tells('a profile comes', () => put('app/default.pgo', ''))
  await tells('a profile changes', () => put('app/default.pgo', 'x'))
})

sees('the folder of a replace that comes later', async ({ put, remove, watch, tells }) => {
  put('app/go.mod', 'module app\n\ngo 1.21\n\nrequire lib v0.0.0\n\nreplace lib => ../lib\n')
  put('app/main.go', importing('lib/x'))
  await watch()
  await tells('the module', () => put('lib/go.mod', 'module lib\n'))
  await tells('its package', () => put('lib/x/x.go', 'package x\n'))
  await tells('an edit there', () => put('lib/x/x.go', 'package x\n\nfunc init() {}\n'))
  await tells('the package goes', () => remove('lib'))
  await tells('all comes again', () => {
    put('lib/x/x.go', 'package x\n')
    put('lib/go.mod', 'module lib\n')
  })
})

sees('what an edit brings into the build', async ({ put, remove, link, watch, tells }) => {
  put('app/go.mod', 'module app\n\ngo 1.21\n')
  put('app/main.go', 'package main\n\nimport (\n\t"embed" // (files)\n)\n\nvar _ embed.FS\n\nfunc main() {}\n')
  put('app/inner/a.go', inner())
  put('app/assets/x.txt', '1')
  put('store/y.txt', '1')
  await watch()
  const main =
    'package main\n\nimport (\n\t"embed" // (files)\n\t_ "app/inner"\n)\n\nvar (\n\t_ int\n)\n\nvar _ embed.FS\n\nfunc main() {}\n'
  await tells('an import behind a comment', () => put('app/main.go', main))
  await tells('an edit of what is imported', () => put('app/inner/a.go', inner('2')))
  await tells('an embed in a block', () => {
    put('app/main.go', main.replace('\t_ int', '\t//go:embed assets assets/*\n\tfiles embed.FS'))
  })
  await tells('an edit of what is embedded', () => put('app/assets/x.txt', '2'))
  await tells('a name of an editor that is embedded', () => put('app/assets/y.tmp', '2'))
  await tells('a link in the place of a file', () => link('../../store/y.txt', 'app/assets/x.txt'))
  await tells('a file in the place of a link', () => {
    link('../../store/y.txt', 'app/assets/x.txt~')
    remove('app/assets/x.txt')
    put('app/assets/x.txt', '3')
  })
})

sees('a header, a folder behind a link, and a file that a tag leaves out', async ({ put, link, watch, tells }) => {
  put('app/go.mod', 'module app\n\ngo 1.21\n')
  put('app/main.go', 'package main\n\nimport (\n\t_ "app/c"\n\t_ "app/linked"\n)\n\nfunc main() {}\n')
  put('app/windows.go', '//go:build windows\n\npackage main\n')
  put('app/c/c.go', 'package c\n\n// #include "x.h"\nimport "C"\n')
  put('app/c/plain.go', 'package c\n')
  put('app/c/x.h', '')
  put('store/a.go', 'package linked\n')
  link('../store', 'app/linked')
  await watch()
  await tells('a header', () => put('app/c/x.h', '#define X 1\n'))
  await tells('an edit behind the link', () => put('store/a.go', 'package linked\n// edited\n'))
  await tells('a new file behind the link', () => put('store/b.go', 'package linked\n'))
  await tells('an edit of what the tag leaves out', () =>
    put('app/windows.go', '//go:build windows\n\npackage main\n//\n'),
  )
})

sees('another folder behind the link that is GO_DIR', async ({ put, link, watch, tells }) => {
  for (const version of ['v1', 'v2']) {
    put(`${version}/go.mod`, 'module app\n\ngo 1.21\n')
    put(`${version}/main.go`, `${bare}// ${version}\n`)
  }
  link('v1', 'app')
  await watch()
  await tells('v2', () => link('v2', 'app'))
  await tells('an edit there', () => put('v2/main.go', bare))
})

sees('what changes while Go is asked', async ({ put, watch, tells, meanwhile }) => {
  put('app/go.mod', 'module app\n\ngo 1.21\n')
  put('app/main.go', importing('app/inner'))
  for (const name of ['inner', 'other', 'third']) put(`app/${name}/a.go`, `package ${name}\n`)
  await watch()
  await meanwhile(
    () => put('app/main.go', bare),
    () => put('app/main.go', importing('app/inner')),
  )
  await tells('an edit of what is imported again', () => put('app/inner/a.go', inner()))
  await meanwhile(
    () => put('app/main.go', importing('app/other')),
    () => put('app/other/a.go', 'package other\n\nimport _ "app/third"\n'),
  )
  await tells('an edit of what a new package imports by now', () => put('app/third/a.go', 'package third\n// edited\n'))
  await meanwhile(
    () => {
      put('app/main.go', importing('lib/x'))
      put('app/go.mod', 'module app\n\ngo 1.21\n\nrequire lib v0.0.0\n\nreplace lib => ../lib\n')
    },
    () => {
      put('lib/go.mod', 'module lib\n')
      put('lib/x/x.go', 'package x\n')
    },
  )
  await tells('an edit in the folder of a replace that came', () => put('lib/x/x.go', 'package x\n// edited\n'))
})

sees('what Go is told beside the tree', async ({ put, watch, tells, failed }) => {
  await Promise.allSettled([...earlier]) // they would see it too
  put('app/go.mod', 'module app\n\ngo 1.21\n')
  put('app/main.go', importing('app/c'))
  put('app/c/c.go', 'package c\n\nimport "C"\n')
  put('app/c/x.c', '')
  put('app/late/l.go', 'package late\n')
  put('app/tagged.go', '//go:build special\n\npackage main\n\nimport _ "app/late"\n')
  process.env.CGO_ENABLED = '1' // without, go reads no C
  await watch()
  await tells('a C source', () => put('app/c/x.c', 'int x;\n'))
  await tells('go env -w', () => writeFileSync(join(scratch, 'goenv'), 'GOFLAGS=-trimpath\n'))
  // what no watch can see: only a list that is asked for after the failed build names it
  await tells('what the list lacked as a build failed', () => {
    process.env.GOFLAGS = '-tags=special'
    failed()
  })
})

sees(
  'nothing after its end, though Go answers later',
  async ({ root, put, watch, remove, until, close, tellsNothing }) => {
    await Promise.allSettled([...earlier]) // their watches are gone
    put('app/go.mod', 'module app\n\ngo 1.21\n')
    put('app/main.go', bare)
    put('app/inner/a.go', inner())
    await watch()
    await tellsNothing('nothing has changed', () => undefined)
    put('app/.hold', '')
    put('app/main.go', importing('app/inner'))
    await until('Go has read the tree', () => existsSync(join(root, 'app/.read')))
    await close()
    remove('app/.hold')
    await tellsNothing('an edit of what has joined', () => put('app/inner/a.go', inner('edited')))
    const watches = process.getActiveResourcesInfo().filter((name) => name === 'FSEventWrap')
    assert.equal(watches, [], 'a watch keeps the process alive')
  },
)

watching.after(() => rmSync(scratch, { recursive: true, force: true }))
watching.run()
