// A Go service that is edited, built and debugged: what the tests of debug-dev share, on local and on the cluster.
import { connect } from 'node:net'
import { DapClient, type Mark } from './dap-client.ts'
import { pace } from './pace.ts'

/** A service that answers each connection with one line, at a line that edits move. */
export interface Edit {
  /** What it answers. */
  readonly value: string
  /** How many lines are put in front of the breakpoint. */
  readonly moved?: number
  /** What it does at its start: nothing, exit with 3, or panic. */
  readonly start?: 'exit' | 'panic'
}

/** The source. It listens at SVC_ADDR, and cleans up at TERM. */
export function source({ value, moved = 0, start }: Edit): string {
  return `package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

var version = "unknown"

func answer(count int) string {
${'	// moved\n'.repeat(moved)}	value := "${value}"
	return value // BREAK
}

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		fmt.Println("cleaned up")
		os.Exit(0)
	}()
	address := os.Getenv("SVC_ADDR")
	if address == "" {
		address = ":8080"
	}
${start === 'exit' ? '	fmt.Println("no configuration")\n	os.Exit(3)\n' : start === 'panic' ? '	panic("a bug")\n' : ''}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	fmt.Println("ready", version)
	for count := 0; ; count++ {
		connection, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			fmt.Fprintln(connection, answer(count))
			connection.Close()
		}()
	}
}
`
}

/** The line of the breakpoint. */
export const breakLine = (text: string) => text.split('\n').findIndex((line) => line.includes('// BREAK')) + 1

/** What the service answers; what went wrong if it does not within the time. */
export function answerOf(host: string, port: number, seconds = 15): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    let text = ''
    socket.setTimeout(seconds * pace * 1000, () => socket.destroy(new Error('no answer in time')))
    socket.on('data', (chunk) => (text += chunk.toString()))
    socket.once('error', (error) => resolve(`error: ${error.message}`))
    socket.once('close', () => resolve(text.trim()))
  })
}

/** Asks the service, which stops at the breakpoint, and lets it go on: where it stopped, and what it answered. */
export async function stopsAt(client: DapClient, ask: () => Promise<string>) {
  let answered: string | undefined
  const answer = ask().then((text) => (answered = text))
  const stop = await client.stop('value', () => answered)
  await client.continue()
  return { ...stop, answer: await answer }
}

/**
 * Asks again and again, one request after the other, since nothing tells an IDE which of several Delves is the last one: a
 * program that is swapped out answers nothing, and one whose breakpoint is not set yet does not stop.
 */
export async function stopsInTheEnd(client: DapClient, ask: () => Promise<string>) {
  for (const end = Date.now() + 120_000; ; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const hit = await stopsAt(client, ask).catch((error: Error) => error)
    if (!(hit instanceof Error || hit.answer.startsWith('error: '))) return hit
    if (Date.now() > end) throw hit instanceof Error ? hit : new Error(hit.answer)
  }
}

export type { Mark }
export { DapClient }
