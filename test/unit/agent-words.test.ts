// The tasks steer by words of the agent: each of them stands in it.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { root } from '../../tasks/lib/frame/root.ts'
import { HEAD } from '../../tasks/lib/protocol/rows.ts'
import * as words from '../../tasks/lib/protocol/words.ts'

const helper = readdirSync(join(root, 'agent/hotswap-helper')).filter((file) => /^[^_]+\.go$/.test(file))
const agent = ['hotswap-dev', ...helper.map((file) => `hotswap-helper/${file}`)]
  .flatMap((file) => readFileSync(join(root, 'agent', file), 'utf8').split('\n'))
  .filter((line) => !/^\s*(?:#|\/\/)/.test(line)) // what a comment says the agent does not
  .join('\n')

for (const [name, word] of Object.entries(words))
  test(`${name}: the agent says ${word}`, () => assert.ok(agent.includes(word)))

test('the head of the table is the one that the agent writes', () => {
  assert.ok(agent.includes(`printf '${HEAD.replaceAll('\t', '\\t')}'`))
})

test.run()
