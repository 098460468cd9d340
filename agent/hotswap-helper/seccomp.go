package main

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// What the kernel offers for holding ports, spelled once: seccomp(2), seccomp_unotify(2), pidfd_getfd(2). The standard library
// names few of the numbers.

// numbers are those that differ between machines.
type numbers struct{ seccomp, audit uintptr }

func machineNumbers() (numbers, bool) {
	switch runtime.GOARCH {
	case "amd64":
		return numbers{317, 0xC000003E}, true
	case "arm64":
		return numbers{277, 0xC00000B7}, true
	}
	return numbers{}, false
}

const (
	sysPidfdOpen  = 434
	sysPidfdGetfd = 438

	prSetNoNewPrivs = 38
	prSetPtracer    = 0x59616d61
	x32             = 0x40000000

	setModeFilter    = 1
	newListener      = 1 << 3
	waitKillableRecv = 1 << 5 // Linux 5.19: a signal does not cut a call short that is being looked at
	retAllow         = 0x7fff0000
	retNotify        = 0x7fc00000

	notifRecv  = 0xc0502100
	notifSend  = 0xc0182101
	notifValid = 0x40082102
	notifAddfd = 0x40182103

	goOn      = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE
	addfdSet  = 1 // SECCOMP_ADDFD_FLAG_SETFD
	ipv6Only  = 26
	reusePort = 15
)

// A notice is struct seccomp_notif: a call that waits for its answer. Its pid is a thread's.
type notice struct {
	id    uint64
	tid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// --- the filter ---

// instructions of the filter: a call of bind is reported; of setsockopt, if options is set, what the keeper must know to make such
// a socket itself: IPV6_V6ONLY and SO_REUSEPORT. All else, and another machine's numbering, goes its way.
func instructions(n numbers, options bool) []syscall.SockFilter {
	const load, equal, atLeast, ret = 0x20, 0x15, 0x35, 0x06
	word := func(offset uint32) syscall.SockFilter { return syscall.SockFilter{Code: load, K: offset} }
	is := func(value, yes, no int) syscall.SockFilter {
		return syscall.SockFilter{Code: equal, Jt: uint8(yes), Jf: uint8(no), K: uint32(value)}
	}
	const nr, arch, level, option = 0, 4, 24, 32 // in struct seccomp_data; the lower halves of its arguments
	optionsCall := syscall.SYS_SETSOCKOPT
	if !options {
		optionsCall = -1
	}
	return []syscall.SockFilter{
		word(arch),
		is(int(n.audit), 0, 11),
		word(nr),
		{Code: atLeast, Jt: 9, K: x32},
		is(syscall.SYS_BIND, 9, 0),
		is(optionsCall, 0, 7),
		word(level),
		is(syscall.IPPROTO_IPV6, 0, 2),
		word(option),
		is(ipv6Only, 4, 3),
		is(syscall.SOL_SOCKET, 0, 2),
		word(option),
		is(reusePort, 1, 0),
		{Code: ret, K: retAllow},
		{Code: ret, K: retNotify},
	}
}

// reportCalls has this thread, and what it executes, report those calls to the descriptor that is returned.
func reportCalls(options bool) (int, error) {
	n, known := machineNumbers()
	if !known {
		return -1, syscall.ENOSYS
	}
	filter := instructions(n, options)
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); err != 0 {
		return -1, err
	}
	var fd uintptr
	err := syscall.EINVAL
	for _, flags := range []uintptr{newListener | waitKillableRecv, newListener} {
		if fd, _, err = syscall.RawSyscall(n.seccomp, setModeFilter, flags, uintptr(unsafe.Pointer(&program))); err == 0 {
			return int(fd), nil
		}
	}
	return -1, err
}

// --- answers ---

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); err != 0 {
		return err
	}
	return nil
}

func receive(listener int) (n notice, err error) {
	return n, ioctl(listener, notifRecv, unsafe.Pointer(&n))
}

func isValid(listener int, id uint64) bool {
	return ioctl(listener, notifValid, unsafe.Pointer(&id)) == nil
}

func answer(listener int, id uint64, flags uint32) error {
	reply := struct {
		id    uint64
		value int64
		err   int32
		flags uint32
	}{id, 0, 0, flags}
	return ioctl(listener, notifSend, unsafe.Pointer(&reply))
}

