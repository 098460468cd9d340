// What the relay does for a JSON-RPC client whose halt Delve loses, or undoes: against a Delve that does just that.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Link } from '../../tasks/lib/debug-link.ts'
import { relay } from '../../tasks/lib/debug-relay.ts'
import { pace } from '../lib/pace.ts'

interface Said {
  readonly id: number
  readonly method: string
  readonly params: readonly [{ readonly name?: string }]
}

const relayed = suite<{ servers: Server[] }>('relay')
relayed.before.each((context) => void (context.servers = []))
relayed.after.each(({ servers }) => servers.forEach((server) => server.close()))

async function listening(servers: Server[], visitor: (socket: Socket) => void): Promise<() => Promise<Socket>> {
  const server = createServer((socket) => visitor(socket.on('error', () => undefined))).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return async () => {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }
}

for (const [lost, title] of [
  ['Command', 'a halt that is lost is repeated'],
  ['State', 'a program that goes on after a halt is halted again'],
] as const)
  relayed(title, async ({ servers }) => {
    const waiting: (() => void)[] = []
    let halts = 0
    const delve = await listening(servers, (socket) =>
      socket.setEncoding('utf8').on('data', (line) => {
        const { id, method, params } = JSON.parse(String(line)) as Said
        const answer = () => void socket.write(`${JSON.stringify({ id, result: method, error: null })}\n`)
        if (params[0].name === 'halt') halts += 1
        if (method === `RPCServer.${lost}` && halts < 2) waiting.push(answer)
        else for (const each of [...waiting.splice(0), answer]) each()
      }),
    )
    const nothing = { open: async () => false, busy: () => undefined, trouble: () => '', close: async () => undefined }
    const link: Link = { ...nothing, connect: delve, receipt: () => Promise.reject(new Error('there is no pod')) }
    const { visitor, close } = relay(link, [], () => '')
    const client = await (await listening(servers, visitor))()
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

relayed.run()
