package pdns

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
)

// Writer writes records of one kind straight to one stream, for captures: who
// records waits for the stream instead of losing anything, which is what a
// detect.Sink must never do behind a resolver. It belongs to one goroutine.
type Writer struct {
	privacy *privacy.Guard
	lines   *lines     // one of the two
	sums    *aggregate // the other
	every   int64      // seconds of the data's own time between two flushes of sums
	begun   int64      // when the data of the current sums began
	context *contexts
	out     stream
	line    []byte // scratch
}

// NewCOFWriter writes COF lines to w. Of cfg it uses FlushInterval, in the time
// of the data, and MemoryBytes; of client what is skipped.
func NewCOFWriter(w io.Writer, cfg COFConfig, client *privacy.Guard, sensorID string) *Writer {
	return &Writer{
		privacy: client,
		sums:    newAggregate(cfg.MemoryBytes, sensorID),
		every:   int64(cfg.FlushInterval.Seconds()),
		out:     stream{w: w},
	}
}

// NewTransactionWriter writes transaction lines to w, behind the header that the
// format may have. A nil suffixes is the list that the module was built with.
func NewTransactionWriter(w io.Writer, format encode.Format, client *privacy.Guard, suffixes *dnsname.Suffixes) *Writer {
	if suffixes == nil {
		suffixes = dnsname.DefaultSuffixes()
	}
	l := newLines(format, client, suffixes)
	return &Writer{privacy: client, lines: &l, out: stream{w: w, buf: []byte(format.Header())}}
}

// EnrichWith has lines of transactions say what e knows. It is for the time before
// the first of them.
func (w *Writer) EnrichWith(e Enricher) { w.context = newContexts(e, w.privacy) }

// Record writes t, or adds it to the sums. After an error of the stream it does
// nothing but count; Close returns the error.
func (w *Writer) Record(t *detect.Transaction) {
	if w.privacy.Skips(t.Query.Client, t.Query.Name) {
		return
	}
	if w.lines != nil {
		if w.context != nil {
			enriched := *t // t is the caller's
			w.context.add(&enriched)
			t = &enriched
		}
		w.line = w.lines.append(w.line[:0], t)
		w.out.row(w.line, t.Query.Time.Unix())
		return
	}
	if !t.Answered() {
		return
	}
	if at := t.Query.Time.Unix(); w.sums.empty() {
		w.begun = at
	} else if at-w.begun >= w.every || w.sums.full() {
		w.sums.flush(&w.out)
		w.begun = at
	}
	w.sums.add(t)
}

// Flush writes the finished lines, for a reader that waits for them; COF lines
// are finished every FlushInterval. An error shows at Close.
func (w *Writer) Flush() { _ = w.out.flush() }

// Lost is how many lines could not be written: after an error of the stream, those
// that it did not take whole, and all that came later. Any goroutine may ask.
func (w *Writer) Lost() uint64 { return w.out.lost.Load() }

// Close writes what is left, and returns the first error of all. It does not
// close the stream.
func (w *Writer) Close() error {
	if w.sums != nil {
		w.sums.flush(&w.out)
	}
	_ = w.out.flush() // sticks in out.err
	return w.out.failure()
}

// stream gathers lines for a writer that is believed to block, not to fail:
// after its first error it takes lines only to count them.
type stream struct {
	w       io.Writer
	buf     []byte
	pending uint64
	lost    atomic.Uint64
	err     error
}

const streamBuffer = 64 << 10

func (s *stream) row(line []byte, _ int64) bool {
	if s.err != nil {
		s.lost.Add(1)
		return true // or the sums would grow for ever
	}
	if len(s.buf)+len(line) > streamBuffer {
		_ = s.flush()
	}
	s.buf = append(s.buf, line...)
	s.pending++
	return true
}

func (s *stream) flush() error {
	if s.err == nil && len(s.buf) > 0 {
		var n int
		if n, s.err = s.w.Write(s.buf); s.err != nil {
			// Of what did not get out some may be a header.
			s.pending = min(s.pending, uint64(bytes.Count(s.buf[n:], []byte{'\n'})))
		}
	}
	if s.err != nil {
		s.lost.Add(s.pending)
	}
	s.buf, s.pending = s.buf[:0], 0
	return s.err
}

// failure is the first error, with what it cost.
func (s *stream) failure() error {
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("%d lines lost: %w", s.lost.Load(), s.err)
}
