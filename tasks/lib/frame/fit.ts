// A table as wide as the reader has room for. Pure, but for how wide that is.
import { environment } from './environment.ts'
import { table } from './words.ts'

const usual = 80
const indent = '  '

/** Columns of what reads stdout: the terminal's; elsewhere COLUMNS, or 80. */
export function width(): number {
  const asked = process.stdout.isTTY ? process.stdout.columns : Number(environment().COLUMNS)
  return asked > 0 ? asked : usual
}

/**
 * A table within a width, the titles first; of each row the last cell is a sentence, which stands below it if there is one.
 * Where the columns do not fit, the first cell has a line of its own, and then each of the others too.
 */
export function fitted(titles: readonly string[], rows: readonly (readonly string[])[], room: number): string[] {
  const cells = [titles, ...rows].map((row) => row.slice(0, -1))
  const sentences = ['', ...rows.map((row) => row.at(-1) ?? '')]
  const below = (at: number) => wrapped(sentences[at] ?? '', room)
  const beside = table(cells)
  if (fits(beside, room)) return beside.flatMap((line, at) => [line, ...below(at)])
  const rest = table(cells.map((row) => row.slice(1))).map((line) => indent + line)
  if (fits(rest, room))
    return rest.flatMap((line, at) => [...(at === 0 ? [] : folded(cells[at]?.[0] ?? '', room)), line, ...below(at)])
  const widest = Math.max(...titles.slice(1, -1).map((title) => title.length))
  return rows.flatMap((row, at) => [
    ...folded(row[0] ?? '', room),
    ...row
      .slice(1, -1)
      .flatMap((cell, column) => folded(`${indent}${titles[column + 1]?.padEnd(widest)}${indent}${cell}`, room)),
    ...below(at + 1),
  ])
}

/** A moment as the daily loop has it, the time of day here; the day where that was before today. Else the text as it is. */
export function since(moment: string, now: Date): string {
  const then = new Date(moment)
  if (Number.isNaN(then.getTime())) return moment
  if (then.toDateString() === now.toDateString()) return then.toTimeString().slice(0, 8)
  return [then.getFullYear(), then.getMonth() + 1, then.getDate()]
    .map((part) => String(part).padStart(2, '0'))
    .join('-')
}

function fits(lines: readonly string[], room: number): boolean {
  return lines.every((line) => line.length <= room)
}

/** A text in lines of that width, indented, broken between words; a longer word goes on in the next line. */
function wrapped(text: string, room: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ').filter((each) => each !== '')) {
    const longer = `${lines.at(-1) ?? ''} ${word}`
    if (lines.length > 0 && longer.length <= room) lines[lines.length - 1] = longer
    else lines.push(...folded(indent + word, room))
  }
  return lines
}

function folded(text: string, room: number): string[] {
  if (text.length <= room || room <= indent.length) return [text]
  return [text.slice(0, room), ...folded(indent + text.slice(room), room)]
}
