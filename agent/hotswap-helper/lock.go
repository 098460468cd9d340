package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A lock is for the one upload that may write to BINARY-dev.part: a folder with one file that is named after its holder,
// PID-START. It is made whole beside its place and renamed into it, which takes a folder that is empty or none; taking over
// renames the file, which one taker wins. A cleaner may take any of it, and the agent what a killed holder left.
type lock struct {
	state
	// whose is said to others.
	whose string
	// partial is the file that this holder writes, once there is one.
	partial os.FileInfo
}

func (l *lock) path() string { return l.file("lock") }
func (l *lock) own() string  { return filepath.Join(l.path(), self()) }
func (l *lock) held() bool   { return exists(l.own()) }

const (
	lockTries = 60
	lockPause = 50 * time.Millisecond
)

// take fails where another upload is at work, or took it in the same moment.
func (l *lock) take() error {
	l.sweep()
	for try := 0; try < lockTries; try++ {
		err := l.make()
		if err == nil {
			return nil
		}
		holder := l.holder()
		switch {
		case holder == "" && isFull(err):
			return refusal{"rejected", 3, "disk full: no file fits into " + l.at}
		case holder == "": // it has just been given back, or a cleaner took all of it, and the agent makes it anew
			time.Sleep(lockPause)
		case isHolder(holder) && !l.isStuck(holder):
			return l.busy("another put is at work")
		case os.Rename(filepath.Join(l.path(), holder), l.own()) == nil:
			os.WriteFile(l.own(), []byte(l.word()), 0o644)
			if l.held() {
				return nil
			}
		}
	}
	return l.busy("another put is at work")
}

// word is what the lock's file says of its holder.
func (l *lock) word() string { return l.whose + " " + time.Now().UTC().Format("15:04:05") + "\n" }

// make fails where somebody holds it.
func (l *lock) make() error {
	folder := l.path() + "." + self()
	os.RemoveAll(folder)
	defer os.RemoveAll(folder)
	write := func() error {
		if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return os.WriteFile(filepath.Join(folder, self()), []byte(l.word()), 0o644)
	}
	err := write()
	if isFull(err) {
		os.Remove(l.file("spare"))
		err = write()
	}
	if err != nil {
		return err
	}
	return syscall.Rename(folder, l.path()) // os.Rename refuses an empty folder too
}

func (l *lock) holder() string {
	entries, err := os.ReadDir(l.path())
	if err != nil || len(entries) == 0 {
		return ""
	}
	return entries[0].Name()
}

// isStuck is for a holder from whom nothing has come for LIMIT, and who has not taken the lock just now.
func (l *lock) isStuck(holder string) bool {
	part, err := os.Stat(l.part())
	if err != nil || time.Since(part.ModTime()) <= l.limit() {
		return false
	}
	taken, err := os.Stat(filepath.Join(l.path(), holder))
	return err == nil && time.Since(time.Unix(taken.Sys().(*syscall.Stat_t).Ctim.Unix())) > l.limit()
}

// keep refuses if another upload has taken the lock, and the partial file with it. What a cleaner took of the lock comes back.
func (l *lock) keep(why string) error {
	for try := 0; try < lockTries && !exists(l.at); try++ {
		time.Sleep(lockPause) // the agent makes it anew
	}
	held, mine := l.held(), l.isPart()
	switch {
	case mine && (held || l.make() == nil):
		return nil
	case held:
		return refusal{"rejected", 3, "somebody has removed " + l.part()}
	}
	return l.busy(why)
}

// isPart says whether the partial file is the one that this holder writes.
func (l *lock) isPart() bool {
	stat, err := os.Lstat(l.part())
	return err == nil && l.partial != nil && os.SameFile(stat, l.partial)
}

// release gives back what this holder has: after a take-over the partial file and the lock are another's.
func (l *lock) release() {
	if l.isPart() {
		os.Remove(l.part())
	}
	if l.held() {
		os.Remove(l.own())
		syscall.Rmdir(l.path())
	}
}

// busy says who holds the lock, and since when.
func (l *lock) busy(why string) error {
	said, err := os.ReadFile(filepath.Join(l.path(), l.holder()))
	if words := strings.Fields(string(said)); err == nil && len(words) > 1 {
		return refusal{"busy", 4, why + ": " + words[0] + " since " + words[1] + " UTC"}
	}
	return refusal{"busy", 4, why + ": it has just begun"}
}

// sweep removes what uploads that were killed have left half written: the lock that one was about to take, and files.
func (l *lock) sweep() {
	entries, _ := os.ReadDir(l.at)
	for _, entry := range entries {
		name, half := strings.CutSuffix(entry.Name(), ".new")
		of := name[strings.LastIndexByte(name, '.')+1:]
		if (half || name == "lock."+of) && isName(of) && !isHolder(of) {
			os.RemoveAll(l.file(entry.Name()))
		}
	}
}

// isName is for PID-START.
func isName(text string) bool {
	pid, start, ok := strings.Cut(text, "-")
	return ok && isMadeOf(pid, digits) && isMadeOf(start, digits)
}

func isFull(err error) bool { return isAny(err, syscall.ENOSPC, syscall.EDQUOT) }

func isAny(err error, numbers ...syscall.Errno) bool {
	for _, number := range numbers {
		if errors.Is(err, number) {
			return true
		}
	}
	return false
}
