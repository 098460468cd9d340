// hotswap-helper is what the agent, a shell script, hands its uploads to: it receives a binary, proves it, and tells what runs.
//
//	hotswap-helper put BINARY          receive a new BINARY on stdin, have the agent swap it in, print the receipt
//	hotswap-helper tool BINARY NAME    receive a program that -r names, keep it
//	hotswap-helper status BINARY       print the receipt of what runs now
//	hotswap-helper check FILE BINARY   say why FILE cannot take the place of BINARY, or nothing
//	hotswap-helper patch OLD           make the new file of OLD and a delta on stdin
//	hotswap-helper sockets PID...      print the socket files of a program, PID, and of what it has started
//	hotswap-helper unlink              remove the socket files, named on stdin, to which nobody is bound
//	hotswap-helper launch STATE BINARY AGENT SETTLE LIMIT COMMAND [ARG...]
//	                                   become COMMAND, BINARY or its wrapper, and have the keeper hear of what it binds
//	hotswap-helper summon, keep, deputy    are started by launch and by each other: docs/ports.md
//	hotswap-helper version             print the number of the protocol that it speaks
//
// It never calls the agent, nor the agent it: they meet in the files of the agent's state and in signals. state.go has the
// files, lock.go who may write to BINARY-dev.part, put.go the upload, keep.go the ports that stay open over a swap.
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// protocol is that of the state's files. Those of 1 are the same.
const protocol = 2

func main() {
	if len(os.Args) > 7 && os.Args[1] == "launch" { // first: what it becomes inherits the signals that are ignored
		os.Exit(launch(os.Args[2:7], os.Args[7:]))
	}
	signal.Ignore(syscall.SIGPIPE) // a client that has gone must not keep the lock from being given back
	os.Exit(obey(os.Args[1:]))
}

func obey(args []string) int {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	switch {
	case verb == "put" && len(args) == 2:
		return put(args[1], "")
	case verb == "tool" && len(args) == 3:
		return put(args[1], args[2])
	case verb == "status" && len(args) == 2:
		return status(args[1])
	case verb == "check" && len(args) == 3:
		fmt.Print(check(args[1], siteOf(args[2])))
		return 0
	case verb == "patch" && len(args) == 2:
		return patchOf(args[1])
	case verb == "sockets" && len(args) > 1:
		noteSockets(args[1:])
		return 0
	case verb == "unlink" && len(args) == 1:
		dropSockets()
		return 0
	case verb == "summon" && len(args) == 6:
		return startKeeper(args[1:])
	case verb == "keep" && len(args) == 6:
		return keep(args[1], args[2], args[3], args[4], args[5])
	case verb == "deputy" && len(args) == 2:
		return standIn(args[1])
	case verb == "version":
		fmt.Println(protocol)
		return 0
	}
	fmt.Fprintln(os.Stderr, "hotswap-helper: no such use: "+strings.Join(args, " "))
	return 2
}

func status(bin string) int {
	s, found := findState(siteOf(bin))
	if !found {
		return noAgent(bin)
	}
	say(s.greeting() + "\n")
	return 0
}

// noAgent is the answer where no agent runs the binary.
func noAgent(bin string) int {
	say("reason=no agent runs " + bin + "\n\n")
	return 5
}

// say prints to the client, who may have gone.
func say(text string) { os.Stdout.WriteString(text) }

func check(file string, s site) string {
	f, err := os.Open(file)
	if err != nil {
		return "it cannot be read"
	}
	defer f.Close()
	if fault := elfFault(f); fault != "" {
		return fault
	}
	if can := s.writable(); can != "yes" {
		return strings.TrimPrefix(can, "no: ")
	}
	return ""
}

func patchOf(old string) int {
	from, err := os.Open(old)
	if err == nil {
		_, err = patch(from, bufio.NewReader(os.Stdin), os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hotswap-helper:", err)
		return 1
	}
	return 0
}
