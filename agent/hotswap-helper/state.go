package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A site is a binary and what is beside it.
type site struct {
	bin, folder, name string
}

// siteOf takes the path as the agent has it: absolute, through no link.
func siteOf(bin string) site {
	return site{bin, filepath.Dir(bin), filepath.Base(bin)}
}

func (s site) dev() string  { return s.bin + "-dev" }
func (s site) part() string { return s.bin + "-dev.part" }
func (s site) prev() string { return s.bin + "-prev" }

// A state is the folder in which the agent says what it does. What the agent writes there, hotswap-dev says in its functions
// register (agent), report (receipt), swap (swapping, answer.ID); what put writes, put.go (offer, rejected.ID, lock).
type state struct {
	site
	at string
	// agent is what the agent said of itself when it was found: a cleaner may take it, and another one may come.
	agent pairs
}

// findState finds the state of the agent that runs the binary: beside it, or in one of two other places.
func findState(s site) (state, bool) {
	flat := ".hotswap" + strings.ReplaceAll(s.bin, "/", "%")
	for _, at := range []string{filepath.Join(s.folder, ".hotswap-"+s.name), "/tmp/" + flat, "/dev/shm/" + flat} {
		found := state{site: s, at: at, agent: readPairs(filepath.Join(at, "agent"))}
		if isMine(at) && found.agentLives() {
			return found, true
		}
	}
	return state{}, false
}

// isMine is for a folder of this very user, and no link to one.
func isMine(folder string) bool {
	stat, err := os.Lstat(folder)
	return err == nil && stat.IsDir() && owner(stat) == os.Geteuid()
}

func owner(stat os.FileInfo) int { return int(stat.Sys().(*syscall.Stat_t).Uid) }

func (s state) agentLives() bool { return isAlive(s.agent.first("pid"), s.agent.first("start")) }

// wake has the agent look at once.
func (s state) wake() {
	if pid, err := strconv.Atoi(s.agent.first("pid")); err == nil && s.agentLives() {
		syscall.Kill(pid, syscall.SIGUSR1)
	}
}

func (s state) file(name string) string { return filepath.Join(s.at, name) }

// limit is the agent's patience.
func (s state) limit() time.Duration {
	hundredths, err := strconv.ParseUint(s.agent.first("limit"), 10, 31)
	if err != nil {
		hundredths = 1000
	}
	return time.Duration(hundredths) * 10 * time.Millisecond
}

// save writes a file of the state, whole or not at all. On a full disk the block that the agent keeps for this goes first.
func (s state) save(name, text string) bool {
	write := func() bool {
		made := s.file(name + "." + self() + ".new")
		if os.WriteFile(made, []byte(text), 0o644) == nil && os.Rename(made, s.file(name)) == nil {
			return true
		}
		os.Remove(made)
		return false
	}
	if write() {
		return true
	}
	os.Remove(s.file("spare"))
	return write()
}

// --- lines of key=value ---

type pairs [][2]string

func readPairs(file string) pairs {
	said, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var found pairs
	for _, line := range strings.Split(string(said), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			found = append(found, [2]string{key, value})
		}
	}
	return found
}

// first is the value of a key; the first one counts.
func (p pairs) first(key string) string {
	for _, pair := range p {
		if pair[0] == key {
			return pair[1]
		}
	}
	return ""
}

// --- processes ---

// status of a process: its letter (t: halted by a debugger), and its start, which together with the pid names it for good.
func statusOf(pid string) (letter byte, start string, found bool) {
	if _, err := strconv.ParseUint(pid, 10, 31); err != nil {
		return 0, "", false
	}
	said, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, "", false
	}
	// the name, in brackets, may hold anything
	fields := strings.Fields(string(said[bytes.LastIndexByte(said, ')')+1:]))
	if len(fields) < 20 {
		return 0, "", false
	}
	return fields[0][0], fields[19], true
}

// isAlive is not for a zombie.
func isAlive(pid, start string) bool {
	letter, began, found := statusOf(pid)
	return found && began == start && letter != 'Z' && letter != 'X'
}

// isHolder is for PID-START of a process that lives.
func isHolder(name string) bool {
	pid, start, ok := strings.Cut(name, "-")
	return ok && isAlive(pid, start)
}

var ownName string

// self is PID-START of this process.
func self() string {
	if ownName == "" {
		pid := strconv.Itoa(os.Getpid())
		_, start, _ := statusOf(pid)
		ownName = pid + "-" + start
	}
	return ownName
}

// --- files ---

