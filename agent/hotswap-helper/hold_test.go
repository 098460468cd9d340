package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// The cases have real processes: this test's own binary is the helper, the program, and what stands between them.
func TestMain(m *testing.M) {
	if os.Getenv("HOTSWAP_HOLD_TEST") == "" || len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "program":
		program(os.Args[2])
	case "strict":
		strict(os.Args[2:])
	case "wrapper":
		command := exec.Command(os.Args[3], os.Args[4:]...)
		command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
		listener, err := net.Listen("tcp", os.Args[2])
		fmt.Println("wrapper", err == nil)
		command.Run()
		if err == nil {
			time.Sleep(time.Hour)
			listener.Close()
		}
	default:
		main()
	}
	os.Exit(0)
}

// program obeys the lines of its stdin, and answers each connection with its name.
func program(name string) {
	var listeners []net.Listener
	serve := func(l net.Listener) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, name)
			c.Close()
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		if strings.HasPrefix(name, "lingers") { // and accepts
			time.Sleep(500 * time.Millisecond)
			os.Exit(0)
		}
		for _, l := range listeners {
			l.Close()
		}
		time.Sleep(300 * time.Millisecond) // what is in flight
		os.Exit(0)
	}()
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "listen":
			l, err := net.Listen(words[1], words[2])
			if err == nil {
				listeners = append(listeners, l)
				go serve(l)
			}
			fmt.Println("said", err)
		case "udp":
			c, err := net.ListenPacket("udp", words[1])
			fmt.Println("said", err)
			defer func() { _ = c }()
		case "close":
			n, _ := strconv.Atoi(words[1])
			fmt.Println("said", listeners[n].Close())
		case "again": // at once
			n, _ := strconv.Atoi(words[1])
			at := listeners[n].Addr().String()
			listeners[n].Close()
			l, err := net.Listen("tcp", at)
			if err == nil {
				listeners[n] = l
				go serve(l)
			}
			fmt.Println("said", err)
		case "fork": // a child of its own has the socket, under descriptor 3, and this process no more
			n, _ := strconv.Atoi(words[1])
			file, err := listeners[n].(*net.TCPListener).File()
			if err == nil {
				child := exec.Command("/proc/self/exe", "program", name+"-child")
				child.ExtraFiles = []*os.File{file}
				child.Env = append(os.Environ(), "INHERIT=1")
				child.Stdin, _ = os.Open("/dev/zero")
				err = child.Start()
				listeners[n].Close()
				file.Close()
			}
			fmt.Println("said", err)
		case "limits":
			var limit syscall.Rlimit
			syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
			status, _ := os.ReadFile("/proc/self/status")
			_, ignored, _ := strings.Cut(string(status), "SigIgn:\t")
			fmt.Println("said", os.Args[1:], ignored[:16])
		}
		if os.Getenv("INHERIT") != "" {
			break
		}
	}
	if os.Getenv("INHERIT") != "" {
		l, err := net.FileListener(os.NewFile(3, "listener"))
		if err == nil {
			serve(l)
		}
	}
	time.Sleep(time.Hour)
}

// strict executes a command under what a container's RuntimeDefault does to pidfd_getfd: EPERM.
func strict(words []string) {
	runtime.LockOSThread()
	filter := []syscall.SockFilter{
		{Code: 0x20, K: 0},
		{Code: 0x15, Jt: 0, Jf: 1, K: sysPidfdGetfd},
		{Code: 0x06, K: 0x00050000 | uint32(syscall.EPERM)},
		{Code: 0x06, K: retAllow},
	}
	n, _ := machineNumbers()
	made := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0)
	syscall.RawSyscall(n.seccomp, setModeFilter, 0, uintptr(unsafe.Pointer(&made)))
	panic(syscall.Exec(words[0], words, os.Environ()))
}

// --- a keeper and its programs ---

