// A stand-in for a debugger: `wrapper MODE BINARY -- ARG…` starts the program as its child in a process group of
// its own and stays when the program ends, as `dlv exec` does. A TERM ends the wrapper, which takes the program along.
//
//	survive      nothing else
//	stubborn     ignores TERM
//	dies=SECONDS leaves the program alone after that time
//	load=SECONDS halts the program for that time before its first instruction, as Delve does while it loads
//	hold=SECONDS lets it run for a quarter of that time, then halts it for the rest, as an IDE's attach does
//	halt         halts it there until USR1
//	break        halts it at USR1, and lets it go on at the next
//	restart      at USR1 kills it and starts it anew a second later, as an IDE's Restart does
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const endsWith = 17

func main() {
	runtime.LockOSThread() // ptrace knows its tracer by the thread
	mode, value, _ := strings.Cut(os.Args[1], "=")
	number, _ := strconv.ParseFloat(value, 64)
	after := time.Duration(number * float64(time.Second))
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1)

	halts := mode == "load" || mode == "halt"
	pid := start(halts)
	halted := []int{}
	if halts {
		var status syscall.WaitStatus
		syscall.Wait4(pid, &status, 0, nil)
		halted = []int{pid}
	}
	began := time.Now()
	for {
		pid = reap(pid)
		select {
		case s := <-signals:
			switch {
			case s == syscall.SIGTERM && mode == "stubborn":
				fmt.Println("wrapper ignores TERM")
			case s == syscall.SIGTERM:
				if pid > 0 {
					syscall.Kill(pid, syscall.SIGKILL)
				}
				fmt.Println("wrapper ends")
				os.Exit(endsWith)
			case mode == "restart":
				syscall.Kill(pid, syscall.SIGKILL)
				time.Sleep(time.Second)
				reap(pid)
				pid = start(false)
			case len(halted) > 0:
				halted = release(halted)
			case mode == "break":
				halted = halt(pid)
			}
		case <-time.After(20 * time.Millisecond):
		}
		if mode == "load" && len(halted) > 0 && time.Since(began) > after {
			halted = release(halted)
		}
		if mode == "hold" && len(halted) == 0 && time.Since(began) > after/4 {
			halted = halt(pid)
		}
		if mode == "hold" && time.Since(began) > after {
			halted, mode = release(halted), "held"
		}
		if mode == "dies" && time.Since(began) > after {
			os.Exit(endsWith)
		}
	}
}

func start(traced bool) int {
	command := exec.Command(os.Args[2], os.Args[4:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Ptrace: traced}
	if err := command.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "wrapper:", err)
		os.Exit(1)
	}
	return command.Process.Pid
}

// reap collects whatever ended and returns 0 once the program is among it.
func reap(pid int) int {
	for {
		var status syscall.WaitStatus
		ended, err := syscall.Wait4(-1, &status, syscall.WNOHANG|syscall.WALL, nil)
		if err != nil || ended <= 0 {
			return pid
		}
		if ended == pid && (status.Exited() || status.Signaled()) {
			fmt.Println("wrapper stays, its program has ended")
			pid = 0
		}
	}
}

// halt stops every thread of the program: a signal would wake one that still runs.
func halt(pid int) (halted []int) {
	for seen := map[int]bool{}; ; {
		before := len(seen)
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		for _, task := range tasks {
			thread, _ := strconv.Atoi(filepath.Base(task))
			if seen[thread] || syscall.PtraceAttach(thread) != nil {
				continue
			}
			var status syscall.WaitStatus
			syscall.Wait4(thread, &status, syscall.WALL, nil)
			seen[thread] = true
			halted = append(halted, thread)
		}
		if len(seen) == before {
			return halted
		}
	}
}

func release(threads []int) []int {
	for _, thread := range threads {
		syscall.PtraceDetach(thread)
	}
	return nil
}
