package query

import (
	"context"
	"time"

	"github.com/weirdns/weir/pdns/store"
)

// Run asks r and writes the answer to w. truncated says that there was more than
// the limit lets through.
func (p *Params) Run(ctx context.Context, r *store.Reader, now time.Time, w Writer) (truncated bool, err error) {
	q, err := p.Compile(now)
	if err != nil {
		return false, err
	}
	n := 0
	for rec, err := range r.Records(ctx, q) {
		if err != nil {
			return false, err
		}
		if n == p.Limit {
			return true, w.Flush()
		}
		n++
		if err := w.Write(&rec); err != nil {
			return false, err
		}
	}
	return false, w.Flush()
}