type held struct {
	*testing.T
	at, bin string
	keeper  *exec.Cmd
	all     []*exec.Cmd
}

const testSettle, testLimit = 300 * time.Millisecond, 1500 * time.Millisecond

func self0() string { exe, _ := os.Executable(); return exe }

// holding runs a case once for each way to keep a socket.
func holding(t *testing.T, body func(h *held)) {
	if _, known := machineNumbers(); !known || !mayCopy() {
		t.Skip("this machine's kernel, or its filter, does not let sockets be kept")
	}
	t.Parallel()
	for _, mode := range []string{modeCopy, modeMake} {
		mode := mode
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			h := &held{T: t, at: t.TempDir()}
			h.bin = filepath.Join(h.at, "bin")
			h.install(h.bin)
			defer h.end()
			words := append([]string{self0(), "keep"}, h.keeperWords()...)
			if mode == modeMake {
				words = append([]string{self0(), "strict"}, words...)
			}
			h.keeper = h.start(words...)
			h.await("the keeper", time.Second*5, func() bool { return exists(filepath.Join(h.at, "keeper")) })
			body(h)
		})
	}
}

func (h *held) install(path string) {
	bytes, err := os.ReadFile(self0())
	if err == nil {
		err = os.WriteFile(path+".new", bytes, 0o755)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		h.Fatal(err)
	}
}

func (h *held) start(words ...string) *exec.Cmd {
	command := exec.Command(words[0], words[1:]...)
	command.Env = append(os.Environ(), "HOTSWAP_HOLD_TEST=1")
	nobody, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err == nil {
		command.ExtraFiles = []*os.File{nobody} // who waits for a keeper
		err = command.Start()
		nobody.Close()
	}
	if err != nil {
		h.Fatal(err)
	}
	h.all = append(h.all, command)
	return command
}

// keeperWords are those of an agent that is this test.
func (h *held) keeperWords() []string { return []string{h.at, h.bin, self(), "30", "150"} }

func (h *held) end() {
	for i := len(h.all) - 1; i >= 0; i-- {
		h.all[i].Process.Kill()
		h.all[i].Wait()
	}
	syscall.Kill(h.summoned(), syscall.SIGTERM)
	h.await("keepers and deputies have gone", 10*time.Second, func() bool {
		for _, pid := range numbersIn("/proc") {
			if folder, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd"); folder == h.at {
				return false
			}
		}
		return true
	})
}

// summoned is the pid of a keeper that no case has started itself, or that of one that has gone.
func (h *held) summoned() int {
	said, _ := os.ReadFile(filepath.Join(h.at, "keeper.pid"))
	name := strings.Replace(strings.TrimSpace(string(said)), " ", "-", 1)
	pid, _, _ := strings.Cut(name, "-")
	if number, err := strconv.Atoi(pid); err == nil && isHolder(name) {
		return number
	}
	return 1 << 30
}

func (h *held) await(what string, limit time.Duration, fact func() bool) time.Duration {
	h.Helper()
	begin := time.Now()
	for !fact() {
		if time.Since(begin) > limit {
			h.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begin)
}

type running struct {
	*exec.Cmd
	h   *held
	in  io.Writer
	out *bufio.Scanner
}

// launch starts the program through the launcher, and waits until it is ready.
func (h *held) launch(name string, wrapper ...string) *running {
	h.Helper()
	words := append(append([]string{"launch"}, h.keeperWords()...), append(wrapper, h.bin, "program", name)...)
	command := exec.Command(self0(), words...)
	command.Env = append(os.Environ(), "HOTSWAP_HOLD_TEST=1")
	in, _ := command.StdinPipe()
	out, _ := command.StdoutPipe()
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		h.Fatal(err)
	}
	h.all = append(h.all, command)
	r := &running{command, h, in, bufio.NewScanner(out)}
	for r.out.Scan() && r.out.Text() != "ready" {
		if r.out.Text() == "wrapper false" {
			h.Fatal("the wrapper cannot bind")
		}
	}
	return r
}

