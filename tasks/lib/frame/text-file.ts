// Files, written whole or not at all; and texts, read.
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { threadId } from 'node:worker_threads'
import { UserError } from './talk.ts'

/**
 * @returns the text byte for byte, its byte order mark too.
 * @throws UserError if there is no such file, or its bytes are no UTF-8.
 */
export function readText(path: string, setting: string): string {
  return decoded(path, readBytes(path, setting))
}

/** What standard input says, to its end. Throws UserError if it is a terminal, or no UTF-8. */
export async function readInput(): Promise<string> {
  if (process.stdin.isTTY)
    throw new UserError('standard input is a terminal - pipe a manifest into it, or leave out the -', 2)
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk))
  return decoded('standard input', Buffer.concat(chunks))
}

function decoded(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new UserError(`${path}: not a UTF-8 text - save it as one`)
  }
}

function readBytes(path: string, setting: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    const why = error instanceof Error && 'code' in error && error.code === 'ENOENT' ? 'no such file' : String(error)
    throw new UserError(`${path}: ${why} - put its path into .env: ${setting}=PATH`)
  }
}

let parts = 0 // each write has a name of its own, in each thread

/** Writes a file in the place of the old one, in one step; makes its folder. */
export function replaceFile(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true })
  const part = `${path}.${process.pid}.${threadId}.${(parts += 1)}.part`
  try {
    writeFileSync(part, content)
    renameSync(part, path)
  } finally {
    rmSync(part, { force: true })
  }
}

const turn = 5 // ms between two tries to be the only one
const longest = 2_000 // ms: nobody takes that long, one who was killed for ever

/** Changes a file that other tasks change too: none of the changes is lost. */
export function changeFile(path: string, change: (before: string) => string): void {
  mkdirSync(dirname(path), { recursive: true })
  const lock = `${path}.lock`
  const waiting = new Int32Array(new SharedArrayBuffer(4))
  for (const end = Date.now() + longest; ; Atomics.wait(waiting, 0, 0, turn)) {
    try {
      closeSync(openSync(lock, 'wx'))
      break
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      if (Date.now() > end) break
    }
  }
  try {
    replaceFile(path, change(existsSync(path) ? readFileSync(path, 'utf8') : ''))
  } finally {
    rmSync(lock, { force: true })
  }
}
