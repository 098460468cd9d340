// The watch on a real folder and the real Go: each change of a broken tree is told.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { sources } from '../../tasks/lib/sources.ts'
import type { Settings } from '../../tasks/lib/settings.ts'
import { pace } from '../lib/pace.ts'
import { watch, type Watched } from '../../tasks/lib/watch.ts'

const watching = suite('watch')
const root = realpathSync(mkdtempSync(join(tmpdir(), 'hotswap-watch-')))
let told = 0
let watched: Watched | undefined

function put(name: string, text: string): void {
  mkdirSync(dirname(join(root, name)), { recursive: true })
  writeFileSync(join(root, name), text)
}

const remove = (name: string) => rmSync(join(root, name), { recursive: true })

/** Does it, and waits until the watch has told of it and is quiet. */
async function tells(what: string, act: () => void): Promise<void> {
  const before = told
  act()
  const end = Date.now() + 15_000 * pace
  while (told === before && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 50))
  assert.ok(told > before, `${what}: not told`)
  for (let last = -1; last !== told;) {
    last = told
    await new Promise((resolve) => setTimeout(resolve, 1_300)) // longer than the clock of the watch
  }
}

const main =
  'package main\n\nimport (\n\t"embed"\n\t"app/inner"\n)\n\n//go:embed all:dist\nvar d embed.FS\n\nfunc main() { inner.F(); _ = d }\n'

watching('tells of what comes back to a broken tree', async () => {
  put('go.mod', 'module app\n\ngo 1.21\n')
  put('main.go', main)
  put('inner/a.go', 'package inner\n\nfunc F() {}\n')
  put('tool.go', '//go:build ignore\n\npackage main\n')
  put('dist/a.js', '1')
  const chosen = { goDir: root, goMain: '.', goFlags: [], goarch: '' } as unknown as Settings
  assert.is((await sources(chosen)).why, '')
  watched = await watch(
    chosen,
    () => told++,
    () => undefined,
  )
  await tells('dist is emptied', () => remove('dist/a.js'))
  await tells('dist is filled', () => put('dist/b.js', '2'))
  await tells('a name with _', () => put('dist/_new.html', '3'))
  await tells('a folder with a dot', () => put('dist/.well-known/x', '4'))
  await tells('a package goes', () => remove('inner'))
  await tells('a package comes again', () => put('inner/z.go', 'package inner\n\nfunc F() {}\n'))
  await tells('a file loses its ignore line', () => put('tool.go', 'package main\n'))
  await tells('main.go gets a tag', () => put('main.go', `//go:build ignore\n\n${main}`))
  await tells('main.go loses it', () => put('main.go', main))
})

watching.after(async () => {
  await watched?.close()
  rmSync(root, { recursive: true, force: true })
})
watching.run()
