// 2,000 manifests put together from the parts of test/unit/manifests, against a second opinion on plain values.
// One of them again: node --import tsx test/unit/manifest-fuzz.test.ts SEED
import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type CST,
  Composer,
  type Document,
  type Node,
  type Pair,
  Parser,
  isCollection,
  isMap,
  isNode,
  isScalar,
  isSeq,
  parseAllDocuments,
  visit,
} from 'yaml'
import { generate } from '../../tasks/lib/manifest/generate.ts'
import { UserError } from '../../tasks/lib/frame/talk.ts'

// FUZZ=1 npm test -- fuzz: all of them, as CI has it
const count = process.env.FUZZ ? 2000 : 200
const program = '/usr/local/bin/hello'
const options = {
  file: 'm.yml',
  prodImage: 'example/app',
  devImage: 'local/dev:1',
  loaded: false,
  binaryPath: program,
  debugPort: 2345,
  debugWait: false,
  settle: 0.5,
  hold: true,
  limit: 20,
}

const agent = '#!/bin/sh\n# of $(several)\n\n  lines\n'
const inject = { image: 'local/busybox:1', agent, binaryChosen: true }
const modes = { image: options, inject: { ...options, devImage: '', inject } }
type Mode = keyof typeof modes

// --- the parts

type Fields = Record<string, unknown>

interface Part {
  readonly key: string
  /** `key: value`, its first column at 0. */
  readonly text: string
}

const folder = new URL('manifests/', import.meta.url)
// the others name programs of their own
const files = readdirSync(folder).filter((name) => name.endsWith('.yml') && !/^(?:argo-cd|nsq)\./.test(name))
const texts = files.map((name) =>
  readFileSync(new URL(name, folder), 'utf8')
    .replace(
      /\b(?:karydia\/karydia|registry\.example\.com:5000\/store\/shop|ghcr\.io\/example\/store|quay\.io\/example\/node-agent)/g,
      'example/app',
    )
    .replace(/\bexample\/(?:mailer|web|platform|flow|tool|reports|canary|live|hand)\b(?!-)/g, 'example/app')
    .replace(/^( *- )karydia$/m, '$1hello'),
)
const documents = texts.flatMap((text) => text.split(/^(?:---|\.\.\.)$/m)).map((text) => text.replace(/^\n+/, ''))
const parts = [
  ...texts.flatMap((text) => partsOf(text)),
  ...[
    'command: [tini, --, hello, x]',
    'command:\n- /entrypoint.sh\n# it\n- /usr/local/bin/hello\n- x',
    'command: ["env", "A=b", "/usr/local/bin/hello"]',
    'command: [/opt/other, -x]',
  ].map((text) => ({ key: 'command', text })),
  { key: 'args', text: 'args:\n- /opt/other\n- x' },
]
const metadata = texts
  .flatMap((text) => [...text.matchAll(/^( +)metadata:(?:\n\1 .*)+\n|^ +metadata: \{.*\}\n/gm)])
  .map(([whole]) => dedent(whole.trimEnd()))
  .filter((text) => !/[&*]\w/.test(text))

/** The fields of all containers; those with anchors and aliases have no meaning elsewhere. */
function partsOf(text: string): Part[] {
  const found: Part[] = []
  for (const doc of parseAllDocuments(text)) {
    visit(doc, {
      Pair: (_, pair) => {
        if (!isScalar(pair.key) || !/^(?:initC|c)ontainers$/.test(String(pair.key.value)) || !isSeq(pair.value)) return
        for (const item of pair.value.items) {
          if (!isMap(item)) continue
          for (const field of item.items) {
            const [start, end] = [(field.key as Node).range?.[0] ?? 0, (field.value as Node).range?.[1] ?? 0]
            const column = start - text.lastIndexOf('\n', start - 1) - 1
            const part = dedent(' '.repeat(item.flow ? 0 : column) + text.slice(start, end).trimEnd())
            const key = String((field.key as { value: unknown }).value)
            if (!/[&*]\w/.test(part) && !/^(?:name|image|restartPolicy|<<)$/.test(key) && !/"sh"/.test(part))
              found.push({ key, text: part })
          }
        }
      },
    })
  }
  return found
}

function dedent(text: string): string {
  const [pad = ''] = /^ */.exec(text) ?? []
  return text.replaceAll(new RegExp(`^${pad}`, 'gm'), '')
}

// --- a random manifest

type Random = (below: number) => number

/** https://github.com/cprosche/mulberry32 */
function randomFrom(seed: number): Random {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below)
  }
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random(list.length)] as T
}

