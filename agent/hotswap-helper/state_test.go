package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// testState is the state of an agent that lives, as this process does, and has a program: this process.
func testState(t *testing.T) state {
	folder := t.TempDir()
	s := state{site: siteOf(filepath.Join(folder, "prog"))}
	s.at = filepath.Join(folder, ".hotswap-prog")
	os.Mkdir(s.at, 0o700)
	os.WriteFile(s.bin, []byte("a program"), 0o755)
	pid, start, _ := strings.Cut(self(), "-")
	s.agent = pairs{{"pid", pid}, {"start", start}, {"limit", "20"}, {"wrapper", ""}, {"group", "yes"}, {"logfile", "/log"}, {"agent", "0.1.0 2"}}
	var said strings.Builder
	for _, pair := range s.agent {
		said.WriteString(pair[0] + "=" + pair[1] + "\n")
	}
	os.WriteFile(s.file("agent"), []byte(said.String()), 0o644)
	return s
}

func TestFindState(t *testing.T) {
	s := testState(t)
	found, ok := findState(s.site)
	if !ok || found.at != s.at || found.limit() != 200*time.Millisecond {
		t.Fatal(ok, found.at, found.limit())
	}
	os.WriteFile(s.file("agent"), []byte("pid=1\nstart=12345\n"), 0o644)
	if _, ok := findState(s.site); ok {
		t.Error("another process with the same pid is no agent")
	}
	os.Rename(s.at, s.at+".moved")
	os.Symlink(s.at+".moved", s.at)
	if isMine(s.at) {
		t.Error("a link to a folder is nobody's state")
	}
}

func reported(t *testing.T, s state, lines ...string) {
	if err := os.WriteFile(s.file("receipt"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWhatRunsNow(t *testing.T) {
	s := testState(t)
	pid, start, _ := strings.Cut(self(), "-")
	if got := s.now(true); got != "result=starting\n" {
		t.Errorf("without a report: %q", got)
	}
	exe := identity("/proc/self/exe")
	reported(t, s, "result=running", "pid="+pid, "pidstart="+start, "file="+exe, "version=", "reason=", "log=one", "log=")
	sum := s.sumOf("/proc/self/exe")
	if got, want := s.now(true), "result=running\npid="+pid+"\nversion=\nlog=one\nlog=\nsha256="+sum+"\nproof=exe\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if got := s.now(false); strings.Contains(got, "log=") {
		t.Errorf("without its log: %q", got)
	}
	reported(t, s, "result=running", "pid="+pid, "pidstart="+start, "file=another")
	if got := s.now(true); !strings.HasSuffix(got, "proof=file\n") {
		t.Errorf("of another file: %q", got)
	}
	reported(t, s, "result=running", "pid="+pid, "pidstart=1", "file="+exe, "version=v1", "restarts=3")
	if got := s.now(true); got != "result=crashed\nreason=it has just ended\nresult=running\nrestarts=3\n" {
		t.Errorf("of a process that has ended: %q", got)
	}
}

func TestSumsAreRememberedForAFile(t *testing.T) {
	s := testState(t)
	first := s.sumOf(s.bin)
	if first != sum([]byte("a program")) || len(s.sums()) != 1 {
		t.Fatal(first, s.sums())
	}
	os.WriteFile(s.bin, []byte("A PROGRAM"), 0o755) // of the same size, in the same second
	if again := s.sumOf(s.bin); again != sum([]byte("A PROGRAM")) {
		t.Error("another file of the same size within a second:", again)
	}
	for i := 0; i < 20; i++ {
		os.WriteFile(s.bin, []byte{byte(i)}, 0o755)
		s.sumOf(s.bin)
	}
	if len(s.sums()) != rememberedSums {
		t.Error(s.sums())
	}
	if s.sumOf(s.prev()) != "" {
		t.Error("there is none")
	}
	entries, _ := filepath.Glob(s.at + "/*.new")
	if len(entries) != 0 {
		t.Error(entries)
	}
}

func TestProcesses(t *testing.T) {
	pid, start, _ := strings.Cut(self(), "-")
	if !isAlive(pid, start) || isAlive(pid, start+"1") || isAlive("", "") || isAlive("self", start) || isAlive("../1", "") {
		t.Error(pid, start)
	}
}

func TestPathsAreMadeFree(t *testing.T) {
	folder := t.TempDir()
	path, other := folder+"/path", folder+"/other"
	os.WriteFile(other, []byte("precious"), 0o644)
	os.Symlink(other, path)
	clearPath(path)
	os.MkdirAll(path+"/inside", 0o755)
	clearPath(path)
	clearPath(path)
	if kept, _ := os.ReadFile(other); string(kept) != "precious" || exists(path) || !exists(path+"."+self()+"/inside") {
		t.Error("a link is not followed, a folder is moved")
	}
}

func TestWritable(t *testing.T) {
	s := testState(t)
	if said := s.writable(); said != "yes" {
		t.Error(said)
	}
	if left, _ := filepath.Glob(s.folder + "/.hotswap-try*"); len(left) != 0 {
		t.Error(left)
	}
	s.folder = "/proc/self"
	if said := s.writable(); !strings.HasPrefix(said, "no: /proc/self ") {
		t.Error(said)
	}
}
