package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"syscall"
)

const (
	mostTables = 999     // segments or sections
	mostBytes  = 1 << 40 // of anything in a file
)

// elfFault says why a file is no whole ELF file for this machine, or nothing. The kernel runs one that lacks its end, and a shell
// takes one of another machine for a script.
func elfFault(file *os.File) string {
	stat, err := file.Stat()
	if err != nil {
		return "it cannot be read"
	}
	head := make([]byte, 20)
	n, err := file.ReadAt(head, 0)
	head = head[:n]
	switch {
	case err != nil && err != io.EOF:
		return "it cannot be read"
	case n == 0:
		return "it is empty"
	case !bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		return "it is not an ELF file"
	case n < 20:
		return "it is not complete"
	}
	if here := machineOf("/proc/self/exe"); here != nil && !bytes.Equal(here, kindOf(head)) {
		return "it is an ELF file for another machine than " + uname()
	}
	end, loader, err := extent(file, head, stat.Size())
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return "it is not complete"
	case err != nil:
		return "it is damaged"
	case end > stat.Size():
		return fmt.Sprintf("it is not complete: %d of %d bytes", stat.Size(), end)
	case loader != "" && !runnable(loader):
		return "it needs the ELF interpreter " + loader + ", which this container does not have: build it with CGO_ENABLED=0 and -buildmode=exe, or take a base image that has it"
	}
	return ""
}

// kindOf returns class, byte order and machine.
func kindOf(head []byte) []byte { return []byte{head[4], head[5], head[18], head[19]} }

func machineOf(file string) []byte {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, 20)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil
	}
	return kindOf(head)
}

var errTables = fmt.Errorf("tables that cannot be")

// extent returns where the last byte is that the tables name, and the loader, which the kernel starts the program through. One
// that is missing is told as "No such file or directory", of a file that is there.
func extent(file io.ReaderAt, head []byte, size int64) (end int64, loader string, err error) {
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	read := func(at int64, into any) error {
		return binary.Read(io.NewSectionReader(file, at, mostBytes), order, into)
	}
	upTo := func(offset, length uint64) error {
		if offset > mostBytes || length > mostBytes {
			return errTables
		}
		end = max(end, int64(offset+length))
		return nil
	}
	wide := elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64
	var h elf.Header64
	if wide {
		err = read(0, &h)
	} else {
		var n elf.Header32
		err = read(0, &n)
		h = elf.Header64{Phoff: uint64(n.Phoff), Phnum: n.Phnum, Shoff: uint64(n.Shoff), Shnum: n.Shnum, Phentsize: n.Phentsize, Shentsize: n.Shentsize}
	}
	if err != nil {
		return 0, "", err
	}
	if h.Phnum > mostTables || h.Shnum > mostTables || h.Phoff > mostBytes || h.Shoff > mostBytes {
		return 0, "", errTables
	}
	upTo(h.Phoff, uint64(h.Phnum)*uint64(h.Phentsize))
	upTo(h.Shoff, uint64(h.Shnum)*uint64(h.Shentsize))
	if end > size {
		return end, "", nil
	}
	for i := int64(0); i < int64(h.Phnum); i++ {
		var p elf.Prog64
		if at := int64(h.Phoff) + i*int64(h.Phentsize); wide {
			err = read(at, &p)
		} else {
			var n elf.Prog32
			err = read(at, &n)
			p = elf.Prog64{Type: n.Type, Off: uint64(n.Off), Filesz: uint64(n.Filesz)}
		}
		if err == nil {
			err = upTo(p.Off, p.Filesz)
		}
		if err == nil && elf.ProgType(p.Type) == elf.PT_INTERP {
			path := make([]byte, min(p.Filesz, 4095))
			if n, _ := file.ReadAt(path, int64(p.Off)); n == len(path) {
				path, _, _ = bytes.Cut(path, []byte{0})
				loader = string(path)
			}
		}
		if err != nil {
			return 0, "", err
		}
	}
	for i := int64(0); i < int64(h.Shnum); i++ {
		var s elf.Section64
		if at := int64(h.Shoff) + i*int64(h.Shentsize); wide {
			err = read(at, &s)
		} else {
			var n elf.Section32
			err = read(at, &n)
			s = elf.Section64{Type: n.Type, Off: uint64(n.Off), Size: uint64(n.Size)}
		}
		if kind := elf.SectionType(s.Type); err == nil && kind != elf.SHT_NULL && kind != elf.SHT_NOBITS {
			err = upTo(s.Off, s.Size)
		}
		if err != nil {
			return 0, "", err
		}
	}
	return end, loader, nil
}

// runnable is for a path as the kernel sees it.
func runnable(file string) bool {
	stat, err := os.Stat(file)
	return err == nil && stat.Mode().IsRegular() && stat.Mode()&0o111 != 0
}

func uname() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return "unknown"
	}
	return text(u.Machine[:])
}

// text is a C string, whose characters have a sign on some machines.
func text[C int8 | uint8](chars []C) string {
	var said []byte
	for _, c := range chars {
		if c == 0 {
			break
		}
		said = append(said, byte(c))
	}
	return string(said)
}