function manifest(random: Random): string {
  const made = Array.from({ length: 1 + Math.max(0, random(5) - 2) }, () =>
    random(4) === 0 ? pick(random, documents) : workload(random),
  )
  let text = made
    .map((doc) => (doc.endsWith('\n') ? doc : `${doc}\n`))
    .join(pick(random, ['---\n', '---\n', '--- # next\n', '...\n---\n']))
  if (random(6) === 0) text = `---\n${text}`
  if (random(6) === 0) text += '---\n# the end\n'
  if (random(5) === 0) text = text.replace(/\n$/, '')
  if (random(4) === 0) text = text.replaceAll('\n', '\r\n')
  return random(6) === 0 ? `\uFEFF${text}` : text
}

/** One kind is another in another group; its form decides. */
const groups: Readonly<Record<string, readonly string[]>> = {
  StatefulSet: ['apps/v1', 'apps.kruise.io/v1beta1'],
  DaemonSet: ['apps/v1', 'apps.kruise.io/v1alpha1'],
  Rollout: ['argoproj.io/v1alpha1'],
  Service: ['serving.knative.dev/v1'],
  CloneSet: ['apps.kruise.io/v1alpha1'],
  Pod: ['v1'],
  Job: ['batch/v1'],
  CronJob: ['batch/v1'],
}

function workload(random: Random): string {
  const kind = pick(random, [
    'Deployment',
    'Deployment',
    'StatefulSet',
    'DaemonSet',
    'ReplicaSet',
    'Rollout',
    'Service',
    'CloneSet',
    'Pod',
    'Job',
    'CronJob',
  ])
  const [step, dash] = [pick(random, [2, 2, 4]), pick(random, [0, 2])]
  const indent = (text: string, by: number): string => text.replaceAll(/^(?=.)/gm, ' '.repeat(by))
  const anchors: string[] = []
  const list = (key: string, length: number): string => {
    const items = Array.from({ length }, (_, index) =>
      container(random, `${key[0]}${index}`, key === 'initContainers', anchors),
    )
    return `${key}:\n${items.map((item) => indent(item, dash)).join('')}`
  }
  const both = ['containers', 'initContainers']
  const keys = pick(random, [['containers'], ['containers'], both, [...both].reverse()])
  const lists = keys.map((key) => list(key, 1 + random(2)))
  const spec = [...lists, ...(random(3) === 0 ? ['terminationGracePeriodSeconds: 0600\n'] : [])]
  const own =
    random(6) === 0
      ? ''
      : `${pick(random, [
          ...metadata,
          'metadata: {}',
          'metadata:\n  annotations: {}\n  labels: {on: "yes"}',
          'metadata: {labels: {tier: web}}',
          'metadata: {labels: {tier: web, app: x}}',
          'metadata:\n  labels:\n    tier: job',
          'metadata: {labels: {tier: db}}',
          'metadata:\n  # them\n  annotations:\n',
        ])}\n`
  const pod = `${own}spec:\n${indent(spec.join(''), step)}`
  const group = pick(random, groups[kind] ?? ['apps/v1'])
  const head = `apiVersion: ${group}\nkind: ${kind}\n`
  const wrap = (key: string, text: string): string => `${key}:\n${indent(text, step)}`
  if (kind === 'Pod') return head + pod
  const inner = wrap('spec', wrap('template', pod))
  return `${head}metadata: {name: w, labels: {app: w}}\n${kind === 'CronJob' ? wrap('spec', wrap('jobTemplate', inner)) : inner}`
}

const images = [
  'example/app',
  'example/app:1',
  '"example/app:1"',
  "'example/app@sha256:ab'",
  'docker.io/example/app:2 # hub',
  '>-\n  example/app:3',
]
const others = ['example/app-cache:1', 'registry.example.com/example/app', '"nginx:1.27"', 'app']

