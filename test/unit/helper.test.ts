// The agent's helper: its Go tests, and how large it is.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { root } from '../../tasks/lib/frame/root.ts'
import { helperPath } from '../agent/fixtures.ts'

const source = join(root, 'agent/hotswap-helper')
const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' }

for (const verb of ['vet', 'test -parallel=8'])
  test(`go ${verb} of the helper`, () => {
    const { status, stdout, stderr } = spawnSync('go', [...verb.split(' '), '.'], {
      cwd: source,
      env,
      encoding: 'utf8',
    })
    assert.is(status, 0, stdout + stderr)
  })

test('it has at most 3 MB, and 1.2 MB on the wire', () => {
  const bytes = readFileSync(helperPath())
  assert.ok(bytes.length <= 3e6, `${bytes.length} bytes`)
  const sent = gzipSync(bytes).length
  assert.ok(sent <= 1.2e6, `${sent} bytes in gzip`)
})

test.run()
