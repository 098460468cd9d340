package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A refusal ends an upload that changes nothing.
type refusal struct {
	result string
	code   int
	reason string
}

func (r refusal) Error() string { return r.reason }

func rejected(format string, words ...any) refusal {
	return refusal{"rejected", 3, fmt.Sprintf(format, words...)}
}

func malformed(what string) refusal {
	return refusal{"rejected", 2, "malformed header: " + what}
}

// --- the header ---

// A header is the line that a client sends before its bytes.
type header struct {
	sha256, encoding, base, run, version, by, over string
	// size is how many bytes follow; whole, how many the file has, or -1.
	size, whole int64
}

const longestHeader = 4096

// readHeader returns no line where stdin ended before one.
func readHeader(in *bufio.Reader) (line string, err error) {
	var said []byte
	for {
		c, err := in.ReadByte()
		switch {
		case err != nil && len(said) == 0:
			return "", io.EOF
		case err != nil:
			return "", malformed("no end of line")
		case c == '\n':
			return string(said), nil
		case len(said) == longestHeader:
			return "", malformed("longer than 4 KiB")
		}
		said = append(said, c)
	}
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// isMadeOf is not for an empty text.
func isMadeOf(text, letters string) bool { return text != "" && strings.Trim(text, letters) == "" }

// isCount is for a number as a shell counts: of at most twelve digits, and no octal one.
func isCount(text string) bool {
	return isMadeOf(text, digits) && len(text) <= 12 && (text == "0" || text[0] != '0')
}

func isPlain(text string) bool { return text == "" || isMadeOf(text, lower+upper+digits+"._@:+-") }

// parseHeader takes the first of a key; keys that it does not know are ignored.
func parseHeader(line string) (header, error) {
	words := map[string]string{}
	for _, word := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' }) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return header{}, malformed("a word without =")
		}
		if words[key] == "" {
			words[key] = value
		}
	}
	h := header{words["sha256"], words["encoding"], words["base"], words["run"], words["version"], words["by"], words["over"], 0, -1}
	switch {
	case !isSum(h.sha256):
		return h, malformed("sha256")
	case h.base != "" && !isSum(h.base):
		return h, malformed("base")
	case h.over != "" && h.over != "none" && !isSum(h.over):
		return h, malformed("over")
	case !isCount(words["size"]):
		return h, malformed("size")
	case words["whole"] != "" && !isCount(words["whole"]):
		return h, malformed("whole")
	case h.run != "" && h.run != "plain" && h.run != "wrapped":
		return h, malformed("run")
	case !isPlain(h.version):
		return h, malformed("version")
	case !isPlain(h.by):
		return h, malformed("by")
	case !isMadeOf(h.encoding, lower):
		return h, malformed("encoding")
	}
	h.size, _ = strconv.ParseInt(words["size"], 10, 64)
	if words["whole"] != "" {
		h.whole, _ = strconv.ParseInt(words["whole"], 10, 64)
	}
	if h.encoding == "raw" {
		h.whole = h.size
	}
	return h, nil
}

// --- the upload ---

// An upload is one put, or one tool where it has a name.
type upload struct {
	lock
	header
	tool string
	in   *bufio.Reader
	// old is the file that a delta is for.
	old string
	// witness keeps the inode of the partial file from becoming another file's.
	witness *os.File
	// staged is the identity of what was staged.
	staged string
	// guard is held by who changes the lock, the partial or the staged file: a signal may come at any time.
	guard sync.Mutex
}

// put receives a binary, or a tool, and returns its exit code.
func put(bin, tool string) int {
	woken := make(chan os.Signal, 1)
	signal.Notify(woken, syscall.SIGUSR1) // by the agent
	s, found := findState(siteOf(bin))
	if !found {
		return noAgent(bin)
	}
	u := &upload{lock: lock{state: s}, tool: tool, in: bufio.NewReaderSize(os.Stdin, 64<<10)}
	widen(0)
	go u.endOn(syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT)
	say(s.greeting() + "\n")
	line, err := readHeader(u.in)
	if err == io.EOF {
		return 0
	}
	if err == nil {
		u.header, err = parseHeader(line)
	}
	if err == nil {
		err = u.bring()
	}
	if err == nil && tool != "" {
		u.giveBack()
		say("result=installed\n\n")
		return 0
	}
	if err == nil {
		var code int
		if code, err = u.await(woken); err == nil {
			return code
		}
	}
	return u.refuse(err)
}

