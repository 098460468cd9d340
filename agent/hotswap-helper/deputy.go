package main

import (
	"encoding/binary"
	"path/filepath"
	"syscall"
	"time"
)

// A call that is reported to nobody fails: ENOSYS. So a second process has each listener too, and lets all calls go their way once the
// keeper has been killed. It waits without a look at the clock, and is started anew when it is killed itself.

// A deputy is the keeper's end of it.
type deputy struct {
	socket, pid int
	began       time.Time
	serial      uint32
}

// A word to the deputy: a kind, the listener's number, the id of a call.
const (
	wordListener = 'L'
	wordCall     = 'C'
	wordEnd      = 'E' // of the keeper, as it should be
)

func word(kind byte, serial uint32, id uint64) []byte {
	text := binary.NativeEndian.AppendUint32([]byte{kind}, serial)
	return binary.NativeEndian.AppendUint64(text, id)
}

// summon starts the deputy, if there is none, and hands it the listeners of all runs.
func (k *keeper) summon() {
	d := &k.deputy
	if d.socket > 0 || len(k.runs) == 0 || time.Since(d.began) < time.Second {
		return
	}
	d.began = time.Now()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer syscall.Close(ends[1])
	words := []string{"hotswap-helper", "deputy", filepath.Base(k.bin)}
	d.pid, err = startApart(words, ends[1])
	if err != nil {
		syscall.Close(ends[0])
		return
	}
	d.socket = ends[0]
	for _, r := range k.runs {
		sendWith(d.socket, word(wordListener, r.serial, 0), r.listener)
	}
}

// know numbers a new run's listener, and hands it over if the deputy is there.
func (d *deputy) know(r *launched) {
	d.serial++
	r.serial = d.serial
	if d.socket > 0 {
		sendWith(d.socket, word(wordListener, r.serial, 0), r.listener)
	}
}

// note tells of a call that the keeper is about to answer: killed in between, nobody else would know of it.
func (d *deputy) note(r *launched, id uint64) {
	if d.socket > 0 {
		sendWith(d.socket, word(wordCall, r.serial, id), -1)
	}
}

// dismiss tells of the keeper's end.
func (d *deputy) dismiss() {
	if d.socket > 0 {
		sendWith(d.socket, word(wordEnd, 0, 0), -1)
	}
}

func (d *deputy) end() {
	syscall.Close(d.socket)
	syscall.Kill(d.pid, syscall.SIGKILL)
	syscall.Wait4(d.pid, nil, 0, nil)
	d.socket = 0
}

// bereaved has the agent say once that the keeper of the program of that name was killed.
func bereaved(name string) {
	const why = "its keeper was killed"
	here := state{at: "."}
	here.save("rejected."+self(), "file="+name+"\nmessage=holds no port\nreason="+why+"\nevents=-\n")
	saveHolds(here.at, "no ("+why+")")
}

// standIn is what the deputy does; descriptor 3 leads to the keeper.
func standIn(name string) int {
	const toKeeper = 3
	type listener struct {
		fd   int
		last uint64
	}
	listeners := map[uint32]*listener{}
	kept, expected := true, false
	for kept || len(listeners) > 0 {
		var files []pollFd
		events := int16(pollIn)
		if kept {
			files, events = append(files, pollFd{toKeeper, pollIn, 0}), 0
		}
		for _, l := range listeners {
			files = append(files, pollFd{int32(l.fd), events, 0})
		}
		poll(files, -1)
		for _, file := range files {
			switch fd := int(file.fd); {
			case file.revents == 0:
			case fd == toKeeper:
				said, passed, err := receiveWith(toKeeper)
				if err == syscall.EINTR {
					continue
				}
				if err != nil || len(said) != 13 {
					kept = false
					if !expected {
						bereaved(name)
					}
					for _, l := range listeners {
						answer(l.fd, l.last, goOn)
					}
					continue
				}
				serial, id := binary.NativeEndian.Uint32(said[1:]), binary.NativeEndian.Uint64(said[5:])
				expected = said[0] == wordEnd
				if said[0] == wordListener && passed >= 0 {
					listeners[serial] = &listener{fd: passed}
				} else if l := listeners[serial]; l != nil {
					l.last = id
				}
			case file.revents&pollIn != 0:
				if n, err := receive(fd); err == nil {
					answer(fd, n.id, goOn)
				}
			default:
				for serial, l := range listeners {
					if l.fd == fd {
						syscall.Close(fd)
						delete(listeners, serial)
					}
				}
			}
		}
	}
	return 0
}
