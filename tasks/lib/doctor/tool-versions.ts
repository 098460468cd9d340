// The tools of this machine: which are there, in which versions, and what is missing for what.
import { containerTool } from '../cluster/container.ts'
import { toolchain } from '../go/delve.ts'
import { finding, type Finding } from './finding.ts'
import type { Settings } from '../settings/table.ts'
import { UserError } from '../frame/talk.ts'
import { need, run } from '../frame/tools.ts'

const oldest = 21 // of Go 1.N

/** A finding for each tool, and the Go that builds the service (`go1.26.8`); empty if there is none. */
export async function toolsFound(
  settings: Settings,
): Promise<{ readonly goVersion: string; readonly findings: readonly Finding[] }> {
  let goVersion = ''
  const tool = async (name: string, without: 'fault' | 'note', version: () => Promise<string>): Promise<Finding> => {
    try {
      return finding(`tool ${name}`, 'ok', await version())
    } catch (error) {
      if (!(error instanceof UserError)) throw error
      return finding(
        `tool ${name}`,
        without,
        error.message.includes(' - ') ? error.message : `${error.message} - install ${name}`,
      )
    }
  }
  const first = async (name: string, args: readonly string[], use: string) => {
    need(name, use)
    const { stdout } = await run(name, args, { cwd: '.', output: 'read' })
    return /\d+\.\d+[\w.-]*/.exec(stdout)?.[0] ?? stdout.split('\n')[0] ?? ''
  }
  const go = async () => {
    goVersion = (await toolchain(settings.goDir)).goVersion
    const minor = Number(/^go1\.(\d+)/.exec(goVersion)?.[1])
    if (minor < oldest) throw new UserError(`${goVersion} is too old - install Go 1.${oldest} or newer`)
    return goVersion.replace(/^go/, '')
  }
  const onCluster = settings.target === 'kubernetes'
  const findings = await Promise.all([
    tool('go', 'fault', go),
    tool('git', 'note', () => first('git', ['--version'], 'for the version of a build - install git')),
    tool('bash', 'fault', () => first('bash', ['--version'], 'by zx, which runs the tools - install bash')),
    ...(onCluster
      ? [
          tool('kubectl', 'fault', () =>
            first('kubectl', ['version', '--client'], 'to reach the pods - install kubectl'),
          ),
          tool('container', 'note', async () => containerTool(settings)),
        ]
      : []),
  ])
  return { goVersion, findings }
}
