import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { faultsOf } from '../rooms.ts'

const faults = (files: Record<string, string>) => faultsOf(new Map(Object.entries(files)))

test('an import from a room below is as it should be, and so is one from a recipe', () => {
  const files = {
    'tasks/dev.ts': `import { put } from './lib/delivery/put.ts'`,
    'tasks/lib/delivery/put.ts': `import { say } from '../frame/talk.ts'\nimport { pack } from './packing.ts'`,
    'tasks/lib/delivery/packing.ts': `import fs from 'node:fs'`,
    'tasks/lib/frame/talk.ts': '',
  }
  assert.equal(faults(files), [])
})

for (const [how, line] of Object.entries({
  plainly: `import { put } from '../delivery/put.ts'`,
  'for a type': `import type { Put } from '../delivery/put.ts'`,
  'in several lines': `import {\n  put,\n} from '../delivery/put.ts'`,
  'as it runs': `const { put } = await import('../delivery/put.ts')`,
  'to pass it on': `export { put } from '../delivery/put.ts'`,
}))
  test(`an import that points up is a fault: ${how}`, () => {
    assert.equal(faults({ 'tasks/lib/frame/talk.ts': line, 'tasks/lib/delivery/put.ts': '' }), [
      'tasks/lib/frame/talk.ts imports tasks/lib/delivery/put.ts: delivery is not below frame',
    ])
  })

test('an import from the room beside, from no room, or from a recipe is a fault', () => {
  assert.match(
    faults({ 'tasks/lib/debug/rpc.ts': `import '../delivery/put.ts'` }).join(),
    /delivery is not below debug/,
  )
  assert.match(faults({ 'tasks/lib/debug/rpc.ts': `import '../rpc.ts'` }).join(), /in no room that/)
  assert.match(faults({ 'tasks/lib/debug/rpc.ts': `import '../../dev.ts'` }).join(), /tasks\/dev\.ts, which is no room/)
  assert.match(faults({ 'tasks/lib/attic/x.ts': `import '../frame/talk.ts'` }).join(), /no room that/)
})

test('a circle is a fault, of two and of three, with its path', () => {
  const two = { 'tasks/lib/debug/a.ts': `import './b.ts'`, 'tasks/lib/debug/b.ts': `import type { A } from './a.ts'` }
  assert.equal(faults(two), ['a circle: tasks/lib/debug/a.ts → tasks/lib/debug/b.ts → tasks/lib/debug/a.ts'])
  const three = { ...two, 'tasks/lib/debug/b.ts': `import './c.ts'`, 'tasks/lib/debug/c.ts': `import './a.ts'` }
  assert.is(faults(three).length, 1)
})

test.run()
