package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// The launcher becomes the program, or its wrapper, with a filter that has the kernel report to the keeper where they bind a socket.
// docs/ports.md has the sequence. If anything of it cannot be had, the program runs without.

// oldestKernel has SECCOMP_IOCTL_NOTIF_ADDFD.
var oldestKernel = [2]int{5, 9}

// launch does not return unless there is nothing to execute. The keeper's words are STATE, BINARY, AGENT, SETTLE and LIMIT.
func launch(keeper, words []string) int {
	runtime.LockOSThread() // the filter and no_new_privs are this thread's, and what it executes inherits them
	at, bin := keeper[0], keeper[1]
	why := unfit(bin)
	if why == "" {
		why = enlist(at, bin, keeper)
	}
	if why != "" {
		saveHolds(at, "no ("+why+")")
	}
	path := words[0]
	if !strings.Contains(path, "/") {
		for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
			if file := filepath.Join(folder, words[0]); runnable(file) {
				path = file
				break
			}
		}
	}
	err := syscall.Exec(path, words, os.Environ())
	fmt.Fprintf(os.Stderr, "hotswap-helper: %s: %v\n", words[0], err)
	if err == syscall.ENOENT {
		return 127
	}
	return 126
}

// unfit says why nothing is held for a binary, or nothing.
func unfit(bin string) string {
	if os.Getenv("HOTSWAP_HOLD") == "0" {
		return "HOLD=0"
	}
	if _, known := machineNumbers(); !known {
		return "not on " + runtime.GOARCH
	}
	if release := kernel(); release[0] < oldestKernel[0] || release[0] == oldestKernel[0] && release[1] < oldestKernel[1] {
		return fmt.Sprintf("the kernel is older than %d.%d", oldestKernel[0], oldestKernel[1])
	}
	var value [64]byte
	if n, err := syscall.Getxattr(bin, "security.capability", value[:]); err == nil && n > 0 {
		return filepath.Base(bin) + " has file capabilities"
	}
	if stat, err := os.Stat(bin); err == nil && stat.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
		return filepath.Base(bin) + " is setuid"
	}
	return ""
}

func kernel() (release [2]int) {
	said, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	fmt.Sscanf(string(said), "%d.%d", &release[0], &release[1])
	return release
}

// knock connects to the keeper of that state.
func knock(at string) (int, error) {
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	patience := syscall.Timeval{Sec: 5}
	syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience)
	folder, err := syscall.Open(at, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err == nil {
		// a path of a socket has 107 bytes at most
		err = syscall.Connect(socket, &syscall.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(folder) + "/keeper"})
		syscall.Close(folder)
	}
	if err != nil {
		syscall.Close(socket)
	}
	return socket, err
}

// summoned starts a keeper and waits until it can be reached. A process in between starts it, since the program that this one
// becomes must not find a child that it does not know; so nothing of it has the program's group, output or marker either.
func summoned(keeper []string) {
	words := append([]string{"hotswap-helper", "summon"}, keeper...)
	if pid, err := startApart(words); err == nil {
		syscall.Wait4(pid, nil, 0, nil)
	}
}

// startKeeper ends when the keeper is ready, or has ended.
func startKeeper(keeper []string) int {
	var ends [2]int
	if syscall.Pipe2(ends[:], syscall.O_CLOEXEC) != nil {
		return 1
	}
	words := append([]string{"hotswap-helper", "keep"}, keeper...)
	if _, err := startApart(words, ends[1]); err != nil {
		return 1
	}
	syscall.Close(ends[1])
	var ready [1]byte
	if n, _ := syscall.Read(ends[0], ready[:]); n != 1 {
		return 1
	}
	return 0
}

// startApart starts the helper as a process that has nothing of the program's: no group, no output, not the marker by which the
// agent finds what the program has left. Its files come behind the three usual ones.
func startApart(words []string, files ...int) (pid int, err error) {
	null, err := syscall.Open(os.DevNull, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer syscall.Close(null)
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "HOTSWAP_DEV=") {
			env = append(env, variable)
		}
	}
	all := []uintptr{uintptr(null), uintptr(null), uintptr(null)}
	for _, file := range files {
		all = append(all, uintptr(file))
	}
	return syscall.ForkExec("/proc/self/exe", words, &syscall.ProcAttr{Env: env, Files: all, Sys: &syscall.SysProcAttr{Setsid: true}})
}

// enlist hands the keeper the descriptor to which this process's calls are reported. It returns why not.
func enlist(at, bin string, keeper []string) string {
	socket, err := knock(at)
	if err != nil {
		summoned(keeper)
		socket, err = knock(at)
	}
	if err != nil {
		return "no keeper"
	}
	defer syscall.Close(socket)
	mode, _, err := receiveWith(socket)
	if err != nil || len(mode) == 0 {
		return "the keeper cannot be reached"
	}
	if keeper, err := syscall.GetsockoptUcred(socket, syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
		// where Yama lets a process be looked into by its parents alone
		syscall.RawSyscall(syscall.SYS_PRCTL, prSetPtracer, uintptr(keeper.Pid), 0)
	}
	listener, err := reportCalls(string(mode) == modeMake)
	if err != nil {
		return "the kernel takes no filter: " + err.Error()
	}
	defer syscall.Close(listener)
	if sendWith(socket, []byte(identity(bin)), listener) == nil {
		receiveWith(socket) // the keeper listens from now on
	}
	return ""
}

// saveHolds writes what status says of holding.
func saveHolds(at, text string) {
	state{at: at}.save("holds", text+"\n")
}
