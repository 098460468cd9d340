// Words and figures: how a line is split the way go does it, and how sizes and times are shown.

/** A quote inside of a word: go takes it as a character. */
export class InnerQuote extends Error {}

/**
 * The words of a flag line as go splits them (cmd/internal/quoted, Split): at white space, a word that begins with ' or "
 * goes on to the next such quote, nothing is unescaped. Throws an Error if a quote is left open, or stands inside a
 * word, where go would take it as a character and split at the next space.
 */
export function words(line: string): string[] {
  const list: string[] = []
  let rest = line.trimStart()
  while (rest !== '') {
    const quote = /^['"]/.exec(rest)?.[0]
    const end = quote === undefined ? rest.search(/\s|$/) : rest.indexOf(quote, 1)
    if (end < 0) throw new Error(`has a quote that is never closed: ${rest}`)
    const word = rest.slice(quote === undefined ? 0 : 1, end)
    if (quote === undefined && /['"]/.test(word))
      throw new InnerQuote(`has a quote inside a word (${word}): put it around the whole word, as in '-tags=a b'`)
    list.push(word)
    rest = rest.slice(quote === undefined ? end : end + 1).trimStart()
  }
  return list
}

/** Bytes as a person reads them, decimal: 7312384 is `7.3 MB`, 5120 is `5.1 kB`. */
export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`
  return bytes < 999_950 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`
}

/** Milliseconds as seconds with one decimal: 1234 is `1.2 s`. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** Rows of equal columns, as wide as their widest cell. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
