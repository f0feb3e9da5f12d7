package pdns

import (
	"io"
	"strconv"
	"sync"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
)

// FindingWriter writes findings to one stream, a JSON object a line. It may be
// used by many goroutines.
type FindingWriter struct {
	mu    sync.Mutex // guards what is below
	lines findingLines
	out   stream
}

// NewFindingWriter writes to w, with as much of clients' addresses as client
// says, and nothing of those that it skips.
func NewFindingWriter(w io.Writer, client *privacy.Guard) *FindingWriter {
	return &FindingWriter{lines: findingLines{client: client}, out: stream{w: w}}
}

// Find writes f and brings it to the stream: findings are few.
func (w *FindingWriter) Find(f *detect.Finding) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if line := w.lines.line(f); line != nil {
		w.out.row(line, 0)
		_ = w.out.flush() // Close says what failed
	}
}

// Lost is how many lines could not be written.
func (w *FindingWriter) Lost() uint64 { return w.out.lost.Load() }

// Close returns the first error of the stream, which it does not close.
func (w *FindingWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.failure()
}

// findingLines writes findings as lines.
type findingLines struct {
	client *privacy.Guard
	buf    []byte // scratch
	name   []byte // scratch
}

// line is f as a line, good until the next; nil if it is about somebody of whom
// nothing is recorded.
func (l *findingLines) line(f *detect.Finding) []byte {
	if l.client.Skips(f.Client, f.Name) {
		return nil
	}
	dst := append(l.buf[:0], `{"time":"`...)
	dst = f.Time.UTC().AppendFormat(dst, timeForm)
	dst = append(dst, `","kind":`...)
	dst = appendJSON(dst, f.Kind.String())
	dst = append(dst, `,"level":`...)
	dst = appendJSON(dst, f.Level.String())
	dst = append(dst, `,"client":`...)
	dst = appendClient(dst, l.client, f.Client)
	dst = append(dst, `,"name":`...)
	if f.Name == nil {
		dst = append(dst, "null"...)
	} else {
		l.name = f.Name.AppendText(l.name[:0])
		dst = appendJSON(dst, l.name)
	}
	dst = append(dst, `,"evidence":{`...)
	for i, fact := range f.Evidence {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, fact.Key)
		dst = append(dst, ':')
		dst = appendJSON(dst, fact.Value)
	}
	dst = append(dst, `},"suspected_until":`...)
	if f.Until.IsZero() {
		dst = append(dst, "null"...)
	} else {
		dst = append(f.Until.UTC().AppendFormat(append(dst, '"'), timeForm), '"')
	}
	dst = append(dst, `,"enforced":`...)
	dst = strconv.AppendBool(dst, f.Enforce)
	dst = append(dst, `,"context":`...)
	dst = appendContextJSON(dst, f.Context)
	l.buf = append(dst, '}', '\n')
	return l.buf
}
