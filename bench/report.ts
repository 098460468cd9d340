// What the bench has measured, as a Markdown table and as an SVG plot. Pure.
import { sides, type Sample, type Side } from './pairs.ts'

const cpuWords = (cpu: string | undefined) => (cpu === undefined ? '' : `, pod limited to ${cpu} CPU`)
const linkWords = { direct: 'direct', '50': '50 Mbit/s, 20 ms', '10': '10 Mbit/s, 40 ms' } as const

interface Row {
  readonly title: string
  readonly link: string
  readonly build: string
  readonly replicas: number
  readonly samples: Readonly<Record<Side, readonly Sample[]>>
}

/** One row for each cell, in the order in which they were measured. */
function rows(samples: readonly Sample[]): Row[] {
  const groups = new Map<string, Sample[]>()
  for (const sample of samples) {
    const key = `${linkWords[sample.link]}${cpuWords(sample.cpu)} · ${sample.build} · ${sample.replicas} ${sample.replicas === 1 ? 'pod' : 'pods'}`
    groups.set(key, [...(groups.get(key) ?? []), sample])
  }
  return [...groups].flatMap(([title, all]) => {
    const [first] = all
    const of = (side: Side) => all.filter((sample) => sample.side === side)
    if (first === undefined || sides.some((side) => of(side).length === 0)) return []
    const { link, build, replicas, cpu } = first
    const both = { 'kubectl cp': of('kubectl cp'), 'deploy-dev': of('deploy-dev') }
    return [{ title, link: linkWords[link] + cpuWords(cpu), build, replicas, samples: both }]
  })
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const [low = 0, high = 0] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]]
  return (low + high) / 2
}

const seconds = (samples: readonly Sample[]) => samples.map((sample) => sample.seconds)
const megabytes = (samples: readonly Sample[]) => {
  const counted = samples.flatMap(({ up }) => (up === undefined ? [] : [up]))
  if (counted.length === 0) return ''
  const up = median(counted) / 1e6
  return up.toFixed(up < 1 ? 3 : 1)
}
const processor = (samples: readonly Sample[]) => median(samples.map(({ used }) => used)).toFixed(2)
const range = (values: readonly number[]) =>
  `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)} – ${Math.max(...values).toFixed(2)})`

/** Median (minimum – maximum) of the seconds on both sides, how many times faster deploy-dev is, and the bytes. */
export function table(samples: readonly Sample[]): string[] {
  return [
    '| link | build | binary | pods | pairs | kubectl cp + classical agent, s | deploy-dev, s | encoding | times faster | MB up: kubectl cp | MB up: deploy-dev | CPU in a pod, s: kubectl cp | CPU in a pod, s: deploy-dev |',
    '|---|---|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|---:|',
    ...rows(samples).map(({ link, build, replicas, samples: { 'kubectl cp': cp, 'deploy-dev': ours } }) => {
      const binary = `${(median(ours.map(({ size }) => size)) / 1e6).toFixed(0)} MB`
      const ratio = (median(seconds(cp)) / median(seconds(ours))).toFixed(1)
      const encoding = [...new Set(ours.map((sample) => sample.encoding))].join(', ')
      const cells = [
        link,
        build,
        binary,
        replicas,
        ours.length,
        range(seconds(cp)),
        range(seconds(ours)),
        encoding,
        ratio,
      ]
      return `| ${[...cells, megabytes(cp), megabytes(ours), processor(cp), processor(ours)].join(' | ')} |`
    }),
  ]
}

/** What more pods cost over the slowest link: their bytes, and the time that those need there. */
export function morePods(samples: readonly Sample[]): string[] {
  const ours = samples.filter(({ side, link, build }) => side === 'deploy-dev' && link === '10' && build === 'release')
  const [one = [], five = []] = [1, 5].map((replicas) => ours.filter((sample) => sample.replicas === replicas))
  // the program grows from edit to edit: bytes are compared where it was of the same size
  const same = one.flatMap((a) => five.filter((b) => b.size === a.size).map((b) => [a.up ?? 0, b.up ?? 0] as const))
  if (same.length === 0) return []
  const times = median(same.map(([a, b]) => b / a))
  const need = median(same.map(([a, b]) => b - a)) / (10e6 / 8)
  const more = median(seconds(five)) - median(seconds(one))
  return [
    '',
    `Five pods over 10 Mbit/s: ${times.toFixed(3)} times the bytes of one, ${more.toFixed(1)} s more than one; the bytes alone need ${need.toFixed(1)} s more.`,
  ]
}

const colours: Readonly<Record<Side, string>> = { 'kubectl cp': '#b0b7bf', 'deploy-dev': '#2563a8' }
const labels: Readonly<Record<Side, string>> = {
  'kubectl cp': 'kubectl cp + classical agent',
  'deploy-dev': 'deploy-dev',
}

/** Bars of the medians, with a line from the minimum to the maximum. */
export function plot(samples: readonly Sample[]): string {
  return bars({
    series: sides.map((side) => ({ label: labels[side], colour: colours[side] })),
    rows: rows(samples).map(({ title, samples: both }) => ({
      title,
      values: sides.map((side) => seconds(both[side])),
    })),
    least: 0.5,
    ticks: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    words: (value, exact) => `${exact ? value.toFixed(value < 10 ? 2 : 0) : value} s`,
  })
}