// putUnder gives the caller a copy of a file, under a descriptor that it has.
func putUnder(listener int, id uint64, file, descriptor, flags int) error {
	add := struct {
		id                           uint64
		flags, source, into, fdflags uint32
	}{id, addfdSet, uint32(file), uint32(descriptor), uint32(flags)}
	return ioctl(listener, notifAddfd, unsafe.Pointer(&add))
}

// lead has all new connections come to the second of two sockets that share a port.
func lead(fd int) error {
	const attachReuseportFilter = 51
	filter := [1]syscall.SockFilter{{Code: 0x06, K: 1}} // the second
	program := syscall.SockFprog{Len: 1, Filter: &filter[0]}
	_, _, err := syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), syscall.SOL_SOCKET, attachReuseportFilter, uintptr(unsafe.Pointer(&program)), unsafe.Sizeof(program), 0)
	if err != 0 {
		return err
	}
	return nil
}

// waiting is how many connections nobody has accepted yet: tcpi_unacked of struct tcp_info, if a socket listens.
func waiting(fd int) int {
	const unacked = 24
	var info [104]byte
	size := uint32(len(info))
	_, _, err := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, uintptr(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if err != 0 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(info[unacked:]))
}

// --- others' files ---

// pidfdOf is a descriptor that can be read once the process has ended, or -1.
func pidfdOf(pid string) int {
	number, err := strconv.Atoi(pid)
	if err != nil {
		return -1
	}
	fd, _, failed := syscall.RawSyscall(sysPidfdOpen, uintptr(number), 0, 0)
	if failed != 0 {
		return -1
	}
	return int(fd)
}

// copyOf is another process's file, under a descriptor of our own.
func copyOf(pid, descriptor int) (int, error) {
	process, _, err := syscall.RawSyscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if err != 0 {
		return -1, err
	}
	defer syscall.Close(int(process))
	fd, _, err := syscall.RawSyscall(sysPidfdGetfd, process, uintptr(descriptor), 0)
	if err != 0 {
		return -1, err
	}
	return int(fd), nil
}

