import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { matches, selectorFor } from '../../tasks/lib/yaml/labels.ts'

const labels = { app: 'web', tier: 'front', 'x.io/on': 'true', empty: '' }
const table: readonly [selector: string, matched: boolean][] = [
  ['app=web', true],
  ['app==web,tier = front', true],
  ['app=web , tier=back', false],
  ['app!=web', false],
  ['none!=web', true],
  ['app in (api, web)', true],
  ['app in (api),tier', false],
  ['app notin (api,web)', false],
  ['none notin (api)', true],
  ['none in (api)', false],
  ['x.io/on', true],
  ['!x.io/on', false],
  ['!none,app in (web,api),tier!=back', true],
  ['empty=', true],
  ['none=', false],
  ['empty in ()', true],
]
for (const [selector, matched] of table)
  test(`${selector} ${matched ? 'matches' : 'does not match'}`, () => assert.is(matches(selector, labels), matched))

test('pods without labels are matched by what asks for none', () => {
  assert.ok(matches('!app', undefined))
  assert.not.ok(matches('app', undefined))
})

test('the selector for a pod tells it from the others', () => {
  assert.is(selectorFor(labels, []), 'app=web')
  assert.is(selectorFor(labels, [{ app: 'web' }]), 'tier=front')
  assert.is(selectorFor({ a: 'b', c: 'd' }, [{ a: 'b', c: 'd', e: 'f' }]), 'a=b,c=d')
  assert.is(selectorFor({}, []), undefined)
})

test.run()
