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

// launch does not return unless there is nothing to execute.
func launch(at, bin string, words []string) int {
	runtime.LockOSThread() // the filter and no_new_privs are this thread's, and what it executes inherits them
	if why := unfit(bin); why != "" {
		saveHolds(at, "no ("+why+")")
	} else if why := enlist(at, bin); why != "" {
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

// enlist hands the keeper the descriptor to which this process's calls are reported. It returns why not.
func enlist(at, bin string) string {
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "there is no unix socket here"
	}
	defer syscall.Close(socket)
	patience := syscall.Timeval{Sec: 5}
	syscall.SetsockoptTimeval(socket, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience)
	folder, err := syscall.Open(at, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return "the keeper cannot be reached"
	}
	defer syscall.Close(folder)
	// a path of a socket has 107 bytes at most
	if err := syscall.Connect(socket, &syscall.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(folder) + "/keeper"}); err != nil {
		return "the keeper cannot be reached"
	}
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
