// The link: a way to the Delve of one pod that is made again for as long as debug-dev runs, over swaps, pods that are
// replaced and networks that fail.
import { pause } from '../frame/pause.ts'
import { connect as connectTcp, type Socket } from 'node:net'
import { guard, type Guard } from './guard.ts'
import type { Receipt } from '../protocol/receipt.ts'
import { podNamed } from '../pods/pod-list.ts'
import { statusOf } from '../pods/status.ts'
import { say, UserError } from '../frame/talk.ts'
import type { Forward, Pod, Target } from '../pods/target.ts'

export interface Link {
  /** A connection to the pod's Delve as soon as that listens. Throws where the signal is aborted first. */
  readonly connect: (signal: AbortSignal) => Promise<Socket>
  /** Whether Delve listens now. */
  readonly open: () => Promise<boolean>
  /** Says whether an IDE is there: only then does the pod let the program go where this link is cut. */
  readonly busy: (whether: boolean) => void
  /** What the agent says runs there. Throws UserError. */
  readonly receipt: () => Promise<{ readonly pod: string; readonly receipt: Receipt }>
  /** Why there is no pod; empty if there is one. */
  readonly trouble: () => string
  readonly close: () => Promise<void>
}

/** The way to one pod, until it ends. */
interface Way {
  readonly pod: Pod
  readonly guard: Guard
  readonly connect: () => Promise<Socket>
  readonly close: () => Promise<void>
}

const firstPause = 200 // ms after a link that ended; doubled each time
const longestPause = 5_000
const glance = 100 // ms between two looks at Delve's port

/** Who is told what happens to a link. */
export interface LinkListener {
  /** The pod has no debugger: brings one. Throws UserError. */
  readonly equip: (pod: Pod, receipt: Receipt) => Promise<void>
  /** A pod is taken, which is another one than before. */
  readonly found: (pod: Pod, others: readonly Pod[], receipt: Receipt) => void
  /** What happened to the link, in a line. */
  readonly tell: (line: string) => void
  /** Another Delve listens there, or none any more. */
  readonly changed: () => void
  /** A child was started, which is ended with the task. */
  readonly started: () => void
}

/** Keeps a link to the pod with that name, else to the newest. Throws UserError if there is none at the start. */
export async function link(target: Target, name: string | undefined, listener: LinkListener): Promise<Link> {
  let going = true
  let trouble = ''
  let taken = ''
  let busy = false
  let way: Way | undefined = await opened(true)
  void keep()

  async function opened(first: boolean): Promise<Way> {
    const { pods } = await target.pods()
    // a pod that goes later has a successor
    const pod = podNamed(pods, first || pods.some((each) => each.name === name) ? name : undefined)
    const receipt = await statusOf(target, pod)
    if (receipt.values.get('debugger') === 'missing') await listener.equip(pod, receipt)
    const others = pods.filter((each) => each !== pod)
    if (pod.name === taken) listener.tell(`${pod.name}: linked again`)
    else listener.found(pod, others, receipt)
    taken = pod.name
    const made = wayTo(target, pod, receipt, listener)
    made.guard.busy(busy)
    return made
  }

  async function keep(): Promise<void> {
    for (let wait = firstPause; going; wait = Math.min(2 * wait, longestPause)) {
      try {
        if (way === undefined) {
          way = await opened(false)
          listener.changed()
        }
        trouble = ''
        wait = firstPause
        const { pod, guard: there, close } = way
        const why = await there.ended
        way = undefined
        if (!going) return
        trouble = `${pod.name}: the link ended (${why})`
        listener.tell(`${trouble} - it is tried again after 0.2 s, then after twice as long each time, 5 s at most`)
        await close()
      } catch (error) {
        if (!(error instanceof UserError)) throw error
        if (error.message !== trouble) say(`waiting: ${error.message}`)
        trouble = error.message
      }
      await pause(wait)
    }
  }

  return {
    connect: async (signal) => {
      for (; ; await pause(glance)) {
        signal.throwIfAborted()
        try {
          if (way !== undefined && (await way.guard.open())) return await way.connect()
        } catch (error) {
          // Delve ended between the look and the connection
          if (!(error instanceof UserError)) throw error
        }
      }
    },
    busy: (whether) => {
      busy = whether
      way?.guard.busy(whether)
    },
    open: async () => (await way?.guard.open()) ?? false,
    receipt: async () => {
      if (way === undefined) throw new UserError(trouble || 'there is no link to a pod')
      const { pod } = way
      return { pod: pod.name, receipt: await statusOf(target, pod) }
    },
    trouble: () => trouble,
    close: async () => {
      going = false
      await way?.close()
    },
  }
}

function wayTo(target: Target, pod: Pod, receipt: Receipt, { changed, started }: LinkListener): Way {
  const dlv = (receipt.values.get('wrapper') ?? '').split(' ')[0] || 'dlv'
  const there = guard(target, pod, dlv, changed)
  started()
  let forwarding: Promise<Forward> | undefined
  const forward = () => {
    // one refused connection ends kubectl's forward: the next connection starts another
    forwarding ??= target.forward(pod, pod.debugPort).then((made) => {
      void made.ended.then(() => (forwarding = undefined))
      return made
    })
    forwarding.catch(() => (forwarding = undefined))
    started()
    return forwarding
  }
  void forward().catch(() => undefined) // ahead of the first connection
  return {
    pod,
    guard: there,
    connect: async () => {
      const ended = there.ended.then((why): never => {
        throw new UserError(why)
      })
      ended.catch(() => undefined)
      return tcp((await Promise.race([forward(), ended])).port)
    },
    close: async () => {
      // a forward that does not come up hangs for long where the network is cut: nobody waits for it
      void forwarding?.then(({ close }) => close()).catch(() => undefined)
      await there.close()
    },
  }
}

function tcp(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ port, host: '127.0.0.1', noDelay: true })
    socket.once('error', (error) => reject(new UserError(error.message)))
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      socket.on('error', () => undefined) // its close says as much
      resolve(socket)
    })
  })
}
