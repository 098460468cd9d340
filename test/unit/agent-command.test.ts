import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { agentCommand, agentWords, delve, isLauncher, launched, naming } from '../../tasks/lib/protocol/command.ts'

const both = ['agent', 'binary', 'debugPort'] as const

test('the command of an agent is read back', () => {
  const table: readonly [
    words: readonly string[],
    expected: [string[], string | undefined, number | undefined] | undefined,
  ][] = [
    [
      [...agentWords(['hotswap-dev'], delve(2345, false)), '/b', '-t', '3'],
      [['hotswap-dev'], '/b', 2345],
    ],
    [
      [...agentWords(['hotswap-dev'], delve(9, true)), '/b'],
      [['hotswap-dev'], '/b', 9],
    ],
    [
      ['/opt/hotswap-dev', '-t5', '--', '/b'],
      [['/opt/hotswap-dev'], '/b', undefined],
    ],
    [
      ['hotswap-dev', '-t', '5', '-rdlv exec -l :7 {{binPath}} --', '/b'],
      [['hotswap-dev'], '/b', 7],
    ],
    [
      ['hotswap-dev', '-r', 'strace --listen=:7', '--', '/b'],
      [['hotswap-dev'], '/b', undefined],
    ],
    [
      ['/x/busybox', 'sh', '/y/hotswap-dev', '--', '/b'],
      [['/x/busybox', 'sh', '/y/hotswap-dev'], '/b', undefined],
    ],
    [
      [...agentWords(['/x/busybox', 'sh', '/y/hotswap-dev'], delve(9, false), '/bin/b'), '/x/b', '-c'],
      [['/x/busybox', 'sh', '/y/hotswap-dev'], '/x/b', 9],
    ],
    [
      ['hotswap-dev', '--'],
      [['hotswap-dev'], undefined, undefined],
    ],
    [[], undefined],
    [['/b'], undefined],
    [['sh', '-c', 'hotswap-dev -- /b'], undefined],
    [['sh'], undefined],
    [['/b', 'hotswap-dev'], undefined],
    [['my-hotswap-dev', '--', '/b'], undefined],
    [
      ['/entrypoint.sh', 'hotswap-dev', '--', '/b', 'hotswap-dev', '--'],
      [['hotswap-dev'], '/b', undefined],
    ],
    [
      ['sh', '/start', '/hotswap/bin/busybox', 'sh', '/hotswap/agent/hotswap-dev', '-c', '/b', '--', '/h/b'],
      [['/hotswap/bin/busybox', 'sh', '/hotswap/agent/hotswap-dev'], '/h/b', undefined],
    ],
  ]
  for (const [words, expected] of table) {
    const read = agentCommand(words)
    assert.equal(read && both.map((key) => read[key]), expected, words.join(' '))
  }
})

test('a word names the program by path, by name, or not at all', () => {
  const table: readonly [word: string, folder: string | undefined, expected: string | undefined][] = [
    ['/usr/bin/app', undefined, 'path'],
    ['app', undefined, 'name'],
    ['/usr//bin/./app', undefined, 'name'],
    ['./app', '/usr/bin', 'name'],
    ['bin/app', '/usr', 'name'],
    ['./app', '/srv', undefined],
    ['./app', undefined, 'name'],
    ['../bin/app', '/usr/lib', 'name'],
    ['/bin/app', undefined, undefined],
    ['app-2', undefined, undefined],
    ['./pp', undefined, undefined],
    ['', undefined, undefined],
  ]
  for (const [word, folder, expected] of table) assert.is(naming(word, '/usr/bin/app', folder), expected, word)
})

test('what a launcher starts is guessed', () => {
  const table: readonly [command: readonly string[], expected: string | undefined][] = [
    [['tini', '--', '/app/server', '--data', '/data'], '/app/server'],
    [['/usr/bin/dumb-init', '/bin/sh', '/app/server'], '/app/server'],
    [['/docker-entrypoint.sh', '/app/server'], '/app/server'],
    [['sh', '-c', 'mkdir -p /data && exec /app/server --data /data'], '/app/server'],
    [['/bin/bash', '-c', '/app/server | tee /log'], '/app/server'],
    [['sh', '-c', 'cat /x; /app/server --x'], '/app/server'],
    [['sh', '-c', 'chown 1 /data && server'], undefined],
    [['sh', '/start.sh'], undefined],
  ]
  for (const [command, expected] of table) {
    assert.ok(isLauncher(command[0] ?? ''), command[0])
    assert.is(launched(command), expected, command.join(' '))
  }
  for (const word of ['/app/server', 'shop', 'environment']) assert.not.ok(isLauncher(word), word)
})

test.run()
