import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isSameImage } from '../../tasks/lib/settings/image.ts'

const digest = `@sha256:${'0'.repeat(64)}`

test('tag, digest and the port of the registry make no other image', () => {
  const same: readonly [string, string][] = [
    ['a/b', 'a/b'],
    ['a/b', 'a/b:1.2'],
    ['a/b', `a/b${digest}`],
    ['a/b', `a/b:1.2${digest}`],
    ['a/b:1', 'a/b:2'],
    ['registry.example.com/a/b', 'registry.example.com:5000/a/b:1'],
    ['localhost:5000/b', 'localhost:5001/b'],
    ['localhost/b', 'localhost:5001/b'],
    ['b', 'docker.io/library/b:1'],
    ['library/b', 'b'],
    ['a/b', 'index.docker.io/a/b'],
  ]
  for (const [a, b] of same) {
    assert.ok(isSameImage(a, b), `${a} ${b}`)
    assert.ok(isSameImage(b, a), `${b} ${a}`)
  }
})

test('another name, folder or registry does', () => {
  const other: readonly [string, string][] = [
    ['a/b', 'a/b-c'],
    ['a/b', 'a/b/c'],
    ['a/b', 'x/a/b'],
    ['b', 'a/b'],
    ['b', 'localhost/b'],
    ['b', 'localhost:5000/b'],
    ['a/b', 'a.example/a/b'],
    ['a.example/b', 'b.example/b'],
    ['a', ''],
    ['a', '${IMAGE}'],
  ]
  for (const [a, b] of other) {
    assert.not.ok(isSameImage(a, b), `${a} ${b}`)
    assert.not.ok(isSameImage(b, a), `${b} ${a}`)
  }
})

test.run()
