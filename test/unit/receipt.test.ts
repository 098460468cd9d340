import { Readable } from 'node:stream'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { header } from '../../tasks/lib/delivery/put.ts'
import { binaryWords, receipts, waited, waitWords } from '../../tasks/lib/protocol/receipt.ts'
import { table } from '../../tasks/lib/frame/words.ts'

interface Block {
  readonly values: Readonly<Record<string, string>>
  readonly log: readonly string[]
}

/** What comes of these chunks: blocks, what wait= lines said, and how it ended. */
async function read(chunks: Iterable<string | Buffer>) {
  const blocks: Block[] = []
  const waits: string[] = []
  let error = ''
  try {
    for await (const { values, log } of receipts(Readable.from(chunks, { objectMode: false }), (what) =>
      waits.push(what),
    ))
      blocks.push({ values: Object.fromEntries(values), log })
  } catch (problem) {
    error = problem instanceof Error ? problem.message : String(problem)
  }
  return { blocks, waits, error }
}

const block = (values: Block['values'], ...log: string[]): Block => ({ values, log })
const noEnd = 'its answer has no end: is that the agent?'

test('blocks are told as they are meant, however the bytes come', async () => {
  const rows: readonly [what: string, text: string, blocks: readonly Block[]][] = [
    ['nothing', '', []],
    ['a greeting', 'result=running\npid=7\n\n', [block({ result: 'running', pid: '7' })]],
    ['two blocks', 'a=1\n\nb=2\n\n', [block({ a: '1' }), block({ b: '2' })]],
    ['an empty block', '\n', [block({})]],
    ['the first of a key', 'sha256=1\nsha256=2\n\n', [block({ sha256: '1' })]],
    [
      'a reason of now before that of the report',
      'reason=halted\nreason=b\n\n',
      [block({ reason: 'halted', reported: 'b' })],
    ],
    ['each log line', 'log=a\nlog=\nlog=a=b\n\n', [block({}, 'a', '', 'a=b')]],
    ['an empty value', 'version=\nversion=v1\n\n', [block({ version: '' })]],
    ['a value with =', 'reason=a=b\n\n', [block({ reason: 'a=b' })]],
    ['letters of two and four bytes', 'reason=grün 🎉\n\n', [block({ reason: 'grün 🎉' })]],
    ['a log without its start', 'log=x\n\nlog=y\n\n', [block({}, 'x'), block({}, 'y')]],
  ]
  for (const [what, text, blocks] of rows) {
    const bytes = Buffer.from(text)
    const expected = { blocks, waits: [], error: '' }
    assert.equal(await read([bytes]), expected, what)
    assert.equal(await read([...bytes].map((byte) => Buffer.of(byte))), expected, `${what}, byte by byte`)
  }
})

test('wait= lines are told at once and are no part of a block', async () => {
  const said = await read(['result=a\nwait=stopping\n', 'wait=starting\npid=1\n\nwait=x\n'])
  assert.equal(said, { blocks: [block({ result: 'a', pid: '1' })], waits: ['stopping', 'starting', 'x'], error: '' })
})

test('a block is given as soon as it is whole, while the stream stays open', async () => {
  const stream = new Readable({ read: () => undefined })
  const blocks = receipts(stream)
  stream.push('result=running\n\nresult=')
  assert.is((await blocks.next()).value?.values.get('result'), 'running')
  stream.push('crashed\n\n')
  assert.is((await blocks.next()).value?.values.get('result'), 'crashed')
  stream.push(null)
  assert.is((await blocks.next()).done, true)
})

test('what is no receipt is passed over, and nothing in one reaches a terminal', async () => {
  const rows: readonly [what: string, text: string, blocks: readonly Block[]][] = [
    ['no end', 'result=running\npid=7\n', []],
    ['no end after a block', 'a=1\n\nb=2', [block({ a: '1' })]],
    ['words', 'bash: no such file\nresult\n=x\n\n', [block({})]],
    ['keys of other letters', 'Result=1\nre sult=2\n__proto__=3\nré=4\n\n', [block({})]],
    ['a key that hides behind an escape', '\x1b[8mresult=running\n\n', [block({})]],
    ['a key after a carriage return', 'x\rresult=running\n\n', [block({})]],
    ['colours', 'reason=\x1b[31mred\x1b[0m\n\n', [block({ reason: 'red' })]],
    ['a title and a bell', 'by=\x1b]0;owned\x07me\x07\n\n', [block({ by: 'me' })]],
    ['a clipboard without an end', 'by=\x1b]52;c;aGk=\nrun=plain\n\n', [block({ by: '', run: 'plain' })]],
    ['C1 controls', 'by=\u009b31mme\u009d0;x\u009c\n\n', [block({ by: 'me' })]],
    ['a carriage return inside', 'log=overwritten\rby this\n\n', [block({}, 'overwrittenby this')]],
    ['Unicode line ends inside', 'log=a\u2028b\u2029c\n\n', [block({}, 'abc')]],
    ['right to left', 'by=me\u202etxt\n\n', [block({ by: 'metxt' })]],
    ['CRLF', 'result=running\r\n\r\n', []],
    ['CRLF, then an end', 'result=running\r\n\r\n\n', [block({ result: 'running' })]],
    ['NUL', 'result=run\0ning\n\n', [block({ result: 'running' })]],
    ['bytes that are no UTF-8', 'by=\xff\n\n', [block({ by: '\ufffd' })]],
    [
      'names that an object has',
      'constructor=1\ntostring=2\nhasownproperty=3\n\n',
      [block({ constructor: '1', tostring: '2', hasownproperty: '3' })],
    ],
  ]
  for (const [what, text, blocks] of rows) {
    const bytes = what.startsWith('bytes') ? Buffer.from(text, 'latin1') : text
    assert.equal(await read([bytes]), { blocks, waits: [], error: '' }, what)
  }
  assert.equal((await read(['wait=\x1b[2Jstopping\r\n'])).waits, ['stopping'])
})

