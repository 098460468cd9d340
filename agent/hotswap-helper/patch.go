package main

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

const (
	magic   = "HSWD\x01"
	block   = 4 << 20     // bytes of the new file that are made of one block
	packed  = block + 1e6 // bytes of one deflated stream at most
	largest = 512 << 20
)

// whole passes a file on, and returns its sha256. The structs hide what would copy in smaller pieces.
func whole(in io.Reader, out io.Writer) ([]byte, error) {
	hashed := sha256.New()
	_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(hashed, out)}, struct{ io.Reader }{in}, make([]byte, chunk))
	return hashed.Sum(nil), err
}

var (
	errCut     = errors.New("the patch is cut")
	errDamaged = errors.New("the patch is damaged")
	errOther   = errors.New("the patch is for another file")
)

// patch writes the file that the patch in in makes of old, and returns its sha256; FORMAT.md has the format. It holds one block
// of the patch and no more, and trusts nothing in it: where it fails, what it has written by then is no file. Whether old is the
// right file, the hash of the new one shows: that of old is made only to say what is wrong.
func patch(old *os.File, in io.Reader, out io.Writer) ([]byte, error) {
	head := make([]byte, len(magic)+16+64)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, errCut
	}
	if string(head[:len(magic)]) != magic {
		return nil, errors.New("this is no patch of this version")
	}
	oldSize := binary.LittleEndian.Uint64(head[len(magic):])
	newSize := binary.LittleEndian.Uint64(head[len(magic)+8:])
	oldHash, newHash := head[len(magic)+16:][:32], head[len(magic)+48:][:32]
	if oldSize > largest || newSize > largest {
		return nil, errDamaged
	}
	if stat, err := old.Stat(); err != nil {
		return nil, err
	} else if uint64(stat.Size()) != oldSize {
		return nil, errOther
	}
	to := newSink(out)
	p := &patcher{old: old, oldSize: int64(oldSize), out: bufio.NewWriterSize(to, chunk), buffer: make([]byte, block)}
	err := p.file(in, newSize)
	if err == nil {
		err = p.out.Flush()
	}
	sum, failed := to.close()
	if err == nil {
		err = failed
	}
	if err == nil && !bytes.Equal(sum, newHash) {
		err = errDamaged
	}
	if err == errDamaged {
		hashed := sha256.New()
		if _, failed := io.Copy(hashed, io.NewSectionReader(old, 0, int64(oldSize))); failed == nil && !bytes.Equal(hashed.Sum(nil), oldHash) {
			err = errOther
		}
	}
	return sum, err
}

// sink hashes and writes while the next bytes are made.
type sink struct {
	*io.PipeWriter
	sum  []byte
	done chan error
}

const chunk = 256 << 10

func newSink(out io.Writer) *sink {
	reader, writer := io.Pipe()
	s := &sink{PipeWriter: writer, done: make(chan error, 1)}
	go func() {
		var err error
		s.sum, err = whole(reader, out)
		reader.CloseWithError(err)
		s.done <- err
	}()
	return s
}

// close waits until all is written, and returns its sha256.
func (s *sink) close() ([]byte, error) {
	s.PipeWriter.Close()
	err := <-s.done
	return s.sum, err
}

// file makes the whole file.
func (p *patcher) file(in io.Reader, newSize uint64) error {
	var count [1]byte
	if _, err := io.ReadFull(in, count[:]); err != nil || count[0] == run {
		return errCut
	}
	p.constants = make([]uint32, count[0])
	if err := binary.Read(in, binary.LittleEndian, p.constants); err != nil {
		return errCut
	}
	for made := uint64(0); made < newSize; {
		var lengths [6]uint32
		if err := binary.Read(in, binary.LittleEndian, &lengths); err != nil {
			return errCut
		}
		size := uint64(lengths[0])
		if size == 0 || size > block || size > newSize-made {
			return errDamaged
		}
		for i, length := range lengths[1:] {
			if length > packed {
				return errDamaged
			}
			if err := p.streams[i].load(in, int64(length)); err != nil {
				return err
			}
		}
		if err := p.block(int64(size)); err != nil {
			return err
		}
		made += size
	}
	if n, _ := in.Read(make([]byte, 1)); n != 0 {
		return errDamaged
	}
	return nil
}

