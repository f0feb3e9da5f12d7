package blocklist

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime"
	"slices"
	"time"
)

// A compiled file is a header of setHeaderSize octets, a line of JSON padded
// with spaces up to its checksum, and then data, filter, offsets and extras of a set, each begun
// at a multiple of eight octets. It is a cache: what does not fit its source,
// configuration, version or checksum is made anew from the text. It is never
// written in place, so what is mapped does not change.
const (
	setHeaderSize = 4096
	// setVersion changes with anything that the same text would be compiled into
	// differently: the layout, the suffix codes, a parser, a guard.
	setVersion = "weir-set-4"
	setSuffix  = ".set"
	tmpSuffix  = ".tmp"
)

type setHeader struct {
	Version string `json:"version"`
	// Made names everything besides the text that the set depends on.
	Made     string         `json:"made"`
	Stamp    fileStamp      `json:"stamp,omitzero"` // of a local file
	SHA256   string         `json:"sha256"`         // of the text
	Loaded   time.Time      `json:"loaded"`
	Format   Format         `json:"format"`
	Rejected map[string]int `json:"rejected,omitempty"`

	CRC     uint32  `json:"crc32c"` // of what follows the header
	Data    int64   `json:"data"`   // octets
	Buckets uint64  `json:"buckets"`
	Extras  int64   `json:"extras"` // octets
	Depths  uint64  `json:"depths"`
	Answers lengths `json:"answers"`
	Clients lengths `json:"clients"`
	Names   int     `json:"names"`
	Addrs   int     `json:"addresses"`
	Passes  int     `json:"passes"`
}

// diskError is a failure of the disk to take or give back what a build holds
// there.
type diskError struct{ error }

func (e diskError) Unwrap() error { return e.error }

func isDiskError(err error) bool {
	_, ok := errors.AsType[diskError](err)
	return ok
}

