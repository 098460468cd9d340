// The command of a container that runs the agent: made for the dev manifest, and read from one. Pure.
import { posix } from 'node:path'
import { at } from '../frame/json.ts'

/** What the command of a container says about the agent in it. */
export interface AgentCommand {
  /** The words that run the agent, without its options: what exec calls for `put` and `status`. */
  readonly agent: readonly string[]
  /** The program; undefined if neither command nor args name it. */
  readonly binary: string | undefined
  /** The arguments of the program. */
  readonly args: readonly string[]
  /** The agent's -r; empty without a debugger. */
  readonly wrapper: string
  /** The port of Delve; undefined without a debugger. */
  readonly debugPort: number | undefined
}

/** Where an injected pod has its volume of tools and binaries. */
export const FOLDER = '/hotswap'

/** The words that run an injected agent. */
export const INJECTED: readonly string[] = [`${FOLDER}/bin/busybox`, 'sh', `${FOLDER}/agent/hotswap-dev`]

/** Whether the words run an injected agent. */
export function isInjected(agent: readonly string[]): boolean {
  return agent.join(' ') === INJECTED.join(' ')
}

/** The shell that runs the agent: one that it brought along, as an image may have no other. */
export function agentShell(agent: readonly string[]): readonly string[] {
  return agent.length > 1 ? agent.slice(0, -1) : ['sh']
}

/** The wrapper that debugs the program. Loopback alone: whoever reaches the port can run code; a port-forward reaches loopback. */
export function delve(port: number, wait: boolean): string {
  const options = [`--listen=127.0.0.1:${port}`, '--headless', '--accept-multiclient', ...(wait ? [] : ['--continue'])]
  // The forward comes from another user than a program that is not root.
  return ['dlv', 'exec', ...options, '--only-same-user=false', '{{binPath}}', '--'].join(' ')
}

/** Whether a wrapper lets the program wait for a client of its debugger. */
export function waits(wrapper: string): boolean {
  return !wrapper.includes('--continue')
}

/** The words in front of the program and its arguments. No wrapper: empty. `original`: what the program is a copy of at first. */
export function agentWords(agent: readonly string[], wrapper: string, original?: string): string[] {
  return [
    ...agent,
    ...(original === undefined ? [] : ['-c', original]),
    ...(wrapper === '' ? [] : ['-r', wrapper]),
    '--',
  ]
}

/** Reads command and args, as one list of words; undefined if they do not run the agent. */
export function agentCommand(words: readonly string[]): AgentCommand | undefined {
  const at = words.findIndex((word, index) => posix.basename(word) === 'hotswap-dev' && startsAgent(words, index))
  if (at < 0) return undefined
  const before = words
    .slice(0, at)
    .map((word) => !AGENT_SHELL.test(posix.basename(word)))
    .lastIndexOf(true)
  const isOurs = isInjected(words.slice(Math.max(0, at - 2), at + 1))
  // after `sh -c 'exec "$@"' sh` a shell is a name alone: one that runs the agent has its path
  const hasShell = before < 0 || words[at]?.includes('/') === true
  const agent = words.slice(isOurs ? at - 2 : hasShell ? before + 1 : at, at + 1)
  let wrapper = ''
  let rest = words.slice(at + 1)
  for (let [word = ''] = rest; /^-[rtc]/.test(word); [word = ''] = rest) {
    const value = word.length > 2 ? word.slice(2) : (rest[1] ?? '')
    if (word.startsWith('-r')) wrapper = value
    rest = rest.slice(word.length > 2 ? 1 : 2)
  }
  const [binary, ...args] = rest[0] === '--' ? rest.slice(1) : rest
  const port = /\bdlv\b.*\s(?:--listen|-l)[= ]\S*:(\d+)(?:\s|$)/.exec(wrapper)?.[1]
  return { agent, binary, args, wrapper, debugPort: port === undefined ? undefined : Number(port) }
}

/** The items of a list as words: a manifest may have numbers among them. */
export function wordsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