// mayCopy says whether the container's own filter lets copyOf be called.
func mayCopy() bool {
	fd, err := copyOf(syscall.Getpid(), 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err == nil || errors.Is(err, syscall.EBADF)
}

// memoryOf reads what a call points at.
func memoryOf(tid uint32, at uint64, size int) ([]byte, error) {
	fd, err := syscall.Open("/proc/"+strconv.Itoa(int(tid))+"/mem", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	read := make([]byte, size)
	n, err := syscall.Pread(fd, read, int64(at))
	if err == nil && n != size {
		err = syscall.EFAULT
	}
	return read, err
}

// protocolOf is what /proc says of a socket that is not bound yet: TCP, TCPv6, MPTCP, UDP, …
func protocolOf(path string) string {
	var value [32]byte
	n, err := syscall.Getxattr(path, "system.sockprotoname", value[:])
	if err != nil {
		return ""
	}
	for n > 0 && value[n-1] == 0 {
		n--
	}
	return string(value[:n])
}

// --- waiting ---

type pollFd struct {
	fd              int32
	events, revents int16
}

const (
	pollIn  = 1
	pollErr = 8
	pollHup = 16
)

// poll waits for at most so many milliseconds; below 0 for ever.
func poll(files []pollFd, milliseconds int) {
	var timeout *syscall.Timespec
	if milliseconds >= 0 {
		spec := syscall.NsecToTimespec(int64(milliseconds) * 1e6)
		timeout = &spec
	}
	for i := range files {
		files[i].revents = 0
	}
	var first unsafe.Pointer
	if len(files) > 0 {
		first = unsafe.Pointer(&files[0])
	}
	_, _, err := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(first), uintptr(len(files)), uintptr(unsafe.Pointer(timeout)), 0, 0, 0)
	if err != 0 {
		for i := range files {
			files[i].revents = 0
		}
	}
}

// --- messages with a descriptor ---

// sendWith sends a message, and a descriptor if it is not negative.
func sendWith(socket int, message []byte, fd int) error {
	var rights []byte
	if fd >= 0 {
		rights = syscall.UnixRights(fd)
	}
	return syscall.Sendmsg(socket, message, rights, nil, syscall.MSG_NOSIGNAL)
}

// receiveWith returns an empty message at the end.
func receiveWith(socket int) (message []byte, fd int, err error) {
	buffer, room := make([]byte, 256), make([]byte, syscall.CmsgSpace(4))
	n, rights, _, _, err := syscall.Recvmsg(socket, buffer, room, syscall.MSG_CMSG_CLOEXEC)
	fd = -1
	if err != nil {
		return nil, fd, err
	}
	if controls, err := syscall.ParseSocketControlMessage(room[:rights]); err == nil && len(controls) == 1 {
		if fds, err := syscall.ParseUnixRights(&controls[0]); err == nil && len(fds) == 1 {
			fd = fds[0]
		}
	}
	return buffer[:n], fd, nil
}

// --- addresses ---

// An address is a TCP one, as bind has it.
type address struct {
	family int
	port   int
	host   [16]byte // of IPv4 the first four
	scope  uint32
}

// addressOf takes the bytes of a sockaddr. It fails for any other family, and for port 0, which means any.
func addressOf(raw []byte) (address, bool) {
	var a address
	if len(raw) < 16 {
		return a, false
	}
	a.family = int(binary.NativeEndian.Uint16(raw))
	a.port = int(binary.BigEndian.Uint16(raw[2:]))
	switch {
	case a.port == 0:
		return a, false
	case a.family == syscall.AF_INET:
		copy(a.host[:4], raw[4:8])
		return a, true
	case a.family == syscall.AF_INET6 && len(raw) >= 28:
		copy(a.host[:], raw[8:24])
		a.scope = binary.NativeEndian.Uint32(raw[24:])
		return a, true
	}
	return a, false
}

// sockaddr is for bind.
func (a address) sockaddr() syscall.Sockaddr {
	if a.family == syscall.AF_INET {
		return &syscall.SockaddrInet4{Port: a.port, Addr: [4]byte(a.host[:4])}
	}
	return &syscall.SockaddrInet6{Port: a.port, Addr: a.host, ZoneId: a.scope}
}

func (a address) isAny() bool { return a.host == [16]byte{} }

// mapped is the IPv4 address that an IPv6 one stands for, if it does.
func (a address) mapped() (four [4]byte, is bool) {
	return [4]byte(a.host[12:]), [12]byte(a.host[:12]) == [12]byte{10: 0xff, 11: 0xff}
}

// String is as people write it, the longest run of zeros of IPv6 as two colons.
func (a address) String() string {
	var words []string
	if a.family == syscall.AF_INET {
		for _, b := range a.host[:4] {
			words = append(words, strconv.Itoa(int(b)))
		}
		return strings.Join(words, ".") + ":" + strconv.Itoa(a.port)
	}
	for i := 0; i < 16; i += 2 {
		words = append(words, strconv.FormatUint(uint64(binary.BigEndian.Uint16(a.host[i:])), 16))
	}
	text := ":" + strings.Join(words, ":") + ":"
	for run := 8; run > 1; run-- {
		if zeros := strings.Repeat("0:", run); strings.Contains(text, ":"+zeros) {
			text = strings.Replace(text, ":"+zeros, "::", 1)
			break
		}
	}
	if text = strings.TrimSuffix(strings.TrimPrefix(text, ":"), ":"); strings.HasPrefix(text, ":") || text == "" {
		text = ":" + text
	}
	if strings.HasSuffix(text, ":") {
		text += ":"
	}
	return "[" + text + "]:" + strconv.Itoa(a.port)
}

// collide says whether two sockets cannot both be bound, if neither asks for SO_REUSEPORT; an IPv6 one that is only that leaves
// the port's IPv4 to others.
func collide(a address, aOnly bool, b address, bOnly bool) bool {
	if a.port != b.port {
		return false
	}
	if a.family == b.family {
		return a.isAny() || b.isAny() || a.host == b.host
	}
	if a.family == syscall.AF_INET {
		a, aOnly, b, bOnly = b, bOnly, a, aOnly
	}
	if four, is := a.mapped(); !aOnly && !a.isAny() {
		return is && (b.isAny() || four == [4]byte(b.host[:4]))
	}
	return !aOnly
}
