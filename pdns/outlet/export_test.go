package outlet

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"
)

// SetRetry makes the first wait shorter.
func (o *Outlet) SetRetry(d time.Duration) { o.retry = d }

// SegmentRows reads the rows of a segment as batches do.
func SegmentRows(dir string, seq uint64, size int64) (rows [][]byte, err error) {
	r, err := openRows(dir, seq, 0, size)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for {
		row, _, err := r.next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return rows, err
		}
		rows = append(rows, append([]byte(nil), row...))
	}
}

// NewSegment is a segment with these rows.
func NewSegment(rows ...[]byte) []byte {
	b := newHeader()
	for _, r := range rows {
		b = appendFrame(b, r)
	}
	return b
}

// Path is where a segment is.
func Path(dir string, seq uint64) string { return segmentPath(dir, seq) }

// IsDamage says whether err is one of those that mean a bad segment.
func IsDamage(err error) bool { return errors.Is(err, errDamaged) || errors.Is(err, errVersion) }

// NewBatch is all of a segment as a batch.
func NewBatch(t testing.TB, dir string, seq uint64) *Batch {
	t.Helper()
	info, err := os.Stat(segmentPath(dir, seq))
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRows(dir, seq, 0, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	_, id, err := r.next()
	if err != nil {
		t.Fatal(err)
	}
	return &Batch{Rows: 1, First: id, dir: dir, parts: []part{{seq: seq, from: headerLen, to: info.Size()}}}
}
