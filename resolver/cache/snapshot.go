package cache

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// A snapshot is the cache on disk:
//
//	magic     8 octets, the last one the version
//	written   i64, nanoseconds of Unix time
//	entries   each: u32 length of what follows, u32 age in seconds, u8 flags of
//	          the question and flagEDE, u8 1 if it was asked for again, u16 EDE
//	          code, u8 length of its text, the text, the message
//	end       u32 0
//	checksum  SHA-256 of all before it
//
// All numbers are big endian. Failures are left out: after a restart they are
// worth another try.
const snapshotMagic = "weircac\x01"

// Errors of Load. Each means that nothing was taken.
var (
	ErrSnapshotDamaged = errors.New("damaged, or none of ours")
	ErrSnapshotFuture  = errors.New("written in the future: the clock is wrong now, or was then")
)

const (
	recordFixed = 4 + 1 + 1 + 2 + 1 // octets of an entry before the texts
	maxRecord   = recordFixed + math.MaxUint8 + math.MaxUint16
)

// Save writes the cache to w and returns how many answers it wrote. now is the
// clock of Put and Get; its wall clock is what Load ages by. A shard is locked
// for as long as it takes to copy it.
func (c *Cache) Save(w io.Writer, now time.Time) (n int, err error) {
	sum := sha256.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, sum), 64<<10)
	buf := append(make([]byte, 0, 512), snapshotMagic...)
	buf = binary.BigEndian.AppendUint64(buf, uint64(now.UnixNano()))
	_, err = out.Write(buf)
	at := int64(now.Sub(c.epoch))
	var copied []byte
	for i := range c.shards {
		var rings [2]ring
		copied, rings = c.shards[i].copy(copied)
		for j := range rings {
			rings[j].each(func(e entry, _ int) {
				if err != nil || e.failure() || e.state(at, c.rules.maxStale) == Miss {
					return
				}
				buf = appendSnapshotEntry(buf[:0], e, at, j == 1)
				_, err = out.Write(buf)
				n++
			})
		}
	}
	if err == nil {
		_, err = out.Write([]byte{0, 0, 0, 0})
	}
	if err = errors.Join(err, out.Flush()); err != nil {
		return 0, err
	}
	_, err = w.Write(sum.Sum(nil))
	return n, err
}

// copy copies the shard's octets into dst, so that nobody waits while they are
// written.
func (s *shard) copy(dst []byte) ([]byte, [2]ring) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dst = append(dst[:0], s.data...)
	rings := [2]ring{s.probation, s.main}
	for i := range rings {
		rings[i].data = dst
	}
	return dst, rings
}

func appendSnapshotEntry(dst []byte, e entry, now int64, known bool) []byte {
	var code uint16
	var text []byte
	if e.is(flagEDE) {
		code, text = e.ede()
	}
	again := byte(0)
	if known || e.hits() > 0 {
		again = 1
	}
	msg := e.msg()
	dst = binary.BigEndian.AppendUint32(dst, uint32(recordFixed+len(text)+len(msg)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(max(now-e.stored(), 0)/second))
	dst = append(dst, e.question()|e[6]&flagEDE, again)
	dst = binary.BigEndian.AppendUint16(dst, code)
	dst = append(dst, uint8(len(text)))
	dst = append(dst, text...)
	return append(dst, msg...)
}

// Load reads what Save wrote, all of it or, where the checksum or the time is
// wrong, nothing. Answers age by the wall clock's time since then; what is in
// the cache already is newer and stays. It returns how many answers it took.
func (c *Cache) Load(r io.ReadSeeker, now time.Time) (n int, err error) {
	size, written, err := verify(r)
	if err != nil {
		return 0, err
	}
	if written.After(now) {
		return 0, ErrSnapshotFuture
	}
	if _, err := r.Seek(int64(len(snapshotMagic)+8), io.SeekStart); err != nil {
		return 0, err
	}
	in := bufio.NewReaderSize(io.LimitReader(r, size), 64<<10)
	since := now.Round(0).Sub(written.Round(0)) // wall clocks both
	buf := make([]byte, 0, 4<<10)
	for {
		if buf, err = readRecord(in, buf); err != nil {
			return n, err
		}
		if len(buf) == 0 {
			return n, nil
		}
		if c.restore(buf, since, now) {
			n++
		}
	}
}

// verify reads all of r, and says how long it is before the checksum and when
// it was written.
func verify(r io.ReadSeeker) (size int64, written time.Time, err error) {
	end, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, time.Time{}, err
	}
	size = end - sha256.Size
	if size < int64(len(snapshotMagic)+8+4) {
		return 0, time.Time{}, ErrSnapshotDamaged
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return 0, time.Time{}, err
	}
	var head [len(snapshotMagic) + 8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, time.Time{}, err
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return 0, time.Time{}, ErrSnapshotDamaged
	}
	sum := sha256.New()
	sum.Write(head[:])
	if err := checkSum(r, sum, size-int64(len(head))); err != nil {
		return 0, time.Time{}, err
	}
	return size, time.Unix(0, int64(binary.BigEndian.Uint64(head[len(snapshotMagic):]))), nil
}

func checkSum(r io.Reader, sum hash.Hash, rest int64) error {
	if _, err := io.CopyN(sum, r, rest); err != nil {
		return err
	}
	var want [sha256.Size]byte
	if _, err := io.ReadFull(r, want[:]); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return ErrSnapshotDamaged
	}
	return nil
}

// readRecord reads the next entry into buf; an empty one is the end.
func readRecord(in io.Reader, buf []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxRecord {
		return nil, ErrSnapshotDamaged
	}
	if uint32(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(in, buf); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotDamaged, err)
	}
	return buf, nil
}

// restore puts one entry where there is none, by the same checks as Put. It
// says whether the entry could be read.
func (c *Cache) restore(rec []byte, since time.Duration, now time.Time) bool {
	if len(rec) < recordFixed || len(rec) < recordFixed+int(rec[8]) {
		return false
	}
	age := time.Duration(binary.BigEndian.Uint32(rec))*time.Second + since
	text, msg := rec[recordFixed:recordFixed+int(rec[8])], rec[recordFixed+int(rec[8]):]
	var question dnswire.Question
	var name [dnsname.MaxWire]byte
	if dnswire.ReadQuestion(&question, name[:], msg) != nil || question.End-question.Start != len(question.Name)+4 {
		return false
	}
	p := plan{onlyNew: true, known: rec[5] == 1}
	if rec[4]&flagEDE != 0 {
		p.ede = &dnswire.EDE{Code: binary.BigEndian.Uint16(rec[6:]), Text: text}
	}
	q := Question{
		Name: question.Name, Type: question.Type, Class: question.Class,
		DO: rec[4]&flagDO != 0, CD: rec[4]&flagCD != 0,
	}
	c.put(&p, &q, msg, now.Add(-age))
	return true
}
