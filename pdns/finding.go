package pdns

import (
	"io"
	"sync"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
)

// FindingWriter writes findings to one stream, a JSON object a line. It may be
// used by many goroutines.
type FindingWriter struct {
	client *privacy.Guard

	mu   sync.Mutex // guards what is below
	out  stream
	line []byte // scratch
	name []byte // scratch
}

// NewFindingWriter writes to w, with as much of clients' addresses as client
// says, and nothing of those that it skips.
func NewFindingWriter(w io.Writer, client *privacy.Guard) *FindingWriter {
	return &FindingWriter{client: client, out: stream{w: w}}
}

// Find writes f and brings it to the stream: findings are few.
func (w *FindingWriter) Find(f *detect.Finding) {
	if w.client.Skips(f.Client, f.Name) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	dst := append(w.line[:0], `{"time":"`...)
	dst = f.Time.UTC().AppendFormat(dst, timeForm)
	dst = append(dst, `","kind":`...)
	dst = appendJSON(dst, f.Kind.String())
	dst = append(dst, `,"client":`...)
	dst = appendClient(dst, w.client, f.Client)
	dst = append(dst, `,"name":`...)
	dst = w.appendName(dst, f.Name)
	dst = append(dst, `,"evidence":{`...)
	for i, fact := range f.Evidence {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, fact.Key)
		dst = append(dst, ':')
		dst = appendJSON(dst, fact.Value)
	}
	w.line = append(dst, '}', '}', '\n')
	w.out.row(w.line, 0)
	_ = w.out.flush() // sticks, and Close says it
}

func (w *FindingWriter) appendName(dst []byte, n dnsname.Name) []byte {
	if n == nil {
		return append(dst, "null"...)
	}
	w.name = n.AppendText(w.name[:0])
	return appendJSON(dst, w.name)
}

// Close returns the first error of the stream, which it does not close.
func (w *FindingWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.err
}