// identity is what makes a file this very file, as the agent has it: device, inode, size and time of change. It is empty where
// there is none.
func identity(file string) string {
	stat, err := os.Stat(file)
	if err != nil {
		return ""
	}
	return identityOf(stat)
}

func identityOf(stat os.FileInfo) string {
	sys := stat.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%d:%d:%d:%d", uint64(sys.Dev), sys.Ino, sys.Size, stat.ModTime().Unix())
}

func isFile(file, known string) bool { return known != "" && identity(file) == known }

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func sizeOf(file string) int64 {
	stat, err := os.Stat(file)
	if err != nil {
		return 0
	}
	return stat.Size()
}

// clearPath makes a path free. A folder is moved aside, a link is not followed.
func clearPath(path string) {
	if stat, err := os.Lstat(path); err == nil && stat.IsDir() {
		os.Rename(path, path+"."+self())
	} else if err == nil {
		os.Remove(path)
	}
}

const rememberedSums = 6

// sumOf is the sha256 of a file, made once per file; empty where it cannot be read.
func (s state) sumOf(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return ""
	}
	for _, line := range s.sums() {
		if known, sum, _ := strings.Cut(line, " "); known == exactly(before) && isSum(sum) {
			return sum
		}
	}
	hashed := sha256.New()
	if _, err := io.CopyBuffer(hashed, struct{ io.Reader }{f}, make([]byte, chunk)); err != nil {
		return ""
	}
	sum := hex.EncodeToString(hashed.Sum(nil))
	if after, err := f.Stat(); err == nil && exactly(after) == exactly(before) {
		s.remember(after, sum)
	}
	return sum
}

// exactly is an identity that tells apart what was written within one second too.
func exactly(stat os.FileInfo) string {
	return fmt.Sprintf("%s.%09d", identityOf(stat), stat.ModTime().Nanosecond())
}

func (s state) sums() []string {
	said, _ := os.ReadFile(s.file("sha256"))
	return strings.Split(strings.TrimSpace(string(said)), "\n")
}

func (s state) remember(stat os.FileInfo, sum string) {
	known := s.sums()
	known = known[max(0, len(known)-rememberedSums+1):]
	s.save("sha256", strings.TrimSpace(strings.Join(append(known, exactly(stat)+" "+sum), "\n"))+"\n")
}

func isSum(text string) bool {
	return len(text) == 64 && isMadeOf(text, digits+"abcdef")
}

// --- what runs ---

// report is what the agent reported, read once: between two looks another report may take its place.
type report struct {
	pid, began string
	// ran is the identity of the file that was started.
	ran   string
	lines pairs
}

func (s state) report() report {
	var r report
	for _, pair := range readPairs(s.file("receipt")) {
		switch pair[0] {
		case "pidstart":
			r.began = pair[1]
		case "file":
			r.ran = pair[1]
		case "pid":
			r.pid = pair[1]
		}
		r.lines = append(r.lines, pair)
	}
	return r
}

func (r report) lives() bool { return r.pid != "" && isAlive(r.pid, r.began) }

// sumOfRunning is the sha256 of what the process executes, and its proof: a script, or a program with file capabilities, cannot
// be seen to run that very file.
func (s state) sumOfRunning(r report) (sum, proof string) {
	if exe := "/proc/" + r.pid + "/exe"; isFile(exe, r.ran) {
		return s.sumOf(exe), "exe"
	}
	return s.sumOf(s.bin), "file"
}

// now is what runs, as the agent reported it, proven by looking at the process.
func (s state) now(withLog bool) string {
	var said strings.Builder
	r := s.report()
	if len(r.lines) == 0 {
		said.WriteString("result=starting\n") // the agent has only just come up
	}
	runs := r.lives()
	if r.pid != "" && !runs {
		said.WriteString("result=crashed\nreason=it has just ended\n")
	} else if runs && isHalted(r.pid) {
		time.Sleep(100 * time.Millisecond) // a debugger holds a program for a moment whenever a signal comes
		if isHalted(r.pid) {
			said.WriteString("reason=halted\n")
		}
	}
	for _, pair := range r.lines {
		switch key := pair[0]; {
		case key == "pidstart" || key == "file" || key == "log" && !withLog:
			continue
		case pair[1] == "" && (key == "pid" || key == "reason" || key == "deployed"):
			continue
		case !runs && isOfProcess(key):
			continue
		}
		said.WriteString(pair[0] + "=" + pair[1] + "\n")
	}
	if runs {
		sum, proof := s.sumOfRunning(r)
		said.WriteString("sha256=" + sum + "\nproof=" + proof + "\n")
		held, _ := os.ReadFile(s.file("waited"))
		if words := strings.Fields(string(held)); len(words) == 3 && words[0] == r.pid {
			longest, _ := strconv.Atoi(words[2])
			fmt.Fprintf(&said, "waited=%s %d.%02d\n", words[1], longest/100, longest%100)
		}
	}
	return said.String()
}