// tell has the program do something, and returns what it says.
func (r *running) tell(line string) string {
	r.h.Helper()
	fmt.Fprintln(r.in, line)
	if !r.out.Scan() {
		r.h.Fatal("the program has ended: " + line)
	}
	return strings.TrimPrefix(r.out.Text(), "said ")
}

func (r *running) listen(network, at string) {
	r.h.Helper()
	if said := r.tell("listen " + network + " " + at); said != "<nil>" {
		r.h.Fatal(said)
	}
	r.h.heard(at)
}

// heard waits until status has the address.
func (h *held) heard(at string) {
	h.Helper()
	h.await("status has "+at, 2*time.Second, func() bool { return strings.Contains(h.holds(), at) })
}

func (h *held) holds() string {
	said, _ := os.ReadFile(filepath.Join(h.at, "holds"))
	return strings.TrimSpace(string(said))
}

func (r *running) kill() { r.Process.Kill(); r.Wait() }

// swapOut asks it to end as the agent does.
func (r *running) swapOut() {
	r.h.keeper.Process.Signal(syscall.SIGUSR1)
	r.Process.Signal(syscall.SIGTERM)
	r.Wait()
}

// free is a port that nobody has on any address, nor soon will: each case asks for others.
var free = func() func() string {
	var lock sync.Mutex
	next := 21000 + os.Getpid()%3000
	return func() string {
		lock.Lock()
		defer lock.Unlock()
		for {
			next++
			if l, err := net.Listen("tcp", ":"+strconv.Itoa(next)); err == nil {
				l.Close()
				return strconv.Itoa(next)
			}
		}
	}
}()

// ask connects and returns the name of the program that answers.
func ask(at string, patience time.Duration) (string, error) {
	c, err := net.DialTimeout("tcp", at, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	name, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(name), err
}

func refused(at string) bool {
	c, err := net.DialTimeout("tcp", at, time.Second)
	if err == nil {
		c.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

func (h *held) answers(at, name string) {
	h.Helper()
	if got, err := ask(at, 5*time.Second); got != name || err != nil {
		h.Errorf("%s: %q %v, not %q", at, got, err, name)
	}
}

func (h *held) refusedAfter(at string, least, most time.Duration) {
	h.Helper()
	took := h.await(at+" is refused", most, func() bool { return refused(at) })
	if took < least {
		h.Errorf("%s was refused after %v", at, took)
	}
}

// --- what holds ---

func TestConnectionsWaitForTheNextProgram(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		h.launch("v1").listen("tcp", at)
		h.answers(at, "v1")
		stop, done := make(chan bool), make(chan map[string]int)
		go func() {
			counts, lock, wait := map[string]int{}, sync.Mutex{}, sync.WaitGroup{}
			for {
				select {
				case <-stop:
					wait.Wait()
					done <- counts
					return
				case <-time.After(5 * time.Millisecond):
					wait.Add(1)
					go func() {
						defer wait.Done()
						name, err := ask(at, 10*time.Second)
						lock.Lock()
						defer lock.Unlock()
						if err != nil {
							name = err.Error()
						}
						counts[name]++
					}()
				}
			}
		}()
		time.Sleep(50 * time.Millisecond)
		v1 := &running{h.all[1], h, nil, nil}
		v1.swapOut()
		time.Sleep(300 * time.Millisecond)
		v2 := h.launch("v2")
		time.Sleep(200 * time.Millisecond)
		v2.listen("tcp", at)
		time.Sleep(100 * time.Millisecond)
		close(stop)
		counts := <-done
		if len(counts) != 2 || counts["v1"] == 0 || counts["v2"] < 20 {
			h.Error(counts)
		}
		h.Log(counts)
	})
}

func TestAKilledProgramsConnectionsWait(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		for n := 0; n < 3; n++ {
			v1.kill()
			answer := make(chan string)
			go func() { name, err := ask(at, 5*time.Second); answer <- fmt.Sprint(name, err) }()
			time.Sleep(100 * time.Millisecond)
			v1 = h.launch("v2")
			v1.listen("tcp", at)
			if got := <-answer; got != "v2<nil>" {
				h.Error(got)
			}
		}
	})
}

