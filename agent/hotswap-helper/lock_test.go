package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func locked(t *testing.T) *lock {
	l := &lock{state: testState(t), whose: "me@here"}
	if err := l.take(); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(l.part(), []byte("part"), 0o644)
	l.partial, _ = os.Lstat(l.part())
	return l
}

// other makes the lock another's: of a process that lives, or of none.
func (l *lock) other(t *testing.T, lives bool) string {
	name := "4194000-77"
	if lives {
		_, start, _ := statusOf("1")
		name = "1-" + start
	}
	os.RemoveAll(l.path())
	os.Mkdir(l.path(), 0o755)
	if err := os.WriteFile(filepath.Join(l.path(), name), []byte("jane@laptop 10:00:00\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func (l *lock) entries(t *testing.T) string {
	names, _ := filepath.Glob(l.path() + "*/*")
	for i, name := range names {
		names[i], _ = filepath.Rel(l.at, name)
	}
	return strings.Join(names, " ")
}

func TestALockIsOneFile(t *testing.T) {
	l := locked(t)
	if got := l.entries(t); got != "lock/"+self() {
		t.Error(got)
	}
	l.release()
	if exists(l.path()) || exists(l.part()) {
		t.Error("all is given back")
	}
	l.release()
}

func TestALockIsAnothers(t *testing.T) {
	l := &lock{state: testState(t), whose: "me@here"}
	l.other(t, true)
	if err := l.take(); err == nil || err.Error() != "another put is at work: jane@laptop since 10:00:00 UTC" {
		t.Error(err)
	}
	if got := l.entries(t); strings.Contains(got, self()) {
		t.Error(got)
	}
	l.release()
	if !exists(l.path()) {
		t.Error("another's lock is not given back")
	}
}

func TestALockOfTheDeadIsTakenOver(t *testing.T) {
	l := &lock{state: testState(t), whose: "me@here"}
	l.other(t, false)
	if err := l.take(); err != nil || l.entries(t) != "lock/"+self() {
		t.Error(err, l.entries(t))
	}
}

func TestALockThatWasLeftEmptyIsTaken(t *testing.T) {
	l := &lock{state: testState(t), whose: "me@here"}
	os.Mkdir(l.path(), 0o755)
	if err := l.take(); err != nil || l.entries(t) != "lock/"+self() {
		t.Error(err, l.entries(t))
	}
}

func TestAHolderIsStuckWhenNothingHasComeForLimit(t *testing.T) {
	l := &lock{state: testState(t), whose: "me@here"}
	holder := l.other(t, true)
	os.WriteFile(l.part(), nil, 0o644)
	old := time.Now().Add(-time.Hour)
	os.Chtimes(l.part(), old, old)
	if l.isStuck(holder) {
		t.Error("one that has just taken the lock finds an old partial file")
	}
	time.Sleep(l.limit() + 50*time.Millisecond)
	if !l.isStuck(holder) {
		t.Error("nothing has come")
	}
	os.Chtimes(l.part(), time.Now(), time.Now())
	if l.isStuck(holder) {
		t.Error("something has come")
	}
	os.Remove(l.part())
	if l.isStuck(holder) {
		t.Error("it waits for the agent")
	}
}

func TestWhatACleanerTakesComesBack(t *testing.T) {
	for what, clean := range map[string]func(l *lock){
		"the file": func(l *lock) { os.Remove(l.own()) },
		"the lock": func(l *lock) { os.RemoveAll(l.path()) },
		"the state, which the agent makes anew": func(l *lock) {
			os.RemoveAll(l.at)
			time.AfterFunc(200*time.Millisecond, func() { os.Mkdir(l.at, 0o700) })
		},
	} {
		l := locked(t)
		clean(l)
		if err := l.keep("why"); err != nil || l.entries(t) != "lock/"+self() {
			t.Error(what, err, l.entries(t))
		}
	}
}

func TestADeposedHolderTouchesNothing(t *testing.T) {
	l := locked(t)
	witness, _ := os.Open(l.part())
	defer witness.Close()
	l.other(t, true)
	os.Remove(l.part())
	os.WriteFile(l.part(), []byte("another's"), 0o644)
	if err := l.keep("it was taken"); err == nil || err.Error() != "it was taken: jane@laptop since 10:00:00 UTC" {
		t.Error(err)
	}
	l.release()
	if said, _ := os.ReadFile(l.part()); string(said) != "another's" || !exists(l.path()) {
		t.Error("the partial file and the lock are another's")
	}
}

func TestAPartialFileThatIsGone(t *testing.T) {
	l := locked(t)
	os.Remove(l.part())
	if err := l.keep("why"); err == nil || !strings.HasPrefix(err.Error(), "somebody has removed ") {
		t.Error(err)
	}
}

func TestWhatTheKilledLeftIsSwept(t *testing.T) {
	l := &lock{state: testState(t)}
	mine := self()
	stay := []string{"log-from.new", "receipt.new", "rejected.4194000-77", "offer", "offer." + mine + ".new", "bin"}
	gone := []string{"sha256.4194000-77.new", "rejected.1-1.4194000-77.new", "lock.4194000-77/4194000-77"}
	for _, name := range append(append([]string{}, stay...), gone...) {
		os.MkdirAll(filepath.Dir(l.file(name)), 0o755)
		os.WriteFile(l.file(name), nil, 0o644)
	}
	l.sweep()
	for _, name := range stay {
		if !exists(l.file(name)) {
			t.Error(name, "is gone")
		}
	}
	for _, name := range gone {
		if exists(l.file(name)) {
			t.Error(name, "is there")
		}
	}
}
