// What a binary that was built elsewhere says of itself: real ones, as make builds them.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { elf, interpreterOf, isUnoptimized } from '../../tasks/lib/binary/elf.ts'
import { foreignWord, parcelFrom } from '../../tasks/lib/delivery/parcel.ts'
import { loaded, program, sha256, symbolic } from '../agent/fixtures.ts'

const parcel = (bytes: Buffer) => parcelFrom('bin/hello', { bytes, sha256: sha256(bytes) })

test('symbols alone make no debug build: it runs plain, and that is said', () => {
  const bytes = symbolic({ version: 'symbols' })
  const facts = elf(bytes)
  assert.ok('debug' in facts && facts.debug)
  assert.not(parcel(bytes).debug)
  assert.is(
    foreignWord('bin/hello', parcel(bytes)),
    'bin/hello was built elsewhere, with symbols and optimized: it runs without a debugger - npm run build-debug makes one for Delve',
  )
  assert.is(foreignWord('bin/hello', parcel(program({ version: 'stripped' }))), '')
})

test('symbols and -N do: it runs under the debugger, and that is said', () => {
  for (const flags of [
    ['-gcflags=-N -l'],
    ['-gcflags=all=-N -l', '-trimpath'],
    ['-gcflags=-l -N', '-buildvcs=false'],
  ]) {
    const bytes = symbolic({ version: 'debug' }, flags)
    assert.ok(isUnoptimized(bytes), flags.join(' '))
    assert.ok(parcel(bytes).debug, flags.join(' '))
    assert.match(foreignWord('bin/hello', parcel(bytes)), /without optimization: it runs under the debugger$/)
  }
  assert.not(isUnoptimized(symbolic({}, ['-gcflags=-l'])))
})

test('says through which loader it is started', () => {
  assert.is(interpreterOf(program({})), '')
  assert.is(interpreterOf(loaded({}, '/lib/ld-elsewhere.so.1')), '/lib/ld-elsewhere.so.1')
})

test.run()
