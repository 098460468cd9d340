// Many deploys in a row, and what they leave behind: memory, descriptors, processes and disk, in the pod and here.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import * as proc from '../test/agent/proc.ts'
import { folder, type Field } from './faults.ts'

/** What is in use after so many deploys. */
export interface Use {
  readonly deploys: number
  /** KiB that the agent's shell has resident. */
  readonly agentMemory: number
  readonly agentDescriptors: number
  readonly podProcesses: number
  /** KiB, logs included. */
  readonly podDisk: number
  /** Processes of a deploy on this machine that its end has left. */
  readonly leftHere: number
  /** KiB below .hotswap. */
  readonly diskHere: number
}

// the measuring shell and its du are not counted
const measure = `
for p in /proc/[0-9]*; do printf 'process %s\\n' "\${p#/proc/}"; done | grep -cv "process $$"
while read -r key kib _; do [ "$key" = VmRSS: ] && echo "$kib"; done </proc/1/status
ls /proc/1/fd | wc -l
du -skx / ${folder} 2>/dev/null | { read -r a _; read -r b _; echo $((a + b)); }
`

/** Deploys so many times to one pod; measures before the first, then \`points\` times. */
export async function soak(field: Field, deploys: number, points: number, told: (use: Use) => void): Promise<void> {
  const [lane] = field.lanes
  if (lane === undefined) throw new Error('a field without a pod')
  let marks: string[] = []
  for (let count = 0; count <= deploys; count += 1) {
    if (count > 0) marks.push((await lane.next()).mark)
    if (count % Math.ceil(deploys / points) !== 0 && count !== deploys) continue
    const [podProcesses = 0, agentMemory = 0, agentDescriptors = 0, podDisk = 0] = (await lane.inPod(measure))
      .trim()
      .split(/\s+/)
      .map(Number)
    const leftHere = marks.flatMap((mark) => proc.carriers(mark)).length
    const diskHere = Number(
      execFileSync('du', ['-sk', join(field.dir, '.hotswap')], { encoding: 'utf8' }).split('\t')[0],
    )
    told({ deploys: count, agentMemory, agentDescriptors, podProcesses, podDisk, leftHere, diskHere })
    marks = []
  }
}