// widen lets a pipe hold more, so that its reader is woken less often; what is no pipe stays as it is.
func widen(pipe uintptr) {
	const setSize, size = 1031, 1 << 20 // F_SETPIPE_SZ of fcntl(2)
	syscall.Syscall(syscall.SYS_FCNTL, pipe, setSize, size)
}

// bring does all that comes before the agent: afterwards the file is staged, or kept as a tool.
func (u *upload) bring() error {
	if err := u.admit(); err != nil {
		return err
	}
	u.whose = u.by
	if u.whose == "" {
		u.whose = "somebody"
	}
	u.guard.Lock()
	err := u.take()
	u.guard.Unlock()
	if err != nil {
		return err
	}
	if err := u.checkOver(); err != nil {
		return err
	}
	clearPath(u.part())
	if err := u.makeRoom(); err != nil {
		return err
	}
	part, err := os.OpenFile(u.part(), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return u.unwritten(err)
	}
	defer part.Close()
	u.guard.Lock()
	u.partial, err = part.Stat()
	u.guard.Unlock()
	if err != nil {
		return u.unwritten(err)
	}
	if u.witness, err = os.Open(u.part()); err != nil {
		return u.unwritten(err)
	}
	if err := u.receive(part); err != nil {
		return err
	}
	if fault := elfFault(part); fault != "" {
		return rejected("%s", fault)
	}
	touch(part) // nobody is stuck who has all of it
	// a file that is open for writing cannot be executed
	if err := errors.Join(part.Chmod(0o755), part.Close()); err != nil {
		return u.unwritten(err)
	}
	u.guard.Lock()
	defer u.guard.Unlock()
	if u.tool != "" {
		return u.keepTool()
	}
	return u.stage()
}

// admit refuses what cannot work before a byte is read.
func (u *upload) admit() error {
	if spoken := strings.Fields(u.agent.first("agent")); len(spoken) == 2 {
		if n, err := strconv.Atoi(spoken[1]); err == nil && n > protocol {
			return rejected("the agent speaks protocol %d, its helper %d: update your copy of hotswap-dev (git pull)", n, protocol)
		}
	}
	switch u.encoding {
	case "raw", "gzip", "delta":
	default:
		return rejected("encoding %s is not one of raw,gzip,delta", u.encoding)
	}
	if u.run == "wrapped" && u.agent.first("wrapper") == "" {
		return rejected("run=wrapped, but the agent was started without -r")
	}
	if u.encoding == "delta" {
		for _, file := range []string{u.bin, u.prev()} {
			if u.old == "" && u.base != "" && u.sumOf(file) == u.base {
				u.old = file
			}
		}
		if u.old == "" {
			return rejected("base is neither what runs nor the binary before it")
		}
	}
	if can := u.writable(); can != "yes" {
		return rejected("%s", strings.TrimPrefix(can, "no: "))
	}
	return nil
}

// checkOver refuses to take the place of another binary than the sender has seen: somebody else's may have come since the
// greeting. To be called with the lock, or it could still come.
func (u *upload) checkOver() error {
	if u.over == "" {
		return nil
	}
	sum := "none"
	if r := u.report(); r.lives() {
		sum, _ = u.sumOfRunning(r)
	}
	if sum != u.over {
		return refusal{"busy", 4, "another binary runs by now"}
	}
	return nil
}

// makeRoom refuses what the disk cannot hold; where it does not hold three binaries, the one before the present one goes. A tool
// is not worth the way back.
func (u *upload) makeRoom() error {
	spare, least := u.free(), max(u.whole, u.size)
	if u.whole >= 0 {
		least = u.whole
	}
	estimate, room := u.whole, spare
	if u.tool == "" {
		room += sizeOf(u.prev())
	}
	if room < least {
		return rejected("disk full: %d bytes are needed in %s, %d are free", least, u.folder, room)
	}
	if u.whole < 0 {
		estimate = sizeOf(u.bin) * 11 / 10
	}
	if u.tool == "" && u.old != u.prev() && spare < estimate {
		os.Remove(u.prev())
	}
	return nil
}

// unwritten is a refusal for what the disk did not take.
func (u *upload) unwritten(err error) error {
	if isFull(err) {
		return rejected("disk full: the upload does not fit into %s", u.folder)
	}
	return rejected("%s cannot be written: %s", u.part(), plain(err))
}

