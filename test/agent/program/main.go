// The program that the agent's tests swap: what it does stands in the last line of its own file,
// `HOTSWAP-TRAILER {"version":"v2", …}`, so that one build makes every variant.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type plan struct {
	Version    string   `json:"version"`
	Show       bool     `json:"show"`       // prints its arguments and its environment
	Lines      int      `json:"lines"`      // prints so many numbered lines, on stdout and stderr in turn
	Width      int      `json:"width"`      // pads each of them to so many bytes
	Flood      int      `json:"flood"`      // writes so many bytes
	Grandchild string   `json:"grandchild"` // "sleeps" or "ignores TERM": in a session of its own, holding the output
	Orphans    int      `json:"orphans"`    // leaves so many orphans behind, each of which lives a moment
	DiesIf     string   `json:"diesIf"`     // dies at once where this file exists
	Dies       *float64 `json:"dies"`       // ends by itself after so many seconds
	Code       int      `json:"code"`       // with this exit code
	Panics     bool     `json:"panics"`     // panics instead
	Term       string   `json:"term"`       // "ignore" or "default": what TERM does, other than a clean end
	Delay      float64  `json:"delay"`      // seconds that the clean end takes
	Starts     float64  `json:"starts"`     // seconds that it takes before it serves
	Serves     string   `json:"serves"`     // answers each connection to this TCP address with its version; TERM closes that first
	Listens    string   `json:"listens"`    // listens on this unix socket, and leaves its file behind
	TermCode   int      `json:"termCode"`   // exit code of the clean end
	Owns       string   `json:"owns"`       // keeps a log of its own in this file: a line at the start, and one after the flood
}

// Adds a line to a log of the program's own.
func own(name, line string) {
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	fmt.Fprintln(file, line)
}

func main() {
	p := readPlan()
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	switch p.Term {
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
	case "default":
	default:
		signal.Notify(signals, syscall.SIGTERM)
	}
	own(p.Owns, "first")
	if p.Show {
		show("args", os.Args)
		show("env", os.Environ())
	}
	for i := 1; i <= p.Lines; i++ {
		out := []*os.File{os.Stderr, os.Stdout}[i%2]
		line := fmt.Sprintf("line %d of %d", i, p.Lines)
		fmt.Fprintln(out, line+strings.Repeat(".", max(0, p.Width-len(line)-1)))
	}
	if p.Panics {
		panic("boom " + p.Version)
	}
	if _, err := os.Stat(p.DiesIf); p.DiesIf != "" && err == nil {
		fmt.Println("dies because of", p.DiesIf)
		os.Exit(4)
	}
	if p.Dies != nil && *p.Dies == 0 {
		os.Exit(p.Code)
	}
	if p.Grandchild != "" {
		startGrandchild(p.Grandchild)
	}
	if p.Orphans > 0 {
		leaveOrphans(p.Orphans)
	}
	if p.Listens != "" {
		listener, err := net.Listen("unix", p.Listens)
		check(err)
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		defer listener.Close()
	}
	var server net.Listener
	if p.Serves != "" {
		time.Sleep(seconds(p.Starts))
		var err error
		server, err = net.Listen("tcp", p.Serves)
		check(err)
		go serve(server, p.Version)
	}
	fmt.Printf("ready %s pid %d\n", p.Version, os.Getpid())
	if p.Flood > 0 {
		flood(p.Flood)
	}
	own(p.Owns, "last")
	var end <-chan time.Time
	if p.Dies != nil {
		end = time.After(seconds(*p.Dies))
	}
	for {
		select {
		case <-end:
			fmt.Printf("ends %s\n", p.Version)
			os.Exit(p.Code)
		case s := <-signals:
			fmt.Printf("got %s %s\n", s, p.Version)
			if s == syscall.SIGTERM {
				if server != nil {
					server.Close()
					time.Sleep(20 * time.Millisecond) // what has been accepted
				}
				time.Sleep(seconds(p.Delay))
				for n := len(signals); n > 0; n-- {
					fmt.Printf("then got %s\n", <-signals)
				}
				fmt.Printf("bye %s\n", p.Version)
				os.Exit(p.TermCode)
			}
		}
	}
}

func serve(server net.Listener, version string) {
	for {
		connection, err := server.Accept()
		if err != nil {
			return
		}
		go func() {
			fmt.Fprintln(connection, version)
			connection.Close()
		}()
	}
}

// readPlan opens /proc/self/exe and not a path: another file may have this one's path by now.
func readPlan() (p plan) {
	file, err := os.Open("/proc/self/exe")
	check(err)
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	check(err)
	tail := make([]byte, min(4096, size))
	_, err = file.ReadAt(tail, size-int64(len(tail)))
	check(err)
	if _, text, found := bytes.Cut(tail, []byte("\nHOTSWAP-TRAILER ")); found {
		check(json.Unmarshal(bytes.TrimSpace(text), &p))
	}
	return p
}

func show(name string, values []string) {
	text, err := json.Marshal(values)
	check(err)
	fmt.Printf("%s %s\n", name, text)
}

func startGrandchild(kind string) {
	command := exec.Command("sleep", "300")
	if kind == "ignores TERM" {
		command = exec.Command("sh", "-c", `trap "" TERM; sleep 300`)
	}
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(command.Start())
	fmt.Printf("grandchild pid %d\n", command.Process.Pid)
}

func leaveOrphans(count int) {
	script := `i=0; while [ $i -lt "$1" ]; do (sleep 0.5 &); i=$((i + 1)); done`
	check(exec.Command("sh", "-c", script, "orphans", fmt.Sprint(count)).Run())
	fmt.Printf("left %d orphans\n", count)
}

func flood(size int) {
	line := []byte(strings.Repeat("0123456789abcdef", 4)[:63] + "\n")
	chunk := bytes.Repeat(line, 1024)
	for left := size; left > 0; left -= len(chunk) {
		os.Stdout.Write(chunk[:min(left, len(chunk))])
	}
	fmt.Println("flood over")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fixture program:", err)
		os.Exit(99)
	}
}
