package outlet

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
)

// Batch is a range of the spool. It holds no row: Each reads them, as often as it
// is called, so that a batch may be larger than memory.
type Batch struct {
	Rows  int
	Bytes int64     // in the spool
	First ID        // of the first row
	Since time.Time // of the first row, as the data has it

	dir   string
	parts []part
	end   position
	last  time.Time // when the first segment was last written
}

// part is a stretch of one segment.
type part struct {
	seq      uint64
	from, to int64
}

// Key is the same whenever the same rows are sent again as one batch, for services
// that know batches by a key.
func (b *Batch) Key() string { return fmt.Sprintf("%s-%d", b.First, b.Rows) }

// Row is a transaction on its way out. Its client is as much of one as may be
// kept, and all of it is good until the next row is read.
type Row struct {
	ID ID
	*detect.Transaction
}

// Each calls f with every row in order, and returns the first error.
func (b *Batch) Each(f func(Row) error) error {
	var d pdns.Decoder
	for _, p := range b.parts {
		if err := p.each(b.dir, &d, f); err != nil {
			return err
		}
	}
	return nil
}

func (p part) each(dir string, d *pdns.Decoder, f func(Row) error) error {
	r, err := openRows(dir, p.seq, p.from, p.to)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		row, id, err := r.next()
		if err != nil {
			return atEnd(err)
		}
		t, err := d.Decode(row)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if err := f(Row{id, t}); err != nil {
			return err
		}
	}
}

func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ready says whether a batch is due, and if not how long to wait for one at most;
// 0 stands for: until something is put.
func (s *spool) ready(cfg *Config) (due bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waitingLocked()
	switch {
	case !s.opened || waiting == 0:
		return false, 0
	case s.behind || s.fresh >= cfg.BatchRows || waiting >= cfg.BatchBytes:
		return true, 0
	}
	left := cfg.BatchInterval - s.now().Sub(s.first)
	return left <= 0, max(left, 0)
}

// cut makes the next batch of what was not delivered, of so many rows and octets
// at most; nil where nothing waits. The batch that a crash interrupted comes as it
// was. Until done, its segments stay.
func (s *spool) cut(maxRows int, maxBytes int64) (*Batch, error) {
	s.mu.Lock()
	from, until := s.cur.Done, s.cur.Until
	var segs []segment
	for _, seg := range s.segs {
		if seg.seq >= from.Segment {
			seg.busy = true
			segs = append(segs, seg.segment)
		}
	}
	s.mu.Unlock()
	b := &Batch{dir: s.dir, end: from}
	if from.before(until) {
		maxRows, maxBytes = 1<<31-1, s.max
	} else {
		until = position{}
	}
	var err error
	for _, seg := range segs {
		var full bool
		if full, err = s.extend(b, seg, maxRows, maxBytes, until); err != nil || full {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = false
	for _, seg := range s.segs {
		seg.busy = false
		for _, p := range b.parts {
			if seg.seq == p.seq {
				seg.busy = true
				if b.last.IsZero() {
					b.last = seg.last
				}
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if b.Rows == 0 { // all that there was is unreadable
		s.advanceLocked(b.end)
		return nil, nil
	}
	s.fresh, s.first = max(s.fresh-b.Rows, 0), s.now()
	return b, nil
}

// extend adds rows of a segment to b, and says whether b is full.
func (s *spool) extend(b *Batch, seg segment, maxRows int, maxBytes int64, until position) (full bool, err error) {
	p := part{seq: seg.seq}
	if seg.seq == b.end.Segment {
		p.from = b.end.Offset
	}
	p.from = max(p.from, headerLen)
	p.to = p.from
	r, err := openRows(s.dir, seg.seq, p.from, seg.size)
	if err == nil {
		defer r.close()
		var row []byte
		var id ID
		var d pdns.Decoder
		for {
			at := position{seg.seq, r.off}
			if b.Rows >= maxRows || b.Rows > 0 && b.Bytes >= maxBytes || until != (position{}) && !at.before(until) {
				full = true
				break
			}
			if row, id, err = r.next(); err != nil {
				err = atEnd(err)
				break
			}
			if b.Rows == 0 {
				b.First = id
				if t, err := d.Decode(row); err == nil { // else Each says it
					b.Since = t.Query.Time
				}
			}
			b.Rows++
			b.Bytes += r.off - p.to
			p.to = r.off
		}
	}
	if p.to > p.from {
		b.parts = append(b.parts, p)
	}
	b.end = position{seg.seq, p.to}
	if full {
		return true, nil
	}
	b.end.Offset = max(seg.size, p.to) // what is left of it is no row
	switch {
	case errors.Is(err, errVersion), errors.Is(err, errDamaged), errors.Is(err, fs.ErrNotExist):
		s.lost[reasonOf(err)].Add(1)
		return b.Rows > 0, nil
	}
	return false, err
}

// begin notes that b is on its way.
func (s *spool) begin(b *Batch) error {
	s.mu.Lock()
	c := cursor{Done: s.cur.Done, Until: b.end}
	s.cur = c
	s.mu.Unlock()
	return c.write(s.dir)
}

// done forgets the rows of b.
func (s *spool) done(b *Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advanceLocked(b.end)
}

// again gives b back, to be cut otherwise.
func (s *spool) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cur.Until = position{}
	s.behind = true
}

func (s *spool) advanceLocked(to position) {
	s.cur = cursor{Done: to}
	for i := 0; i < len(s.segs); {
		seg := s.segs[i]
		seg.busy = false
		if s.writesLocked(i) || to.before(position{seg.seq, seg.size}) {
			i++
			continue
		}
		s.removeLocked(i)
	}
	if s.waitingLocked() == 0 {
		s.first, s.fresh = time.Time{}, 0
	}
}

// save writes how far delivery came.
func (s *spool) save() error {
	s.mu.Lock()
	c := s.cur
	s.mu.Unlock()
	if c == (cursor{}) {
		return nil
	}
	err := c.write(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil // no folder, nothing delivered
	}
	return err
}
