package pdns_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
)

// limited takes so many octets and then is full.
type limited struct {
	bytes.Buffer
	left int
}

var errFull = errors.New("full")

func (l *limited) Write(b []byte) (int, error) {
	n, _ := l.Buffer.Write(b[:min(len(b), l.left)])
	if l.left -= n; n < len(b) {
		return n, errFull
	}
	return n, nil
}

// Lines are either in the stream, whole, or counted as lost, wherever the stream
// breaks off.
func TestWriterCountsWhatAStreamDoesNotTake(t *testing.T) {
	const offered = 800 // more than one buffer of lines
	for _, format := range []encode.Format{encode.Native, encode.Zeek} {
		for _, room := range []int{0, 1, 200, 10_000, 70_000, 100_000} {
			out := &limited{left: room}
			w := pdns.NewTransactionWriter(out, format, privacy.Plain(privacy.Full), nil)
			for i := range offered {
				w.Record(answered(t, i, "www.example.com", "www.example.com. 60 IN A 192.0.2.1"))
			}
			err := w.Close()
			written := uint64(0)
			for line := range strings.Lines(out.String()) {
				if strings.HasSuffix(line, "\n") && !strings.HasPrefix(line, "#") {
					written++
				}
			}
			if !errors.Is(err, errFull) || written+w.Lost() != offered {
				t.Errorf("%v with room for %d: %d lines are written and %d lost of %d; error %v", format, room, written, w.Lost(), offered, err)
			}
		}
	}
}
