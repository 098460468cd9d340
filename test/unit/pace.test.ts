import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { pace, patience, tookLess, within } from '../lib/pace.ts'

/** How many seconds it took until patience for so many was over. */
async function lasted(seconds: number): Promise<number> {
  const begin = performance.now()
  for (const limit = patience(seconds); !(await limit.over());) await new Promise((resolve) => setTimeout(resolve, 10))
  return (performance.now() - begin) / 1000
}

test('patience is over at its limit, and not before', async () => {
  const took = await lasted(0.3)
  assert.ok(took >= 0.3 * pace && took < 8 * 0.3 + 5, `${took} s`)
  await within(20, Promise.resolve(), () => 'nothing')
  const never = await within(0.1, new Promise(() => {}), () => 'what never ends').catch((error: Error) => error.message)
  assert.match(String(never), /^not over after \d.* s.*: what never ends$/)
  assert.ok(await tookLess(1, 2))
  assert.not(await tookLess(100, 2))
})

test('patience lasts longer if the machine has become slow meanwhile, and not for ever', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'hotswap-pace-'))
  const PATH = process.env.PATH
  const slow = (seconds: number) => writeFileSync(join(folder, 'sh'), `#!/bin/sh\nsleep ${seconds}\n`, { mode: 0o755 })
  try {
    slow(0.6)
    process.env.PATH = `${folder}:${PATH}`
    const took = await lasted(0.5)
    assert.ok(took >= 2.5, `${took} s, as each shell takes five times as long`)
    slow(2)
    const most = await lasted(0.5)
    assert.ok(most >= 4 && most < 15, `${most} s: eight times is the end`)
  } finally {
    process.env.PATH = PATH
    rmSync(folder, { recursive: true })
  }
})

test.run()
