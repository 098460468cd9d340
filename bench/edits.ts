// Edits of the service, as a developer makes them: each on top of those before it.
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../tasks/lib/frame/root.ts'

export const edits = ['line', 'function', 'import'] as const
export type Edit = (typeof edits)[number]

// packages of Go's library that the service does not hold yet, and what keeps the linker from leaving them out
const imports = [
  ['archive/zip', 'zip.OpenReader'],
  ['encoding/xml', 'xml.Marshal'],
  ['image/png', 'png.Decode'],
  ['encoding/csv', 'csv.NewReader'],
  ['net/smtp', 'smtp.SendMail'],
  ['database/sql', 'sql.Open'],
  ['archive/tar', 'tar.NewReader'],
  ['image/jpeg', 'jpeg.Decode'],
  ['net/rpc', 'rpc.Dial'],
  ['debug/pe', 'pe.Open'],
  ['compress/bzip2', 'bzip2.NewReader'],
  ['image/gif', 'gif.DecodeAll'],
  ['debug/macho', 'macho.Open'],
  ['log/syslog', 'syslog.Dial'],
  ['compress/lzw', 'lzw.NewReader'],
  ['encoding/ascii85', 'ascii85.NewEncoder'],
  ['debug/plan9obj', 'plan9obj.Open'],
  ['text/scanner', 'scanner.TokenString'],
] as const

/** The sources of the service in a folder of their own. */
export class Service {
  private turn = 0
  private readonly calls: string[] = []
  private readonly left = [...imports]
  private readonly dir: string

  constructor(dir: string) {
    this.dir = dir
    cpSync(join(root, 'bench/service'), dir, { recursive: true })
  }

  /** Makes one; returns what the service answers from then on. */
  edit(edit: Edit): string {
    this.turn += 1
    const answer = `edit ${edit} ${this.turn}`
    if (edit !== 'line') {
      const [path, symbol] = (edit === 'import' ? this.left.shift() : undefined) ?? ['strings', 'strings.ToUpper']
      const name = `added${this.turn}`
      const body = `	for at, word := range os.Args[1:] {\n		fmt.Println("${name}", at, word, ${symbol})\n	}\n`
      const file = `package main\n\nimport (\n	"fmt"\n	"os"\n	"${path}"\n)\n\nfunc ${name}() {\n${body}}\n`
      writeFileSync(join(this.dir, `${name}.go`), file)
      this.calls.push(`	${name}()\n`)
    }
    const main = `package main\n\nfunc answer() string {\n${this.calls.join('')}	return "${answer}"\n}\n`
    writeFileSync(join(this.dir, 'answer.go'), main)
    return answer
  }
}
