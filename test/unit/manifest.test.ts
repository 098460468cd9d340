import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse, parseAllDocuments } from 'yaml'
import { type DevManifest, generate } from '../../tasks/lib/manifest/generate.ts'
import type { DevOptions } from '../../tasks/lib/manifest/template.ts'
import { UserError } from '../../tasks/lib/frame/talk.ts'
import { changedLines } from '../lib/diff.ts'
import { script, scriptsOf, shapes, workload, type Workload } from '../lib/shapes.ts'

const usual: DevOptions = {
  file: 'm.yml',
  prodImage: 'hello',
  devImage: 'hello-dev',
  loaded: false,
  binaryPath: '/usr/local/bin/hello',
  debugPort: 2345,
  debugWait: false,
  settle: 0.5,
  hold: true,
  limit: 10,
}

const delve = (port: number | string): string =>
  `dlv exec --listen=127.0.0.1:${port} --headless --accept-multiclient --continue --only-same-user=false {{binPath}} --`

// --- fixtures

const fixtures = suite('the manifests of test/unit/manifests')

/** Each was read line by line as a diff, and applied to a real API server with a dry run. */
const productions: readonly [name: string, prodImage: string, binaryPath?: string][] = [
  ['karydia', 'karydia/karydia', '/usr/local/bin/karydia'],
  ['sidecars', 'registry.example.com/store/shop'],
  ['two-programs', 'example/mailer'],
  ['statefulset', 'ghcr.io/example/store'],
  ['daemonset', 'quay.io/example/node-agent'],
  ['list', 'example/web'],
  ['anchors', 'example/platform'],
  ['flow', 'example/flow'],
  ['pod', 'example/tool'],
  ['jobs', 'example/reports'],
  ['rollout', 'example/canary'],
  ['cluster', 'example/live'],
  ['by-hand', 'example/hand'],
  ['argo-cd', 'quay.io/argoproj/argocd', '/usr/local/bin/argocd-server'],
  ['nsq', 'nsqio/nsq', '/nsqd'],
]

const agent = `#!/bin/sh
# the agent's $(words) and $$

main() {
\t: "a tab, {{binPath}}"
  :
}
main "$@"
`
const inject = { image: 'local/busybox:1', agent, binaryChosen: true }

/** Each manifest with a dev image, and with an injected agent. */
const modes = productions.flatMap(([name, prodImage, binaryPath = usual.binaryPath]) => {
  const options = { ...usual, file: `${name}.yml`, prodImage, binaryPath }
  return [
    { name, diff: `${name}.diff`, options: { ...options, devImage: 'local/dev:1' } },
    { name, diff: `${name}.inject.diff`, options: { ...options, devImage: '', inject } },
  ]
})

for (const { name, diff, options } of modes) {
  const before = readFileSync(new URL(`manifests/${name}.yml`, import.meta.url), 'utf8')

  fixtures(`${name} differs by the lines of ${diff}`, () => {
    const { text } = generate(before, options)
    const place = new URL(`manifests/${diff}`, import.meta.url)
    assert.fixture(`${changedLines(before, text).join('\n')}\n`, readFileSync(place, 'utf8'))
  })

  fixtures(`${name} is the same in another dress, and stable (${diff})`, () => {
    const plain = generate(before, options).text
    const dresses: readonly ((text: string) => string)[] = [
      (text) => text,
      (text) => text.replaceAll('\n', '\r\n'),
      (text) => `\uFEFF${text}`,
      (text) => `\uFEFF${text.replaceAll('\n', '\r\n')}`,
      (text) => text.replace(/\n$/, ''),
    ]
    for (const dress of dresses) {
      const { text } = generate(dress(before), options)
      // A probe at the end of the file takes its line break along, or leaves the one before.
      assert.is(text.trimEnd(), dress(plain).trimEnd())
      assert.is(generate(text, options).text, text)
    }
  })
}

fixtures('jobs of the image are named and stay as they are', () => {
  const { matched, notes } = generate(read('jobs'), { ...usual, prodImage: 'example/reports' })
  assert.equal(matched, [{ name: 'Deployment reports, container reports', change: 'agent' }])
  assert.equal(notes, [
    'm.yml:21: CronJob nightly, container nightly stays as it is: an agent would run a job again and again',
    'm.yml:33: Job migrate-, container migrate stays as it is: an agent would run a job again and again',
  ])
})

fixtures('an init container gets the image alone, unless it is a sidecar', () => {
  const { matched } = generate(read('statefulset'), { ...usual, prodImage: 'ghcr.io/example/store' })
  assert.equal(matched, [
    { name: 'StatefulSet store, container store', change: 'agent' },
    { name: 'StatefulSet store, init container migrate', change: 'image' },
    { name: 'StatefulSet store, init container replicator', change: 'agent' },
  ])
})

fixtures('its own output has the same containers, and nothing to change', () => {
  const options = { ...usual, prodImage: 'example/mailer' }
  const { matched } = generate(generate(read('two-programs'), options).text, options)
  assert.equal(matched, [
    { name: 'Deployment mailer, container api', change: 'none' },
    { name: 'Deployment mailer, container worker', change: 'none' },
  ])
})

function read(name: string): string {
  return readFileSync(new URL(`manifests/${name}.yml`, import.meta.url), 'utf8')
}

fixtures.run()

// --- one container

/** A Deployment whose only list of containers is the text; 7 lines stand before it. */
function deployment(containers: string, { top = '', metadata = '{labels: {app: d}}', spec = '' } = {}): string {
  return `kind: Deployment
metadata: {name: d}
${top}spec:
  template:
    metadata:${/^(?:\n|$)/.test(metadata) ? '' : ' '}${metadata}
    spec:
${spec}      containers:
${containers}`
}

