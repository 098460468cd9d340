import { spawn, type ChildProcess } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { followed } from '../../tasks/lib/pods/logs.ts'
import type { From, Pod, Target } from '../../tasks/lib/pods/target.ts'
import { until } from '../lib/loop.ts'

const pod: Pod = {
  name: 'a',
  container: 'c',
  life: '1',
  restarts: 0,
  agent: ['agent'],
  binary: '/bin/hello',
  debugPort: 0,
}
const time = (second: number) => `2026-11-30T10:00:0${second}.000000001Z`

/** A cluster whose pods print these lines, one list each time that they are followed, and whose agents have this table. */
function cluster(prints: readonly (readonly string[])[], table: readonly string[] = []) {
  const children: ChildProcess[] = []
  const froms: From[] = []
  const asked: (readonly string[])[] = []
  const start = (lines: readonly string[], then: string) => {
    const child = spawn('sh', ['-c', `printf '%s\\n' "$@"; ${then}`, 'sh', ...lines], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    children.push(child)
    return child
  }
  const part = {
    kind: 'kubernetes',
    logs: (_: Pod, from: From) => {
      froms.push(from)
      // what is followed on after the end of a test would hold the process up
      return start(prints[froms.length - 1] ?? [], over ? ':' : 'exec sleep 60')
    },
    exec: (_: Pod, command: readonly string[]) => {
      asked.push(command)
      return start(table, ':')
    },
  }
  const heard: string[] = []
  let over = false
  const target = part as unknown as Target
  const end = () => {
    over = true
    children.forEach((child) => child.kill())
  }
  return { target, froms, asked, heard, end }
}

test('a pod that is back with the same container is followed on, each line once', async () => {
  const lines = [`${time(1)} one`, `${time(2)} two`]
  const { target, froms, heard, end } = cluster([lines.slice(0, 1), lines, [...lines, `${time(3)} three`]])
  const logs = followed(target, (_, line) => void heard.push(line))
  logs.add(pod, 'now')
  await until('one', () => heard.includes('one'))
  logs.drop(pod)
  logs.add(pod, 'start')
  await until('two', () => heard.includes('two'))
  logs.drop(pod)
  logs.add(pod, 'start')
  await until('three', () => heard.includes('three'))
  assert.equal(heard, ['one', 'two', 'three'])
  assert.equal(froms, ['now', { time: time(1), byte: 0 }, { time: time(2), byte: 0 }])
  end()
})

test('one that goes while it is asked for its last swap is not followed, and is once it is back', async () => {
  const { target, froms, heard, end } = cluster([[`${time(1)} one`]])
  const logs = followed(target, (_, line) => void heard.push(line))
  let told: (from: From) => void = () => undefined
  logs.add(pod, new Promise<From>((resolve) => (told = resolve)))
  logs.drop(pod)
  told('start')
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(froms, [])
  logs.add(pod, 'start')
  await until('one', () => heard.includes('one'))
  assert.equal(froms, ['start'])
  end()
})

const head = 'DATE\tTYPE\tUSER\tFILE\tMESSAGE\tEVENTS'
const row = '2026-11-30 10:00:00 UTC\tINFO\troot\thello\tstarted\t-'
const other = '2026-11-30 10:00:01 UTC\tINFO\troot\thello\tstarted\t-'
const zap = '2026-11-30 10:00:01 UTC\tINFO\tmain.go:12\tready\t{"port": 8080}'

test('a row is what the table has: a line of the same form is the program’s', async () => {
  const lines = [head, row, 'plain', other, zap, 'last'].map((line, index) => `${time(index)} ${line}`)
  const { target, end } = cluster([lines], [head, row])
  const heard: [string, boolean][] = []
  followed(target, (_, line, isRow) => void heard.push([line, isRow])).add(pod, 'start')
  await until('the last line', () => heard.length === lines.length)
  assert.equal(heard, [
    [head, true],
    [row, true],
    ['plain', false],
    [other, false],
    [zap, false],
    ['last', false],
  ])
  end()
})

test('an agent without a table to show: the form decides, and a line of zap has another', async () => {
  const { target, end } = cluster([[row, zap].map((line, index) => `${time(index)} ${line}`)])
  const heard: boolean[] = []
  followed(target, (_, __, isRow) => void heard.push(isRow)).add(pod, 'start')
  await until('both', () => heard.length === 2)
  assert.equal(heard, [true, false])
  end()
})

test('a row that is expected costs no exec', async () => {
  const { target, asked, end } = cluster([[`${time(1)} ${row}`]], [head, row])
  const heard: boolean[] = []
  followed(
    target,
    (_, __, isRow) => void heard.push(isRow),
    () => true,
  ).add(pod, 'start')
  await until('the row', () => heard.length === 1)
  assert.equal([heard, asked], [[true], []])
  end()
})

test.run()
