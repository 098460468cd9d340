import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { fitted, since } from '../../tasks/lib/frame/fit.ts'

const titles = ['POD', 'RESULT', 'VERSION', 'SHA256', 'LOCAL', 'SINCE', 'BY', '']
const row = (pod: string, version = 'v1.0.0-dirty', by = 'ann@laptop', reason = '') => [
  ...[pod, 'rolled-back', version, 'f73ceb74', 'yes', '07:08:05', by],
  reason,
]

test('what fits stands in a row, the reason below it', () => {
  assert.equal(fitted(titles, [row('a', 'v1', 'me', 'exit status 2'), row('bb', 'v1', 'me')], 80), [
    'POD  RESULT       VERSION  SHA256    LOCAL  SINCE     BY',
    'a    rolled-back  v1       f73ceb74  yes    07:08:05  me',
    '  exit status 2',
    'bb   rolled-back  v1       f73ceb74  yes    07:08:05  me',
  ])
})

test('a long name has a line of its own; a narrow terminal a line for each cell', () => {
  const pod = 'payments-reconciliation-worker-7d9c6b8f5d-x2x9p'
  assert.equal(fitted(titles, [row(pod, 'v1.0.0-dirty', 'ann@laptop', 'exit status 2')], 80), [
    '  RESULT       VERSION       SHA256    LOCAL  SINCE     BY',
    pod,
    '  rolled-back  v1.0.0-dirty  f73ceb74  yes    07:08:05  ann@laptop',
    '  exit status 2',
  ])
  assert.equal(fitted(titles, [row('hello', 'v1')], 24), [
    'hello',
    '  RESULT   rolled-back',
    '  VERSION  v1',
    '  SHA256   f73ceb74',
    '  LOCAL    yes',
    '  SINCE    07:08:05',
    '  BY       ann@laptop',
  ])
})

test('whatever the cells, no line is wider, and nothing is lost', () => {
  const words = (length: number) => 'because-of '.repeat(length).trim()
  for (const room of [20, 40, 79, 80, 120])
    for (const name of [1, 22, 50, 63, 253])
      for (const version of [2, 12, 30, 90])
        for (const reason of [0, 1, 30]) {
          const cells = row('p'.repeat(name), 'v'.repeat(version), `${'u'.repeat(20)}@host`, words(reason))
          const lines = fitted(titles, [cells, row('other')], room)
          for (const line of lines) assert.ok(line.length <= room, `${room}: ${line}`)
          const told = lines.join('').replace(/ /g, '')
          for (const cell of cells) assert.ok(told.includes(cell.replace(/ /g, '')), `${room}: ${cell}`)
        }
})

test('a moment is the time of today, else the day', () => {
  const now = new Date(2026, 10, 25, 12)
  assert.is(since(new Date(2026, 10, 25, 7, 8, 5).toISOString(), now), '07:08:05')
  assert.is(since(new Date(2026, 8, 4, 7, 8, 5).toISOString(), now), '2026-09-04')
  assert.is(since('-', now), '-')
})

test.run()
