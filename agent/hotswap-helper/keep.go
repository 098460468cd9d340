package main

import (
	"errors"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The keeper has a copy of each TCP socket on which the program listens, so that connections wait in the kernel's queue while no
// program is there, and puts it under the next program's descriptor when that binds the same address. docs/ports.md has the rules.

const (
	modeCopy = "copy" // the keeper takes copies of the program's sockets
	modeMake = "make" // it may not: it makes them, and puts them under the program's descriptors

	often  = 100 * time.Millisecond
	seldom = 700 * time.Millisecond
	misses = 2

	backlog = 1 << 16 // the kernel takes net.core.somaxconn
)

// A process is named for good by its pid and start.
type process struct {
	pid   int
	start string
}

func processOf(pid int) process {
	_, start, _ := statusOf(strconv.Itoa(pid))
	return process{pid, start}
}

func (p process) lives() bool { return isAlive(strconv.Itoa(p.pid), p.start) }

// A launched is what was launched once: the program, or its wrapper and the programs that it starts one after the other.
type launched struct {
	process
	listener int
	serial   uint32
	// exe is the binary's device and inode: a socket of any other program is left alone.
	exe string
	at  time.Time
	// program is the process that bound a socket last, and bound when it first did.
	program process
	bound   time.Time
}

// A port is a socket that is kept.
type port struct {
	address
	only     bool // IPv6 alone
	protocol string
	fd       int
	inode    uint64
	// owner has it under descriptor; any process of the program may, see holder.
	owner      process
	descriptor int
	// shared: the program has asked for SO_REUSEPORT itself.
	shared  bool
	listens bool
	misses  int
	// delay is how long after its first bind the program bound this one.
	delay time.Duration
	// seen is when a process was last known to have it; orphaned, since when none has it.
	seen, orphaned time.Time
}

// An option is what a program has asked of a socket before it binds it.
type option struct {
	pid, descriptor, name int
}

type keeper struct {
	at, bin       string
	settle, limit time.Duration
	mode          string
	door          int
	runs          []*launched
	ports         []*port
	guests        []int // launchers that have not handed over their listener yet
	options       map[option]bool
	// asked: the program was asked to end, by the agent.
	asked   bool
	leaving bool
	// first is how long the last run took to its first bind.
	first time.Duration
	// idle is since when nothing runs.
	idle time.Time
	said string
	// agent is a pidfd, readable once it has ended, or -1.
	agent int
	deputy
}

// keep serves until the agent, PID-START, leaves, and then until nobody is left whose calls are reported to it. Who waits for it on
// descriptor 3 hears that it can be reached.
func keep(at, bin, agent, settle, limit string) int {
	const waits = 3
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(25)
	k := &keeper{at: at, bin: bin, settle: hundredths(settle), limit: hundredths(limit), options: map[option]bool{}, mode: modeMake}
	if mayCopy() {
		k.mode = modeCopy
	}
	alarm := k.signals()
	pid, _, _ := strings.Cut(agent, "-")
	k.agent = pidfdOf(pid)
	if !isHolder(agent) || k.open() != nil {
		return 1
	}
	state{at: "."}.save("keeper.pid", strings.ReplaceAll(self(), "-", " ")+"\n")
	k.tell()
	syscall.Write(waits, []byte("."))
	syscall.Close(waits)
	for !k.leaving || len(k.runs) > 0 {
		k.wait(alarm)
		if k.agent < 0 && !k.leaving && !isHolder(agent) {
			k.leave()
		}
		k.look(time.Now())
		k.summon()
		k.tell()
	}
	k.deputy.dismiss()
	return 0
}

func hundredths(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return time.Second
	}
	return time.Duration(n) * 10 * time.Millisecond
}