function container(random: Random, name: string, init: boolean, anchors: string[]): string {
  const image = random(4) === 0 ? pick(random, others) : pick(random, images)
  const wanted = [
    'command',
    'args',
    'env',
    'livenessProbe',
    'startupProbe',
    'readinessProbe',
    'ports',
    'securityContext',
    'tty',
  ]
  const chosen = wanted
    .filter(() => random(2) === 0)
    .map((key) =>
      pick(
        random,
        parts.filter((part) => part.key === key),
      ),
    )
  const fields = [{ key: 'image', text: `image: ${image}` }, ...chosen]
  if (init && random(2) === 0) fields.push({ key: 'restartPolicy', text: 'restartPolicy: Always' })
  if (chosen.some(({ text }) => text.includes('./hello')))
    fields.push({ key: 'workingDir', text: 'workingDir: /usr/local/bin' })
  const flat = fields.map(({ text }) => text.replace(/ # .*$/, '')).filter((text) => !text.includes('\n'))
  if (flat.length === fields.length && random(2) === 0) {
    const gap = random(2) === 0 ? ' ' : '\n    '
    return `- {${gap}${[`name: ${name}`, ...flat].join(`,${gap}`)}${gap === ' ' ? '' : pick(random, ['', ',', ' # end'])}${gap === ' ' ? '' : '\n  '}}\n`
  }
  const whole = random(8) === 0 ? `&${name}` : ''
  const base = random(6) === 0 ? anchors.filter((anchor) => anchor.startsWith('&')).at(-1) : undefined
  // What is left out comes by the merge key.
  const own = base ? fields.filter(() => random(3) > 0) : fields
  const lists = [{ key: 'name', text: `name: ${name}` }, ...own].sort(() => random(2) - 0.5)
  const shuffled = [
    ...(base ? [`<<: ${base.replace('&', '*')}`] : []),
    ...lists.map((part) => aliased(random, part, anchors)),
  ]
  if (whole) anchors.push(whole)
  const lines = shuffled.flatMap((text) => [
    ...(random(6) === 0 ? [pick(random, ['# why', '', '  # deeper'])] : []),
    text,
  ])
  const body = lines.join('\n').replaceAll(/\n(?=.)/g, '\n  ')
  return whole ? `- ${whole}\n  ${body}\n` : lines[0] === shuffled[0] ? `- ${body}\n` : `-\n  ${body}\n`
}

/** Now and then a value gets an anchor, or repeats one. */
function aliased(random: Random, { key, text }: Part, anchors: string[]): string {
  const anchor = anchors.find((name) => name.startsWith(`${key}_`))
  if (anchor && random(3) === 0) return `${key}: *${anchor}`
  if (random(8) > 0 || key === 'name') return text
  const name = `${key}_${anchors.length}`
  anchors.push(name)
  return text.replace(/^("?\w+"?:)/, `$1 &${name}`)
}

// --- a second opinion

interface Scope {
  readonly selector: string | undefined
  readonly container: string
}

/** Whether pods of these labels are meant: each selector of the test by hand. */
const selected: Readonly<Record<string, (tier: unknown) => boolean>> = {
  'tier=web': (tier) => tier === 'web',
  'tier in (web, job)': (tier) => tier === 'web' || tier === 'job',
  'tier,tier!=job': (tier) => tier !== undefined && tier !== 'job',
  '!tier': (tier) => tier === undefined,
  'tier,!none': (tier) => tier !== undefined,
  'app=none': () => false,
}

const isImage = (item: Fields) => /^(?:docker\.io\/)?example\/app(?:[:@].*)?$/.test(String(item.image))
const isHand = (item: Fields) => (item.command as string[] | null)?.[0] === 'hotswap-dev'
const runsOther = ({ command, args }: Fields) => {
  const [first = ((args ?? []) as string[])[0]] = (command ?? []) as string[]
  return first === '/opt/other'
}

interface Item {
  readonly item: Fields
  readonly init: boolean
  readonly template: Fields
}

/** The containers that are meant. */
function meantOf(values: unknown[], { selector, container }: Scope): Item[] {
  const pods = values.flatMap((value) => {
    const root = value as Fields | null
    const objects = (root?.kind === 'List' ? (root.items as Fields[]) : [root]).filter(
      (item) => item !== null && typeof item === 'object',
    )
    return objects.flatMap((object): Item[][] => {
      const template = (object.kind === 'Pod' ? object : (object.spec as Fields | undefined)?.template) as
        Fields | undefined
      if (object.kind === 'Job' || object.kind === 'CronJob' || !template?.spec) return []
      const spec = template.spec as Record<string, Fields[] | undefined>
      const items = [
        ...(spec.containers ?? []).map((item) => ({ item, init: false, template })),
        ...(spec.initContainers ?? []).map((item) => ({ item, init: item.restartPolicy !== 'Always', template })),
      ].filter(({ item, init }) => isImage(item) || (!init && isHand(item)))
      return items.length > 0 ? [items] : []
    })
  })
  const tier = ([first]: Item[]) => ((first?.template.metadata as Fields | null)?.labels as Fields | undefined)?.tier
  const inScope = selector === undefined ? pods : pods.filter((items) => selected[selector]?.(tier(items)))
  const all = (inScope.length === 0 && pods.length === 1 ? pods : inScope).flat()
  const named = all.filter(({ item }) => container === '' || item.name === container)
  const running = named.filter(({ item, init }) => !init && !runsOther(item))
  const meant = named.filter(({ item }) => !runsOther(item))
  return running.length > 0 ||
    named.every(({ init }) => init) ||
    !named.some(({ item, init }) => !init && runsOther(item))
    ? meant
    : []
}

/** What the dev manifest has to say, from the values of the production one. */
function devOf(values: unknown[], mode: Mode, scope: Scope): { values: unknown[]; matched: number } {
  const meant = meantOf(values, scope)
  for (const template of new Set(meant.map((each) => each.template)))
    devPod(
      template,
      meant.filter((each) => each.template === template),
      mode,
    )
  return { values, matched: meant.length }
}

function devPod(template: Fields, all: readonly Item[], mode: Mode): void {
  const spec = template.spec as Record<string, Fields[] | undefined>
  const agents: [name: string, port: string, binary: string][] = []
  const injected: Fields[] = []
  for (const { item, init } of all) {
    if (isImage(item) && mode === 'image') item.image = 'local/dev:1'
    if (init) continue
    for (const probe of ['livenessProbe', 'startupProbe']) if (item[probe]) delete item[probe]
    const env = (item.env ?? []) as Fields[]
    const own = env.find(({ name }) => name === 'LIMIT')
    if (!isHand(item) || own?.value !== '20') item.env = [{ name: 'HOTSWAP_LIMIT', value: '20' }, ...env]
    if (isHand(item)) {
      agents.push([item.name as string, '', '/opt/hand'])
      continue
    }
    const port = 2345 + agents.filter(([, port]) => port).length
    const binary = mode === 'image' ? program : `/hotswap/${String(item.name)}/hello`
    agents.push([item.name as string, String(port), binary])
    const delve = `dlv exec --listen=127.0.0.1:${port} --headless --accept-multiclient --continue --only-same-user=false {{binPath}} --`
    const front = [...(mode === 'image' ? ['hotswap-dev'] : [...injectedAgent, '-c', program]), '-r', delve, '--']
    const command = (item.command ?? []) as string[]
    const args = (item.args ?? []) as string[]
    const isProgram = (word: string) => word === program || word === 'hello' || word === './hello'
    // the launchers of the test end in --, or are one word
    const launcher = /^(?:tini|\/entrypoint\.sh|env)$/.test(command[0] ?? '')
    const at = launcher ? [...command, ...args].findIndex(isProgram) : 0
    if (command.length === 0) {
      const inArgs = isProgram(args[0] ?? '') && args[0] !== './hello'
      if (inArgs) args[0] = binary
      item.command = [...front, ...(inArgs ? [] : [binary])]
    } else if (at < command.length) {
      item.command = [...command.slice(0, at), ...front, binary, ...command.slice(at + 1)]
    } else {
      const index = at - command.length
      item.args = [...args.slice(0, index), ...front, binary, ...args.slice(index + 1)]
    }
    if (mode === 'inject') injected.push(item)
  }
  injectInto(spec, injected)
  const [first] = agents
  if (first) {
    const metadata = (template.metadata ??= {}) as Fields
    const annotations = (metadata.annotations ??= {}) as Fields
    Object.assign(annotations, {
      'hotswap-dev/agent': wordsOf(first[2]),
      'hotswap-dev/binary': first[2],
      'hotswap-dev/container': first[0],
    })
    if (first[1]) annotations['hotswap-dev/debug-port'] = first[1]
  }
  if (injected.length > 0) ((template.metadata as Fields).annotations as Fields)['hotswap-dev/script'] = agent
}

const injectedAgent = ['/hotswap/bin/busybox', 'sh', '/hotswap/agent/hotswap-dev']

function wordsOf(binary: string): string {
  return JSON.stringify(binary.startsWith('/hotswap/') ? injectedAgent : ['hotswap-dev'])
}

function injectInto(spec: Record<string, Fields[] | undefined>, injected: readonly Fields[]): void {
  const [first] = injected
  if (!first) return
  const volumes: Fields[] = [
    { name: 'hotswap-dev', emptyDir: {} },
    {
      name: 'hotswap-agent',
      downwardAPI: {
        items: [
          {
            path: 'hotswap-dev',
            fieldRef: { apiVersion: 'v1', fieldPath: "metadata.annotations['hotswap-dev/script']" },
          },
        ],
      },
    },
  ]
  for (const item of injected) {
    const mounts: Fields[] = [
      { name: 'hotswap-dev', mountPath: '/hotswap' },
      { name: 'hotswap-agent', mountPath: '/hotswap/agent', readOnly: true },
    ]
    const { readOnlyRootFilesystem, runAsUser } = (item.securityContext ?? {}) as Fields
    if (readOnlyRootFilesystem === true) {
      const list = spec.containers?.includes(item) ? '' : 'init-'
      const index = (list ? spec.initContainers : spec.containers)?.indexOf(item) ?? 0
      const name = list || index ? `hotswap-tmp-${list}${index + 1}` : 'hotswap-tmp'
      volumes.push({ name, emptyDir: {} })
      mounts.push({ name, mountPath: '/tmp' })
    }
    if (item === first) {
      const security = {
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      }
      spec.setup = [
        {
          ...{ name: 'hotswap-dev', image: 'local/busybox:1', terminationMessagePolicy: 'FallbackToLogsOnError' },
          securityContext: { ...(runAsUser === undefined ? {} : { runAsUser }), ...security },
          ...(Object.keys((item.resources ?? {}) as Fields).length > 0 ? { resources: item.resources } : {}),
          volumeMounts: [{ name: 'hotswap-dev', mountPath: '/hotswap' }],
        },
      ]
    }
    item.volumeMounts = [...mounts, ...((item.volumeMounts ?? []) as Fields[])]
  }
  spec.volumes = [...volumes, ...(spec.volumes ?? [])]
  spec.initContainers = [...(spec.setup ?? []), ...(spec.initContainers ?? [])]
  delete spec.setup
}

/** Without the words of the init container's command. */
function withoutSetup(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, field: unknown) => {
      if (!field || typeof field !== 'object' || !('image' in field) || field.image !== 'local/busybox:1') return field
      return Object.fromEntries(Object.entries(field).filter(([key]) => key !== 'command'))
    }),
  )
}

