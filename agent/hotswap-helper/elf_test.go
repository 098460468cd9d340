package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func faultOf(t *testing.T, data []byte) string {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return check(file, siteOf(file))
}

func TestElfFault(t *testing.T) {
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if fault := faultOf(t, own); fault != "" && !strings.HasPrefix(fault, "it needs the ELF interpreter") {
		t.Error(fault)
	}
	change := func(at int, to ...byte) []byte {
		data := append([]byte{}, own...)
		copy(data[at:], to)
		return data
	}
	for want, data := range map[string][]byte{
		"it is empty":                                           {},
		"it is not an ELF file":                                 []byte("#!/bin/sh\nexec sleep 1000\n"),
		"it is not complete":                                    own[:4],
		"it is not complete: ":                                  own[:len(own)/2],
		"it is an ELF file for another machine than ":           change(18, 0xee),
		"it is an ELF file for another machine than " + uname(): change(4, 1),
		"it is damaged":                                         change(56, 0xff, 0xff),
	} {
		if fault := faultOf(t, data); !strings.HasPrefix(fault, want) {
			t.Errorf("%q, not %q", fault, want)
		}
	}
	if fault := check(t.TempDir()+"/none", site{}); fault != "it cannot be read" {
		t.Error(fault)
	}
}

// TestElfFaultTrustsNothing: no byte of the tables may end the helper.
func TestElfFaultTrustsNothing(t *testing.T) {
	own, _ := os.ReadFile("/proc/self/exe")
	head := own[:min(len(own), 8192)]
	for at := 20; at < 1024; at++ {
		for _, to := range []byte{0, 0x7f, 0xff} {
			data := append([]byte{}, head...)
			data[at] = to
			extent(bytes.NewReader(data), data[:20], int64(len(own)))
		}
	}
}
