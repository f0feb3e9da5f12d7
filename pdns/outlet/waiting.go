package outlet

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/weirdns/weir/pdns"
)

// Trouble is the last error of an outlet. Its text holds no secret: those stay
// with the sinks.
type Trouble struct {
	Text string
	At   time.Time
}

// brief is the text of an error, on one line and of a length that fits a status.
func brief(err error) string {
	const longest = 300
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error())
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}

// Trouble is the last thing that went wrong; nil: nothing did.
func (o *Outlet) Trouble() *Trouble { return o.said.Load() }

// Waiting counts the rows on the disk that were not delivered, and says of when the
// oldest is; zero: nothing waits. It reads the spool, so it is for who asks now and
// then.
func (o *Outlet) Waiting() (rows uint64, oldest time.Time) {
	o.spool.mu.Lock()
	done, segs := o.spool.cur.Done, make([]segment, 0, len(o.spool.segs))
	for _, s := range o.spool.segs {
		segs = append(segs, s.segment)
	}
	o.spool.mu.Unlock()
	for _, s := range segs {
		from := int64(0)
		switch {
		case s.seq < done.Segment:
			continue
		case s.seq == done.Segment:
			from = done.Offset
		}
		n, first, err := countRows(o.spool.dir, s.seq, from, s.size)
		if errors.Is(err, fs.ErrNotExist) {
			continue // delivered since
		}
		rows += n
		if oldest.IsZero() {
			oldest = first
		}
	}
	return rows, oldest
}

// timeOf is the time of a row's query; zero where it cannot be read.
func timeOf(row []byte) time.Time {
	var d pdns.Decoder
	if t, err := d.Decode(row); err == nil {
		return t.Query.Time
	}
	return time.Time{}
}
