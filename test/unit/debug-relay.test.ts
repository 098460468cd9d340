// What the relay does where Delve loses a halt, or undoes it: against a Delve that does just that.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decoder, encode } from '../../tasks/lib/debug/dap.ts'
import type { Link } from '../../tasks/lib/debug/link.ts'
import { relay } from '../../tasks/lib/debug/relay.ts'
import { DapClient } from '../lib/dap-client.ts'
import { pace } from '../lib/pace.ts'

interface Said {
  readonly id: number
  readonly method: string
  readonly params: readonly [{ readonly name?: string }]
}

const relayed = suite<{ ends: (() => unknown)[] }>('relay')
relayed.before.each((context) => void (context.ends = []))
relayed.after.each(({ ends }) => ends.forEach((end) => end()))

async function listening(ends: (() => unknown)[], visitor: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    ends.push(() => socket.destroy())
    visitor(socket.on('error', () => undefined))
  }).listen(0, '127.0.0.1')
  ends.push(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

function linkTo(port: number): Link {
  const nothing = { open: async () => false, busy: () => undefined, trouble: () => '', close: async () => undefined }
  return { ...nothing, connect: () => connected(port), receipt: () => Promise.reject(new Error('there is no pod')) }
}

for (const [lost, title] of [
  ['Command', 'a halt that is lost is repeated'],
  ['State', 'a program that goes on after a halt is halted again'],
] as const)
  relayed(title, async ({ ends }) => {
    const waiting: (() => void)[] = []
    let halts = 0
    const delve = await listening(ends, (socket) =>
      socket.setEncoding('utf8').on('data', (line) => {
        const { id, method, params } = JSON.parse(String(line)) as Said
        const answer = () => void socket.write(`${JSON.stringify({ id, result: method, error: null })}\n`)
        if (params[0].name === 'halt') halts += 1
        if (method === `RPCServer.${lost}` && halts < 2) waiting.push(answer)
        else for (const each of [...waiting.splice(0), answer]) each()
      }),
    )
    const { visitor, close } = relay(linkTo(delve), [], () => '')
    const client = await connected(await listening(ends, visitor))
    const asked = async (id: number, method: string, argument: object) => {
      client.write(`${JSON.stringify({ method: `RPCServer.${method}`, params: [argument], id })}\n`)
      const [line] = (await once(client, 'data', { signal: AbortSignal.timeout(5_000 * pace) })) as [Buffer]
      return (JSON.parse(String(line)) as Said).id
    }
    assert.is(await asked(1, 'Command', { name: 'halt' }), 1)
    assert.is(await asked(2, 'State', { NonBlocking: false }), 2)
    assert.is(halts, 2)
    const warnings: string[] = []
    const warned = ({ message }: Error) => void warnings.push(message)
    process.on('warning', warned)
    for (let id = 3; id < 30; id += 1) assert.is(await asked(id, 'Eval', {}), id)
    process.off('warning', warned)
    assert.equal(warnings, [], 'a long session leaves no listener behind')
    client.destroy()
    await close()
  })

for (const [lost, title] of [
  ['attach', 'an attach whose halt is lost is answered, and not before Delve has done with the next halt'],
  ['setFunctionBreakpoints', 'so are breakpoints whose halt is lost'],
  ['', 'a session that is answered halts nobody again'],
] as const)
  relayed(title, async ({ ends }) => {
    const order: string[] = []
    let answerLost = () => undefined as void
    const delve = await listening(ends, (socket) => {
      const decode = decoder()
      const dap = (chunk: Buffer) => {
        for (const message of decode(chunk)) {
          if (message.type !== 'request') continue
          const { seq, command } = message
          const answer = () => {
            if (command === 'attach') socket.write(encode({ seq: 0, type: 'event', event: 'initialized' }))
            socket.write(encode({ seq: 0, type: 'response', request_seq: seq, command, success: true }))
          }
          if (command === lost) answerLost = answer
          else answer()
        }
      }
      const rpc = (line: Buffer) => {
        const { id, method, params } = JSON.parse(String(line)) as Said
        const result = method === 'RPCServer.State' ? { State: { Running: true } } : {}
        const answer = () => void socket.write(`${JSON.stringify({ id, result, error: null })}\n`)
        if (params[0].name !== 'halt') return answer()
        order.push('halt')
        answerLost()
        setTimeout(() => {
          order.push('halted')
          answer()
        }, 200)
      }
      socket.on('data', (chunk) => (String(chunk).startsWith('{') ? rpc(chunk) : dap(chunk)))
    })
    const { visitor, close } = relay(linkTo(delve), [], () => '')
    const client = await DapClient.attach(await listening(ends, visitor), [])
    order.push('configured')
    await new Promise((resolve) => setTimeout(resolve, 1_300)) // longer than the relay waits for an answer
    assert.equal(order, [...(lost === '' ? [] : ['halt', 'halted']), 'configured'])
    client.kill()
    await close()
  })

relayed.run()