// plain is an error without what was tried, at most a line.
func plain(err error) string {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// --- its bytes ---

// receive writes exactly the bytes that were announced to the partial file, as their encoding says. What counts is the sha256 of
// what was written, and that it was.
func (u *upload) receive(part *os.File) error {
	in := &source{in: u.in, left: u.size, part: part}
	out := &proven{part: part, hash: sha256.New(), most: u.whole}
	err := u.decode(in, out)
	if err := u.keep("another put took over, as nothing had come for long"); err != nil {
		return err
	}
	if out.failed != nil {
		return u.unwritten(out.failed)
	}
	if sum := hex.EncodeToString(out.hash.Sum(nil)); sum != u.sha256 {
		if u.encoding == "raw" && out.written < u.size {
			return rejected("not complete: %d of %d bytes arrived", out.written, u.size)
		}
		why := ""
		if err != nil {
			why = " (" + plain(err) + ")"
		}
		return rejected("damaged: its sha256 is %s%s", sum, why)
	}
	return nil
}

func (u *upload) decode(in io.Reader, out io.Writer) error {
	buffer := make([]byte, chunk)
	switch u.encoding {
	case "gzip":
		packed, err := gzip.NewReader(bufio.NewReaderSize(in, 64<<10))
		if err != nil {
			return err
		}
		_, err = io.CopyBuffer(out, struct{ io.Reader }{packed}, buffer)
		return err
	case "delta":
		old, err := os.Open(u.old)
		if err != nil {
			return err
		}
		defer old.Close()
		_, err = patch(old, bufio.NewReader(in), out)
		return err
	}
	_, err := io.CopyBuffer(out, in, buffer)
	return err
}

// A source is what is left of the announced bytes. It keeps the time of the partial file, by which others see that something
// comes: a delta writes nothing for long on a slow link.
type source struct {
	in    io.Reader
	left  int64
	part  *os.File
	noted time.Time
	ended error
}

const noteEvery = 200 * time.Millisecond

func (s *source) Read(into []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n, err := s.in.Read(into[:min(int64(len(into)), s.left)])
	s.left -= int64(n)
	if now := time.Now(); n > 0 && now.Sub(s.noted) > noteEvery {
		s.noted = now
		touch(s.part)
	}
	return n, err
}

func touch(file *os.File) {
	now := syscall.NsecToTimeval(time.Now().UnixNano())
	syscall.Futimes(int(file.Fd()), []syscall.Timeval{now, now})
}

// proven writes to the partial file and hashes what it has written.
type proven struct {
	part    *os.File
	hash    hash.Hash
	written int64
	// most is how many bytes there may be, or -1.
	most int64
	// failed is why the disk did not take all.
	failed error
}

var errLong = errors.New("more comes than was announced")

func (p *proven) Write(bytes []byte) (int, error) {
	if p.most >= 0 && p.written+int64(len(bytes)) > p.most {
		return 0, errLong
	}
	n, err := p.part.Write(bytes)
	p.hash.Write(bytes[:n])
	p.written += int64(n)
	if err != nil {
		p.failed = err
	}
	return n, err
}

// --- its end ---

// stage gives the file to the agent.
func (u *upload) stage() error {
	stat, err := os.Lstat(u.part())
	if err != nil {
		return u.keep("another put took over")
	}
	u.staged = identityOf(stat)
	u.remember(stat, u.sha256)
	clearPath(u.dev())
	if err := u.keep("another put took over"); err != nil {
		return err
	}
	if !u.offer() {
		if err := u.keep("another put took over"); err != nil { // which waits for a state that a cleaner took
			return err
		}
		if !u.offer() {
			return rejected("disk full: no file fits into %s", u.at)
		}
	}
	if err := os.Rename(u.part(), u.dev()); err != nil {
		return rejected("%s cannot be written", u.dev())
	}
	u.partial = nil
	u.witness.Close() // the agent may look who has the file open
	u.wake()
	return nil
}

// offer tells the agent what the staged file is, and who waits.
func (u *upload) offer() bool {
	return u.save("offer", fmt.Sprintf("file=%s\nid=%s\nsha256=%s\nrun=%s\nversion=%s\nby=%s\n", u.staged, self(), u.sha256, u.run, u.version, u.by))
}

func (u *upload) keepTool() error {
	if err := u.keep("another put took over"); err != nil {
		return err
	}
	kept := u.file("bin/" + u.tool)
	os.MkdirAll(filepath.Dir(kept), 0o700)
	err := os.Rename(u.part(), kept)
	if isAny(err, syscall.EXDEV) { // the state is on another disk
		if err = copyFile(u.part(), kept+"."+self()+".new"); err == nil {
			err = os.Rename(kept+"."+self()+".new", kept)
		}
	}
	if isFull(err) {
		return rejected("disk full: %s does not fit into %s", u.tool, u.at)
	}
	if err != nil {
		return rejected("%s cannot be written", kept)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		os.Remove(to)
	}
	return err
}

const (
	look     = 100 * time.Millisecond
	tellsAll = time.Second
	mostLost = 3
)

// await waits for what the agent says of the swap, and tells once a second that it still waits. It returns the exit code.
func (u *upload) await(woken <-chan os.Signal) (int, error) {
	said, lost, told, last := time.Now(), 0, false, "for the swap to begin: the binary is there, the pod is slow"
	for {
		if answer := readPairs(u.file("answer." + self())); answer.first("result") != "" {
			return u.answered(answer), nil
		}
		lives := u.agentLives()
		if answer := readPairs(u.file("answer." + self())); !lives && answer.first("result") == "" {
			u.giveBack()
			say("reason=the agent ended during the swap\n\n")
			return 5, nil
		}
		if !exists(u.file("offer")) && isFile(u.dev(), u.staged) {
			u.offer() // a cleaner took it
		}
		sum, phase := u.swapping()
		if phase == "" { // not yet, or not any more
			phase = last
		}
		last = phase
		if !told && strings.HasSuffix(phase, " to live") { // at once: it is being started
			told = true
			say("wait=" + phase + "\n")
		}
		if time.Since(said) >= tellsAll {
			said = time.Now()
			say("wait=" + phase + "\n")
			// neither staged nor being swapped in, more than once: a plain copy has taken its place, or a cleaner the answer
			if sum != u.sha256 && !isFile(u.dev(), u.staged) {
				lost++
			}
			if lost == mostLost {
				if r := u.report(); r.lives() {
					if sum, _ := u.sumOfRunning(r); sum == u.sha256 {
						return u.answered(pairs{{"result", "running"}}), nil
					}
				}
				return 0, rejected("another file took the place of the upload in %s", u.dev())
			}
		}
		select {
		case <-woken:
		case <-time.After(look):
		}
	}
}

// answered prints the receipt: what the agent says of this very swap comes first.
func (u *upload) answered(answer pairs) int {
	var said strings.Builder
	result := answer.first("result")
	said.WriteString("result=" + result + "\n")
	for _, pair := range answer {
		if pair[0] == "log" || pair[0] == "reason" && pair[1] != "" {
			said.WriteString(pair[0] + "=" + pair[1] + "\n")
		}
	}
	os.Remove(u.file("answer." + self()))
	said.WriteString(u.now(false))
	u.giveBack() // before the end mark, at which a client may well put again
	say(said.String() + "\n")
	if result != "running" {
		return 1
	}
	return 0
}

// refuse tells why nothing was changed. The first of a key counts, so what runs now can follow.
func (u *upload) refuse(err error) int {
	var why refusal
	if !errors.As(err, &why) {
		why = rejected("%s", plain(err))
	}
	if why.result == "rejected" { // the table is the agent's
		about, what := u.name+"-dev", "rejected"
		if u.tool != "" {
			about, what = u.tool, "tool rejected"
		}
		u.save("rejected."+self(), fmt.Sprintf("file=%s\nmessage=%s\nreason=%s\n", about, what, why.reason))
		u.wake()
	}
	said := fmt.Sprintf("result=%s\nreason=%s\n%s\n", why.result, why.reason, u.now(false))
	u.giveBack()
	say(said)
	return why.code
}

func (u *upload) giveBack() {
	u.guard.Lock()
	defer u.guard.Unlock()
	u.release()
}

// endOn leaves at a signal, all given back.
func (u *upload) endOn(signals ...os.Signal) {
	came := make(chan os.Signal, 1)
	signal.Notify(came, signals...)
	code := 143
	if <-came == syscall.SIGHUP {
		code = 129
	}
	u.guard.Lock() // for good
	u.release()
	os.Exit(code)
}
