// docs/json.md is the one place that tells of --json: what a task prints is held against it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { root } from '../../tasks/lib/frame/root.ts'

/** The objects that a task has printed: one a line, each key documented under that heading, or in a table of docs/agent.md. */
export function objects(heading: string, stdout: string): Record<string, unknown>[] {
  const named = `${chapter('docs/json.md', heading)}${heading === 'status-dev' ? chapter('docs/agent.md', 'The agent') : ''}`
  const keys = new Set(
    [...named.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) => cell.match(/[A-Za-z0-9]+/g) ?? []),
  )
  assert.ok(stdout.endsWith('\n'), 'the last line is whole')
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => {
      const object = JSON.parse(line) as Record<string, unknown>
      for (const key of Object.keys(object)) assert.ok(keys.has(key), `docs/json.md: ${heading}: no ${key} in a table`)
      return object
    })
}

function chapter(file: string, title: string): string {
  const parts = readFileSync(join(root, file), 'utf8').split(/^## /m)
  return parts.find((part) => part.startsWith(`${title}\n`)) ?? ''
}