test('an answer without an end is given up, and keeps no memory until then', async () => {
  const kilobyte = 'x'.repeat(1000)
  const rows: readonly [what: string, chunk: string][] = [
    ['one huge line', kilobyte],
    ['huge values', `a=${kilobyte}\n`],
    ['log for ever', `log=${kilobyte}\n`],
    ['log between waits for ever', `wait=stopping\nlog=${kilobyte}\n`],
    ['lines that say nothing', `${kilobyte}\n`],
    ['short lines', 'x\n'.repeat(500)],
  ]
  for (const [what, chunk] of rows) {
    let taken = 0
    const endless = (function* () {
      for (; taken < 100_000; taken++) yield chunk
    })()
    assert.is((await read(endless)).error, noEnd, what)
    assert.ok(taken < 200, `${what}: ${taken} kB were read`)
  }
})

test('the longest receipt and hours of waiting are no answer without an end', async () => {
  const log = Array.from({ length: 20 }, () => `log=${'x'.repeat(400)}\n`).join('')
  const chunks = [...Array.from({ length: 20_000 }, () => 'wait=stopping\n'), `result=crashed\n${log}\n`]
  const { blocks, waits, error } = await read([...chunks, ...chunks])
  assert.equal([blocks.length, blocks[1]?.log.length, waits.length, error], [2, 20, 40_000, ''])
})

test('many blocks are no block without an end', async () => {
  const { blocks, error } = await read(Array.from({ length: 3000 }, () => `log=${'x'.repeat(50)}\n\n`))
  assert.equal([blocks.length, error], [3000, ''])
})

test('a binary is shown by its version and 8 digits of its hash, as far as they are known', () => {
  const hash = '0123456789abcdef'
  const rows: readonly [Readonly<Record<string, string>>, string][] = [
    [{ version: 'v1', sha256: hash }, 'v1 01234567'],
    [{ version: '', sha256: hash }, '01234567'],
    [{ version: 'v1' }, 'v1'],
    [{}, ''],
  ]
  for (const [values, text] of rows) assert.is(binaryWords({ values: new Map(Object.entries(values)), log: [] }), text)
})

test('the header is the line that put reads', () => {
  const parcel = { bytes: Buffer.alloc(100), sha256: 'ab12', version: 'v1-3-gabc-dirty', by: 'jane@laptop' }
  assert.is(
    header(parcel, 42, { encoding: 'gzip' }, 'wrapped'),
    'sha256=ab12 size=42 encoding=gzip whole=100 run=wrapped version=v1-3-gabc-dirty by=jane@laptop\n',
  )
  assert.is(
    header({ ...parcel, version: '' }, 0, { encoding: 'raw' }, 'plain'),
    'sha256=ab12 size=0 encoding=raw run=plain version= by=jane@laptop\n',
  )
})

test('columns of a table are as wide as their widest cell', () => {
  assert.equal(
    table([
      ['POD', 'RESULT'],
      ['local', 'running'],
      ['a', '-'],
    ]),
    ['POD    RESULT', 'local  running', 'a      -'],
  )
  assert.equal(table([]), [])
})

test('how many connections have waited, and for how long at most', () => {
  const of = (text: string) => waited({ values: new Map([['waited', text]]), log: [] })
  assert.equal(of('3 0.41'), { connections: 3, seconds: 0.41 })
  for (const text of ['', '3', 'x 0.41', '3 0.4']) assert.is(of(text), undefined)
  assert.is(waitWords({ connections: 1, seconds: 1 }), '1 connection waited, 1.00 s at most')
  assert.is(waitWords({ connections: 3, seconds: 0.4 }), '3 connections waited, 0.40 s at most')
})

test.run()