// stream is one deflated stream of a block.
type stream struct {
	packed  bytes.Buffer
	inflate io.ReadCloser
	reader  *bufio.Reader
}

func (s *stream) load(in io.Reader, length int64) error {
	s.packed.Reset()
	if _, err := io.CopyN(&s.packed, in, length); err != nil {
		return errCut
	}
	if s.inflate == nil {
		s.inflate = flate.NewReader(&s.packed)
		s.reader = bufio.NewReader(s.inflate)
		return nil
	}
	s.reader.Reset(s.inflate)
	return s.inflate.(flate.Resetter).Reset(&s.packed, nil)
}

// number reads a number from 0 to at most the limit.
func (s *stream) number(limit int64) (int64, error) {
	value, err := binary.ReadUvarint(s.reader)
	if err != nil || value > uint64(limit) {
		return 0, errDamaged
	}
	return int64(value), nil
}

// ended says whether nothing is left.
func (s *stream) ended() bool {
	_, err := s.reader.ReadByte()
	return err == io.EOF
}

const (
	operations = iota
	gaps
	kinds
	values
	inserted
)

const run = 255 // the kind that is no constant: bytes, each with a difference of its own

type patcher struct {
	old       io.ReaderAt
	oldSize   int64
	at        int64 // where the last copy from old ended
	constants []uint32
	streams   [5]stream
	out       *bufio.Writer
	buffer    []byte // a block
}

func (p *patcher) block(size int64) error {
	for size > 0 {
		insert, err := p.streams[operations].number(size)
		if err != nil {
			return err
		}
		copied, err := p.streams[operations].number(size - insert)
		if err != nil || insert+copied == 0 {
			return errDamaged
		}
		size -= insert + copied
		if _, err := io.ReadFull(p.streams[inserted].reader, p.buffer[:insert]); err != nil {
			return errDamaged
		}
		if _, err := p.out.Write(p.buffer[:insert]); err != nil {
			return err
		}
		if copied == 0 {
			continue
		}
		moved, err := p.streams[operations].number(2 * largest)
		if err != nil {
			return err
		}
		if moved%2 == 0 {
			p.at += moved / 2
		} else {
			p.at -= (moved + 1) / 2
		}
		if p.at < 0 || p.at > p.oldSize-copied {
			return errDamaged
		}
		if err := p.copy(copied); err != nil {
			return err
		}
	}
	for i := range p.streams {
		if !p.streams[i].ended() {
			return errDamaged
		}
	}
	return nil
}

// copy copies from old, and changes fields and runs of bytes on the way.
func (p *patcher) copy(length int64) error {
	piece := p.buffer[:length]
	if _, err := p.old.ReadAt(piece, p.at); err != nil {
		return err
	}
	p.at += length
	for rest := piece; len(rest) > 0; {
		gap, err := p.streams[gaps].number(int64(len(rest)))
		if err != nil {
			return err
		}
		if rest = rest[gap:]; len(rest) == 0 {
			break
		}
		kind, err := p.streams[kinds].reader.ReadByte()
		if err != nil {
			return errDamaged
		}
		if kind != run {
			if int(kind) >= len(p.constants) || len(rest) < 4 {
				return errDamaged
			}
			binary.LittleEndian.PutUint32(rest, binary.LittleEndian.Uint32(rest)+p.constants[kind])
			rest = rest[4:]
			continue
		}
		count, err := p.streams[kinds].number(int64(len(rest)))
		if err != nil || count == 0 {
			return errDamaged
		}
		for i := range rest[:count] {
			added, err := p.streams[values].reader.ReadByte()
			if err != nil {
				return errDamaged
			}
			rest[i] += added
		}
		rest = rest[count:]
	}
	_, err := p.out.Write(piece)
	return err
}