func isHalted(pid string) bool {
	letter, _, _ := statusOf(pid)
	return letter == 't'
}

// isOfProcess is for keys that mean nothing where nothing runs.
func isOfProcess(key string) bool {
	switch key {
	case "pid", "started", "version", "by", "run", "deployed", "logfrom":
		return true
	}
	return false
}

// greeting is what status prints, and put before it reads.
func (s state) greeting() string {
	var said strings.Builder
	said.WriteString(s.now(true))
	fmt.Fprintf(&said, "machine=%s\ndecodes=raw,gzip,delta\nwritable=%s\nfree=%d\n", uname(), s.writable(), s.free()+sizeOf(s.prev()))
	if sum := s.sumOf(s.prev()); sum != "" {
		said.WriteString("prev=" + sum + "\n")
	}
	if sum, _ := s.swapping(); isSum(sum) {
		said.WriteString("swapping=" + sum + "\n")
	}
	for _, pair := range s.agent {
		switch key, value := pair[0], pair[1]; {
		case key == "agent", key == "logfile", key == "wrapper" && value != "", key == "group" && value == "no":
			said.WriteString(key + "=" + value + "\n")
		}
	}
	if held, err := os.ReadFile(s.file("holds")); err == nil {
		line, _, _ := strings.Cut(string(held), "\n")
		fmt.Fprintf(&said, "holds=%s\n", line)
	} else if s.report().lives() {
		said.WriteString("holds=no (no helper)\n") // there was none when the program was started
	}
	if words := strings.Fields(s.agent.first("wrapper")); len(words) > 0 && !s.hasTool(words[0]) {
		said.WriteString("debugger=missing\n")
	}
	return said.String()
}

// swapping is what the agent says of the swap that it is at: the sha256, and what it waits for.
func (s state) swapping() (sum, phase string) {
	said, _ := os.ReadFile(s.file("swapping"))
	line, _, _ := strings.Cut(string(said), "\n")
	sum, phase, _ = strings.Cut(line, " ")
	return sum, phase
}

// hasTool is for one that was sent, or one of the image.
func (s state) hasTool(name string) bool {
	if runnable(s.file("bin/" + name)) {
		return true
	}
	if strings.Contains(name, "/") {
		return runnable(name)
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if runnable(filepath.Join(folder, name)) {
			return true
		}
	}
	return false
}

// --- the disk ---

// writable says yes, or why a new binary cannot take the place of the present one, by trying: what access(2) says is of the mode
// alone on some file systems.
func (s site) writable() string {
	folder, err := os.Stat(s.folder)
	if err != nil {
		return "no: " + s.folder + " takes no file"
	}
	if me := os.Geteuid(); folder.Mode()&os.ModeSticky != 0 && me != 0 && owner(folder) != me {
		if bin, err := os.Stat(s.bin); err == nil && owner(bin) != me {
			return "no: " + s.bin + " belongs to another owner, in a folder with the sticky bit"
		}
	}
	probe := filepath.Join(s.folder, ".hotswap-try."+strconv.Itoa(os.Getpid()))
	os.Remove(probe)
	defer os.Remove(probe)
	f, err := os.OpenFile(probe, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	switch {
	case isAny(err, syscall.EROFS):
		return "no: " + s.folder + " is read-only"
	case isFull(err):
		return "no: the disk of " + s.folder + " is full"
	case isAny(err, syscall.EACCES, syscall.EPERM):
		return "no: " + s.folder + " belongs to another owner"
	case err != nil:
		return "no: " + s.folder + " takes no file"
	}
	f.Chmod(0o755)
	f.Close()
	pid, err := syscall.ForkExec(probe, []string{probe}, nil) // an empty file is no program: where it may be one, ENOEXEC
	if err == nil {
		syscall.Wait4(pid, nil, 0, nil)
	}
	if isAny(err, syscall.EACCES, syscall.EPERM) {
		return "no: " + s.folder + " is mounted noexec"
	}
	return "yes"
}

// free is how many bytes the folder's disk takes.
func (s site) free() int64 {
	var disk syscall.Statfs_t
	if syscall.Statfs(s.folder, &disk) != nil {
		return 1 << 40 // the disk will tell
	}
	size := int64(disk.Frsize)
	if size == 0 {
		size = int64(disk.Bsize)
	}
	return int64(disk.Bavail) * size
}
