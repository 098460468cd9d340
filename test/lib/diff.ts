// What differs between two texts, line by line.

/**
 * @returns the lines that went, as `-LINE`, and those that came, as `+LINE`, in order; `@N` before each place, N its line in the
 * first text. A carriage return is shown as ␍, a missing line break at the end as ␄.
 */
export function changedLines(before: string, after: string): string[] {
  const [old, now] = [lines(before), lines(after)]
  // common[i][j]: how many lines old.slice(i) and now.slice(j) have in common, in order.
  const common = old
    .map(() => new Array<number>(now.length + 1).fill(0))
    .concat([new Array<number>(now.length + 1).fill(0)])
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      const row = common[i]
      if (row) row[j] = old[i] === now[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1))
    }
  }
  const result: string[] = []
  let [i, j, kept] = [0, 0, true]
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      i++
      j++
      kept = true
      continue
    }
    if (kept) result.push(`@${i + 1}`)
    kept = false
    if (i < old.length && (j === now.length || at(i + 1, j) >= at(i, j + 1))) result.push(`-${old[i++]}`)
    else result.push(`+${now[j++]}`)
  }
  return result
}

function lines(text: string): string[] {
  const all = text.replaceAll('\r', '␍').split('\n')
  const last = all.pop()
  return last ? [...all, `${last}␄`] : all
}
