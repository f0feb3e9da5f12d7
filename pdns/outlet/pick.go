package outlet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"

	"github.com/weirdns/weir/pdns"
)

// Pick calls f with the rows that ids name, in their order, and returns the first
// error. Rows stay on the disk until they are asked for, so a batch can be sorted by
// who keeps no more of each row than what it is sorted by, and its ID.
func (b *Batch) Pick(ids iter.Seq[ID], f func(Row) error) error {
	segs := make(map[[8]byte]*picked, len(b.parts))
	defer func() {
		for _, s := range segs {
			s.f.Close() // was only read
		}
	}()
	for _, p := range b.parts {
		r, err := openRows(b.dir, p.seq, p.from, p.to)
		if err != nil {
			return err
		}
		segs[[8]byte(r.id[:8])] = &picked{r.f, p}
	}
	var d pdns.Decoder
	var row []byte
	for id := range ids {
		s := segs[[8]byte(id[:8])]
		if s == nil {
			return fmt.Errorf("row %s: not of this batch", id)
		}
		var err error
		if row, err = s.read(row, int64(binary.BigEndian.Uint64(id[8:]))); err != nil {
			return fmt.Errorf("row %s: %w", id, err)
		}
		t, err := d.Decode(row)
		if err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if err := f(Row{id, t}); err != nil {
			return err
		}
	}
	return nil
}

// picked is a segment of which rows are read in any order.
type picked struct {
	f    *os.File
	part part
}

// read reads the row at off into memory that it may use again.
func (s *picked) read(row []byte, off int64) ([]byte, error) {
	if off < s.part.from || off+frameLen > s.part.to {
		return nil, errors.New("not of this batch")
	}
	var head [frameLen]byte
	if _, err := s.f.ReadAt(head[:], off); err != nil {
		return nil, shortIsDamage(err)
	}
	n := int64(binary.LittleEndian.Uint32(head[:]))
	if off+frameLen+n > s.part.to {
		return nil, errDamaged
	}
	if int64(cap(row)) < n {
		row = make([]byte, n, max(2*n, 4<<10))
	}
	row = row[:n]
	if _, err := s.f.ReadAt(row, off+frameLen); err != nil {
		return nil, shortIsDamage(err)
	}
	if castagnoli(row) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errDamaged
	}
	return row, nil
}

func shortIsDamage(err error) error {
	if errors.Is(err, io.EOF) {
		return errDamaged
	}
	return err
}
