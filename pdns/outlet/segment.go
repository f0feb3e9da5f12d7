package outlet

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weirdns/weir/pdns"
)

// A segment is a file of the spool:
//
//	"weirspl" and the version of the records, one octet
//	identity, 8 random octets
//	CRC-32C of these 16 octets, uint32
//	then for each row: length uint32, CRC-32C of the row uint32, the row
//
// Numbers are little-endian; a row is what pdns.AppendTransaction writes. A
// segment is written by one process and never again: a start makes a new one, and
// what a crash left half written at an end is no row.
const (
	segmentMagic  = "weirspl"
	segmentSuffix = ".spool"
	headerLen     = 20
	frameLen      = 8
	maxRow        = 1 << 20 // a message of 64 KiB and what is known of it
)

type segment struct {
	seq  uint64
	size int64 // of whole rows, header included
	busy bool  // a batch under way has rows of it
}

func segmentPath(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", seq, segmentSuffix))
}

// segmentSeq reads the number in a file's name.
func segmentSeq(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 16, 64)
	return seq, err == nil
}

func castagnoli(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// newHeader is the beginning of a new segment.
func newHeader() []byte {
	h := append(make([]byte, 0, headerLen), segmentMagic...)
	h = append(h, pdns.RecordVersion)
	h = h[:16]
	_, _ = rand.Read(h[8:]) // never fails: it ends the process instead
	return binary.LittleEndian.AppendUint32(h, castagnoli(h))
}

func appendFrame(dst, row []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(row)))
	dst = binary.LittleEndian.AppendUint32(dst, castagnoli(row))
	return append(dst, row...)
}

// ID names a row: the identity of its segment and its place in it. It is the same
// whenever the row is sent again, also after a crash, and no other row's.
type ID [16]byte

// String is 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Ways in which a segment is bad.
var (
	errDamaged = errors.New("damaged")
	errVersion = errors.New("of another version of weir")
)

// rowReader reads the rows of a segment.
type rowReader struct {
	f    *os.File
	r    *bufio.Reader
	id   ID // of the next row
	off  int64
	end  int64
	head [frameLen]byte
	row  []byte // scratch
}

// openRows opens a segment to be read from off, 0 for its beginning, to end.
func openRows(dir string, seq uint64, off, end int64) (*rowReader, error) {
	f, err := os.Open(segmentPath(dir, seq))
	if err != nil {
		return nil, err
	}
	r := &rowReader{f: f, off: max(off, headerLen), end: end}
	header := make([]byte, headerLen)
	if _, err := f.ReadAt(header, 0); err != nil || string(header[:7]) != segmentMagic ||
		binary.LittleEndian.Uint32(header[16:]) != castagnoli(header[:16]) {
		return nil, errors.Join(errDamaged, f.Close())
	}
	if header[7] != pdns.RecordVersion {
		return nil, errors.Join(errVersion, f.Close())
	}
	copy(r.id[:8], header[8:16])
	if _, err := f.Seek(r.off, io.SeekStart); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.r = bufio.NewReaderSize(f, 64<<10)
	return r, nil
}

func (r *rowReader) close() { r.f.Close() }

// next returns a row, which is good until the next call, its ID, and the place
// behind it. It is io.EOF at the end, and behind what a crash cut off.
func (r *rowReader) next() (row []byte, id ID, err error) {
	if r.off+frameLen > r.end {
		return nil, id, io.EOF
	}
	if _, err := io.ReadFull(r.r, r.head[:]); err != nil {
		return nil, id, cutIsEnd(err)
	}
	n := binary.LittleEndian.Uint32(r.head[:])
	if n == 0 { // room that a file system gave and a crash left empty
		return nil, id, io.EOF
	}
	if n > maxRow {
		return nil, id, errDamaged
	}
	if r.off+frameLen+int64(n) > r.end {
		return nil, id, io.EOF
	}
	if cap(r.row) < int(n) {
		r.row = make([]byte, n, max(2*int(n), 4<<10))
	}
	r.row = r.row[:n]
	if _, err := io.ReadFull(r.r, r.row); err != nil {
		return nil, id, cutIsEnd(err)
	}
	if castagnoli(r.row) != binary.LittleEndian.Uint32(r.head[4:]) {
		return nil, id, errDamaged
	}
	id = r.id
	binary.BigEndian.PutUint64(id[8:], uint64(r.off))
	r.off += frameLen + int64(n)
	return r.row, id, nil
}

func cutIsEnd(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
