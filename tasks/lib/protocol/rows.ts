// The rows of the agent's table: DATE TYPE USER FILE MESSAGE EVENTS, divided by tabs, and a reason if there is one. Pure.
import { PUT, SWAPPED } from './words.ts'

/** The first line of the table. */
export const HEAD = 'DATE\tTYPE\tUSER\tFILE\tMESSAGE\tEVENTS'

export interface Row {
  readonly message: string
  /** `PUT`, `CREATE` or `-`. */
  readonly event: string
  /** Empty if there is none. */
  readonly reason: string
}

/** What a row says; undefined for the head of the table. */
export function rowOf(line: string): Row | undefined {
  const [, , , , message = '', event = '', reason = ''] = line.split('\t')
  return line === HEAD ? undefined : { message, event, reason }
}

/** Whether a row tells of an upload that was swapped in. */
export function isUpload(row: Row | undefined): boolean {
  return row?.message === SWAPPED && row.event === PUT
}

/** Whether a line has the form of a row of the table of this program's agent. A program may print such a line too. */
export function hasForm(line: string, program: string): boolean {
  if (line === HEAD) return true
  const [date = '', type = '', , file = '', , event = ''] = line.split('\t')
  return (
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/.test(date) &&
    ['INFO', 'ERR'].includes(type) &&
    [program, `${program}-dev`].includes(file) &&
    [PUT, 'CREATE', '-'].includes(event)
  )
}