/** The documents of a text, read as YAML of a version. */
function documentsOf(tokens: readonly CST.Token[], version: '1.1' | '1.2'): Document[] {
  return [...new Composer({ version, merge: true, logLevel: 'error' }).compose(tokens)]
}

function valuesOf(docs: readonly Document[]): unknown[] {
  return docs.map((doc) => {
    assert.equal(doc.errors, [])
    // Nothing is shared between two places then.
    return JSON.parse(JSON.stringify(doc.toJS({ maxAliasCount: -1 }))) as unknown
  })
}

// --- bytes

/** The ranges of a text that an edit may touch, whether or not this one has to. */
function touchable(text: string, docs: readonly Document[]): [start: number, end: number][] {
  const ranges: [number, number][] = []
  const add = (node: unknown): void => {
    const range = isNode(node) ? node.range : undefined
    if (range) ranges.push([range[0], range[1]])
  }
  for (const doc of docs) {
    visit(doc, {
      // The first fields of an item leave their place to the first that stays.
      Map: (_, { items }) => {
        const stays = items.findIndex(({ key }) => !/^(?:livenessProbe|startupProbe)$/.test(String(key)))
        const [first, next] = [items[0]?.key, items[stays]?.key].map((key) =>
          isNode(key) ? key.range?.[0] : undefined,
        )
        if (stays > 0 && first !== undefined && next !== undefined) ranges.push([first, next])
      },
      Pair: (_, { key, value }: Pair) => {
        const name = isScalar(key) ? String(key.value) : ''
        const [start = 0, valueEnd = 0, end = 0] = [
          (key as Node).range?.[0],
          ...(isNode(value) && value.range ? value.range.slice(1) : []),
        ]
        // A probe goes with the comments inside of it, and the space and the comma at its side.
        if (name === 'livenessProbe' || name === 'startupProbe') {
          const [after = ''] = /^[ ,]*(?:#.*)?(?:\r?\n *#.*)*/.exec(text.slice(valueEnd)) ?? []
          ranges.push([start, Math.max(end, valueEnd + after.length)])
        }
        const isEmpty = isScalar(value) ? value.value === null : isCollection(value) && value.items.length === 0
        if (name === 'image' || name.startsWith('hotswap-dev/') || isEmpty) add(value)
        if ((name === 'command' || name === 'args') && isSeq(value))
          for (const item of value.items) if (isScalar(item) && /hello$/.test(String(item.value).trim())) add(item)
        // On one line, something may come in.
        if (
          isCollection(value) &&
          value.flow &&
          /^(?:metadata|annotations|env|volumes|volumeMounts|initContainers|spec)$/.test(name) &&
          value.range
        ) {
          ranges.push([value.range[0], value.range[0]])
        }
        if (name === 'name') ranges.push([valueEnd, valueEnd])
        // Written out where another debug port is needed.
        if (name === 'command' && !isCollection(value)) add(value)
      },
    })
  }
  return ranges
}

/** Asserts that what an edit may not touch comes in the same order, whole lines exactly; in any order, where the script is last. */
function assertKept(
  before: string,
  after: string,
  ranges: readonly [start: number, end: number][],
  isOrdered: boolean,
): void {
  let offset = 0
  let [seen, at] = [0, 0]
  const lines = after.split(/\r?\n/)
  for (const line of before.split('\n')) {
    const [start, end] = [offset, offset + line.length]
    offset = end + 1
    if (ranges.some(([from, to]) => from <= end && to >= start) || (end === before.length && line === '')) continue
    // A mark stays in front of the first line, which is another one now.
    const found = lines.indexOf(line.replace(/^\uFEFF|\r$/g, ''), seen)
    assert.ok(found >= 0, `a line went, or another order came: ${JSON.stringify(line)}`)
    if (isOrdered) seen = found + 1
    else lines[found] = 'found'
  }
  const free = new Uint8Array(before.length)
  for (const [from, to] of ranges) free.fill(1, from, to)
  for (let index = 0; index < before.length; index++) {
    if (free[index] || /[\s,]/.test(before[index] ?? '')) continue
    at = after.indexOf(before[index] ?? '', isOrdered ? at : 0) + 1
    assert.ok(at > 0, `a byte went: ${JSON.stringify(before.slice(index, index + 40))}`)
  }
  assert.is(after.startsWith('\uFEFF'), before.startsWith('\uFEFF'))
  if (!/[^\r]\n/.test(before) && before.includes('\n')) assert.not.match(after, /[^\r]\n/)
}

// --- the test

/** @returns whether there was a dev manifest. */
function check(text: string, mode: Mode, scope: Scope): boolean {
  const tokens = [...new Parser().parse(text)]
  const docs = documentsOf(tokens, '1.1')
  const wanted = devOf(valuesOf(docs), mode, scope)
  const options = { ...modes[mode], ...scope }
  let after: string
  try {
    after = generate(text, options).text
  } catch (error) {
    assert.instance(error, UserError, String(error instanceof Error ? error.stack : error))
    const { message } = error as UserError
    if (wanted.matched === 0)
      assert.match(
        message,
        /no container to change has the image example\/app|matches the pods of none|is named \w+, as CONTAINER says|the first deploy would overwrite/,
      )
    else assert.ok(text.includes('&') && /is shared with|would repeat nothing/.test(message), message)
    return false
  }
  const afterTokens = [...new Parser().parse(after)]
  assert.equal(withoutSetup(valuesOf(documentsOf(afterTokens, '1.1'))), wanted.values)
  const wantedNow = devOf(valuesOf(documentsOf(tokens, '1.2')), mode, scope)
  assert.equal(withoutSetup(valuesOf(documentsOf(afterTokens, '1.2'))), wantedNow.values)
  assertKept(text, after, touchable(text, docs), mode === 'image')
  assert.is(generate(after, options).text, after)
  return true
}

test(`${count} manifests become what is meant, every other byte kept, and stay so`, () => {
  const [only] = process.argv.slice(2)
  let made = 0
  for (let seed = only ? Number(only) : 1; seed <= (only ? Number(only) : count); seed++) {
    const random = randomFrom(seed)
    const text = manifest(random)
    const mode = seed % 2 === 0 ? 'image' : 'inject'
    const scope = {
      selector: pick(random, [
        undefined,
        undefined,
        undefined,
        'tier,!none',
        'tier=web',
        'tier in (web, job)',
        'tier,tier!=job',
        '!tier',
        'app=none',
      ]),
      container: pick(random, ['', '', '', '', '', 'c0', 'i0']),
    }
    try {
      made += Number(check(text, mode, scope))
    } catch (error) {
      throw new Error(
        `seed ${seed}, ${mode}, ${JSON.stringify(scope)}: ${error instanceof Error ? error.message : String(error)}\n${text}`,
      )
    }
  }
  if (!only) assert.ok(made > count / 3, `only ${made} manifests could be changed`)
})

test.run()
