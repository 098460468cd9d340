// The screen of a task that goes on: lines that pass, and below them one line that still changes. Without a terminal only
// the others are written.
import { onEnd, print, writeThrough } from './task.ts'

export interface Screen {
  /** The open line, on a terminal; it stays below all others, whoever prints them. Empty: there is none. */
  readonly open: (text: string) => void
  /** A line of the result: stdout. It takes the place of the open line. */
  readonly result: (text: string) => void
  /** Characters of a line there, where stdout is the terminal. */
  readonly room: () => number
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
    result: (words) => {
      open('')
      print(words)
    },
  }
}
