import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { bytesOf, memoryFault, memoryOf } from '../../tasks/lib/pods/memory.ts'

const memory = suite('memory')

memory('quantities', () => {
  const table: readonly [string, number | undefined][] = [
    ['64Mi', 67_108_864],
    ['128M', 128_000_000],
    ['1Gi', 1_073_741_824],
    ['1.5Gi', 1_610_612_736],
    ['1024Ki', 1_048_576],
    ['5k', 5000],
    ['134217728', 134_217_728],
    ['1e9', 1_000_000_000],
    ['500m', 0.5],
    ['2Ei', 2 ** 61],
    ['', undefined],
    ['64Mb', undefined],
    ['mi', undefined],
    ['1K', undefined],
    ['-1Mi', undefined],
  ]
  for (const [text, bytes] of table) assert.is(bytesOf(text), bytes, text)
})

memory('the volume of the innermost mount above the binary counts', () => {
  const pod = {
    spec: {
      volumes: [
        { name: 'ram', emptyDir: { medium: 'Memory' } },
        { name: 'disk', emptyDir: {} },
      ],
    },
  }
  const mounts = (...paths: [string, string][]) => ({
    resources: { limits: { memory: '64Mi' } },
    volumeMounts: paths.map(([name, mountPath]) => ({ name, mountPath })),
  })
  const table: readonly [[string, string][], boolean][] = [
    [[['ram', '/opt/app']], true],
    [[['ram', '/opt/app/']], true],
    [[['ram', '/']], true],
    [[['disk', '/opt/app']], false],
    [
      [
        ['ram', '/opt'],
        ['disk', '/opt/app'],
      ],
      false,
    ],
    [
      [
        ['disk', '/opt'],
        ['ram', '/opt/app'],
      ],
      true,
    ],
    [[['ram', '/opt/ap']], false],
    [[], false],
  ]
  for (const [paths, volume] of table)
    assert.equal(memoryOf(pod, mounts(...paths), '/opt/app/hello'), { limit: 67_108_864, volume })
  assert.equal(memoryOf({}, {}, '/hello'), { limit: Infinity, volume: false })
})

memory('a limit that is too small is named, with what to raise', () => {
  const mebi = 1_048_576
  const [tight, wide] = [
    { limit: 32 * mebi, volume: false },
    { limit: 64 * mebi, volume: false },
  ]
  assert.is(memoryFault(tight, 12e6, false), undefined)
  assert.is(memoryFault(wide, 12e6, true), undefined)
  assert.is(
    memoryFault(tight, 12e6, true),
    'the memory limit of its container is 32 MiB, this binary takes 39 MiB for Delve, and the program comes on top - raise resources.limits.memory in MANIFEST, then run npm run generate-deployment-dev and npm run switch-dev, or deploy a release build (npm run build)',
  )
  assert.match(
    memoryFault({ limit: 32 * mebi, volume: true }, 12e6, false) ?? '',
    /takes 35 MiB for three binaries in the memory-backed volume, and the program comes on top/,
  )
  assert.is(memoryFault({ limit: 36 * mebi, volume: true }, 12e6, false), undefined)
  assert.is(memoryFault({ limit: Infinity, volume: true }, 12e9, true), undefined)
})

memory.run()