func TestAProgramThatIsAskedToEndGetsNoMoreConnections(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		for n := 0; n < 3; n++ { // each time the port is another's socket
			v1 := h.launch("lingers" + strconv.Itoa(n))
			v1.listen("tcp", at)
			h.answers(at, "lingers"+strconv.Itoa(n))
			h.keeper.Process.Signal(syscall.SIGUSR1)
			time.Sleep(20 * time.Millisecond)
			v1.Process.Signal(syscall.SIGTERM)
			got := make(chan string, 50)
			for i := 0; i < 50; i++ {
				go func() { name, err := ask(at, 5*time.Second); got <- fmt.Sprint(name, err) }()
			}
			v1.Wait()
			v2 := h.launch("v2")
			v2.listen("tcp", at)
			for i := 0; i < 50; i++ {
				if said := <-got; said != "v2<nil>" {
					h.Error(n, said)
				}
			}
			if said := v2.tell("listen tcp " + at); !strings.HasSuffix(said, "address already in use") {
				h.Error("twice in one program:", said)
			}
			v2.swapOut()
		}
	})
}

func TestAllAddressesAreHeld(t *testing.T) {
	holding(t, func(h *held) {
		one, two, three, four := free(), free(), free(), free()
		all := [][3]string{
			{"tcp", "127.0.0.1:" + one, "127.0.0.1:" + one},
			{"tcp", "127.0.0.2:" + one, "127.0.0.2:" + one}, // the same port on two addresses
			{"tcp4", "0.0.0.0:" + two, "127.0.0.1:" + two},
			{"tcp6", "[::]:" + two, "[::1]:" + two}, // and of two kinds
			{"tcp", "[::]:" + three, "127.0.0.1:" + three},
			{"tcp6", "[::1]:" + four, "[::1]:" + four},
			{"tcp4", "127.0.0.1:" + four, "127.0.0.1:" + four},
		}
		v1 := h.launch("v1")
		for i, one := range all {
			v1.listen(one[0], one[1])
			if i == 0 {
				time.Sleep(time.Second) // the others of the next program are waited for as long again
			}
		}
		v1.swapOut()
		got := make(chan string, len(all))
		for _, one := range all {
			one := one
			go func() { name, err := ask(one[2], 5*time.Second); got <- fmt.Sprint(one, " ", name, err) }()
		}
		time.Sleep(100 * time.Millisecond)
		v2 := h.launch("v2")
		for _, one := range all {
			v2.listen(one[0], one[1])
		}
		for range all {
			if said := <-got; !strings.HasSuffix(said, " v2<nil>") {
				h.Error(said)
			}
		}
	})
}