/** The delta of one edit, beside what other programs make of it where they are here. */
export interface Patched {
  readonly service: string
  readonly build: string
  readonly edit: string
  /** Bytes of the new binary, and of each patch. */
  readonly whole: number
  readonly delta: number
  readonly bsdiff: number | undefined
  readonly zstd: number | undefined
  /** Seconds for the index of the old binary, to encode, as bsdiff and zstd do it, and to decode. */
  readonly index: number
  readonly encode: number
  readonly bsdiffTook: number | undefined
  readonly zstdTook: number | undefined
  readonly decode: number
  /** Bytes of memory: of the decoder, bspatch and zstd. */
  readonly decoder: number
  readonly bspatch: number | undefined
  readonly unzstd: number | undefined
}

/** What each edit costs as a delta, with bsdiff and with zstd. */
export function patchTable(all: readonly Patched[]): string[] {
  const number = (value: number | undefined, unit: number, digits: number) =>
    value === undefined || Number.isNaN(value) ? '' : (value / unit).toFixed(digits)
  return [
    '| service | build | edit | whole, MB | delta, KB | bsdiff, KB | of bsdiff | zstd -1 patch, KB | index, s | encode, s | bsdiff, s | times faster | zstd, s | decode, s | decoder, MB | bspatch, MB | zstd -d, MB |',
    '|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|',
    ...all.map((of) => {
      const ratio = (above: number | undefined, below: number | undefined) =>
        above === undefined || below === undefined ? undefined : above / below
      const cells = [
        of.service,
        of.build,
        of.edit,
        number(of.whole, 1e6, 1),
        number(of.delta, 1e3, 0),
        number(of.bsdiff, 1e3, 0),
        number(ratio(of.delta, of.bsdiff), 1, 2),
        number(of.zstd, 1e3, 0),
        number(of.index, 1, 2),
        number(of.encode, 1, 2),
        number(of.bsdiffTook, 1, 1),
        number(ratio(of.bsdiffTook, of.encode), 1, 0),
        number(of.zstdTook, 1, 2),
        number(of.decode, 1, 2),
        number(of.decoder, 1e6, 1),
        number(of.bspatch, 1e6, 1),
        number(of.unzstd, 1e6, 1),
      ]
      return `| ${cells.join(' | ')} |`
    }),
  ]
}

/** Bars of the bytes of each patch, and of the whole file. */
export function patchPlot(all: readonly Patched[]): string {
  return bars({
    series: [
      { label: 'delta', colour: colours['deploy-dev'] },
      { label: 'bsdiff', colour: '#7fa8d4' },
      { label: 'zstd --patch-from', colour: '#b0b7bf' },
      { label: 'whole', colour: '#dfe3e7' },
    ],
    rows: all.map(({ service, build, edit, delta, bsdiff, zstd, whole }) => ({
      title: `${service} · ${build} · ${edit}`,
      values: [delta, bsdiff, zstd, whole].map((value) => (value === undefined ? [] : [value / 1e3])),
    })),
    least: 10,
    ticks: [20, 100, 500, 2_000, 10_000, 50_000, 200_000],
    words: (value) => (value < 1e3 ? `${value.toFixed(0)} KB` : `${(value / 1e3).toFixed(value < 1e4 ? 1 : 0)} MB`),
  })
}

interface Bars {
  readonly series: readonly { readonly label: string; readonly colour: string }[]
  /** `values` are those of each series. */
  readonly rows: readonly { readonly title: string; readonly values: readonly (readonly number[])[] }[]
  /** Where a bar begins. */
  readonly least: number
  readonly ticks: readonly number[]
  readonly words: (value: number, exact: boolean) => string
}

/** Bars of the medians on a logarithmic scale, with a line from the minimum to the maximum. */
function bars({ series, rows, least: low, ticks, words }: Bars): string {
  const [left, width, bar, gap, top] = [240, 520, 13, 16, 56]
  const key = width / series.length
  const longest = Math.max(...rows.flatMap(({ values }) => values.flat()))
  const shown = ticks.slice(0, ticks.findIndex((tick) => tick >= longest) + 1 || ticks.length)
  const high = shown.at(-1) ?? longest
  const x = (value: number) => Math.round(left + (Math.log(value / low) / Math.log(high / low)) * width)
  const height = top + rows.length * (series.length * bar + gap) + 34
  const text = (at: number, y: number, content: string, more = '') =>
    `<text x="${at}" y="${y}" ${more}>${content}</text>`
  const parts = shown.flatMap((tick) => [
    `<line x1="${x(tick)}" x2="${x(tick)}" y1="${top - 8}" y2="${height - 30}" stroke="#d7dbe0"/>`,
    text(x(tick), height - 14, words(tick, false), 'text-anchor="middle"'),
  ])
  series.forEach(({ label, colour }, at) => {
    parts.push(`<rect x="${left + at * key}" y="14" width="12" height="12" fill="${colour}"/>`)
    parts.push(text(left + at * key + 18, 24, label))
  })
  rows.forEach(({ title, values: measured }, row) => {
    const y = top + row * (series.length * bar + gap)
    parts.push(text(left - 10, y + (series.length * bar) / 2 + 4, title, 'text-anchor="end"'))
    measured.forEach((values, at) => {
      if (values.length === 0) return
      const [from, middle] = [y + at * bar, y + at * bar + bar / 2]
      const [least, most, centre] = [Math.min(...values), Math.max(...values), median(values)]
      parts.push(
        `<rect x="${left}" y="${from}" width="${x(centre) - left}" height="${bar - 1}" fill="${series[at]?.colour}"/>`,
        `<line x1="${x(least)}" x2="${x(most)}" y1="${middle}" y2="${middle}" stroke="#333"/>`,
        text(x(most) + 6, middle + 4, words(centre, true)),
      )
    })
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${left + width + 80}" height="${height}" font-family="sans-serif" font-size="12" fill="#222">`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...parts,
    '</svg>',
  ].join('\n')
}
