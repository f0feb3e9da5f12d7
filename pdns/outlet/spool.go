package outlet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// reason says why a row that was in the spool, or was to be, never arrives.
type reason uint8

const (
	spoolFull   reason = iota // the oldest made room
	tooOld                    // waited longer than spool_age
	damaged                   // did not read back; at least one row for each damaged place
	version                   // written by a weir whose records are different
	refused                   // the service takes everything but this
	diskRefused               // could not be written, and there was no room to wait
	reasonCount
)

var reasonNames = [reasonCount]string{
	spoolFull: "spool_full", tooOld: "old", damaged: "damaged", version: "version", refused: "refused", diskRefused: "disk",
}

const (
	writeBytes  = 64 << 10  // gathered for one write
	bufferBytes = 256 << 10 // held while the disk refuses
	segments    = 16        // of a full spool, about
	minSegment  = 64 << 10
	maxSegment  = 16 << 20
)

// spool is a queue of rows on the disk. One goroutine puts rows in, another cuts
// batches off; both hold mu only for what is done to the list of segments and to
// the one that is written.
type spool struct {
	dir    string
	max    int64
	segMax int64
	age    time.Duration
	now    func() time.Time
	wake   chan struct{} // 1: there may be something to cut
	lost   [reasonCount]atomic.Uint64
	stored atomic.Uint64 // rows in files

	mu     sync.Mutex // guards all below
	opened bool
	segs   []*stored // the oldest first; the last one is written to while w is not nil
	total  int64
	w      *os.File
	torn   bool // the end of w is not known to be whole
	dirty  bool // w has what is not synced
	born   time.Time
	buf    []byte
	rows   uint64 // in buf
	cur    cursor
	fresh  int       // rows put and not cut, as far as this process knows
	first  time.Time // since when the oldest of them waits; zero: none does, or long since
	behind bool      // there are rows from before
}

// stored is a segment and when it was last written.
type stored struct {
	segment
	last time.Time
}

func newSpool(dir string, maxBytes int64, age time.Duration, now func() time.Time) *spool {
	return &spool{
		dir: dir, max: maxBytes, segMax: min(max(maxBytes/segments, minSegment), maxSegment), age: age, now: now,
		wake: make(chan struct{}, 1),
	}
}

// open finds what an earlier process left.
func (s *spool) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	cur := readCursor(s.dir)
	var segs []*stored
	var total int64
	for _, e := range entries {
		seq, ok := segmentSeq(e.Name())
		if !ok {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		if (position{seq, info.Size()}).before(cur.Done) || info.Size() <= headerLen || seq == cur.Done.Segment && cur.Done.Offset >= info.Size() {
			if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
				return err
			}
			continue
		}
		segs = append(segs, &stored{segment{seq: seq, size: info.Size()}, info.ModTime()})
		total += info.Size()
	}
	slices.SortFunc(segs, func(a, b *stored) int { return int(min(max(int64(a.seq)-int64(b.seq), -1), 1)) })
	s.segs, s.total, s.cur, s.opened, s.behind = segs, total, cur, true, len(segs) > 0
	signal(s.wake)
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// put takes a row, which stays the caller's. Where it cannot, the row is counted.
func (s *spool) put(row []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(row) > maxRow {
		s.lost[refused].Add(1) // no message is that long
		return
	}
	if len(s.buf)+frameLen+len(row) > bufferBytes {
		s.lost[diskRefused].Add(1)
		return
	}
	s.buf = appendFrame(s.buf, row)
	s.rows++
	if len(s.buf) >= writeBytes && !s.torn {
		_ = s.flushLocked() // tend tries again, and says it
	}
}

// flush brings what was put to the disk; sync makes it last.
func (s *spool) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.flushLocked(); err != nil {
		return err
	}
	if s.w != nil && s.dirty {
		if err := s.w.Sync(); err != nil {
			return err
		}
		s.dirty = false
	}
	return nil
}