func TestAWrapperIsLeftAloneAndItsProgramIsHeld(t *testing.T) {
	holding(t, func(h *held) {
		at, wrappers := "127.0.0.1:"+free(), "127.0.0.1:"+free()
		v1 := h.launch("v1", self0(), "wrapper", wrappers)
		v1.listen("tcp", at)
		h.answers(at, "v1")
		if strings.Contains(h.holds(), wrappers) {
			h.Error(h.holds())
		}
		program := 0
		for _, pid := range numbersIn("/proc") {
			if fileOf(identity("/proc/"+strconv.Itoa(pid)+"/exe")) == fileOf(identity(h.bin)) {
				program = pid
			}
		}
		h.keeper.Process.Signal(syscall.SIGUSR1)
		syscall.Kill(program, syscall.SIGKILL)
		v1.kill()
		if !refused(wrappers) {
			h.Error("the wrapper's port is held")
		}
		answer := make(chan string)
		go func() { name, err := ask(at, 5*time.Second); answer <- fmt.Sprint(name, err) }()
		time.Sleep(50 * time.Millisecond)
		v2 := h.launch("v2", self0(), "wrapper", wrappers)
		v2.listen("tcp", at)
		if got := <-answer; got != "v2<nil>" {
			h.Error(got)
		}
		for _, pid := range numbersIn("/proc") {
			if fileOf(identity("/proc/"+strconv.Itoa(pid)+"/exe")) == fileOf(identity(h.bin)) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
}

// --- what must not happen ---

func TestAPortThatTheNextProgramDoesNotBindIsRefusedAfterSettle(t *testing.T) {
	holding(t, func(h *held) {
		one, two := "127.0.0.1:"+free(), "127.0.0.1:"+free()
		v1 := h.launch("v1")
		v1.listen("tcp", one)
		v1.listen("tcp", two)
		v1.swapOut()
		h.launch("v2").listen("tcp", two)
		h.refusedAfter(one, 0, testSettle+2*time.Second)
		h.answers(two, "v2")
		h.await("status has it alone", time.Second, func() bool { return h.holds() == two })
	})
}

func TestAProgramThatBindsNothingIsGivenLimit(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		v1.swapOut()
		h.launch("v2")
		h.refusedAfter(at, testLimit, testLimit+3*time.Second)
	})
}

func TestWhatTheProgramClosesIsClosedWithinASecond(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		time.Sleep(time.Second)
		v1.tell("close 0")
		h.refusedAfter(at, 0, 1500*time.Millisecond)
		v1.listen("tcp", at)
		h.answers(at, "v1")
	})
}

func TestWhileNothingRunsItIsHeldForLimit(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		v1.kill()
		h.launch("v2").kill()
		h.refusedAfter(at, testLimit/2, testLimit+time.Second)
		h.launch("v3").listen("tcp", at)
		h.answers(at, "v3")
	})
}

func TestNothingIsHeldWhenTheAgentLeaves(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		h.keeper.Process.Signal(syscall.SIGTERM)
		v1.Process.Signal(syscall.SIGTERM)
		h.refusedAfter(at, 0, 250*time.Millisecond) // it still runs
		if said := v1.tell("listen tcp " + at); said != "<nil>" {
			h.Error(said)
		}
		v1.Wait()
		ended := make(chan error)
		go func() { ended <- h.keeper.Wait() }()
		select {
		case <-ended:
		case <-time.After(2 * time.Second):
			h.Error("the keeper stays")
		}
	})
}

func TestABindThatFailsFailsAsEver(t *testing.T) {
	holding(t, func(h *held) {
		other, _ := net.Listen("tcp", "127.0.0.1:0")
		defer other.Close()
		v1 := h.launch("v1")
		if said := v1.tell("listen tcp " + other.Addr().String()); !strings.HasSuffix(said, "address already in use") {
			h.Error(said)
		}
		if said := v1.tell("listen tcp 192.0.2.1:" + free()); !strings.HasSuffix(said, "cannot assign requested address") {
			h.Error(said)
		}
		at := "127.0.0.1:" + free()
		v1.listen("tcp", at)
		if said := v1.tell("listen tcp " + at); !strings.HasSuffix(said, "address already in use") {
			h.Error("twice in one program:", said)
		}
		h.answers(at, "v1")
		if h.holds() != at {
			h.Error(h.holds())
		}
	})
}

func TestAProgramBindsAgainByItself(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		for n := 0; n < 5; n++ {
			if said := v1.tell("again 0"); said != "<nil>" {
				h.Error(said)
			}
			h.answers(at, "v1")
		}
		time.Sleep(time.Second)
		h.answers(at, "v1")
		v1.swapOut()
		v2 := h.launch("v2")
		v2.listen("tcp", at)
		h.answers(at, "v2")
	})
}

