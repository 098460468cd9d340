// What was on a terminal, from the bytes that went there and their times; and a picture of it. Pure.

/** Some output, and when it came: ms from the start. */
export interface Said {
  readonly at: number
  readonly text: string
}

/** Characters in one style. */
interface Span {
  readonly text: string
  /** Of SGR: 1 bold, 2 dim, 31 to 36 a colour. */
  readonly style: readonly number[]
}

/** A line as it was left, and when it got its last character. */
export interface Line {
  readonly at: number
  readonly text: string
  readonly spans: readonly Span[]
}

/** The lines that a terminal has shown in the end: it knows newline, carriage return, "erase to the end of the line" and colours. */
export function screenOf(said: readonly Said[]): Line[] {
  const lines: Line[] = []
  let style: readonly number[] = []
  let spans: Span[] = []
  let last = 0
  for (const { at, text } of said)
    for (const part of text.match(/\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+/g) ?? []) {
      if (part === '\n') {
        lines.push({ at: last, text: spans.map((span) => span.text).join(''), spans })
        spans = []
      } else if (part === '\x1b[K') spans = []
      else if (part === '\r') continue
      else if (part.startsWith('\x1b[')) style = part.endsWith('m') ? styled(style, part) : style
      else {
        spans = [...spans, { text: part, style }]
        last = at
      }
    }
  return spans.length === 0 ? lines : [...lines, { at: last, text: spans.map((span) => span.text).join(''), spans }]
}

function styled(style: readonly number[], escape: string): readonly number[] {
  const codes = escape.slice(2, -1).split(';').map(Number)
  return codes.reduce<readonly number[]>((now, code) => (code === 0 ? [] : [...now, code]), style)
}

const colours: Readonly<Record<number, string>> = {
  31: '#ff7b72',
  32: '#7ee787',
  33: '#e3b341',
  34: '#79c0ff',
  35: '#d2a8ff',
  36: '#56d4dd',
}
const [height, width, margin, longest] = [18, 7.85, 16, 4_000]

/** The lines as an SVG: each appears when it did, waits of more than four seconds cut short, and the whole stays. */
export function drawn(lines: readonly Line[], columns: number): string {
  const size = { width: Math.ceil(columns * width + 2 * margin), height: lines.length * height + 2 * margin }
  let [shown, before] = [0, 0]
  const rows = lines.map(({ at, text, spans }, row) => {
    shown += Math.min(Math.max(0, at - before), longest)
    before = Math.max(before, at)
    const parts = spans.map((span) => `<tspan${look(span.style)}>${escaped(span.text)}</tspan>`).join('')
    const y = margin + height * row + 13
    const late = `style="animation-delay:${(shown / 1000).toFixed(2)}s"`
    return `<text x="${margin}" y="${y}" ${late}><title>${(at / 1000).toFixed(2)} s</title>${text === '' ? '' : parts}</text>`
  })
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="A session of npm run dev">`,
    '<style>text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d0d7de;white-space:pre;animation:show 1ms backwards}@keyframes show{from{visibility:hidden}}@media(prefers-reduced-motion){text{animation:none}}</style>',
    '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
    ...rows,
    '</svg>',
    '',
  ].join('\n')
}

function look(style: readonly number[]): string {
  const colour = style.map((code) => colours[code]).find((found) => found !== undefined)
  return [
    colour === undefined ? '' : ` fill="${colour}"`,
    style.includes(1) ? ' font-weight="bold"' : '',
    style.includes(2) ? ' opacity="0.6"' : '',
  ].join('')
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}
