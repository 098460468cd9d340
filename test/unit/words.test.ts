import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { clean } from '../../tasks/lib/frame/talk.ts'
import { seconds, size, words } from '../../tasks/lib/frame/words.ts'

test('a flag line is split as go splits it', () => {
  const table: readonly [string, readonly string[]][] = [
    ['', []],
    ['  \t ', []],
    ['-a', ['-a']],
    [' -a  -b=1\t-c ', ['-a', '-b=1', '-c']],
    [`'-tags=a b' "-x=it's"`, ['-tags=a b', "-x=it's"]],
    [`'' ""`, ['', '']],
    [`"a"'b'`, ['a', 'b']],
    ['-x=$(id) `id` \\n', ['-x=$(id)', '`id`', '\\n']],
  ]
  for (const [line, list] of table) assert.equal(words(line), list, line)
})

test('an open quote and a quote inside a word are named', () => {
  assert.throws(() => words(`-a 'b c`), "has a quote that is never closed: 'b c")
  assert.throws(() => words(`-tags="a b"`), `has a quote inside a word (-tags="a): put it around the whole word`)
})

test('sizes and times are read at a glance', () => {
  const table: readonly [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_949, '999.9 kB'],
    [999_950, '1.0 MB'],
    [7_312_384, '7.3 MB'],
  ]
  for (const [bytes, text] of table) assert.is(size(bytes), text)
  assert.is(seconds(1234), '1.2 s')
})

test('clean leaves nothing that a terminal obeys', () => {
  const table: readonly [string, string][] = [
    ['plain\ttext\n', 'plain\ttext\n'],
    ['\x1b[31mred\x1b[0m', 'red'],
    ['\x1b]0;title\x07text', 'text'],
    ['\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\', 'link'],
    ['\x1b]52;c;aGk=', ''],
    ['\x1bPq#0\x1b\\after', 'after'],
    ['\x9b31mred', 'red'],
    ['\x9d0;title\x9ctext', 'text'],
    ['over\rwritten', 'overwritten'],
    ['bell\x07 back\b nul\0 del\x7f', 'bell back nul del'],
    ['\x1b', ''],
    ['\x1b[', '['],
    ['right\u202eleft', 'rightleft'],
    ['grüße 世界 🎉', 'grüße 世界 🎉'],
  ]
  for (const [text, rest] of table) assert.is(clean(text), rest, JSON.stringify(text))
})

test('whatever comes, clean leaves no control character', () => {
  let seed = 3
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below
  for (let round = 0; round < 5000; round++) {
    const text = Array.from({ length: random(30) }, () => String.fromCharCode(random(2) ? random(160) : 27)).join('')
    assert.not.match(clean(text), /[\x00-\x08\x0b-\x1f\x7f-\x9f]/, JSON.stringify(text))
  }
})

test.run()
