// Manifests in many styles, which get the agent's script into them.
import { readFileSync } from 'node:fs'

/** The agent as it is. */
export const script = readFileSync(new URL('../../agent/hotswap-dev', import.meta.url), 'utf8')
const tail = '      containers:\n      - {name: a, image: hello, command: [hello]}\n'
/** A Deployment, with lines for the metadata of its pods and behind it. */
export const workload = (metadata: string, behind = '') =>
  `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  selector: {matchLabels: {app: a}}\n  template:\n${metadata}    spec:\n${tail}${behind}`
const block = '    metadata:\n      labels:\n        app: a\n'
/** Each with what may stand behind the script. */
export const shapes: readonly [title: string, text: string, hidden?: string][] = [
  ['block style', workload(block)],
  ['annotations of its own', workload(`${block}      annotations:\n        # why\n        a.b/c: "1" # mine\n`)],
  ['metadata in flow style', workload('    metadata: {labels: {app: a}}\n')],
  [
    'flow style on several lines, with comments',
    workload('    metadata: { # pods\n      labels: {\n        app: a # the app\n      },\n      # of ours\n    }\n'),
  ],
  [
    'annotations in flow style',
    workload(`${block}      annotations: {a.b/c: "1", 'd': |-2}\n`.replace('|-2', '"e: #f"')),
  ],
  ['JSON in YAML', workload('    metadata: {"labels":{"app":"a"},"annotations":{"a.b/c":"1"}} # done\n')],
  ['a value below its key', workload('    metadata:\n      {labels: {app: a}}\n')],
  ['an anchor of its own', workload('    metadata: &m {labels: &l {app: a}}\n')],
  [
    'an alias of labels',
    workload(block).replace('matchLabels: {', 'matchLabels: &l {').replace('labels:\n        app: a', 'labels: *l'),
  ],
  ['no metadata', workload('')],
  ['an empty one', workload('    metadata: {}\n')],
  ['siblings behind it', workload(block, '  # how\n  strategy:\n    type: Recreate\n  replicas: 1\n')],
  [
    'spec before metadata',
    'kind: Deployment\napiVersion: apps/v1\nspec:\n  template:\n    spec:\n' +
      tail +
      block +
      '  selector: {matchLabels: {app: a}}\nmetadata: {name: d}\n',
  ],
  ['comments at the end', workload(block, '      # of the spec\n  # of the object\n# of the document\n')],
  ['comments and blank lines at the end', workload(block, '\n# last words\n\n\n')],
  ['no line break at the end', workload(block).trimEnd()],
  ['an end mark', `${workload(block)}...\n`],
  [
    'several documents',
    `# first\n${workload(block, '# end\n')}---\n# second\n${workload('    metadata: {labels: {app: a}}\n')}`,
  ],
  ['another document behind it', `${workload(block)}--- # next\napiVersion: v1\nkind: Service\nmetadata: {name: s}\n`],
  [
    'a text that keeps its line breaks, which would get another one there',
    workload(`${block}      annotations:\n        t: |+\n          one\n\n`, '\n'),
    'spec:',
  ],
  [
    'a pod',
    'apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: a}}\nspec:\n  containers:\n  - {name: a, image: hello, command: [hello]}\n# end\n',
  ],
  [
    'a list',
    `apiVersion: v1\nkind: List\nitems:\n- ${workload(block, '# of the item\n').replaceAll('\n', '\n  ').trimEnd()}\n# between\n- apiVersion: v1\n  kind: Service\n  metadata: {name: s}\n`,
    'kind: Service',
  ],
  [
    'a label that is anchored for the pod',
    workload(
      '    metadata: {labels: &l {app: a}}\n',
      '      topologySpreadConstraints:\n      - {maxSkew: 1, topologyKey: t, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: *l}}\n',
    ),
    'topologySpreadConstraints',
  ],
]

interface Metadata {
  readonly annotations: Readonly<Record<string, string>>
}

/** An object, or a list of some. */
export interface Workload {
  readonly kind: string
  readonly items?: readonly Workload[]
  readonly metadata: Metadata
  readonly spec: { readonly template: { readonly metadata: Metadata } }
}

/** What the objects of a text have for an agent: of pods, else of pod templates. */
export function scriptsOf(objects: readonly Workload[]): (string | undefined)[] {
  const all = objects.flatMap((object) => object.items ?? [object]).filter(({ kind }) => kind !== 'Service')
  return all.map(
    ({ kind, metadata, spec }) =>
      (kind === 'Pod' ? metadata : spec.template.metadata).annotations['hotswap-dev/script'],
  )
}