func (s *spool) flushLocked() (err error) {
	if len(s.buf) == 0 {
		return nil
	}
	if !s.opened {
		return errors.New("the spool is not open")
	}
	if s.w != nil && (s.torn || s.segs[len(s.segs)-1].size+int64(len(s.buf)) > s.segMax) {
		s.closeLocked()
	}
	s.makeRoomLocked(int64(len(s.buf)) + headerLen)
	if s.w == nil {
		if err := s.beginLocked(); err != nil {
			return err
		}
	}
	last := s.segs[len(s.segs)-1]
	if _, err := s.w.WriteAt(s.buf, last.size); err != nil {
		s.torn = true // what is behind size is no row of ours: the next write begins a segment
		return err
	}
	last.size += int64(len(s.buf))
	last.last = s.now()
	s.total += int64(len(s.buf))
	s.dirty = true
	s.stored.Add(s.rows)
	s.fresh += int(s.rows)
	if s.first.IsZero() {
		s.first = s.now()
	}
	s.buf, s.rows = s.buf[:0], 0
	signal(s.wake)
	return nil
}

// beginLocked makes a segment to write to.
func (s *spool) beginLocked() error {
	seq := s.cur.Done.Segment + 1
	if n := len(s.segs); n > 0 {
		seq = max(seq, s.segs[n-1].seq+1)
	}
	f, err := os.OpenFile(segmentPath(s.dir, seq), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	if _, err := f.Write(newHeader()); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	s.w, s.torn, s.born = f, false, s.now()
	s.segs = append(s.segs, &stored{segment{seq: seq, size: headerLen}, s.born})
	s.total += headerLen
	return nil
}

// closeLocked ends the segment that is written.
func (s *spool) closeLocked() {
	if s.w == nil {
		return
	}
	// Were it not on the disk, a crash would show it: rows have checksums.
	_, _ = s.w.Sync(), s.w.Close()
	s.w, s.torn, s.dirty = nil, false, false
}

// makeRoomLocked drops the oldest segments that no batch is made of until need
// octets fit. What is cut is at most a quarter, so there always is one.
func (s *spool) makeRoomLocked(need int64) {
	for i := 0; i < len(s.segs) && s.total+need > s.max; {
		if s.segs[i].busy || s.writesLocked(i) {
			i++
			continue
		}
		s.dropLocked(i, spoolFull)
	}
}

func (s *spool) writesLocked(i int) bool { return s.w != nil && i == len(s.segs)-1 }

// dropLocked removes a segment and counts the rows in it that were not delivered.
func (s *spool) dropLocked(i int, why reason) {
	seg := s.segs[i]
	from := int64(0)
	if seg.seq == s.cur.Done.Segment {
		from = s.cur.Done.Offset
	}
	n, _, err := countRows(s.dir, seg.seq, from, seg.size)
	s.lost[why].Add(n)
	if err != nil {
		s.lost[reasonOf(err)].Add(1)
	}
	s.removeLocked(i)
}

func (s *spool) removeLocked(i int) {
	os.Remove(segmentPath(s.dir, s.segs[i].seq))
	s.total -= s.segs[i].size
	s.segs = slices.Delete(s.segs, i, i+1)
}

// countRows counts the rows of a segment, and says of when the first is.
func countRows(dir string, seq uint64, from, size int64) (n uint64, first time.Time, err error) {
	r, err := openRows(dir, seq, from, size)
	if err != nil {
		return 0, first, err
	}
	defer r.close()
	for {
		row, _, err := r.next()
		if err != nil {
			return n, first, atEnd(err)
		}
		if n == 0 {
			first = timeOf(row)
		}
		n++
	}
}

func reasonOf(err error) reason {
	if errors.Is(err, errVersion) {
		return version
	}
	return damaged
}

// tend drops what has waited too long, and lets rows grow old together only so
// far that all of a segment can be dropped.
func (s *spool) tend() error {
	if err := s.open(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	err := s.flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.w != nil && now.Sub(s.born) >= s.age/10 {
		s.closeLocked()
	}
	for i := 0; i < len(s.segs); {
		if s.segs[i].busy || s.writesLocked(i) || now.Sub(s.segs[i].last) < s.age {
			i++
			continue
		}
		s.dropLocked(i, tooOld)
	}
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	return nil
}

// close writes what is left.
func (s *spool) close() error {
	err := s.flush()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[diskRefused].Add(s.rows)
	s.buf, s.rows = nil, 0
	s.closeLocked()
	return err
}

// bytes is what waits on the disk, without what is delivered already.
func (s *spool) bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waitingLocked()
}

func (s *spool) waitingLocked() (n int64) {
	for _, seg := range s.segs {
		from := int64(headerLen)
		if seg.seq < s.cur.Done.Segment {
			continue
		} else if seg.seq == s.cur.Done.Segment {
			from = max(from, s.cur.Done.Offset)
		}
		n += max(seg.size-from, 0)
	}
	return n
}