func TestOtherAddressesOfTheSamePortTakeItsPlace(t *testing.T) {
	holding(t, func(h *held) {
		port := free()
		for _, at := range []string{"127.0.0.1:", "0.0.0.0:", "[::]:", "127.0.0.1:", "[::]:", "0.0.0.0:"} {
			v, network := h.launch(at), "tcp"
			if at == "0.0.0.0:" {
				network = "tcp4" // else Go takes [::]
			}
			v.listen(network, at+port)
			h.answers("127.0.0.1:"+port, at)
			v.swapOut()
		}
	})
}

func TestPortZeroUDPAndUnixAreLeftAlone(t *testing.T) {
	holding(t, func(h *held) {
		at, port := filepath.Join(h.at, "socket"), free()
		v1 := h.launch("v1")
		for _, line := range []string{"listen tcp 127.0.0.1:0", "listen unix " + at, "udp 127.0.0.1:" + port} {
			if said := v1.tell(line); said != "<nil>" {
				h.Error(line, said)
			}
		}
		time.Sleep(500 * time.Millisecond)
		if !strings.HasPrefix(h.holds(), "no (") {
			h.Error(h.holds())
		}
		v1.swapOut()
		v2 := h.launch("v2")
		if said := v2.tell("udp 127.0.0.1:" + port); said != "<nil>" {
			h.Error(said)
		}
	})
}

func TestASocketThatAChildHasIsHeld(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		if said := v1.tell("fork 0"); said != "<nil>" {
			h.Fatal(said)
		}
		time.Sleep(1500 * time.Millisecond)
		h.answers(at, "v1-child")
		v1.kill()
		time.Sleep(200 * time.Millisecond)
		h.answers(at, "v1-child")
		for _, pid := range numbersIn("/proc") {
			if fileOf(identity("/proc/"+strconv.Itoa(pid)+"/exe")) == fileOf(identity(h.bin)) {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		answer := make(chan string)
		go func() { name, err := ask(at, 5*time.Second); answer <- fmt.Sprint(name, err) }()
		h.launch("v2").listen("tcp", at)
		if got := <-answer; got != "v2<nil>" {
			h.Error(got)
		}
	})
}

func TestTwoKeepersDoNotMeet(t *testing.T) {
	holding(t, func(h *held) {
		at := "127.0.0.1:" + free()
		other := &held{T: h.T, at: h.TempDir()}
		other.bin = filepath.Join(other.at, "bin")
		other.install(other.bin)
		defer other.end()
		other.keeper = other.start(append([]string{self0(), "keep"}, other.keeperWords()...)...)
		other.await("the keeper", 5*time.Second, func() bool { return exists(filepath.Join(other.at, "keeper")) })
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		v1.swapOut()
		if said := other.launch("o1").tell("listen tcp " + at); !strings.HasSuffix(said, "address already in use") {
			h.Error(said)
		}
		h.launch("v2").listen("tcp", at)
		h.answers(at, "v2")
	})
}

func TestAKeeperThatIsKilledTakesNothingAlong(t *testing.T) {
	holding(t, func(h *held) {
		at, more := "127.0.0.1:"+free(), "127.0.0.1:"+free()
		v1 := h.launch("v1")
		v1.listen("tcp", at)
		h.keeper.Process.Kill()
		h.keeper.Wait()
		if said := v1.tell("listen tcp " + more); said != "<nil>" {
			h.Error(said)
		}
		h.answers(at, "v1")
		h.answers(more, "v1")
		v1.kill()
		if !refused(at) {
			h.Error("it is held")
		}
		h.await("it is told of", 3*time.Second, func() bool { return h.holds() == "no (its keeper was killed)" })
		rows, _ := filepath.Glob(filepath.Join(h.at, "rejected.*"))
		if len(rows) != 1 {
			h.Error(rows)
		}
		v2 := h.launch("v2") // which brings another keeper
		v2.listen("tcp", at)
		h.answers(at, "v2")
		h.await("it is held", 3*time.Second, func() bool { return h.holds() == at })
		v2.kill()
		if refused(at) {
			h.Error("it is not held")
		}
	})
}

