// Two developers on one service, at the same time: no deploy is lost without its owner being told, in fifty of them.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { environment } from '../../tasks/lib/frame/environment.ts'
import { checkout, type Checkout, type Ended } from '../lib/checkout.ts'
import { suite } from '../lib/suite.ts'
import { until } from './cluster.ts'
import { deployOn, devPods, project, type Project } from './project.ts'

const deploys = Number(environment().E2E_DEPLOYS ?? 50)

interface Developer {
  readonly name: string
  readonly copy: Checkout
  turn: number
}
interface Try extends Ended {
  readonly who: Developer
  readonly version: string
}

const two = suite<{ it: Project; bob: Checkout }>('two developers')
two.before(async (context) => {
  const it = await project('two')
  context.it = it
  await devPods(it)
  context.bob = checkout()
  context.bob.file('.env', it.checkout.read('.env'))
})
two.after(async ({ it, bob }) => {
  bob.remove()
  await it.remove()
})

/** deploy-dev of a binary that nobody else has, on a machine of the developer's name. */
async function deploy(it: Project, who: Developer, args: readonly string[] = []): Promise<Try> {
  who.turn += 1
  const version = `${who.name}-${who.turn}`
  const bytes = readFileSync(join(it.checkout.dir, 'hello'))
  const file = join(who.copy.dir, 'bin/hello')
  writeFileSync(file, Buffer.concat([bytes, Buffer.from(`\n${version}\n`)]), { mode: 0o755 })
  return { ...(await deployOn(who.name, who.copy, args)), who, version }
}

two(
  `${deploys} interleaved deploys: each that is refused, or replaced, has its owner told by whom`,
  async ({ it, bob }) => {
    // what they build differs by its last bytes alone
    writeFileSync(join(it.checkout.dir, 'hello'), readFileSync(join(it.checkout.dir, 'bin/hello')))
    bob.file('bin/hello', '')
    const both: readonly [Developer, Developer] = [
      { name: 'alice', copy: it.checkout, turn: 0 },
      { name: 'bob', copy: bob, turn: 0 },
    ]
    const [pod = ''] = await it.pods()
    const status = async () =>
      JSON.parse((await it.run('status-dev', ['--json'])).stdout) as Partial<Record<'by' | 'sha256' | 'result', string>>
    const owner = async () => (await status()).by?.split('@')[1] ?? ''
    const names = (each: Try, other: Developer) =>
      new RegExp(`@${other.name}('s .* has run there since | since )|it has just begun`).test(each.stderr)
    const other = (one: Developer) => (one === both[0] ? both[1] : both[0])
    const story: string[] = []
    let [count, taken, races] = [0, 0, 0]
    const together = async (args: (one: Developer) => readonly string[]) => {
      const pauses = both.map(() => Math.random() * 300)
      const tries = await Promise.all(
        both.map(async (one, index) => {
          await new Promise((resolve) => setTimeout(resolve, pauses[index]))
          return deploy(it, one, args(one))
        }),
      )
      count += 2
      for (const { who, version, code, stderr } of tries)
        story.push(`${version} ${args(who).join(' ')} → ${code} ${stderr.split('\n').slice(1).join(' ')}`)
      return tries
    }
    try {
      while (count < deploys) {
        // a plain copy is nobody's: both may deploy, and one is first
        const copied = '/usr/local/bin/hello'
        const before = (await status()).sha256
        await it.kubectl([
          'exec',
          pod,
          '--',
          'sh',
          '-c',
          `cp ${copied} ${copied}-dev.x && printf ${count} >>${copied}-dev.x && mv ${copied}-dev.x ${copied}-dev`,
        ])
        await until('the plain copy', 20, async () => {
          const { result, sha256 } = await status()
          return result === 'running' && sha256 !== before
        })
        assert.is(await owner(), '')
        const race = await together(() => [])
        const winners = race.filter(({ code }) => code === 0)
        assert.is(winners.length, 1, 'one of two wins')
        races += 1
        const first = winners[0]?.who ?? both[0]
        for (const each of race) if (each.code !== 0) assert.ok(names(each, first), each.stderr)
        assert.is(await owner(), first.name)

        // the owner deploys on, the other is told
        const second = await together(() => [])
        for (const each of second)
          if (each.who === first) assert.is(each.code, 0, each.stderr)
          else assert.ok(each.code === 1 && names(each, first), each.stderr)
        assert.is(await owner(), first.name)

        // the other takes over, whatever the owner does meanwhile; the owner's next deploy is told
        const taker = other(first)
        const third = await together((one) => (one === taker ? ['--take-over'] : []))
        if (third.some(({ who, code }) => who === taker && code === 0)) {
          taken += 1
          assert.is(await owner(), taker.name)
          const next = await deploy(it, first)
          count += 1
          assert.ok(next.code === 1 && names(next, taker), next.stderr)
          assert.is(await owner(), taker.name)
        } else for (const each of third) if (each.who === taker) assert.ok(names(each, first), each.stderr)
      }
    } catch (error) {
      process.stderr.write(`${story.join('\n')}\n`)
      throw error
    }
    assert.ok(taken > 0)
    process.stderr.write(`\n${count} deploys, ${races} from nobody's binary, ${taken} take-overs\n`)
  },
)

two.run()