/** The command of a container, from its JSON; undefined if it does not run the agent. */
export function agentOf(container: unknown): AgentCommand | undefined {
  return agentCommand([...wordsOf(at(container, 'command')), ...wordsOf(at(container, 'args'))])
}

/** Whether a container runs the agent. */
export function runsAgent(container: unknown): boolean {
  return agentOf(container) !== undefined
}

const AGENT_SHELL = /^(?:busybox|sh|ash|dash|bash)$/

/** Whether the word at an index is the agent: after shells alone, or after a launcher, where its options follow. */
function startsAgent(words: readonly string[], index: number): boolean {
  const front = words.slice(0, index)
  return front.every((word) => AGENT_SHELL.test(posix.basename(word))) || /^-(?:-$|[rtc])/.test(words[index + 1] ?? '')
}

/**
 * How a word names the program: `path`, `name` where it has to become the path, undefined if it is another one.
 * @param folder the container's workingDir; undefined if only the image knows it.
 */
export function naming(word: string, binaryPath: string, folder: string | undefined): 'path' | 'name' | undefined {
  if (word === binaryPath) return 'path'
  if (word === posix.basename(binaryPath)) return 'name'
  if (!word.includes('/')) return undefined
  const relative = !posix.isAbsolute(word) && folder === undefined
  const same = relative ? binaryPath.endsWith(posix.join('/', word)) : posix.resolve(folder ?? '/', word) === binaryPath
  return same ? 'name' : undefined
}

const SHELL = /^(?:ba|da|a|z|k)?sh$/
// what takes a user as its first word
const AS_USER = /^(?:gosu|su-exec|s6-setuidgid)$/
const LAUNCHER =
  /^(?:(?:ba|da|a|z|k)?sh|busybox|tini(?:-static)?|dumb-init|catatonit|gosu|su-exec|s6-setuidgid|setpriv|env|nice|nohup|stdbuf|timeout|dlv|.*\.sh|(?:[\w.-]+-)?entrypoint)$/

/** Whether a word is a shell, an init or another program that is there to start the one that it is given. */
export function isLauncher(word: string): boolean {
  return LAUNCHER.test(posix.basename(word))
}

/** The text that a shell among the words is given with -c; undefined if none is. */
export function shellText(words: readonly string[]): string | undefined {
  const shell = words.findIndex((word) => SHELL.test(posix.basename(word)))
  const option = words.findIndex((word, index) => index > shell && /^-[a-z]*c$/.test(word))
  return shell < 0 || option < 0 ? undefined : (words[option + 1] ?? '')
}

/**
 * Which of the words a launcher in front of it starts: the first that names the program. Undefined if none does, or another
 * program gets it as an argument, or it is a debugger's.
 */
export function launchedAt(
  words: readonly string[],
  binaryPath: string,
  folder: string | undefined,
): number | undefined {
  const known = isLauncher(words[0] ?? '')
  const at = words.findIndex((word, index) => {
    const before = posix.basename(words[index - 1] ?? '')
    if (index === 0 || AS_USER.test(before)) return false
    const named = naming(word, binaryPath, folder)
    // what is no launcher by its name may be one, if the very path follows that is no option's value
    return known
      ? named !== undefined && !isLauncher(word)
      : named === 'path' && (before === '--' || !before.startsWith('-'))
  })
  const front = words.slice(0, at)
  if (at < 0 || front.some((word) => posix.basename(word) === 'dlv')) return undefined
  // a shell's text may end in exec "$@"
  return shellText(front)?.includes('$@') === false ? undefined : at
}

/** What a launcher seems to start, as an absolute path; undefined if no word looks like one. */
export function launched([launcher = '', ...words]: readonly string[]): string | undefined {
  const script = shellText([launcher, ...words])
  if (script === undefined && !SHELL.test(posix.basename(launcher)))
    return words.find((word) => /^\/\S+$/.test(word) && !isLauncher(word))
  const text = script ?? ''
  const [, path] = /\bexec\s+(\/[\w./@+-]+)/.exec(text) ?? /(?:^|[;&|])\s*(\/[\w./@+-]+)/.exec(text) ?? []
  return path
}