func TestADeputyThatIsKilledIsReplaced(t *testing.T) {
	holding(t, func(h *held) {
		deputies := func() (found []int) {
			for _, pid := range numbersIn("/proc") {
				said, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
				if fields := strings.Fields(string(said)); len(fields) > 3 && fields[3] == strconv.Itoa(h.keeper.Process.Pid) && fields[2] != "Z" {
					found = append(found, pid)
				}
			}
			return found
		}
		at := "127.0.0.1:" + free()
		v1 := h.launch("v1")
		first := deputies()
		if len(first) != 1 {
			h.Fatal(first)
		}
		syscall.Kill(first[0], syscall.SIGKILL)
		h.await("another deputy", 3*time.Second, func() bool { now := deputies(); return len(now) == 1 && now[0] != first[0] })
		time.Sleep(200 * time.Millisecond) // it has been told
		h.keeper.Process.Kill()
		h.keeper.Wait()
		if said := v1.tell("listen tcp " + at); said != "<nil>" {
			h.Error(said)
		}
	})
}

func TestTheLauncherPassesAllOn(t *testing.T) {
	holding(t, func(h *held) {
		if said := h.launch("v1").tell("limits"); !strings.HasPrefix(said, "[program v1] 0000000000000000") {
			h.Error(said)
		}
	})
}

func TestAnAddressIsReadAndWritten(t *testing.T) {
	six := func(text string) (host [16]byte) { copy(host[:], net.ParseIP(text).To16()); return host }
	for text, a := range map[string]address{
		"127.0.0.1:80":         {syscall.AF_INET, 80, [16]byte{127, 0, 0, 1}, 0},
		"[::]:8080":            {syscall.AF_INET6, 8080, [16]byte{}, 0},
		"[::1]:1":              {syscall.AF_INET6, 1, six("::1"), 0},
		"[fe80::1:0:2]:1":      {syscall.AF_INET6, 1, six("fe80::1:0:2"), 0},
		"[1::]:1":              {syscall.AF_INET6, 1, six("1::"), 0},
		"[1:2:3:4:5:6:7:8]:65": {syscall.AF_INET6, 65, six("1:2:3:4:5:6:7:8"), 0},
	} {
		if a.String() != text {
			t.Error(a.String(), text)
		}
	}
	if _, ok := addressOf([]byte{2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}); ok {
		t.Error("port 0 is none")
	}
}

func TestWhichSocketsCollide(t *testing.T) {
	four := func(port int, a, d byte) address { return address{syscall.AF_INET, port, [16]byte{a, 0, 0, d}, 0} }
	six := func(port int, text string) (a address) {
		a = address{family: syscall.AF_INET6, port: port}
		copy(a.host[:], net.ParseIP(text).To16())
		return a
	}
	for _, one := range []struct {
		a    address
		only bool
		b    address
		is   bool
	}{
		{four(1, 127, 1), false, four(1, 127, 1), true},
		{four(1, 127, 1), false, four(1, 127, 2), false},
		{four(1, 127, 1), false, four(2, 127, 1), false},
		{four(1, 127, 1), false, four(1, 0, 0), true},
		{six(1, "::"), false, four(1, 127, 1), true},
		{six(1, "::"), true, four(1, 127, 1), false},
		{six(1, "::1"), false, four(1, 0, 0), false},
		{six(1, "::ffff:127.0.0.1"), false, four(1, 127, 1), true},
		{six(1, "::ffff:127.0.0.1"), false, four(1, 127, 2), false},
	} {
		if collide(one.a, one.only, one.b, false) != one.is || collide(one.b, false, one.a, one.only) != one.is {
			t.Error(one)
		}
	}
}
