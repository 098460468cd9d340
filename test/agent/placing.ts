// How the tasks bring the helper into a pod: words for a shell, and what it reads.
import fs from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { helperPath, sha256 } from './fixtures.ts'

const text = fs.readFileSync(fileURLToPath(new URL('../../tasks/lib/delivery/helper.sh', import.meta.url)), 'utf8')

/** The shell and what it runs; the folder of the state and helperWords follow. */
export const placing = (shell: readonly string[], agent: string) => [...shell, '-c', text, agent]

let packed: Buffer | undefined

export const helperBody = () => (packed ??= gzipSync(fs.readFileSync(helperPath())))

export const helperWords = () => [sha256(fs.readFileSync(helperPath())), String(helperBody().length), 'gzip']
