package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

func sum(data []byte) string {
	hashed := sha256.Sum256(data)
	return hex.EncodeToString(hashed[:])
}

var anySum = strings.Repeat("0a", 32)

func TestHeadersThatAreValid(t *testing.T) {
	for line, want := range map[string]header{
		"sha256=" + anySum + " size=10 encoding=raw":                                                {sha256: anySum, size: 10, whole: 10, encoding: "raw"},
		"sha256=" + anySum + "  size=0\tencoding=gzip whole=":                                       {sha256: anySum, whole: -1, encoding: "gzip"},
		"size=1 size=2 sha256=" + anySum + " encoding=gzip whole=999999999999 by=me@here over=none": {sha256: anySum, size: 1, whole: 999999999999, encoding: "gzip", by: "me@here", over: "none"},
		"colour=blue x= future=a=b sha256=" + anySum + " size=3 encoding=delta base=" + anySum:      {sha256: anySum, size: 3, whole: -1, encoding: "delta", base: anySum},
	} {
		if got, err := parseHeader(line); err != nil || got != want {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
}

func TestHeadersThatAreNot(t *testing.T) {
	valid := "sha256=" + anySum + " size=10 encoding=raw"
	for line, want := range map[string]string{
		"":                                            "sha256",
		"GET / HTTP/1.1":                              "a word without =",
		valid + " size":                               "a word without =",
		"size=10 encoding=raw":                        "sha256",
		strings.ToUpper(valid):                        "sha256",
		valid + " version=v1\r":                       "version",
		valid + " version=v1;touch":                   "version",
		valid + " by=\x1b[31mred":                     "by",
		valid + " by=a\x00b":                          "by",
		valid + " run=any":                            "run",
		valid + " over=some":                          "over",
		valid + " base=00":                            "base",
		valid + " whole=1e9":                          "whole",
		valid + " whole=1000000000000":                "whole",
		"sha256=" + anySum + " size=-1 encoding=raw":  "size",
		"sha256=" + anySum + " size=010 encoding=raw": "size",
		"sha256=" + anySum + " size=0x1 encoding=raw": "size",
		"sha256=" + anySum + " size=+1 encoding=raw":  "size",
		"sha256=" + anySum + " size=1":                "encoding",
		"sha256=" + anySum + " size=1 encoding=RAW":   "encoding",
	} {
		if _, err := parseHeader(line); err == nil || err.Error() != "malformed header: "+want {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestTheLineOfAHeader(t *testing.T) {
	read := func(said string) (string, error, string) {
		in := bufio.NewReaderSize(strings.NewReader(said), 64<<10)
		line, err := readHeader(in)
		rest, _ := io.ReadAll(in)
		return line, err, string(rest)
	}
	if line, err, rest := read("a=b\nbody\n"); line != "a=b" || err != nil || rest != "body\n" {
		t.Error(line, err, rest)
	}
	if _, err, _ := read(""); err != io.EOF {
		t.Error("nothing came:", err)
	}
	for said, want := range map[string]string{"a=b": "no end of line", strings.Repeat("x", 5000): "longer than 4 KiB"} {
		if _, err, _ := read(said); err == nil || err.Error() != "malformed header: "+want {
			t.Error(want, err)
		}
	}
	if line, err, _ := read(strings.Repeat("x", 4096) + "\n"); len(line) != 4096 || err != nil {
		t.Error("4 KiB are allowed:", err)
	}
}

// received is what an upload of these bytes ends with, and what is in the partial file then.
func received(t *testing.T, h header, body []byte) ([]byte, error) {
	u := &upload{lock: lock{state: testState(t)}, header: h, in: bufio.NewReader(bytes.NewReader(body))}
	if err := u.take(); err != nil {
		t.Fatal(err)
	}
	part, err := os.Create(u.part())
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	u.partial, _ = part.Stat()
	err = u.receive(part)
	said, _ := os.ReadFile(u.part())
	return said, err
}

func gzipped(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(data)
	w.Close()
	return out.Bytes()
}

func TestReceive(t *testing.T) {
	data := bytes.Repeat([]byte("a program "), 100_000)
	small := gzipped(data)
	two := append(gzipped(data[:1000]), gzipped(data[1000:])...)
	raw := header{sha256: sum(data), encoding: "raw", size: int64(len(data)), whole: int64(len(data))}
	zip := header{sha256: sum(data), encoding: "gzip", size: int64(len(small)), whole: -1}
	long := zip
	long.whole = 1000
	both := zip
	both.size = int64(len(two))
	for name, one := range map[string]struct {
		header
		body []byte
		want string
	}{
		"raw":                        {raw, data, ""},
		"raw, and more behind it":    {raw, append(append([]byte{}, data...), "more"...), ""},
		"raw, cut":                   {raw, data[:1000], "not complete: 1000 of 1000000 bytes arrived"},
		"raw, another":               {raw, bytes.ToUpper(data), "damaged: its sha256 is "},
		"gzip":                       {zip, small, ""},
		"gzip of two streams":        {both, two, ""},
		"gzip, cut":                  {zip, small[:len(small)-20], "(unexpected EOF)"},
		"gzip that is none":          {zip, data[:len(small)], "(gzip: invalid header)"},
		"gzip of more than was said": {long, small, "(more comes than was announced)"},
	} {
		said, err := received(t, one.header, one.body)
		if one.want == "" && (err != nil || !bytes.Equal(said, data)) {
			t.Errorf("%s: %v", name, err)
		}
		if one.want != "" && (err == nil || !strings.Contains(err.Error(), one.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSlowDelta: what writes nothing for long is not stuck as long as something comes.
func TestASourceKeepsTheTimeOfThePartialFile(t *testing.T) {
	part, _ := os.Create(t.TempDir() + "/part")
	old := time.Now().Add(-time.Hour)
	os.Chtimes(part.Name(), old, old)
	s := &source{in: strings.NewReader("abc"), left: 2, part: part}
	said, _ := io.ReadAll(s)
	stat, _ := part.Stat()
	if string(said) != "ab" || time.Since(stat.ModTime()) > time.Minute {
		t.Error(string(said), stat.ModTime())
	}
}

func TestAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	p := &proven{part: full, hash: sha256.New(), most: -1}
	if _, err := io.Copy(p, strings.NewReader("abc")); !isFull(err) || !isFull(p.failed) || p.written != 0 {
		t.Error(err, p.failed, p.written)
	}
	u := &upload{lock: lock{state: testState(t)}}
	if err := u.unwritten(p.failed); !strings.HasPrefix(err.Error(), "disk full: the upload does not fit into ") {
		t.Error(err)
	}
}

func TestAdmit(t *testing.T) {
	base := []byte("base")
	for want, change := range map[string]func(u *upload){
		"": func(u *upload) {},
		"encoding brotli is not one of raw,gzip,delta":                                          func(u *upload) { u.encoding = "brotli" },
		"run=wrapped, but the agent was started without -r":                                     func(u *upload) { u.run = "wrapped" },
		"base is neither what runs nor the binary before it":                                    func(u *upload) { u.encoding, u.header.base = "delta", sum([]byte("other")) },
		"the agent speaks protocol 9, its helper 2: update your copy of hotswap-dev (git pull)": func(u *upload) { u.agent = pairs{{"agent", "9.9.9 9"}} },
	} {
		u := &upload{lock: lock{state: testState(t)}, header: header{encoding: "raw"}}
		os.WriteFile(u.prev(), base, 0o755)
		change(u)
		if err := u.admit(); (want == "") != (err == nil) || err != nil && err.Error() != want {
			t.Error(want, err)
		}
	}
	u := &upload{lock: lock{state: testState(t)}, header: header{encoding: "delta", base: sum(base)}}
	os.WriteFile(u.prev(), base, 0o755)
	if err := u.admit(); err != nil || u.old != u.prev() {
		t.Error("a delta on the binary before:", err, u.old)
	}
}

func TestRefusalsKeepTheirCode(t *testing.T) {
	var why refusal
	if err := malformed("by"); !errors.As(err, &why) || why.code != 2 || why.result != "rejected" {
		t.Error(err)
	}
	if err := rejected("so"); !errors.As(err, &why) || why.code != 3 {
		t.Error(err)
	}
}