// setFile is a file that a set is mapped from. Until keep gives it its name
// and header it is a temporary one.
type setFile struct {
	tmp    string   // "" once it is kept
	file   *os.File // open until then
	header setHeader
	mapped mapping
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// summing counts and sums what it writes.
type summing struct {
	w   *bufio.Writer
	n   int64
	crc uint32
}

func (s *summing) Write(b []byte) (int, error) {
	s.crc = crc32.Update(s.crc, castagnoli, b)
	s.n += int64(len(b))
	return s.w.Write(b)
}

// align pads to a multiple of eight.
func (s *summing) align() error {
	_, err := s.Write(make([]byte, -s.n&7))
	return err
}

// freezeToFile is freeze into a temporary file.
func (b *builder) freezeToFile() (*set, error) {
	f, err := b.shop.temp("set")
	if err != nil {
		return nil, diskError{err}
	}
	file := &setFile{tmp: f.Name(), file: f}
	s, err := b.buildFile(file)
	if err != nil {
		file.drop()
		return nil, err
	}
	return s, nil
}

func (b *builder) buildFile(file *setFile) (*set, error) {
	if _, err := file.file.Seek(setHeaderSize, io.SeekStart); err != nil {
		return nil, diskError{err}
	}
	s := b.blank()
	w := &summing{w: bufio.NewWriterSize(file.file, 128<<10)}
	if err := b.build(s, w); err != nil {
		return nil, err
	}
	size := w.n
	rest := extras{Locals: s.locals}
	if s.patterns != nil {
		rest.Patterns = s.patterns.all
	}
	more, err := json.Marshal(&rest)
	if err != nil {
		return nil, err
	}
	errs := []error{w.align()}
	for _, part := range [][]byte{s.filter, s.offsets, more} {
		_, err := w.Write(part)
		errs = append(errs, err, w.align())
	}
	if err := errors.Join(append(errs, w.w.Flush())...); err != nil {
		return nil, diskError{err}
	}
	file.header = setHeader{
		CRC: w.crc, Data: size, Buckets: s.buckets, Extras: int64(len(more)), Depths: s.depths,
		Answers: s.answers, Clients: s.clients, Names: s.names, Addrs: s.addrs, Passes: s.passes,
	}
	mapped, err := file.open(file.file, s.seed)
	if err != nil {
		return nil, diskError{err}
	}
	return mapped, nil
}

// keep writes the header and puts the file in place. Before a crash has
// written all of it, its checksum tells.
func (f *setFile) keep(path string, h setHeader) error {
	if f.tmp == "" {
		return nil
	}
	own := f.header
	own.Version, own.Made, own.Stamp, own.SHA256 = setVersion, h.Made, h.Stamp, h.SHA256
	own.Loaded, own.Format, own.Rejected = h.Loaded, h.Format, h.Rejected
	line, err := json.Marshal(own)
	if err == nil && len(line) > setHeaderSize-sealSize {
		err = errors.New("header too long")
	}
	if err == nil {
		padded := bytes.Repeat([]byte{' '}, setHeaderSize)
		copy(padded, line)
		sealHeader(padded)
		_, err = f.file.WriteAt(padded, 0)
	}
	if err == nil {
		err = os.Rename(f.tmp, path)
	}
	if err != nil {
		f.drop()
		return err
	}
	f.tmp = ""
	return f.file.Close()
}

// sealSize is what a header ends with: its own checksum, in hexadecimal digits,
// and a newline. A bit of it decides which names are looked up at all.
const sealSize = 8 + 1

func sealHeader(b []byte) {
	at := len(b) - sealSize
	copy(b[at:], fmt.Sprintf("%08x\n", crc32.Checksum(b[:at], castagnoli)))
}

// unseal is the header without its checksum, if that is right.
func unseal(b []byte) ([]byte, error) {
	own := bytes.Clone(b)
	sealHeader(own)
	if !bytes.Equal(own, b) {
		return nil, errors.New("header: wrong checksum")
	}
	return b[:len(b)-sealSize], nil
}

// drop removes a file that was not kept. What is mapped of it stays.
func (f *setFile) drop() {
	if f.tmp != "" {
		os.Remove(f.tmp)
		f.tmp = ""
		f.file.Close()
	}
}

// release is drop for a set that is not to be kept, of which there may be no file.
func (s *set) release() {
	if s != nil && s.file != nil {
		s.file.drop()
	}
}

// openSet maps the compiled file at path, if it is what want describes: made
// the same way of the same text. Its error says why not.
func openSet(path string, seed uint64, want func(*setHeader) bool) (*set, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	f := new(setFile)
	line := make([]byte, setHeaderSize)
	if _, err := io.ReadFull(file, line); err != nil {
		return nil, err
	}
	line, err = unseal(line)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &f.header); err != nil {
		return nil, err
	}
	if f.header.Version != setVersion || !want(&f.header) {
		return nil, errors.New("made of another text, or in another way")
	}
	sum, buf := uint32(0), make([]byte, 256<<10)
	for {
		n, err := file.Read(buf)
		sum = crc32.Update(sum, castagnoli, buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if sum != f.header.CRC {
		return nil, fmt.Errorf("checksum is %08x, want %08x", sum, f.header.CRC)
	}
	return f.open(file, seed)
}

// open maps the arrays of f out of file, which may be closed afterwards.
func (f *setFile) open(file *os.File, seed uint64) (*set, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	h := &f.header
	size := info.Size() - setHeaderSize
	if h.Data < 0 || h.Data > maxData || h.Buckets == 0 || h.Buckets%partitions != 0 || h.Buckets > maxData || h.Extras < 0 || h.Extras > size {
		return nil, errors.New("sizes out of range")
	}
	align := func(n int64) int64 { return (n + 7) &^ 7 }
	filterAt := align(h.Data)
	offsetsAt := filterAt + 8*int64(h.Buckets)
	extrasAt := align(offsetsAt + 4*int64(h.Buckets) + 4)
	if size != align(extrasAt+h.Extras) {
		return nil, fmt.Errorf("%d octets, want %d", size, align(extrasAt+h.Extras))
	}
	m, err := mapFile(file, info.Size())
	if err != nil {
		return nil, err
	}
	f.mapped = m
	body := m.octets[setHeaderSize:]
	s := &set{
		seed: seed, data: body[:h.Data:h.Data], filter: body[filterAt:offsetsAt:offsetsAt],
		offsets: body[offsetsAt : offsetsAt+4*int64(h.Buckets)+4], buckets: h.Buckets,
		depths: h.Depths, answers: h.Answers, clients: h.Clients,
		names: h.Names, addrs: h.Addrs, passes: h.Passes, file: f,
	}
	if err := s.takeExtras(body[extrasAt : extrasAt+h.Extras]); err != nil {
		m.close()
		return nil, err
	}
	before := uint32(0)
	for i := range h.Buckets + 1 {
		at := binary.LittleEndian.Uint32(s.offsets[4*i:])
		if at < before || int64(at) > h.Data {
			m.close()
			return nil, errors.New("offsets out of order")
		}
		before = at
	}
	s.recent = newRecent(s.names + s.addrs)
	runtime.AddCleanup(s, func(m mapping) { m.close() }, m)
	return s, nil
}

// extras is the rest of a set, as JSON at the end of the file.
type extras struct {
	Locals   []*Local   `json:"locals,omitempty"`
	Patterns []*pattern `json:"patterns,omitempty"`
}

// takeExtras reads what a set has besides its arrays.
func (s *set) takeExtras(b []byte) error {
	var x extras
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	if len(x.Locals) > maxLocals || len(x.Patterns) > maxPatterns || slices.Contains(x.Locals, nil) || slices.Contains(x.Patterns, nil) {
		return errors.New("answers or patterns out of range")
	}
	for i, p := range x.Patterns {
		made, err := newPattern(p.Text, p.Own)
		if err != nil {
			return err
		}
		x.Patterns[i] = made
	}
	s.locals, s.patterns = x.Locals, newPatterns(x.Patterns)
	return nil
}
