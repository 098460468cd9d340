import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { SETUP } from '../../tasks/lib/manifest/inject.ts'
import { here, leftOut, which } from '../lib/needs.ts'

test('Kubernetes finds nothing to replace in the words of the init container', () => {
  assert.not.match(SETUP, /\$\(|\$\$/)
})

// the words of the script that look for it
const [, looks = ''] = /if head -c 4096 \S+ (\|.*); then/.exec(SETUP) ?? []
const isDynamic = (file: string) => spawnSync('sh', ['-c', `head -c 4096 "$1" ${looks}`, 'sh', file]).status === 0

if (here('inject: a dynamic program is told from a static one', { tools: ['grep'] }))
  test('a dynamic program is told from a static one', () => {
    assert.ok(isDynamic(process.execPath))
  })

// What an image of busybox has, and an emptyDir at /hotswap; then the script twice, as any user but root.
const container = `set -e
chmod 755 "$1"; cd "$1"; mkdir bin dev hotswap proc
cp "$(command -v busybox)" bin/busybox
for applet in sh rm mkdir cp head tr grep; do ln -s busybox "bin/$applet"; done
mknod -m 666 dev/null c 1 3
mount -t proc proc proc
mount -t tmpfs -o "mode=777,$2" none hotswap
for turn in 1 2; do
  chroot --userspec=65532:65532 . bin/busybox sh -c "$3" || echo "code $?"
done
chroot . hotswap/bin/stat -c %a hotswap/bin/busybox 2>/dev/null || :
`

const cases: readonly [title: string, mount: string, said: RegExp][] = [
  ['installs its tools, and again where the pod is started anew', 'exec', /^755\n$/],
  [
    'says in one line that an emptyDir is noexec, and what to do',
    'noexec',
    /^(hotswap-dev: no program can be run from an emptyDir of this node, .* - set DEV_IMAGE in \.env.*\ncode 1\n){2}$/,
  ],
]

for (const [title, mount, said] of cases) {
  const full = `inject: the init container ${title}`
  if (!here(full, { root: true, tools: ['busybox', 'grep'] })) continue
  if (isDynamic(which('busybox') ?? '')) {
    leftOut(full, 'a static busybox')
    continue
  }
  test(`the init container ${title}`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'hotswap-inject-'))
    try {
      const words = ['-m', '--propagation=private', 'sh', '-c', container, 'sh', dir, mount, SETUP]
      const { stdout, stderr } = spawnSync('unshare', words, { encoding: 'utf8', timeout: 20_000 })
      assert.match(stdout, said, stderr)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
}

test.run()
