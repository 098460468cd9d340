import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { faultsText, parse } from '../../tasks/lib/settings/table.ts'
import { cases, type Loop } from '../lib/loop.ts'

const every = cases('every task')

const tasks = readdirSync(new URL('../../tasks', import.meta.url))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice(0, -3))

/** Nothing but the task itself is there, and the helper that the loop has brought. */
function made({ dir }: Loop): void {
  assert.equal(readdirSync(join(dir, '.hotswap')), ['tasks', 'tools'])
  assert.is(readdirSync(join(dir, '.hotswap/tools')).length, 1)
}

const wrong = (message: string) => ({ code: 2, stdout: '', stderr: `error: ${message}\n` })

for (const name of tasks)
  every(`${name} has --help, and refuses what it does not know`, async (loop) => {
    const { code, stdout, stderr } = await loop.task(name, ['--help'])
    assert.equal({ code, stderr }, { code: 0, stderr: '' })
    assert.match(stdout, new RegExp(`^Usage: npm run ${name} -- \\[OPTION\\.\\.\\.\\].*\nThis task \\w.*[^.]\\.\n\n`))
    assert.match(stdout, /\n +-h, --help +this text\n/)
    const unknown = wrong(`unknown option '--frobnicate' - see npm run ${name} -- --help`)
    assert.equal(await loop.task(name, ['--frobnicate']), unknown)
    made(loop)
  })

const file = `# a settings file with a fault in each line
TARGT=local
BINARY_PATH=/usr/local/bin/$(touch canary)
BINARY=-o
GO_MAIN='; touch canary'
GO_ARCH=amd65
SELECTOR=app=hello;touch canary
DEBUG_PORT=70000
SETTLE=soon
ENCODING="\`touch canary\`"
CONTAINER=a|touch canary
no line at all
`
const environment = { LIMIT: '-1', GO_DIR: '$(touch canary)', SETTLE: undefined }

for (const name of tasks.filter((task) => task !== 'demo'))
  every(`${name} names all that is wrong with the settings, and does nothing`, async (loop) => {
    loop.copy.file('.env', file)
    const said = await loop.task(name, [], { env: environment })
    const parsed = parse(file, environment)
    assert.ok('faults' in parsed)
    assert.equal(said, wrong(faultsText(parsed.faults)))
    assert.match(said.stderr, /^error: 13 settings are wrong\n {2}\.env:2: TARGT="local" .*TARGET/)
    for (let line = 2; line <= 12; line++) assert.match(said.stderr, `\n  .env:${line}: `)
    for (const key of ['LIMIT', 'GO_DIR']) assert.match(said.stderr, `\n  environment: ${key}=`)
    assert.not(existsSync(join(loop.dir, 'canary')))
    made(loop)
  })

every.run()
