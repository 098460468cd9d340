// A way to the API server that a test has in its hands: it slows, counts, and breaks at a byte of an upload.
import { createServer, connect, type Server, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { within } from '../lib/pace.ts'
import { kubectl } from './cluster.ts'

export interface Shape {
  /** Bytes a second in each direction, whatever the number of connections; absent: as fast as it goes. */
  readonly rate?: number
  /** Milliseconds that a byte takes each way. */
  readonly delay?: number
  /** The client speaks plain HTTP to it: it sees where an exec begins, and can close a WebSocket as an API server does. */
  readonly plain?: boolean
}

const slice = 16 * 1024 // bytes that go at once: what else is on its way is not held up for long
const ahead = 30 // ms of work that a direction has in hand, so that it never idles while there are bytes

/** One client's connection. */
export class Connection {
  /** Bytes that went up, the upgrade request of a plain exec aside; undefined if it is no exec. */
  sent: number | undefined
  webSocket = false
  /** Nothing more goes up for now. */
  held = false
  readonly near: Socket
  readonly far: Socket

  constructor(near: Socket, far: Socket) {
    this.near = near
    this.far = far
  }

  /** Lets go on what at() has stopped. */
  go(): void {
    this.held = false
    this.near.resume()
  }

  /** As a broken network: a reset. */
  cut(): void {
    // a socket that is being shut down takes no reset (EINVAL): Node then neither closes it nor ends
    if (this.near.writableEnded) this.near.destroy()
    else this.near.resetAndDestroy()
    this.far.destroy()
  }

  /** As an API server that ends in the normal way: close frame 1000 where it is a WebSocket, no status of the exec. */
  finish(): void {
    this.far.destroy()
    this.near.end(this.webSocket ? Buffer.from([0x88, 0x02, 0x03, 0xe8]) : Buffer.alloc(0))
    this.go() // what still comes up is dropped
  }
}

export class Link {
  /** Bytes that went to the API server, and those that came back. */
  up = 0
  down = 0
  /** Text of a kubeconfig that leads through the link. */
  kubeconfig = ''
  private silent = false
  private trap: { readonly at: number; readonly spring: (connection: Connection) => void } | undefined
  private readonly connections = new Set<Connection>()
  private readonly busy = { up: 0, down: 0 } // until then (performance.now) the direction has work
  private readonly server: Server
  private port = 0
  private readonly shape: Shape
  private readonly dial: () => Socket

  private constructor(shape: Shape, dial: () => Socket) {
    this.shape = shape
    this.dial = dial
    this.server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.accept(near))
  }

  /** Opens one to the API server of the tests' cluster. */
  static async open(shape: Shape = {}): Promise<Link> {
    const config = JSON.parse(await kubectl(['config', 'view', '--raw', '--minify', '--flatten', '-o', 'json']))
    const [{ cluster: api }] = config.clusters
    const [{ user }] = config.users
    const { hostname: host, port: text } = new URL(api.server)
    const port = Number(text || 443)
    const pem = (data: string | undefined) => (data === undefined ? undefined : Buffer.from(data, 'base64'))
    const tls = {
      host,
      port,
      ca: pem(api['certificate-authority-data']),
      cert: pem(user['client-certificate-data']),
      key: pem(user['client-key-data']),
      allowHalfOpen: true,
    }
    const link = new Link(shape, () =>
      shape.plain === true ? connectTls(tls) : connect({ host, port, allowHalfOpen: true, noDelay: true }),
    )
    await new Promise<void>((resolve) => link.server.listen(0, '127.0.0.1', resolve))
    const address = link.server.address()
    link.port = typeof address === 'object' && address !== null ? address.port : 0
    const here = `127.0.0.1:${link.port}`
    config.clusters[0].cluster =
      shape.plain === true
        ? { server: `http://${here}` }
        : { ...api, server: `https://${here}`, 'tls-server-name': host }
    link.kubeconfig = JSON.stringify(config)
    return link
  }

  /**
   * The connection of the next upload that has so many bytes through, from where on it is held; and once alone. Throws after a
   * minute, times pace, in which there was none.
   */
  at(bytes: number): Promise<Connection> {
    const sprung = new Promise<Connection>((spring) => (this.trap = { at: bytes, spring }))
    return within(60, sprung, () => `an upload of ${bytes} bytes`)
  }

  /** Takes no new connection: nobody listens there. */
  refuse(): void {
    if (this.server.listening) this.server.close()
  }

  /** Resets each connection, and takes no new one. */
  cut(): void {
    this.refuse()
    for (const connection of this.connections) connection.cut()
  }

  /** As a network that is gone: nothing passes, and nobody is told. */
  silence(): void {
    this.silent = true
  }

  /** Takes connections again; those from before are gone. */
  mend(): void {
    this.trap = undefined
    this.silent = false
    for (const connection of this.connections) connection.cut()
    if (!this.server.listening) this.server.listen(this.port, '127.0.0.1')
  }

  private accept(near: Socket): void {
    if (this.silent) return void near.destroy()
    const connection = new Connection(near, this.dial())
    this.connections.add(connection)
    if (this.shape.plain !== true) connection.sent = 0
    this.pass(connection, 'up')
    this.pass(connection, 'down')
  }

  /** One direction of a connection: what comes in goes out in order, at the direction's rate, after its delay. */
  private pass(connection: Connection, way: 'up' | 'down'): void {
    const { near, far } = connection
    const [from, to] = way === 'up' ? [near, far] : [far, near]
    const { rate = Infinity, delay = 0 } = this.shape
    const under: { readonly due: number; readonly bytes: Buffer | undefined }[] = []
    let timer: NodeJS.Timeout | undefined
    const flush = () => {
      timer = undefined
      for (let first = under[0]; first !== undefined; first = under[0]) {
        const wait = first.due - performance.now()
        if (wait > 0.5) {
          timer = setTimeout(flush, wait)
          return
        }
        under.shift()
        if (this.silent || to.destroyed || !to.writable) continue
        if (first.bytes === undefined) to.end()
        else if (!to.write(first.bytes) && !from.isPaused()) {
          from.pause()
          to.once('drain', () => connection.held || from.resume())
        }
      }
    }
    const queue = (bytes: Buffer | undefined) => {
      const begin = Math.max(performance.now(), this.busy[way])
      this.busy[way] = begin + ((bytes?.length ?? 0) / rate) * 1000
      under.push({ due: this.busy[way] + delay, bytes })
    }
    from.on('data', (chunk: Buffer) => {
      if (this.silent) return
      const passing = way === 'up' ? this.counted(connection, chunk) : chunk
      this[way] += passing.length
      for (let at = 0; at < passing.length; at += slice) queue(passing.subarray(at, at + slice))
      const spare = this.busy[way] - performance.now() - ahead
      if (spare > 0) {
        from.pause()
        setTimeout(() => connection.held || from.resume(), spare)
      }
      if (timer === undefined) flush()
    })
    from.on('end', () => {
      queue(undefined)
      if (timer === undefined) flush()
    })
    from.on('error', () => undefined)
    from.on('close', () => {
      this.connections.delete(connection)
      // a network that is gone tells nobody; what is under way arrives first
      if (!this.silent) setTimeout(() => to.destroy(), from.errored === null ? delay + 1000 : 0).unref()
    })
  }

  /** What of a chunk may pass: all of it, or what comes before the trap. */
  private counted(connection: Connection, chunk: Buffer): Buffer {
    if (connection.sent === undefined) {
      const [request = ''] = chunk.toString('latin1').split('\r\n\r\n', 1)
      if (!/^(GET|POST) \S+\/exec\?/.test(request)) return chunk
      connection.webSocket = /^upgrade: websocket$/im.test(request)
      connection.sent = 0
      return chunk
    }
    const { trap } = this
    const before = connection.sent
    connection.sent += chunk.length
    if (trap === undefined || connection.sent <= trap.at) return chunk
    this.trap = undefined
    const room = Math.max(0, trap.at - before)
    connection.sent = before + room
    connection.held = true
    connection.near.pause()
    connection.near.unshift(chunk.subarray(room))
    setImmediate(() => trap.spring(connection)) // what may pass is written first
    return chunk.subarray(0, room)
  }
}