/** The changed lines of the containers, with Delve's words as DLV@PORT and without the template's metadata. */
function containerLines(containers: string, options: Partial<DevOptions> = {}): string[] {
  const before = deployment(containers)
  const { text } = generate(before, { ...usual, ...options })
  return changedLines(before, text)
    .filter((line) => !/^@[15]$|^\+# Made by|^[+-] {4}metadata:/.test(line))
    .map((line) => line.replace(/dlv exec \S+:(\d+) .* --(?=['"])/, 'DLV@$1'))
}

const container = suite('a container')

const sh = (line: string): string => `      - name: a\n        image: hello\n${line}`
const shared = 'which must not change - write it out in one of them'
const madeBy = '# Made by npm run generate-deployment-dev from m.yml - edits here are lost when it runs again\n'
// What the template says of a container without a debugger.
const agentOnly = `{annotations: {hotswap-dev/agent: '["hotswap-dev"]', hotswap-dev/binary: /b, hotswap-dev/container: a}}`
const image = ['@9', '-        image: hello', '+        image: hello-dev']
const block = ['+        - hotswap-dev', '+        - -r', "+        - 'DLV@2345'", '+        - --']
const whole = ['+        command:', ...block, '+        - /usr/local/bin/hello']

const commands: readonly [title: string, containers: string, lines: readonly string[]][] = [
  [
    'a list of lines',
    sh('        command:\n        # the program\n        - /usr/local/bin/hello # here\n        - serve\n'),
    [...image, '@11', ...block],
  ],
  [
    'a deeper list, by name',
    sh('        command:\n            - hello # here\n            - serve\n'),
    [
      ...image,
      '@11',
      '-            - hello # here',
      ...block.map((line) => line.replace('+', '+    ')),
      '+            - /usr/local/bin/hello # here',
    ],
  ],
  [
    'a list on one line',
    sh('        command: [ hello, "a, b" ] # here\n'),
    [
      '@9',
      '-        image: hello',
      '-        command: [ hello, "a, b" ] # here',
      '+        image: hello-dev',
      '+        command: [ hotswap-dev, -r, \'DLV@2345\', --, /usr/local/bin/hello, "a, b" ] # here',
    ],
  ],
  [
    'a list on several lines',
    sh("        command: [\n          'hello',\n          serve,\n        ]\n"),
    [
      ...image,
      '@11',
      "-          'hello',",
      '+          hotswap-dev,',
      '+          -r,',
      "+          'DLV@2345',",
      '+          --,',
      "+          '/usr/local/bin/hello',",
    ],
  ],
  [
    'a list on several lines that begins on the first',
    sh('        command: [hello,\n          serve]\n'),
    [
      '@9',
      '-        image: hello',
      '-        command: [hello,',
      '+        image: hello-dev',
      "+        command: [hotswap-dev, -r, 'DLV@2345', --, /usr/local/bin/hello,",
    ],
  ],
  [
    'JSON',
    sh('        command: ["/usr/local/bin/hello", "serve"]\n'),
    [
      '@9',
      '-        image: hello',
      '-        command: ["/usr/local/bin/hello", "serve"]',
      '+        image: hello-dev',
      '+        command: ["hotswap-dev", "-r", "DLV@2345", "--", "/usr/local/bin/hello", "serve"]',
    ],
  ],
  [
    'folded, literal and multi-line words',
    sh(
      '        command:\n        - >-\n          hello\n        - |\n          two\n          lines\n        - three\n          words\n',
    ),
    [...image, '@11', '-        - >-', '-          hello', ...block, '+        - /usr/local/bin/hello'],
  ],
  [
    'an anchor of its own',
    sh('        command: &c\n        - &bin hello\n        - --name=x\n        env: [{name: A, value: b}]\n'),
    [...image, '@11', '-        - &bin hello', ...block, '+        - &bin /usr/local/bin/hello'],
  ],
  ['none', sh(''), [...image, ...whole]],
  ['none, with arguments', sh('        args: [serve]\n'), [...image, ...whole]],
  [
    'none, with the program as the first argument',
    sh('        args: [/usr/local/bin/hello, x]\n'),
    [...image, '+        command:', ...block],
  ],
  [
    "none, with the program's name as the first argument",
    sh('        args: [hello, x]\n'),
    [
      '@9',
      '-        image: hello',
      '-        args: [hello, x]',
      '+        image: hello-dev',
      '+        command:',
      ...block,
      '+        args: [/usr/local/bin/hello, x]',
    ],
  ],
  [
    'empty',
    sh('        command: [] # none\n'),
    [
      '@9',
      '-        image: hello',
      '-        command: [] # none',
      '+        image: hello-dev',
      '+        command: # none',
      ...whole.slice(1),
    ],
  ],
  ['null', sh('        command:\n'), [...image, '@11', ...whole.slice(1)]],
  [
    'null, in words',
    sh('        command: ~\n'),
    [
      '@9',
      '-        image: hello',
      '-        command: ~',
      '+        image: hello-dev',
      '+        command:',
      ...whole.slice(1),
    ],
  ],
  [
    'relative to its folder',
    sh('        command: [./bin/hello]\n        workingDir: /usr/local\n'),
    [
      '@9',
      '-        image: hello',
      '-        command: [./bin/hello]',
      '+        image: hello-dev',
      "+        command: [hotswap-dev, -r, 'DLV@2345', --, /usr/local/bin/hello]",
    ],
  ],
  [
    'the agent already, with an option written by hand',
    sh(`        command: [hotswap-dev, -t5, -r, '${delve(4000)}', --, /opt/x]\n`),
    [...image],
  ],
  [
    'a whole container on one line',
    '      - {name: a, image: hello, command: [hello], livenessProbe: {exec: {command: [x]}}, tty: true}\n',
    [
      '@8',
      '-      - {name: a, image: hello, command: [hello], livenessProbe: {exec: {command: [x]}}, tty: true}',
      "+      - {name: a, image: hello-dev, command: [hotswap-dev, -r, 'DLV@2345', --, /usr/local/bin/hello], tty: true}",
    ],
  ],
  [
    'the image as the first field',
    '      - image: hello\n        name: a\n',
    ['@8', '-      - image: hello', '+      - image: hello-dev', ...whole],
  ],
]
for (const [title, containers, lines] of commands) {
  container(`its command: ${title}`, () => assert.equal(containerLines(containers), [...lines]))
}

// What starts the program stays in front of the agent.
const agentAt = (binary = '/usr/local/bin/hello') => ['hotswap-dev', '-r', delve(2345), '--', binary]
const launchers: readonly [fields: string, command: readonly string[] | undefined, args?: readonly string[]][] = [
  ['command: [/sbin/tini, -g, --, /usr/local/bin/hello, serve]', ['/sbin/tini', '-g', '--', ...agentAt(), 'serve']],
  ['command: ["/entrypoint.sh", "/usr/local/bin/hello"]', ['/entrypoint.sh', ...agentAt()]],
  ['command: [dumb-init, hello]', ['dumb-init', ...agentAt()]],
  ['command: [env, A=hello, /usr/local/bin/hello]', ['env', 'A=hello', ...agentAt()]],
  ['command: [gosu, hello, hello]', ['gosu', 'hello', ...agentAt()]],
  ['command: [/cnb/run, /usr/local/bin/hello]', ['/cnb/run', ...agentAt()]],
  ['command: [sh, /start, /usr/local/bin/hello]', ['sh', '/start', ...agentAt()]],
  ['command: [sh, -ec, \'exec "$@"\', sh, /usr/local/bin/hello]', ['sh', '-ec', 'exec "$@"', 'sh', ...agentAt()]],
  ['command: [tini, --]\n        args: [/usr/local/bin/hello, x]', ['tini', '--'], [...agentAt(), 'x']],
  [
    'command: [tini]\n        args:\n        - -s\n        - --\n        # it\n        - hello\n        - x',
    ['tini'],
    ['-s', '--', ...agentAt(), 'x'],
  ],
  ['args: [/sbin/tini, --, /usr/local/bin/hello]', undefined, ['/sbin/tini', '--', ...agentAt()]],
  [
    'command: [\n          tini,\n          --, # end\n          hello,\n          serve\n        ]',
    ['tini', '--', ...agentAt(), 'serve'],
  ],
]
for (const [fields, command, args] of launchers)
  container(`keeps what starts the program: ${fields.replace(/\s+/g, ' ')}`, () => {
    const before = deployment(sh(`        ${fields}\n`))
    const { text, matched, warnings } = generate(before, usual)
    const { spec } = parse(text) as { spec: { template: Template } }
    assert.equal(
      [spec.template.spec.containers?.[0]?.command, spec.template.spec.containers?.[0]?.args],
      [command, args],
    )
    assert.equal([matched[0]?.change, warnings], ['agent', []])
    assert.is(generate(text, usual).text, text)
    const both = { ...usual, devImage: '', inject }
    const made = generate(before, both).text
    assert.is(generate(made, both).text, made, 'injected')
    assert.match(made, '"/hotswap/bin/busybox","sh","/hotswap/agent/hotswap-dev"')
  })

const images: readonly [before: string, after: string][] = [
  ['image: hello:1.2 # pinned', 'image: hello-dev # pinned'],
  ['image: "hello@sha256:ab"', 'image: "hello-dev"'],
  ["image: 'docker.io/library/hello:1'", "image: 'hello-dev'"],
  ['image: &i hello', 'image: &i hello-dev'],
  ['image: !!str hello', 'image: !!str hello-dev'],
  ['image: >-\n          hello:1', 'image: hello-dev'],
  ['image:\n          # far below\n          hello', 'image:\n          # far below\n          hello-dev'],
  ['"image": hello', '"image": hello-dev'],
  ['? image\n        : hello', '? image\n        : hello-dev'],
]
for (const [before, after] of images) {
  container(`its image changes: ${before}`, () => {
    const whole = (image: string): string =>
      deployment(`      - name: a\n        ${image}\n        command: [hotswap-dev, --, /b]\n`, { metadata: agentOnly })
    assert.is(generate(whole(before), usual).text, madeBy + whole(after))
  })
}

// The containers run the agent already, so that the probes are all that changes.
const probes: readonly [title: string, before: string, after: string][] = [
  [
    'in the middle, with a comment inside and one after',
    '      - name: a\n        livenessProbe:\n          exec: {}\n          # deeper\n        # outside\n        COMMAND\n',
    '      - name: a\n        # outside\n        COMMAND\n',
  ],
  [
    'at the end, without a line break',
    '      - name: a\n        COMMAND\n        startupProbe:\n          exec: {}',
    '      - name: a\n        COMMAND\n',
  ],
  [
    'both',
    '      - COMMAND\n        livenessProbe: {}\n        # why\n        startupProbe: {}\n        name: a\n',
    '      - COMMAND\n        # why\n        name: a\n',
  ],
  [
    'as the first fields of their item',
    '      - livenessProbe: {a: b} # here\n        startupProbe: {}\n\n        name: a\n        COMMAND\n',
    '      - name: a\n        COMMAND\n',
  ],
  [
    'as the first fields of their item, before a comment',
    '      - livenessProbe:\n          a: b\n          # deeper\n        startupProbe: {} # here\n\n        # the name\n        name: a\n        COMMAND\n',
    '      -\n\n        # the name\n        name: a\n        COMMAND\n',
  ],
  [
    'as the first field below the dash',
    '      -\n        livenessProbe: {a: b}\n        name: a\n        COMMAND\n',
    '      -\n        name: a\n        COMMAND\n',
  ],
  [
    'without a value',
    '      - COMMAND\n        name: a\n        livenessProbe:\n',
    '      - COMMAND\n        name: a\n        livenessProbe:\n',
  ],
  [
    'with a block text at the end',
    '      - COMMAND\n        livenessProbe:\n          exec:\n            command:\n            - |+\n              x\n\n        name: a\n',
    '      - COMMAND\n\n        name: a\n',
  ],
  ['in one line, first', '      - {livenessProbe: {a: b}, name: a, COMMAND}\n', '      - {name: a, COMMAND}\n'],
  ['in one line, in the middle', '      - {name: a, livenessProbe: {a: b}, COMMAND}\n', '      - {name: a, COMMAND}\n'],
  ['in one line, last', '      - {name: a, COMMAND, startupProbe: {c: d} }\n', '      - {name: a, COMMAND }\n'],
  [
    'in one line, last, before a comma',
    '      - {name: a, COMMAND, startupProbe: {c: d}, }\n',
    '      - {name: a, COMMAND, }\n',
  ],
  [
    'in one line, both',
    '      - {livenessProbe: {}, startupProbe: {}, COMMAND, name: a}\n      - {name: b, COMMAND, livenessProbe: {a: b}, startupProbe: {c: d}}\n',
    '      - {COMMAND, name: a}\n      - {name: b, COMMAND}\n',
  ],
  [
    'in several lines',
    '      - {\n          name: a, # one\n          livenessProbe: {a: b}, # two\n          COMMAND, # three\n          startupProbe: {c: d} # four\n        }\n',
    '      - {\n          name: a, # one\n          COMMAND # three\n           # four\n        }\n',
  ],
  [
    'in JSON',
    '      - {\n          "name": "a",\n          "livenessProbe": {\n            "a": 1\n          },\n          COMMAND,\n          "startupProbe": {"c": 2}\n        }\n',
    '      - {\n          "name": "a",\n          COMMAND\n        }\n',
  ],
  [
    'with leading commas',
    '      - { name: a\n        , livenessProbe: {a: b}\n        , COMMAND\n        }\n',
    '      - { name: a\n        , COMMAND\n        }\n',
  ],
  [
    'with an anchor that nobody needs',
    '      - COMMAND\n        name: a\n        livenessProbe: &p\n          exec: {}\n        startupProbe: *p\n',
    '      - COMMAND\n        name: a\n',
  ],
]
for (const [title, before, after] of probes) {
  container(`its probes go: ${title}`, () => {
    const whole = (containers: string): string =>
      deployment(containers.replaceAll('COMMAND', '"command": [hotswap-dev, --, /b]'), { metadata: agentOnly })
    assert.is(generate(whole(before), usual).text, madeBy + whole(after))
  })
}

container('its probes go: all that an anchor holds', () => {
  const whole = (top: string): string =>
    deployment('      - {name: a, <<: [*p, *q], command: [hotswap-dev, --, /b]}\n', { top, metadata: agentOnly })
  const before = 'x-p: &p {livenessProbe: {a: b}}\nx-q: &q\n  startupProbe: {}\n  livenessProbe: {}\n# end\n'
  assert.is(generate(whole(before), usual).text, madeBy + whole('x-p: &p {}\nx-q: &q\n  {}\n# end\n'))
})

container('its probes go: the first field of an anchor that stays in use', () => {
  const item = (containers: string): string =>
    `- {kind: Deployment, spec: {template: {metadata: ${agentOnly}, spec: {containers: ${containers}}}}}\n`
  const whole = (probe: string): string =>
    `kind: List\nitems:\n${item(`[&a {${probe}name: a, command: [hotswap-dev, --, /b]}]`)}${item('[*a]')}`
  assert.is(generate(whole('livenessProbe: {}, '), usual).text, madeBy + whole(''))
})

container('a merge key is edited once, at its anchor', () => {
  const top = 'x-base: &base\n  image: hello:2\n  command: [hello, serve]\n  livenessProbe: {exec: {}}\n'
  const before = deployment('      - <<: *base\n        name: a\n', { top })
  assert.equal(changedLines(before, generate(before, usual).text).slice(2, 9), [
    '@4',
    '-  image: hello:2',
    '-  command: [hello, serve]',
    '-  livenessProbe: {exec: {}}',
    '+  image: hello-dev',
    `+  command: [hotswap-dev, -r, '${delve(2345)}', --, /usr/local/bin/hello, serve]`,
    '@9',
  ])
})

container('a merged command is written out where another port is needed', () => {
  const lines = containerLines(
    '      - &a\n        name: a\n        image: hello\n        command: [hello]\n      - <<: *a\n        name: b\n',
  )
  assert.equal(lines.slice(-7), [
    '@13',
    '+        command:',
    '+        - hotswap-dev',
    '+        - -r',
    "+        - 'DLV@2346'",
    '+        - --',
    '+        - /usr/local/bin/hello',
  ])
})

container('a command by alias is written out where another port is needed', () => {
  const lines = containerLines(
    '      - name: a\n        image: hello\n        command: &c [hello, x]\n      - name: b\n        image: hello\n        command: *c\n',
  )
  assert.equal(lines.at(-1), "+        command: [hotswap-dev, -r, 'DLV@2346', --, /usr/local/bin/hello, x]")
})

container('SETTLE and LIMIT are set where they differ from what the agent takes by itself', () => {
  const other = { settle: 0.3, limit: 20 }
  assert.equal(containerLines(sh('        args: [x]\n'), other).slice(-6), [
    '@11',
    '+        env:',
    '+        - name: HOTSWAP_SETTLE',
    "+          value: '0.3'",
    '+        - name: HOTSWAP_LIMIT',
    "+          value: '20'",
  ])
  assert.equal(containerLines(sh('        env:\n          - {name: A, value: b}\n'), { limit: 20 }).slice(-3), [
    '@11',
    '+          - name: HOTSWAP_LIMIT',
    "+            value: '20'",
  ])
  assert.equal(
    containerLines(sh('        env: [{"name": "A", "value": "b"}]\n'), { limit: 20 }).at(-1),
    '+        env: [{"name": "HOTSWAP_LIMIT", "value": "20"}, {"name": "A", "value": "b"}]',
  )
  assert.equal(containerLines(sh('        env: []\n'), { limit: 20 }).slice(-3), [
    '+        env:',
    '+        - name: HOTSWAP_LIMIT',
    "+          value: '20'",
  ])
})

container('HOLD is written where it is 0, whatever the program has of its own', () => {
  const own = sh('        env: [{name: HOLD, value: x}]\n')
  assert.not.match(containerLines(own).join('\n'), /HOTSWAP_HOLD/)
  assert.is(
    containerLines(own, { hold: false }).at(-1),
    "+        env: [{name: HOTSWAP_HOLD, value: '0'}, {name: HOLD, value: x}]",
  )
})

container('variables that the program has itself are no longer taken for those of the agent', () => {
  const own = sh('        env: [{name: LIMIT, value: 100MB}]\n')
  assert.is(
    containerLines(own).at(-1),
    "+        env: [{name: HOTSWAP_LIMIT, value: '10'}, {name: LIMIT, value: 100MB}]",
  )
  const from = sh('        envFrom: [{configMapRef: {name: c}}]\n')
  assert.equal(containerLines(from).slice(-5), [
    '+        env:',
    '+        - name: HOTSWAP_SETTLE',
    "+          value: '0.5'",
    '+        - name: HOTSWAP_LIMIT',
    "+          value: '10'",
  ])
  const made = (env: string) =>
    deployment(sh(`        command: [hotswap-dev, --, /b]\n        env: ${env}\n`), { metadata: agentOnly }).replace(
      'image: hello',
      'image: hello-dev',
    )
  for (const [env, limit, after] of [
    ['[{name: LIMIT, value: "20"}]', 20, '[{name: LIMIT, value: "20"}]'],
    ['[{name: LIMIT, value: "20"}]', 10, '[{name: LIMIT, value: "20"}]'],
    [
      '[{name: LIMIT, value: "20"}]',
      30,
      `[{name: HOTSWAP_LIMIT, value: "30"}, {name: LIMIT, value: "20"}]`.replaceAll('"30"', "'30'"),
    ],
    ['[{name: HOTSWAP_LIMIT, value: "20"}]', 30, '[{name: HOTSWAP_LIMIT, value: "30"}]'],
    ['[{name: HOTSWAP_LIMIT, value: "20"}]', 10, '[{name: HOTSWAP_LIMIT, value: "20"}]'],
  ] as const)
    assert.is(generate(made(env), { ...usual, limit }).text, madeBy + made(after), `${env} ${limit}`)
})

container('without --continue the program waits for its debugger', () => {
  const { text } = generate(deployment(sh('')), { ...usual, debugWait: true, debugPort: 4000 })
  const words = 'dlv exec --listen=127.0.0.1:4000 --headless --accept-multiclient --only-same-user=false {{binPath}} --'
  assert.match(text, `- '${words}'\n`)
  assert.match(text, "hotswap-dev/debug-port: '4000'")
})

container('a port that an agent has already is left to it', () => {
  const lines = containerLines(
    `      - name: a\n        image: hello\n      - {name: b, image: other, command: [hotswap-dev, -r, '${delve(2345)}', --, /b]}\n`,
  )
  assert.ok(lines.includes("+        - 'DLV@2346'"), lines.join('\n'))
})

container.run()

// --- annotations

const annotations = suite('the annotations')
const written = [
  `hotswap-dev/agent: '["hotswap-dev"]'`,
  'hotswap-dev/binary: /usr/local/bin/hello',
  'hotswap-dev/container: a',
  "hotswap-dev/debug-port: '2345'",
]
const flow = `{${written.join(', ')}}`
const indented = (spaces: number): string => written.map((line) => `${' '.repeat(spaces)}${line}\n`).join('')

const metadata: readonly [title: string, before: string, after: string][] = [
  ['a map on one line', '{labels: {app: d}}', `{annotations: ${flow}, labels: {app: d}}`],
  ['JSON', '{"labels": {"app": "d"}}', `{"annotations": ${json()}, "labels": {"app": "d"}}`],
  [
    'lines',
    '\n      # them\n      labels: {app: d}',
    `\n      annotations:\n${indented(8)}      # them\n      labels: {app: d}`,
  ],
  [
    'others there',
    '\n      annotations:\n        # o\n        a: b',
    `\n      annotations:\n${indented(8)}        # o\n        a: b`,
  ],
  ['others there, on one line', '{annotations: {a: b}}', `{annotations: {${written.join(', ')}, a: b}}`],
  ['none there, on one line', '{annotations: {}}', `{annotations: ${flow}}`],
  [
    'none there',
    '\n      annotations: {} # none\n      labels: {}',
    `\n      annotations: # none\n${indented(8)}      labels: {}`,
  ],
  ['nothing there', '\n      annotations:\n      labels: {}', `\n      annotations:\n${indented(8)}      labels: {}`],
  ['no metadata', '{}', `\n      annotations:\n${indented(8).trimEnd()}`],
  ['no metadata at all', '', `\n      annotations:\n${indented(8).trimEnd()}`],
  [
    'one of them there',
    '{annotations: {hotswap-dev/binary: "/x"}}',
    `{annotations: {${written.filter((line) => !line.includes('binary')).join(', ')}, hotswap-dev/binary: "/usr/local/bin/hello"}}`,
  ],
  [
    'nothing of a value there',
    '\n      annotations:\n        hotswap-dev/binary:\n        hotswap-dev/container: [] # none',
    `\n      annotations:\n        ${written[0]}\n        ${written[3]}\n        ${written[1]}\n        ${written[2]} # none`,
  ],
  [
    'a number there',
    '{annotations: {hotswap-dev/debug-port: 99, a: b}}',
    `{annotations: {${written.slice(0, 3).join(', ')}, hotswap-dev/debug-port: '2345', a: b}}`,
  ],
]
for (const [title, before, after] of metadata) {
  annotations(`beside ${title}`, () => {
    const { text } = generate(deployment(sh(''), { metadata: before }), usual)
    assert.is(
      text.slice(text.indexOf('    metadata:'), text.indexOf('    spec:\n')),
      `    metadata:${after.startsWith('\n') ? '' : ' '}${after}\n`,
    )
  })
}

function json(): string {
  return `{${['"hotswap-dev/agent": "[\\"hotswap-dev\\"]"', ...written.slice(1, 3).map((line) => line.replace(/(.*): (.*)/, '"$1": "$2"')), '"hotswap-dev/debug-port": "2345"'].join(', ')}}`
}

annotations('speak of the first container alone: the command of another says it all', () => {
  const agent = `[/hotswap/bin/busybox, sh, /hotswap/agent/hotswap-dev, -t, '5', -r, 'dlv exec --listen 127.0.0.1:99 {{binPath}} --', --]`
  const { text } = generate(
    deployment(
      `${sh('')}      - {name: b, image: x, command: ${agent}, args: [/opt/b]}\n      - {name: c, image: x, command: [hotswap-dev, --, /usr/local/bin/hello]}\n`,
    ),
    usual,
  )
  assert.match(text, `${written.join(', ')}}`)
})

annotations.run()

// --- injection

const injection = suite('an injected agent')

interface Template {
  readonly metadata: { readonly annotations: Readonly<Record<string, string>> }
  readonly spec: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>
}

/** The pod template of the dev manifest of one that has these containers. */
function injected(containers: string, { spec = '' } = {}): Template {
  const { text } = generate(deployment(containers, { spec }), { ...usual, devImage: '', inject })
  return (parse(text) as { spec: { template: Template } }).spec.template
}

const strict = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } }
const securities: readonly [title: string, pod: string, container: string, setup: object][] = [
  ['nothing asked for', '', '', strict],
  ['a user of the pod', '{runAsNonRoot: true, runAsUser: 7}', '', strict],
  ['a user that only the image knows', '{runAsNonRoot: true}', '', { runAsUser: 65532, ...strict }],
  [
    'all of it on the container',
    '',
    '{runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}, privileged: true, capabilities: {add: [NET_ADMIN]}}',
    { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' }, runAsUser: 65532, ...strict },
  ],
  [
    'a user of the container',
    '{runAsUser: 7}',
    '{runAsUser: 8, runAsGroup: 9}',
    { runAsUser: 8, runAsGroup: 9, ...strict },
  ],
]
for (const [title, pod, container, setup] of securities)
  injection(`has an init container as narrow as the container: ${title}`, () => {
    const own = container === '' ? '' : `        securityContext: ${container}\n`
    const { spec } = injected(sh(`        command: [hello]\n${own}`), {
      spec: pod === '' ? '' : `      securityContext: ${pod}\n`,
    })
    assert.equal(spec.initContainers?.[0]?.securityContext, setup)
  })

injection('has an init container within what its container asks for', () => {
  const { spec } = injected(sh('        command: [hello]\n        resources: {limits: {memory: 64Mi, cpu: 0.5}}\n'))
  assert.equal(spec.initContainers?.[0]?.resources, { limits: { memory: '64Mi', cpu: 0.5 } })
})

injection('has a place for temporary files where the root is read-only, for each container its own', () => {
  const readOnly = (name: string, more = '') =>
    `      - {name: ${name}, image: hello, command: [hello], securityContext: {readOnlyRootFilesystem: true}${more}}\n`
  const { spec } = injected(
    readOnly('a') + readOnly('b', ', volumeMounts: [{name: t, mountPath: /tmp/}]') + readOnly('c'),
  )
  const tmp = spec.containers?.map(({ volumeMounts }) =>
    (volumeMounts as { name: string; mountPath: string }[])
      .filter(({ mountPath }) => mountPath.startsWith('/tmp'))
      .map(({ name }) => name),
  )
  assert.equal(tmp, [['hotswap-tmp'], ['t'], ['hotswap-tmp-3']])
  assert.equal(
    spec.volumes?.map(({ name }) => name),
    ['hotswap-dev', 'hotswap-agent', 'hotswap-tmp', 'hotswap-tmp-3'],
  )
})

for (const [title, text, hidden] of shapes)
  for (const end of ['\n', '\r\n'])
    injection(`has its agent as it is, at the end of the document: ${title}${end === '\n' ? '' : ', CRLF'}`, () => {
      const options = { ...usual, devImage: '', inject: { ...inject, agent: script } }
      const before = text.replaceAll('\n', end)
      const { text: made } = generate(before, options)
      const objects = parseAllDocuments(made, { version: '1.1', merge: true }).map((doc) => doc.toJS() as Workload)
      const count = text.split('kind: Deployment').length - 1 || 1
      const found = scriptsOf(objects)
      assert.is(found.length, count)
      for (const each of found) assert.ok(each === script, 'the script is another one')
      assert.is(generate(made, options).text, made, 'it stays as it is')
      if (end === '\r\n') assert.not.match(made, /[^\r]\n/)
      // it is there line by line, and what stands behind it is the next document, or a comment
      const lines = made.split(end)
      const wanted = script.trimEnd().split('\n')
      const starts = lines.flatMap((line, at) => (/^ +hotswap-dev\/script: \|$/.test(line) ? [at + 1] : []))
      assert.is(starts.length, count)
      for (const at of starts) {
        const pad = /^ */.exec(lines[at] ?? '')?.[0] ?? ''
        assert.equal(
          lines.slice(at, at + wanted.length),
          wanted.map((line) => (line === '' ? '' : pad + line)),
        )
        const behind =
          lines
            .slice(at + wanted.length)
            .join('\n')
            .split(/^(?:---|\.\.\.)/m)[0] ?? ''
        if (hidden === undefined) assert.is(behind.trim(), '')
        else assert.match(behind, hidden)
      }
      for (const [comment] of text.matchAll(/# .*/g)) assert.ok(made.includes(comment), `${comment} went`)
    })

injection('has its agent once where two workloads share the metadata of their pods', () => {
  const item = (metadata: string) => `- ${workload(metadata).replaceAll('\n', '\n  ').trimEnd()}\n`
  const options = { ...usual, devImage: '', inject: { ...inject, agent: script } }
  const items = item('    metadata: &m\n      labels:\n        app: a\n') + item('    metadata: *m\n')
  const { text } = generate(`apiVersion: v1\nkind: List\nitems:\n${items}`, options)
  assert.equal(scriptsOf([parse(text) as Workload]), [script, script])
  assert.is(text.split('hotswap-dev/script: |').length, 2)
})

injection('has its agent in one line where the document is JSON, which has no other', () => {
  const { text } = generate(JSON.stringify(parse(workload('')), null, 2), {
    ...usual,
    devImage: '',
    inject: { ...inject, agent: script },
  })
  assert.equal(scriptsOf([parse(text) as Workload]), [script])
  assert.ok(text.includes(JSON.stringify(script)))
})

injection('has no debugger on the network of the node', () => {
  const { metadata, spec } = injected(sh('        command: [hello, serve]\n'), { spec: '      hostNetwork: true\n' })
  const front = ['/hotswap/bin/busybox', 'sh', '/hotswap/agent/hotswap-dev', '-c', '/usr/local/bin/hello', '--']
  assert.equal(spec.containers?.[0]?.command, [...front, '/hotswap/a/hello', 'serve'])
  assert.is(metadata.annotations['hotswap-dev/debug-port'], undefined)
})

injection('takes what a cluster has added from each object of a list, and from nothing else', () => {
  const added = '"uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-01-31T12:00:00Z", "generation": 1'
  const annotations = '"annotations": {"hotswap-dev/production": "{}", "mine": "1"}'
  const items = (more: string, notes: string) => `{"kind": "List", "items": [
  {"kind": "Service", "metadata": {"name": "s"${more}}, "spec": {}${more === '' ? '' : ', "status": {}'}},
  {"kind": "Deployment", "metadata": {"name": "d", ${notes}}, "spec": {"template": {"spec": {"containers": [{"name": "a", "image": "hello", "command": ["hello"]}]}}}}
]}
`
  const alike = (text: string) => parse(generate(text, { ...usual, devImage: '', inject }).text)
  assert.equal(alike(items(`, ${added}`, `${added}, ${annotations}`)), alike(items('', '"annotations": {"mine": "1"}')))
  const untouched = `kind: Service\nmetadata: {name: s, ${added.replaceAll('"', '')}}\n`
  const { text } = generate(`${untouched}---\n${deployment(sh('        command: [hello]\n'))}`, { ...usual, inject })
  assert.ok(text.includes(untouched))
})

injection('is brought up to date where an older one was made', () => {
  for (const line of [
    '        command: [hello]\n',
    '        command: [hello]\n        env: [{name: X, value: "1"}]\n',
  ]) {
    const options = { ...usual, devImage: '', inject }
    const now = generate(deployment(sh(line)), options).text
    const older = generate(deployment(sh(line)), {
      ...options,
      inject: { ...inject, agent: '#!/bin/sh\n\nold\n' },
    }).text
    assert.is(generate(older, options).text, now)
    const flow = (text: string) => JSON.stringify(parse(text))
    assert.equal(parse(generate(flow(older), options).text), parse(now))
  }
})

injection.run()

// --- faults, notes and warnings

const faults = suite('a manifest that cannot be changed')

const twice = (first: string, second: string): string =>
  `      - &a\n        name: a\n        image: ${first}\n        livenessProbe: {exec: {}}\n      - <<: *a\n        name: b\n        image: ${second}\n`
const helm = '- render it first: helm template RELEASE CHART'
const overwrite = (name: string, first: string): string =>
  `${name} runs ${first}, not /usr/local/bin/hello: the first deploy would overwrite ${first}`
const begin = 'let its command begin with the program (the agent passes signals on and reaps), and put into .env'
const launches = (first: string): string =>
  `Deployment d, container a runs ${first}, which is there to start the program: the first deploy would overwrite ${first} - ${begin}`
const none = 'm.yml: no container to change has the image hello'

const refused: readonly [title: string, text: string, message: string][] = [
  [
    'a Helm value',
    'metadata:\n  name: {{ .Release.Name }}\n',
    `m.yml:2: a Helm template, not a manifest: name: {{ .Release.Name }} ${helm}`,
  ],
  [
    'a Helm value in quotes',
    deployment('      - name: a\n        image: "{{ .Values.image }}"\n'),
    `m.yml:9: a Helm template, not a manifest: image: "{{ .Values.image }}" ${helm}`,
  ],
  [
    'a Helm block',
    deployment(`${sh('')}        {{- with .Values.env }}\n        env: []\n        {{- end }}\n`),
    `m.yml:10: a Helm template, not a manifest: {{- with .Values.env }} ${helm}`,
  ],
  [
    'a YAML error',
    deployment(`${sh('')}        args: [a\n        b: c\n`),
    'm.yml:11: Flow sequence in block collection must be sufficiently indented and end with a ]',
  ],
  [
    'all YAML errors',
    'a: `x\n---\nb: @c\n',
    '2 faults\n  m.yml:1: Plain value cannot start with reserved character `\n  m.yml:3: Plain value cannot start with reserved character @',
  ],
  ['a key twice', deployment(`${sh('')}        image: other\n`), 'm.yml:10: the key image is there twice in one map'],
  ['a tab', deployment(`${sh('')}\tenv: []\n`), 'm.yml:10: Tabs are not allowed as indentation'],
  [
    'an alias without an anchor',
    deployment(sh('        args: *x\n')),
    'm.yml:10: *x repeats nothing: no anchor &x stands before it',
  ],
  ['an alias of itself', 'a: &a [*a]\n', 'm.yml:1: *a lies inside of what it repeats'],
  ['a merged list', 'a:\n  <<: [b]\n', 'm.yml:2: << merges maps only'],
  [
    'aliases of aliases',
    `${'abcdefg'.replace(
      /./g,
      (name, index) =>
        `${name}: &${name} [${
          index
            ? Array(10)
                .fill(`*${'abcdefg'[index - 1]}`)
                .join()
            : 'x'
        }]\n`,
    )}`,
    'm.yml: its aliases make more than 500000 values',
  ],
  [
    'an alias left dangling',
    deployment(sh('        livenessProbe: &p {exec: {}}\n        readinessProbe: *p\n')),
    'm.yml:11: *p would repeat nothing: &p (line 10) is taken out - write it out in line 11',
  ],
  [
    'an alias left to another anchor',
    deployment(sh('        env: [&p {}]\n        livenessProbe: &p {exec: {}}\n        readinessProbe: *p\n')),
    'm.yml:12: *p would repeat nothing: &p (line 11) is taken out - write it out in line 12',
  ],
  [
    'a merge from a container that must change',
    deployment(twice('hello', 'other')),
    `m.yml:12: *a is shared with Deployment d, container b, livenessProbe, ${shared}`,
  ],
  [
    'a merge from a container that must not change',
    deployment(twice('other', 'hello')),
    `m.yml:8: &a is shared with Deployment d, container a, livenessProbe, ${shared}`,
  ],
  [
    'an image that is a value elsewhere',
    deployment('      - name: a\n        image: &i hello\n        env: [{name: I, value: *i}]\n'),
    `m.yml:10: *i is shared with Deployment d, container a, env.0.value, ${shared}`,
  ],
  [
    'metadata of two',
    deployment(sh(''), { metadata: '&m {labels: {}}', spec: '      affinity: *m\n' }),
    `m.yml:7: *m is shared with Deployment d, spec.template.spec.affinity.annotations, ${shared}`,
  ],
  [
    'a job that shares the container',
    `kind: List\nitems:\n- kind: Job\n  metadata: {name: j}\n  spec: {template: {spec: {containers: [&c {name: c, image: hello}]}}}\n- kind: Deployment\n  metadata: {name: d}\n  spec: {template: {spec: {containers: [*c]}}}\n`,
    `m.yml:5: &c is shared with Job j, container c, image, ${shared}`,
  ],
  [
    'a shell',
    deployment(sh('        command: [sh, -c, "exec /app/server --x"]\n')),
    `m.yml:10: ${launches('sh')}: BINARY_PATH=/app/server`,
  ],
  [
    'a shell whose text starts BINARY_PATH',
    deployment(sh('        command: [/sbin/tini, --, sh, -c, "exec /usr/local/bin/hello --x"]\n')),
    `m.yml:10: Deployment d, container a runs /sbin/tini, which is there to start the program: the first deploy would overwrite /sbin/tini - let its command begin with the program (the agent passes signals on and reaps): command: [/usr/local/bin/hello]`,
  ],
  [
    'an init of another program',
    deployment(sh('        command: [/sbin/tini, --, /app/server]\n')),
    `m.yml:10: ${overwrite('Deployment d, container a', '/app/server')} - put into .env: BINARY_PATH=/app/server`,
  ],
  [
    'another program as the first of the arguments',
    deployment(sh('        args: [/app/server, --x]\n')),
    `m.yml:10: ${overwrite('Deployment d, container a', '/app/server')} - put into .env: BINARY_PATH=/app/server; if /app/server is an argument of /usr/local/bin/hello, write command: [/usr/local/bin/hello]`,
  ],
  [
    'another program that gets BINARY_PATH as an argument',
    deployment(sh('        command: [/app/server, --worker, /usr/local/bin/hello]\n')),
    `m.yml:10: ${overwrite('Deployment d, container a', '/app/server')} - put into .env: BINARY_PATH=/app/server`,
  ],
  [
    'several programs, of which BINARY_PATH is none',
    deployment(`${sh('        command: [/a]\n')}${sh('        command: [/b]\n')}`),
    `m.yml: no container of the image hello runs BINARY_PATH=/usr/local/bin/hello - choose one; the others then stay as they are\n  m.yml:10: ${overwrite('Deployment d, container a', '/a')} - put into .env: BINARY_PATH=/a\n  m.yml:13: ${overwrite('Deployment d, container a', '/b')} - put into .env: BINARY_PATH=/b`,
  ],
  [
    'another program',
    deployment(sh('        command: [/app/server]\n')),
    `m.yml:10: ${overwrite('Deployment d, container a', '/app/server')} - put into .env: BINARY_PATH=/app/server`,
  ],
  [
    'a longer name',
    deployment(sh('        command: [hello-world]\n')),
    `m.yml:10: ${overwrite('Deployment d, container a', 'hello-world')} - put its path in the image into .env, if this is it: BINARY_PATH=/usr/local/bin/hello-world`,
  ],
  [
    'an annotation that is no text',
    deployment(sh(''), { metadata: '{annotations: {hotswap-dev/agent: [hotswap-dev]}}' }),
    'm.yml:5: Deployment d, spec.template.metadata.annotations.hotswap-dev/agent has to be a text',
  ],
  [
    'two faults',
    deployment(`${sh('        command: x\n')}${sh('        command: [/y]\n')}`),
    `2 faults\n  m.yml:10: Deployment d, container a: its command is not a list of words\n  m.yml:13: ${overwrite('Deployment d, container a', '/y')} - put into .env: BINARY_PATH=/y`,
  ],
  [
    'hostNetwork',
    deployment(sh(''), { spec: '      hostNetwork: true\n' }),
    'm.yml:7: with hostNetwork the whole node could reach the debugger of Deployment d, container a, and run code in it - take hostNetwork out, or write its command without one: [hotswap-dev, --, /usr/local/bin/hello]',
  ],
  [
    'no match',
    deployment(
      '      - {name: a, image: "nginx:1"}\n      - {name: b, image: hello-world}\n      - {name: c, image: x/hello}\n',
    ),
    `${none}\n  images that are there:\n  m.yml:8: nginx:1\n  m.yml:9: hello-world\n  m.yml:10: x/hello`,
  ],
  [
    'a job alone',
    deployment(sh('')).replace('Deployment', 'Job'),
    `${none}\n  m.yml:9: Job d, container a stays as it is: an agent would run a job again and again\n  images that are there:\n  m.yml:9: hello`,
  ],
  [
    'a kind with another form',
    'kind: Workflow\nmetadata: {name: w}\nspec: {templates: [{spec: {containers: [{image: hello}]}}]}\n',
    `${none}\n  m.yml:3: Workflow w, container 1 stays as it is: only pod templates at spec.template are changed\n  images that are there:\n  m.yml:3: hello`,
  ],
  ['nothing', '', `${none}\n  there is no container in it`],
  ['comments', '# a\n---\n# b\n', `${none}\n  there is no container in it`],
  ['no object', '- a\n', `${none}\n  there is no container in it`],
]
for (const [title, text, message] of refused) {
  faults(title, () => {
    assert.throws(
      () => generate(text, usual),
      (error: unknown) => {
        assert.instance(error, UserError)
        assert.is((error as UserError).message, message)
        assert.is((error as UserError).exitCode, 1)
        return true
      },
    )
  })
}

// --- which workload is meant

const scope = suite('of several workloads of one image')

interface Load {
  readonly labels?: string
  readonly containers: readonly string[]
}

/** Deployments of these names, each on lines of its own. */
function workloads(all: Readonly<Record<string, Load>>): string {
  return Object.entries(all)
    .map(([name, { labels = `app: ${name}`, containers }]) => {
      const list = containers.map((fields, index) => `      - {name: ${name}${index || ''}, image: hello, ${fields}}\n`)
      return `kind: Deployment\nmetadata: {name: ${name}}\nspec:\n  template:\n    metadata: {labels: {${labels}}}\n    spec:\n      containers:\n${list.join('')}`
    })
    .join('---\n')
}

const bothModes: readonly Partial<DevOptions>[] = [{}, { devImage: '', inject }]
const changed = ({ matched }: DevManifest) => matched.map(({ name }) => name.replace('Deployment ', ''))
const api = '/usr/local/bin/hello'
const two = workloads({
  api: { containers: [`args: [${api}, serve]`] },
  worker: { containers: ['args: [/usr/local/bin/worker, work]'] },
})

for (const more of bothModes) {
  const mode = more.inject ? 'injected' : 'image'
  const make = (text: string, options: Partial<DevOptions>) => generate(text, { ...usual, ...more, ...options })

  scope(`the one that SELECTOR matches is changed, no byte of the others (${mode})`, () => {
    const same = workloads({ api: { containers: [''] }, web: { containers: [''] } }).replaceAll(', }', '}')
    const dev = make(same, { selector: 'app=web' })
    assert.equal(changed(dev), ['web, container web'])
    assert.is(dev.text.split('---\n')[0], madeBy + String(same.split('---\n')[0]))
    assert.ok(dev.notes.includes('m.yml:5: Deployment api stays as it is: SELECTOR=app=web does not match its pods'))
    assert.is(make(dev.text, { selector: 'app=web' }).text, dev.text)
  })

  scope(`the program that args begin with is one, whatever SELECTOR says (${mode})`, () => {
    for (const selector of ['app in (api, worker)', 'app', undefined]) {
      const dev = make(two, selector === undefined ? {} : { selector })
      assert.equal(changed(dev), ['api, container api'], selector)
      assert.ok(
        dev.notes.includes(
          `m.yml:17: Deployment worker, container worker stays as it is: it runs /usr/local/bin/worker, not ${api}`,
        ),
      )
    }
    assert.equal(changed(make(two, { binaryPath: '/usr/local/bin/worker' })), ['worker, container worker'])
    assert.throws(
      () => make(two, { selector: 'app=worker' }),
      /:17: Deployment worker, container worker runs .*BINARY_PATH=\/usr\/local\/bin\/worker/,
    )
  })

  scope(`a path of data among the arguments is no program (${mode})`, () => {
    for (const args of [
      '/etc/app.yml',
      '/srv/app.json',
      '/data',
      '/opt/',
      '/v/x], volumeMounts: [{name: v, mountPath: /v}',
    ])
      assert.equal(
        changed(make(workloads({ api: { containers: [`args: [${args}]`] } }), {})),
        ['api, container api'],
        args,
      )
  })

  scope(`CONTAINER names the one of several (${mode})`, () => {
    const pair = workloads({ api: { containers: [`command: [${api}]`, `command: [${api}, x]`] } })
    const dev = make(pair, { selector: 'app=api', container: 'api1' })
    assert.equal(changed(dev), ['api, container api1'])
    assert.equal(dev.notes, ['m.yml:8: Deployment api, container api stays as it is: CONTAINER=api1 is another one'])
    assert.throws(
      () => make(pair, { container: 'x' }),
      /^m\.yml: no container of the image hello is named x, as CONTAINER says - put one of these lines into \.env\n  m\.yml:8: Deployment api, container api: CONTAINER=api\n.*CONTAINER=api1$/,
    )
  })

  scope(`the remedy for one program never names another in a circle (${mode})`, () => {
    const nsq = workloads({ nsq: { containers: ['command: [/nsqd]', 'command: [/nsqadmin]'] } })
    assert.throws(() => make(nsq, {}), /choose one; .*\n.*BINARY_PATH=\/nsqd\n.*BINARY_PATH=\/nsqadmin$/)
    for (const [index, binaryPath] of ['/nsqd', '/nsqadmin'].entries())
      assert.equal(changed(make(nsq, { binaryPath })), [`nsq, container nsq${index || ''}`])
  })

  scope(`one that has no command beside one that has is named (${mode})`, () => {
    const mixed = workloads({ api: { containers: [`command: [${api}]`, 'args: [x]'] } })
    const { warnings } = make(mixed, {})
    assert.equal(warnings, [
      `m.yml:9: Deployment api, container api1 has no command, and is taken to run ${api} as Deployment api, container api does - if its image runs another program, put into .env: CONTAINER=api`,
    ])
  })
}

scope('a SELECTOR that matches none is answered by the lines that would', () => {
  assert.throws(
    () => generate(two, { ...usual, selector: 'app=x' }),
    /^m\.yml: 2 workloads have the image hello, and SELECTOR=app=x matches the pods of none - .*\n  m\.yml:5: Deployment api: SELECTOR=app=api\n  m\.yml:14: Deployment worker: SELECTOR=app=worker$/,
  )
  const one = workloads({ api: { labels: 'part-of: shop, app: api', containers: ['args: [x]'] } })
  const { warnings } = generate(one, { ...usual, selector: 'app=x' })
  assert.match(warnings[0] ?? '', /^m\.yml:5: Deployment api: SELECTOR=app=x does not match .* SELECTOR=app=api$/)
  const alike = workloads({
    a: { labels: 'app: x, tier: a', containers: ['args: [x]'] },
    b: { labels: 'app: x, tier: b', containers: ['args: [x]'] },
  })
  assert.throws(() => generate(alike, { ...usual, selector: 'app=y' }), /SELECTOR=tier=a\n.*SELECTOR=tier=b$/)
})

scope('an init container that runs another file of the image stays with it', () => {
  const text = deployment(
    `${sh('        command: [hello]\n')}      initContainers:\n      - {name: m, image: hello, command: [/app/migrate]}\n      - {name: n, image: hello, command: [sh, -c, x]}\n`,
  )
  const { matched, notes } = generate(text, usual)
  assert.equal(
    matched.map(({ change }) => change),
    ['agent', 'image'],
  )
  assert.equal(notes, [
    'm.yml:12: Deployment d, init container m stays as it is: it runs /app/migrate, not /usr/local/bin/hello',
  ])
})

scope('the fixtures of real ones: Argo CD and nsq', () => {
  const argo = (binaryPath: string, selector: string, more: Partial<DevOptions> = {}) =>
    generate(read('argo-cd'), {
      ...usual,
      ...more,
      file: 'argo-cd.yml',
      prodImage: 'quay.io/argoproj/argocd',
      binaryPath,
      selector,
    })
  const server = 'app.kubernetes.io/name=argocd-server'
  for (const more of bothModes) {
    assert.equal(changed(argo('/usr/local/bin/argocd-server', server, more)), [
      'argocd-server, container argocd-server',
    ])
    // they share all labels but one
    const part = argo('/usr/local/bin/argocd-repo-server', 'app.kubernetes.io/part-of=argocd', more)
    assert.equal(changed(part), ['argocd-repo-server, container argocd-repo-server'])
    assert.is(part.notes.filter((note) => note.includes('stays as it is: it runs ')).length, 3)
  }
  assert.throws(
    () => argo('/usr/local/bin/argocd-server', 'app=x'),
    /SELECTOR=app.kubernetes.io\/name=argocd-repo-server/,
  )
})

scope.run()

const streams = suite('a stream of JSON')
const objects = [
  { kind: 'Service', metadata: { name: 'a "{"' }, spec: {} },
  {
    kind: 'Deployment',
    metadata: { name: 'd' },
    spec: { template: { spec: { containers: [{ name: 'a', image: 'hello' }] } } },
  },
]
for (const [title, text] of [
  ['as jq writes it', objects.map((each) => `${JSON.stringify(each, null, 2)}\n`).join('')],
  ['one object a line', objects.map((each) => `${JSON.stringify(each)}\n`).join('')],
  ['without a space', objects.map((each) => JSON.stringify(each)).join('')],
  ['with a mark and blank lines', `\uFEFF\n${objects.map((each) => JSON.stringify(each)).join('\r\n\r\n')}\r\n`],
] as const)
  streams(`is read as kubectl does, and becomes documents: ${title}`, () => {
    const { text: made, matched } = generate(text, usual)
    assert.equal(matched, [{ name: 'Deployment d, container a', change: 'agent' }])
    const documents = parseAllDocuments(made).map((each) => each.toJS() as Record<string, unknown>)
    assert.equal(documents.length, 2)
    assert.equal(documents[0], objects[0])
    assert.ok(made.replace(/\s/g, '').includes(JSON.stringify(objects[0]).replace(/\s/g, '')))
    assert.is(generate(made, usual).text, made)
  })
streams('names the lines of the text as it came', () => {
  const text = objects
    .map((each) => `${JSON.stringify(each, null, 2).replace('"image": "hello"', '"image": "hello", "command": "x"')}\n`)
    .join('')
  const line = text.split('\n').findIndex((each) => each.includes('command')) + 1
  assert.throws(
    () => generate(text, usual),
    new RegExp(`^m\\.yml:${line}: Deployment d, container a: its command is not a list`),
  )
})
streams('that ends in the middle is a fault', () => {
  assert.throws(() => generate('{"a": 1}\n{"b": [', usual), /^m\.yml:|faults/)
})
streams.run()

faults('a neutral agent is welcome with hostNetwork', () => {
  const { matched } = generate(
    deployment(sh('        command: [hotswap-dev, --, /b]\n'), { spec: '      hostNetwork: true\n' }),
    usual,
  )
  assert.equal(matched, [{ name: 'Deployment d, container a', change: 'agent' }])
})

faults.run()

const talk = suite('what there is to say')
const folder = '/usr/local/bin'
const writable = `swaps work if every user may write to ${folder}, as in an image of container-dev`

const said: readonly [
  title: string,
  containers: string,
  said: Partial<Pick<DevManifest, 'notes' | 'warnings'>>,
  spec?: string,
  options?: Partial<DevOptions>,
][] = [
  ['nothing', sh(''), {}],
  [
    'a read-only root',
    sh('        securityContext: {readOnlyRootFilesystem: true}\n'),
    {
      warnings: [
        `m.yml:10: Deployment d, container a: readOnlyRootFilesystem: the program runs, but no binary can be put beside ${folder}/hello - mount an emptyDir over ${folder}; the agent then waits there for the first deploy-dev`,
      ],
    },
  ],
  [
    'a read-only root with a writable folder',
    sh(
      '        securityContext: {readOnlyRootFilesystem: true}\n        volumeMounts: [{name: v, mountPath: /usr/local/bin/}]\n',
    ),
    {},
  ],
  [
    'another user',
    sh('        securityContext: {runAsUser: 1000}\n'),
    {
      warnings: [
        `m.yml:10: Deployment d, container a: runs as user 1000: ${writable} - an image of one's own needs RUN chmod 0777 ${folder}`,
      ],
    },
  ],
  [
    'another user in the pod',
    sh(''),
    {
      warnings: [
        `m.yml:7: Deployment d, container a: runs as user 1000: ${writable} - an image of one's own needs RUN chmod 0777 ${folder}`,
      ],
    },
    '      securityContext: {runAsUser: 1000, runAsNonRoot: true}\n',
  ],
  [
    'root in the container',
    sh('        securityContext: {runAsUser: 0}\n'),
    {},
    '      securityContext: {runAsUser: 1000}\n',
  ],
  [
    'any user but root',
    sh('        securityContext: {runAsNonRoot: true}\n'),
    {
      warnings: [
        `m.yml:10: Deployment d, container a: runAsNonRoot without runAsUser: the pod does not start if the dev image runs as root - add a runAsUser; ${writable}, an image of one's own needs RUN chmod 0777 ${folder}`,
      ],
    },
  ],
  [
    'its own port',
    sh('        ports: [{containerPort: 2345}]\n'),
    {
      warnings: [
        "m.yml:10: port 2345 of the pod is the debugger's of Deployment d, container a too - put another DEBUG_PORT into .env",
      ],
    },
  ],
  [
    'a pod that ends',
    sh(''),
    { warnings: ['m.yml:7: Deployment d: restartPolicy Never: the agent starts the program again whenever it ends'] },
    '      restartPolicy: Never\n',
  ],
  [
    'an image that is loaded, and pulled',
    sh(''),
    {
      warnings: [
        'm.yml:9: Deployment d, container a: the node pulls hello-dev at each start, but IMAGE_TO only loads it into the node - write imagePullPolicy: IfNotPresent',
      ],
    },
    '',
    { loaded: true },
  ],
  ['an image that is loaded, with a tag', sh(''), {}, '', { loaded: true, devImage: 'localhost:5000/hello-dev:1' }],
  [
    'an image that is loaded, and pulled if it is not there',
    sh('        imagePullPolicy: IfNotPresent\n'),
    {},
    '',
    { loaded: true },
  ],
  [
    'a name in args',
    sh('        args: [hello]\n'),
    {
      notes: [`m.yml:10: Deployment d, container a: its args begin with hello, taken for the program ${folder}/hello`],
    },
  ],
  [
    'an injected agent, what the image runs being known',
    sh(''),
    {
      notes: [
        'm.yml:9: Deployment d, container a runs /usr/local/bin/hello, without the arguments that its image may give it: those belong into args',
      ],
    },
    '      securityContext: {runAsNonRoot: true, runAsUser: 1000}\n',
    { devImage: '', inject },
  ],
  [
    'an injected agent, with arguments and a root that cannot be written',
    sh('        args: [serve]\n        securityContext: {readOnlyRootFilesystem: true}\n'),
    { notes: ['m.yml:8: Deployment d, container a runs /usr/local/bin/hello'] },
    '',
    { devImage: '', inject },
  ],
  [
    'an injected agent on the network of the node',
    sh('        command: [hello]\n') + '      - {name: b, image: hello, command: [hello]}\n',
    {
      warnings: ['a', 'b'].map(
        (name) =>
          `m.yml:7: Deployment d, container ${name} runs without a debugger: with hostNetwork the whole node could reach one, and run code in it`,
      ),
    },
    '      hostNetwork: true\n',
    { devImage: '', inject },
  ],
  [
    'a stdin that is kept open',
    sh('        stdin: true\n'),
    {
      warnings: [
        'm.yml:10: Deployment d, container a: stdin: the agent gives the program an empty stdin, and a program that ends with its stdin ends at once - let it wait for TERM instead',
      ],
    },
  ],
  [
    'an image that nobody filled in',
    `${sh('')}      - {name: b, image: "\${SIDECAR}"}\n`,
    {
      warnings: [
        'm.yml:10: Deployment d: no node can pull ${SIDECAR} - a variable that is not filled in: envsubst < FILE > PATH, and put the path of the result into .env: MANIFEST=PATH',
      ],
    },
  ],
  [
    'an injected agent where no root may run and no user is named',
    sh('        command: [hello]\n        securityContext: {runAsNonRoot: true}\n'),
    {
      notes: [
        'm.yml:11: Deployment d, container a: runAsNonRoot without runAsUser: the init container hotswap-dev runs as user 65532 - if the cluster allows a range of users only, as OpenShift does, write runAsUser: with one of them there',
      ],
    },
    '',
    { devImage: '', inject },
  ],
  [
    'init containers alone',
    '      - {name: x, image: y}\n      initContainers: [{name: a, image: hello}]\n',
    { warnings: ['m.yml:4: Deployment d: only init containers have the image: nothing in it runs the agent'] },
  ],
]
for (const [title, containers, { notes = [], warnings = [] }, spec = '', options = {}] of said) {
  talk(title, () => {
    const dev = generate(deployment(containers, { spec }), { ...usual, ...options })
    assert.equal(dev.notes, notes)
    assert.equal(dev.warnings, warnings)
  })
}

const holds: readonly [fields: string, why: string][] = [
  [
    'updateStrategy: {type: OnDelete}',
    "OnDelete: a pod becomes a dev pod when the old one is deleted - after npm run switch-dev: kubectl delete pod -l 'app=d'",
  ],
  [
    'updateStrategy: {rollingUpdate: {partition: 2}}',
    'partition 2: pods below it stay as they are - set it to 0 in MANIFEST for development',
  ],
  [
    'updateStrategy: {partition: 50%}',
    'partition 50%: pods below it stay as they are - set it to 0 in MANIFEST for development',
  ],
  ['paused: true', 'paused: no new pod comes - take paused out of MANIFEST for development'],
  ['updateStrategy: {paused: true}', 'paused: no new pod comes - take paused out of MANIFEST for development'],
  [
    'replicas: 0',
    'replicas 0: there is no pod to change - scale it up, or let its autoscaler, before npm run deploy-dev',
  ],
  [
    'strategy: {canary: {steps: [{setWeight: 20}]}}',
    'canary steps: new pods come step by step - promote it to the end, or take the steps out of MANIFEST',
  ],
  [
    'strategy: {blueGreen: {autoPromotionEnabled: false}}',
    'autoPromotionEnabled false: the new pods serve after a promotion by hand',
  ],
  ['updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 0}}', ''],
  ['strategy: {canary: {}}', ''],
  ['paused: false', ''],
]
for (const [fields, why] of holds)
  talk(`what keeps new pods from coming: ${fields}`, () => {
    const text = deployment(sh('')).replace('spec:\n', `spec:\n  ${fields}\n`)
    assert.equal(generate(text, usual).warnings, why === '' ? [] : [`m.yml:4: Deployment d: ${why}`])
  })

talk('a kind that never renews its pods, and what is not meant', () => {
  const text = deployment(sh('')).replace('Deployment', 'ReplicaSet')
  const why = "its pods stay as they are when it changes - after npm run switch-dev: kubectl delete pod -l 'app in (d)'"
  assert.equal(generate(text, { ...usual, selector: 'app in (d)' }).warnings, [`m.yml:1: ReplicaSet d: ${why}`])
  const other = text.replace('app: d', 'app: e').replace('name: d', 'name: e')
  assert.equal(generate(`${other}---\n${deployment(sh(''))}`, { ...usual, selector: 'app=d' }).warnings, [])
})

talk('a manifest of OpenShift leaves the user to the cluster', () => {
  const route = 'apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: r}\n---\n'
  const { text, notes } = generate(
    route + deployment(sh('        command: [hello]\n        securityContext: {runAsNonRoot: true}\n')),
    { ...usual, devImage: '', inject },
  )
  assert.equal(notes, [])
  assert.not.match(text, 'runAsUser')
})

talk('images that need rendering are named where none is the image', () => {
  assert.throws(
    () => generate(deployment('      - {name: a, image: "ko://example.com/cmd"}\n'), usual),
    /m\.yml:8: ko:\/\/example\.com\/cmd - ko builds it: ko resolve -f FILE > PATH/,
  )
})

talk.run()
