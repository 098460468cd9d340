// What dev shows, beside the loop itself: whose swap a row tells of, traces of several pods, the time and colour of a result.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { clock, edit } from '../../tasks/lib/delivery/edit.ts'
import { panics } from '../../tasks/lib/delivery/panics.ts'
import { outstanding } from '../../tasks/lib/frame/screen.ts'
import { swaps } from '../../tasks/lib/delivery/swaps.ts'
import type { Pod } from '../../tasks/lib/pods/target.ts'
import { until } from '../lib/loop.ts'

test('a row is one’s own by its receipt, whichever comes first; another swap is not', () => {
  const own = swaps()
  const [first, second] = [{}, {}]
  assert.not(own.expected('a'), 'nothing was delivered')
  own.begun('a', first)
  own.begun('a', first)
  assert.ok(own.expected('a'), 'it may be')
  assert.not(own.expected('b'))
  own.heard('a')
  assert.not(own.ended('a', first, true), 'row, then receipt')
  assert.not(own.expected('a'), 'one receipt, one row')
  own.begun('a', second)
  assert.not(own.ended('a', second, true))
  assert.ok(own.expected('a'), 'receipt, then row')
  own.heard('a')
  assert.not(own.expected('a'))
})

test('another’s swap during a delivery is known at its end', () => {
  const own = swaps()
  const [first, second] = [{}, {}]
  own.begun('a', first)
  own.heard('a')
  assert.ok(own.ended('a', first, false), 'it was refused, and yet there was a swap')
  own.begun('a', first)
  own.heard('a')
  own.heard('a')
  assert.ok(own.ended('a', first, true), 'two rows, one receipt')
  own.begun('a', second)
  assert.not(own.ended('a', first, false), 'an order that never began to go')
  assert.ok(own.expected('a'))
  own.forget('a')
  assert.not(own.expected('a'))
})

const trace = (pod: number) => [
  'panic: a bug',
  '',
  `goroutine ${pod} [running]:`,
  'main.main()',
  `\t/src/main.go:12 +0x1${pod}`,
  'exit status 2',
]

test('the same panic of several pods is told once with their names, what follows for each', async () => {
  const told: string[] = []
  const show = panics(
    (pods, line) => void told.push(`${pods.join(', ')} | ${line}`),
    () => false,
  )
  show('a', 'before')
  trace(1).forEach((line, index) => {
    show('a', line)
    show('b', trace(2)[index] ?? '')
  })
  show('c', 'well')
  show('a', 'ready on 1')
  show('b', 'ready on 2')
  await until('all of it', () => told.includes('b | ready on 2'))
  const all = trace(1).map((line) => `a, b | ${line}`)
  assert.equal(told, ['a | before', 'c | well', ...all, 'a | ready on 1', 'b | ready on 2'])
  trace(3).forEach((line) => show('c', line))
  await until('the third pod', () => told.length > 10)
  assert.equal(told.slice(10), ['c | panic: a bug - as a, b above'], 'later: in a line')
})

test('other panics are told as they are; that of a lone pod at once', async () => {
  const told: string[] = []
  const tell = (pods: readonly string[], line: string) => void told.push(`${pods.join(', ')} | ${line}`)
  const show = panics(tell, () => false)
  show('a', 'panic: one')
  show('b', 'panic: two')
  await until('both', () => told.length === 2)
  assert.equal(told, ['a | panic: one', 'b | panic: two'])
  panics(tell, () => true)('a', 'panic: three')
  assert.is(told[2], 'a | panic: three')
})

const parcel = {
  ...{ bytes: Buffer.alloc(10), sha256: 'a'.repeat(64), machine: 'amd64', debug: false, version: 'v1', by: 'me@here' },
  ...{ knows: () => false, encoded: () => Promise.resolve(Buffer.alloc(0)), patch: () => Promise.resolve(undefined) },
  drop: () => undefined,
}

test('the time in the line is that of the save', () => {
  const begin = performance.now() - 3_600_000
  const nothing = () => undefined
  const saved = { begin, built: performance.now(), parcel, pods: [], own: '/', tail: () => [] }
  const line = edit(saved, { changed: nothing, up: nothing, late: nothing }).line(Infinity)
  const [hour, before] = [clock(new Date(Date.now() - 3_600_000)), clock(new Date(Date.now() - 3_601_000))]
  assert.ok(line.startsWith(hour) || line.startsWith(before), `${line}, an hour ago: ${hour}`)
})

test('an edit tells how many connections waited, over all pods, and how long one did at most', () => {
  const pods = ['a', 'b', 'c'].map((name) => ({ name, life: '1' }) as unknown as Pod)
  const saved = { begin: 0, built: 0, parcel, pods, own: '/', tail: () => [] }
  const shown = edit(saved, { changed: () => undefined, up: () => undefined, late: () => undefined })
  const waits = [undefined, '3 0.41', '1 0.07']
  pods.forEach((pod, index) => {
    const waited = waits[index]
    const values = new Map(waited === undefined ? [] : [['waited', waited]])
    const delivery = { pod: pod.name, sent: 5, ms: 1, receipt: { values, log: [] } }
    assert.is(shown.waits(), index < 2 ? '' : '3 connections waited, 0.41 s at most')
    shown.order.done(pod, { result: 'running', delivery })
  })
  assert.is(shown.waits(), '4 connections waited, 0.41 s at most')
  const told = shown.record().pods as { waited?: number; longestWait?: number }[]
  assert.equal(
    told.map(({ waited, longestWait }) => [waited, longestWait]),
    [
      [undefined, undefined],
      [3, 0.41],
      [1, 0.07],
    ],
  )
})

test('a result stands out on a terminal alone, and not under NO_COLOR', () => {
  const terminal = { isTTY: true }
  const { NO_COLOR = '' } = process.env // the test runner sets it
  delete process.env.NO_COLOR
  assert.is(outstanding('ok', 'good', terminal), '\x1b[1;32mok\x1b[0m')
  assert.is(outstanding('rolled back', 'bad', terminal), '\x1b[1;31mrolled back\x1b[0m')
  assert.is(outstanding('the same', 'plain', terminal), '\x1b[1mthe same\x1b[0m')
  assert.is(outstanding('ok', 'good', {}), 'ok')
  process.env.NO_COLOR = '1'
  assert.is(outstanding('ok', 'good', terminal), 'ok')
  process.env.NO_COLOR = NO_COLOR
})

test.run()
