package pdns

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
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
	return &Writer{privacy: client, lines: &l, out: stream{w: w, head: []byte(format.Header())}}
}

// EnrichWith has lines of transactions say what e knows. It is for the time before
// the first of them.
func (w *Writer) EnrichWith(e Enricher) { w.context = newContexts(e, w.privacy) }

// Record writes t, or adds it to the sums. What the stream did not take is lost and
// counted, and Close returns the first error. After one the stream is tried again
// with what came later, but not if it took half a line.
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

// Lost is how many lines could not be written. Any goroutine may ask.
func (w *Writer) Lost() uint64 { return w.out.lost.Load() }

// Close writes what is left, and returns the first error of all. It does not
// close the stream.
func (w *Writer) Close() error {
	if w.sums != nil {
		w.sums.flush(&w.out)
	}
	_ = w.out.flush() // failure says it
	return w.out.failure()
}

// stream gathers lines for a writer that is believed to block, not to fail. What it
// does not take is counted.
type stream struct {
	w       io.Writer
	head    []byte // in front of the first line; nil when it is written
	buf     []byte
	pending uint64
	lost    atomic.Uint64
	err     error // the first
	torn    bool  // it ends in half a line: nothing may come behind that
}

const streamBuffer = 64 << 10

func (s *stream) row(line []byte, _ int64) bool {
	if len(s.buf)+len(line) > streamBuffer {
		_ = s.flush()
	}
	s.buf = append(s.buf, line...)
	s.pending++
	return true // or the sums would grow for ever
}

// flush never fails: what is not written is counted, and failure says it.
func (s *stream) flush() error {
	if len(s.buf) > 0 || len(s.head) > 0 {
		s.write()
	}
	s.buf, s.pending = s.buf[:0], 0
	return nil
}

func (s *stream) write() {
	if s.torn {
		s.lost.Add(s.pending)
		return
	}
	out := s.buf
	if len(s.head) > 0 {
		out = slices.Concat(s.head, s.buf)
	}
	n, err := s.w.Write(out)
	if n >= len(s.head) {
		s.head = nil
	}
	if err != nil {
		s.err = cmp.Or(s.err, err)
		s.torn = n > 0 && (s.head != nil || out[n-1] != '\n')
		// Of what did not get out some may be the head.
		s.lost.Add(min(s.pending, uint64(bytes.Count(out[n:], []byte{'\n'}))))
	}
}

// failure is the first error, with what all cost.
func (s *stream) failure() error {
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("%d lines lost: %w", s.lost.Load(), s.err)
}
