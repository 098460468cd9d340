// Formats: what each kind of setting may hold, as tight as its field allows. Pure.
import { words } from '../frame/words.ts'

export interface Format<T> {
  /** What is allowed, for the user: completes "must be ...". */
  readonly allowed: string
  readonly example: string
  /** The value, or undefined if the text is not allowed. May throw an Error that says more. */
  readonly read: (text: string) => T | undefined
}

/** Characters that no setting may hold. */
export const control = /[\0-\x1f\x7f-\x9f\u2028\u2029]/

/** One of these words; the empty one stands for a default that is computed. */
export const oneOf = <T extends string>(...values: readonly T[]): Format<T> => ({
  allowed: `one of ${values.filter((value) => value !== '').join(', ')}${values.some((v) => v === '') ? ', or empty' : ''}`,
  example: values.find((value) => value !== '') ?? '',
  read: (text) => values.find((value) => value === text),
})
/** A text that the whole pattern fits. */
export const matching = (pattern: RegExp, allowed: string, example: string): Format<string> => ({
  allowed,
  example,
  read: (text) => (pattern.test(text) ? text : undefined),
})
/** The same, or nothing. */
export const orEmpty = (format: Format<string>): Format<string> => ({
  allowed: `${format.allowed}, or empty`,
  example: format.example,
  read: (text) => (text === '' ? '' : format.read(text)),
})
const number = (from: number, to: number, pattern: RegExp, kind: string, example: string): Format<number> => ({
  allowed: `${kind} from ${from} to ${to}`,
  example,
  read: (text) => (pattern.test(text) && Number(text) >= from && Number(text) <= to ? Number(text) : undefined),
})

/** A path on this machine, absolute or from the top folder, that neither a shell nor a flag parser could take for more. */
export const path = (example: string) =>
  matching(
    /^(?![-~ ])[\p{L}\p{N}._/+@,=:%#()~ -]+(?<! )$/u,
    'a path of letters, digits, spaces and ._/+@,=:%#()~- that begins with none of - ~ space',
    example,
  )
/** A path that ends in the name of a file. */
export const filePath = (example: string): Format<string> => {
  const { read, allowed } = path(example)
  const isFolder = /(?:^|\/)\.{0,2}$/
  return {
    allowed: `${allowed}, and ends in the name of a file`,
    example,
    read: (text) => (isFolder.test(text) ? undefined : read(text)),
  }
}
/** Seconds with at most two decimals, which is as fine as the agent counts. */
export const seconds = (from: number, to: number, example: string) =>
  number(from, to, /^\d{1,4}(\.\d{1,2})?$/, 'seconds, with at most two decimals,', example)
/** A TCP port. */
export const port = (example: string) => number(1, 65535, /^[1-9]\d{0,4}$/, 'a port', example)

/** A DNS-1123 label: kubernetes.io/docs/concepts/overview/working-with-objects/names */
export const label = (example: string) =>
  matching(/^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, 'at most 63 lower-case letters, digits and inner -', example)

// the grammar of github.com/distribution/reference
const hostPart = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?'
const imagePart = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
/** An image reference. */
export const image = (example: string) =>
  matching(
    new RegExp(
      `^(?=.{1,383}$)(?:${hostPart}(?:\\.${hostPart})*(?::\\d{1,5})?/)?${imagePart}(?:/${imagePart})*` +
        '(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$',
    ),
    'an image reference [HOST[:PORT]/]NAME[:TAG][@sha256:...]',
    example,
  )

// kubernetes.io/docs/concepts/overview/working-with-objects/labels
const name63 = '[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?'
const labelKey = `(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?${name63}`
const labelValues = `\\( *(?:${name63})?(?: *, *(?:${name63})?)* *\\)`
const requirement = `(?:${labelKey} *(?:==?|!=) *(?:${name63})?|${labelKey} +(?:in|notin) +${labelValues}|!?${labelKey})`
/** A label selector of one requirement or more: an empty one would select every pod. */
export const selector = matching(
  new RegExp(`^${requirement}(?: *, *${requirement})*$`),
  'a label selector that is not empty',
  'app=hello,tier in (web,api)',
)

/** The absolute path of the binary in the container: it stands in annotations, shell-free commands and file names. */
export const binaryPath = matching(
  /^(?:\/(?!\.{1,2}(?:\/|$))(?! )[A-Za-z0-9._+@ -]{1,200}(?<! ))+$/,
  'an absolute path without . or .. or // or a / at its end, of letters, digits, inner spaces and ._+@-',
  '/usr/local/bin/hello',
)

/** Linker, compiler and output flags are ours: given again in GO_FLAGS they would override ours without a word. */
const ours: Readonly<Record<string, string>> = {
  ldflags: 'use GO_LDFLAGS',
  gcflags: 'npm run build-debug sets it',
  o: 'use BINARY',
}
// flags of `go help build` that take the next word as their value: the last of them would swallow the package
const withValue =
  /^--?(C|p|asmflags|buildmode|compiler|covermode|coverpkg|gccgoflags|installsuffix|mod|modfile|overlay|pgo|pkgdir|tags|toolexec)$/
/** GO_FLAGS, as words. */
export const goFlags: Format<readonly string[]> = {
  allowed: 'flags of go build, each beginning with -',
  example: '-trimpath -tags "a b"',
  read: (text) => {
    const list = words(text)
    if (list.length > 0 && !list[0]?.startsWith('-')) return undefined
    for (const word of list) {
      const flag = /^--?([a-z]+)(?:=|$)/.exec(word)?.[1] ?? ''
      const hint = Object.hasOwn(ours, flag) ? ours[flag] : undefined
      if (hint !== undefined)
        throw new Error(`must not hold -${flag}, which would override the one of the task: ${hint}`)
    }
    const last = list.at(-1) ?? ''
    if (withValue.test(last)) throw new Error(`ends in ${last} without its value`)
    return list
  },
}