// signals returns the end of a pipe that has a byte for each of the agent's: U, the program is asked to end; T, the agent leaves.
func (k *keeper) signals() int {
	var ends [2]int
	syscall.Pipe2(ends[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK)
	arrive := make(chan os.Signal, 8)
	signal.Notify(arrive, syscall.SIGUSR1, syscall.SIGTERM)
	signal.Ignore(syscall.SIGHUP)
	go func() {
		for s := range arrive {
			word := "T"
			if s == syscall.SIGUSR1 {
				word = "U"
			}
			syscall.Write(ends[1], []byte(word))
		}
	}()
	return ends[0]
}

// open makes the door at which launchers knock. It gets its name when it is open: the agent looks for it.
func (k *keeper) open() (err error) {
	if err = os.Chdir(k.at); err != nil {
		return err
	}
	k.door, err = syscall.Socket(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	os.Remove("keeper.new")
	if err = syscall.Bind(k.door, &syscall.SockaddrUnix{Name: "keeper.new"}); err == nil {
		err = syscall.Listen(k.door, 8)
	}
	if err == nil {
		err = os.Rename("keeper.new", "keeper")
	}
	return err
}

// wait waits for the next thing to do, and does it.
func (k *keeper) wait(alarm int) {
	files := []pollFd{{int32(alarm), pollIn, 0}, {int32(k.door), pollIn, 0}}
	if k.deputy.socket > 0 {
		files = append(files, pollFd{int32(k.deputy.socket), pollIn, 0})
	}
	if k.agent >= 0 && !k.leaving {
		files = append(files, pollFd{int32(k.agent), pollIn, 0})
	}
	for _, guest := range k.guests {
		files = append(files, pollFd{int32(guest), pollIn, 0})
	}
	for _, r := range k.runs {
		files = append(files, pollFd{int32(r.listener), pollIn, 0})
	}
	poll(files, k.pause())
	for _, file := range files {
		fd := int(file.fd)
		switch {
		case file.revents == 0:
		case fd == alarm:
			k.obey(alarm)
		case fd == k.agent:
			k.leave()
		case fd == k.door:
			k.admit()
		case fd == k.deputy.socket:
			k.deputy.end()
		case k.isGuest(fd):
			k.enlist(fd)
		case file.revents&pollIn != 0:
			k.hear(fd)
		default: // nobody is left who could call
			k.forget(fd)
		}
	}
}

// pause is how long nothing has to be looked at, in milliseconds; at rest, when there is no port, for ever.
func (k *keeper) pause() int {
	if len(k.ports) == 0 && k.agent >= 0 && (k.deputy.socket > 0 || len(k.runs) == 0) {
		return -1
	}
	for _, p := range k.ports {
		if !p.orphaned.IsZero() || p.misses > 0 {
			return int(often / time.Millisecond)
		}
	}
	return int(seldom / time.Millisecond)
}

func (k *keeper) obey(alarm int) {
	var words [16]byte
	n, _ := syscall.Read(alarm, words[:])
	for _, word := range words[:max(n, 0)] {
		if word == 'U' {
			k.asked = true
			k.divert()
			continue
		}
		k.leave()
	}
}

func (k *keeper) leave() {
	k.leaving = true
	for len(k.ports) > 0 {
		k.drop(k.ports[0])
	}
}

// --- launchers ---

func (k *keeper) admit() {
	guest, _, err := syscall.Accept4(k.door, syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK)
	if err != nil {
		return
	}
	who, err := syscall.GetsockoptUcred(guest, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil || int(who.Uid) != os.Geteuid() || k.leaving || sendWith(guest, []byte(k.mode), -1) != nil {
		syscall.Close(guest)
		return
	}
	k.guests = append(k.guests, guest)
}

func (k *keeper) isGuest(fd int) bool {
	for _, guest := range k.guests {
		if guest == fd {
			return true
		}
	}
	return false
}

// enlist takes the listener of a launcher, who is about to become the program or its wrapper.
func (k *keeper) enlist(guest int) {
	message, listener, err := receiveWith(guest)
	if errors.Is(err, syscall.EAGAIN) {
		return
	}
	defer syscall.Close(guest)
	k.guests = without(k.guests, guest)
	who, unknown := syscall.GetsockoptUcred(guest, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil || unknown != nil || listener < 0 {
		return
	}
	r := &launched{process: processOf(int(who.Pid)), listener: listener, exe: fileOf(string(message)), at: time.Now()}
	k.runs = append(k.runs, r)
	k.asked = false
	os.Remove("waited")
	k.deputy.know(r)
	k.summon() // before the program can call
	sendWith(guest, []byte("listening"), -1)
}

// fileOf is the device and inode of an identity.
func fileOf(identity string) string {
	fields := strings.SplitN(identity, ":", 3)
	if len(fields) < 3 {
		return ""
	}
	return fields[0] + ":" + fields[1]
}

func without(numbers []int, number int) []int {
	var left []int
	for _, n := range numbers {
		if n != number {
			left = append(left, n)
		}
	}
	return left
}

func (k *keeper) forget(listener int) {
	for i, r := range k.runs {
		if r.listener == listener {
			syscall.Close(listener)
			k.runs = append(k.runs[:i:i], k.runs[i+1:]...)
			return
		}
	}
}

// current is the last that was launched, if it lives.
func (k *keeper) current() *launched {
	if len(k.runs) == 0 {
		return nil
	}
	if r := k.runs[len(k.runs)-1]; r.lives() {
		return r
	}
	return nil
}

// --- calls ---

// hear answers a call that is reported.
func (k *keeper) hear(listener int) {
	n, err := receive(listener)
	if err != nil {
		return // the caller has gone
	}
	for _, r := range k.runs {
		if r.listener != listener {
			continue
		}
		k.deputy.note(r, n.id)
		if k.leaving || !k.serve(r, n) {
			answer(listener, n.id, goOn)
		}
	}
}

// serve says whether it has answered itself.
func (k *keeper) serve(r *launched, n notice) bool {
	pid := groupOf(n.tid)
	if pid == 0 || !k.isProgram(r, pid) {
		return false
	}
	descriptor := int(n.args[0])
	if int(n.nr) == syscall.SYS_SETSOCKOPT {
		if value, err := memoryOf(n.tid, n.args[3], 4); err == nil {
			k.options[option{pid, descriptor, int(n.args[2])}] = value[0] != 0
		}
		return false
	}
	size := min(int(n.args[2]), 28)
	if size < 16 {
		return false
	}
	raw, err := memoryOf(n.tid, n.args[1], size)
	if err != nil || !isValid(r.listener, n.id) {
		return false
	}
	a, ok := addressOf(raw)
	path := "/proc/" + strconv.Itoa(int(n.tid)) + "/fd/" + strconv.Itoa(descriptor)
	protocol := protocolOf(path)
	if !ok || !strings.Contains(protocol, "TCP") {
		return false
	}
	now := time.Now()
	if r.program.pid != pid {
		r.program, r.bound = processOf(pid), now
		if now.Sub(r.at) < k.limit*10 { // not one that a debugger has restarted
			k.first = now.Sub(r.at)
		}
	}
	p := &port{address: a, protocol: protocol, fd: -1, owner: r.program, descriptor: descriptor, delay: now.Sub(r.bound)}
	return k.bind(r, n.id, p, path)
}

// bind finds the kept socket for a call, or keeps a new one.
func (k *keeper) bind(r *launched, id uint64, p *port, path string) bool {
	if k.mode == modeCopy {
		fd, err := copyOf(p.owner.pid, p.descriptor)
		if err != nil {
			return false
		}
		only, _ := syscall.GetsockoptInt(fd, syscall.IPPROTO_IPV6, ipv6Only)
		reuse, _ := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, reusePort)
		p.fd, p.only, p.shared = fd, only != 0, reuse != 0
	} else {
		p.only = k.takeOption(p, ipv6Only, p.family == syscall.AF_INET6 && isOnlyByDefault())
	}
	p.inode = socketOf(path)
	if old := k.portOf(p.inode); old != nil { // bound again, after a bind that failed, or in vain
		if old.listens || k.mode == modeMake {
			p.close()
			return false
		}
		k.drop(old)
	}
	if kept := k.clear(p); kept != nil {
		waited := waiting(kept.fd)
		if give(r, id, kept, p, path) {
			k.noteWaits(kept, waited)
			p.close()
			return true
		}
		k.drop(kept)
	}
	if k.mode == modeCopy {
		k.ports = append(k.ports, p)
		return false
	}
	if p.make(k.takeOption(p, reusePort, false)) != nil || !give(r, id, p, p, path) {
		p.close()
		return false // the kernel tells the program itself why not
	}
	k.ports = append(k.ports, p)
	return true
}

// clear makes way for a bind: what nobody has any more, and would stand in its way, goes; the very socket that it asks for is returned.
func (k *keeper) clear(p *port) (kept *port) {
	for _, old := range append([]*port{}, k.ports...) {
		if !collide(old.address, old.only, p.address, p.only) || k.holder(old) {
			continue
		}
		same := old.address == p.address && old.only == p.only && old.protocol == p.protocol && isListening(old.fd)
		if kept == nil && same && (k.asked || !old.owner.lives()) {
			kept = old
			continue
		}
		k.drop(old)
	}
	return kept
}

// give puts a kept socket under the descriptor with which a program, to be its owner, has called bind.
func give(r *launched, id uint64, kept, to *port, path string) bool {
	flags := flagsOf(path)
	if status, _, err := syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(kept.fd), syscall.F_GETFL, 0); err == 0 {
		status = status&^syscall.O_NONBLOCK | uintptr(flags)&syscall.O_NONBLOCK
		syscall.RawSyscall(syscall.SYS_FCNTL, uintptr(kept.fd), syscall.F_SETFL, status)
	}
	if !isValid(r.listener, id) || putUnder(r.listener, id, kept.fd, to.descriptor, flags&syscall.O_CLOEXEC) != nil {
		return false
	}
	answer(r.listener, id, 0)
	if !kept.shared {
		syscall.SetsockoptInt(kept.fd, syscall.SOL_SOCKET, reusePort, 0) // see divert
	}
	kept.owner, kept.descriptor, kept.delay = to.owner, to.descriptor, to.delay
	kept.orphaned, kept.misses = time.Time{}, 0
	return true
}

// noteWaits writes down how many connections have waited for a program, and for how long at most: PID CONNECTIONS HUNDREDTHS.
func (k *keeper) noteWaits(p *port, connections int) {
	if connections == 0 {
		return
	}
	longest := int(time.Since(p.seen) / (10 * time.Millisecond))
	said, _ := os.ReadFile("waited")
	if words := strings.Fields(string(said)); len(words) == 3 && words[0] == strconv.Itoa(p.owner.pid) { // on another port
		before, _ := strconv.Atoi(words[1])
		longer, _ := strconv.Atoi(words[2])
		connections, longest = connections+before, max(longest, longer)
	}
	state{at: "."}.save("waited", strconv.Itoa(p.owner.pid)+" "+strconv.Itoa(connections)+" "+strconv.Itoa(longest)+"\n")
}

// make is for a keeper that may copy nothing.
func (p *port) make(reuse bool) error {
	protocol := 0
	if strings.HasPrefix(p.protocol, "MPTCP") {
		protocol = 262
	}
	p.shared = reuse
	return p.open(protocol, reuse)
}

// open makes the socket, and binds it.
func (p *port) open(protocol int, reuse bool) error {
	fd, err := syscall.Socket(p.family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, protocol)
	if err != nil {
		return err
	}
	p.fd = fd
	syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if reuse {
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, reusePort, 1)
	}
	if p.family == syscall.AF_INET6 {
		only := 0
		if p.only {
			only = 1
		}
		syscall.SetsockoptInt(fd, syscall.IPPROTO_IPV6, ipv6Only, only)
	}
	var stat syscall.Stat_t
	syscall.Fstat(fd, &stat)
	p.inode = stat.Ino
	return syscall.Bind(fd, p.sockaddr())
}

func (k *keeper) takeOption(p *port, name int, otherwise bool) bool {
	key := option{p.owner.pid, p.descriptor, name}
	value, asked := k.options[key]
	delete(k.options, key)
	if !asked {
		return otherwise
	}
	return value
}

func isOnlyByDefault() bool {
	said, _ := os.ReadFile("/proc/sys/net/ipv6/bindv6only")
	return strings.HasPrefix(string(said), "1")
}

// --- ports ---

// look drops the ports that nobody will ask for, or that the program has closed itself.
func (k *keeper) look(now time.Time) {
	r := k.current() // asked once: it may end meanwhile
	if r != nil {
		k.idle = time.Time{}
	} else if k.idle.IsZero() {
		k.idle = now
	}
	for _, p := range append([]*port{}, k.ports...) {
		listens := isListening(p.fd)
		if listens && !p.listens {
			p.learn()
		}
		switch {
		case k.holder(p):
			p.misses, p.seen, p.orphaned = 0, now, time.Time{}
			if p.listens && !listens { // shut down
				k.drop(p)
			}
		case !listens:
			k.drop(p)
		case p.owner.lives():
			if p.misses++; !k.asked && p.misses >= misses {
				k.drop(p)
			}
		default:
			if p.orphaned.IsZero() {
				p.orphaned = now
			}
			if now.After(k.deadline(p, r, now)) {
				k.drop(p)
			}
		}
	}
}

// deadline is until when a port is held that no process has: SETTLE after the first bind of the program that came after, or twice as
// long as the one before took from its first bind to this one; while none binds, a little longer than LIMIT, after which the agent gives
// a start up that shows no program, or twice as long as the one before took to its first bind; LIMIT while nothing runs.
func (k *keeper) deadline(p *port, r *launched, now time.Time) time.Time {
	switch {
	case r == nil:
		return k.idle.Add(k.limit)
	case k.asked: // it is being stopped
		return now
	case r.bound.After(p.orphaned):
		return r.bound.Add(max(k.settle, 2*p.delay))
	}
	from := p.orphaned
	if r.at.After(from) {
		from = r.at
	}
	return from.Add(max(k.limit*3/2+time.Second, 2*k.first))
}

// divert gives each port a second socket, for the next program, to which all new connections come: the old program, which is being
// asked to end, gets no more of them, and can lose none. If the kernel does not let it, the next program gets the old socket.
func (k *keeper) divert() {
	for _, p := range k.ports {
		if p.shared || !p.listens || !k.holder(p) {
			continue
		}
		next := *p
		syscall.SetsockoptInt(p.fd, syscall.SOL_SOCKET, reusePort, 1)
		next.fd = -1
		if next.open(0, true) != nil || syscall.Listen(next.fd, backlog) != nil || lead(next.fd) != nil {
			next.close()
			syscall.SetsockoptInt(p.fd, syscall.SOL_SOCKET, reusePort, 0)
			continue
		}
		p.close()
		p.fd, p.inode, p.seen = next.fd, next.inode, time.Now()
	}
}

// learn asks the kernel for the address, once a socket listens.
func (p *port) learn() {
	p.listens = true
	switch a, _ := syscall.Getsockname(p.fd); a := a.(type) {
	case *syscall.SockaddrInet4:
		p.port = a.Port
		p.host = [16]byte{}
		copy(p.host[:], a.Addr[:])
	case *syscall.SockaddrInet6:
		p.port, p.host = a.Port, a.Addr
	}
}

func (p *port) close() {
	if p.fd >= 0 {
		syscall.Close(p.fd)
	}
}

func (k *keeper) drop(p *port) {
	p.close()
	for i, one := range k.ports {
		if one == p {
			k.ports = append(k.ports[:i:i], k.ports[i+1:]...)
			return
		}
	}
}

func (k *keeper) portOf(inode uint64) *port {
	for _, p := range k.ports {
		if p.inode == inode {
			return p
		}
	}
	return nil
}

// holder says whether any process of the program has the socket: its owner as a rule, else one to which it was handed down.
func (k *keeper) holder(p *port) bool {
	if socketOf("/proc/"+strconv.Itoa(p.owner.pid)+"/fd/"+strconv.Itoa(p.descriptor)) == p.inode {
		return true
	}
	for _, pid := range numbersIn("/proc") {
		if !k.isAnyProgram(pid) {
			continue
		}
		for _, fd := range numbersIn("/proc/" + strconv.Itoa(pid) + "/fd") {
			if socketOf("/proc/"+strconv.Itoa(pid)+"/fd/"+strconv.Itoa(fd)) == p.inode {
				p.owner, p.descriptor = processOf(pid), fd
				return true
			}
		}
	}
	return false
}

// isProgram says whether a process executes the binary: as it was at its launch, or as it is now, since a debugger starts it anew.
func (k *keeper) isProgram(r *launched, pid int) bool {
	exe := fileOf(identity("/proc/" + strconv.Itoa(pid) + "/exe"))
	return exe != "" && (exe == r.exe || exe == fileOf(identity(k.bin)))
}

func (k *keeper) isAnyProgram(pid int) bool {
	for _, r := range k.runs {
		if k.isProgram(r, pid) {
			return true
		}
	}
	return false
}

// tell writes what status says, if it has changed.
func (k *keeper) tell() {
	var held []string
	for _, p := range k.ports {
		if p.listens {
			held = append(held, p.String())
		}
	}
	sort.Strings(held)
	said := strings.Join(held, ",")
	if said == "" {
		said = "no (the program listens on no TCP port)"
	}
	if said != k.said && !k.leaving {
		saveHolds(".", said)
	}
	k.said = said
}

// --- /proc ---

// groupOf is the process of a thread.
func groupOf(tid uint32) int {
	said, err := os.ReadFile("/proc/" + strconv.Itoa(int(tid)) + "/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(said), "\nTgid:\t")
	line, _, _ := strings.Cut(rest, "\n")
	pid, _ := strconv.Atoi(line)
	return pid
}

// socketOf is the inode of the socket behind a descriptor in /proc, or 0.
func socketOf(path string) uint64 {
	var buffer [64]byte
	n, err := syscall.Readlink(path, buffer[:])
	if err != nil {
		return 0
	}
	text, found := strings.CutPrefix(string(buffer[:n]), "socket:[")
	if !found {
		return 0
	}
	inode, _ := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
	return inode
}

// flagsOf are those of a descriptor: O_NONBLOCK, O_CLOEXEC.
func flagsOf(path string) int {
	said, _ := os.ReadFile(strings.Replace(path, "/fd/", "/fdinfo/", 1))
	_, rest, _ := strings.Cut(string(said), "flags:\t")
	line, _, _ := strings.Cut(rest, "\n")
	flags, _ := strconv.ParseInt(line, 8, 32)
	return int(flags)
}

func numbersIn(folder string) (found []int) {
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			found = append(found, n)
		}
	}
	return found
}

func isListening(fd int) bool {
	const acceptsConnections = 30 // SO_ACCEPTCONN
	value, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, acceptsConnections)
	return err == nil && value != 0
}
