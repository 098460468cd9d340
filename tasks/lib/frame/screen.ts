// The screen of a task that goes on: lines that pass, and below them one line that still changes. Without a terminal only
// the others are written.
import { environment } from './environment.ts'
import { onEnd } from './ending.ts'
import { print, writeThrough } from './talk.ts'

/** How a result is to be taken. */
export type Tone = 'good' | 'bad' | 'plain'

export interface Screen {
  /** The open line, on a terminal; it stays below all others, whoever prints them. Empty: there is none. */
  readonly open: (text: string) => void
  /** A line of the result: stdout. It takes the place of the open line. */
  readonly result: (text: string, tone?: Tone) => void
  /** Characters of a line there, where stdout is the terminal. */
  readonly room: () => number
}

const codes = { good: '1;32', bad: '1;31', plain: '1' } // bold, and green or red

/** Whether colours may go to a stream: a terminal, and NO_COLOR is not set. */
export function isColoured({ isTTY }: { readonly isTTY?: boolean }): boolean {
  const { NO_COLOR = '' } = environment()
  return isTTY === true && NO_COLOR === ''
}

/** A line that stands out on a terminal. */
export function outstanding(text: string, tone: Tone, stream: { readonly isTTY?: boolean }): string {
  return isColoured(stream) ? `\x1b[${codes[tone]}m${text}\x1b[0m` : text
}

/** A screen; `quiet` has no open line. */
export function screen(quiet: boolean): Screen {
  const terminal = !quiet && process.stderr.isTTY
  let text = ''
  let drawn = false
  let ended = false
  const clear = () => {
    if (drawn) process.stderr.write('\r\x1b[K')
    drawn = false
  }
  const draw = () => {
    clear()
    if (!terminal || text === '') return
    process.stderr.write(text.slice(0, (process.stderr.columns || 80) - 1))
    drawn = true
  }
  writeThrough((write) => {
    clear()
    write()
    draw()
  })
  const open = (words: string) => {
    if (ended || words === text) return
    text = words
    draw()
  }
  onEnd(() => {
    open('')
    ended = true // what a build or a pod says late is not drawn over the shell's prompt
  })
  return {
    open,
    room: () => (process.stdout.isTTY ? process.stdout.columns || 80 : Infinity),
    result: (words, tone = 'plain') => {
      open('')
      print(outstanding(words, tone, process.stdout))
    },
  }
}
