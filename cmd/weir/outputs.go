package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
)

// outputs are open files, and what has to be flushed into them before they are
// closed.
type outputs struct {
	closers []func() error
	writers []*sharedWriter
}

// sharedWriter is a pdns.Writer for several workers.
type sharedWriter struct {
	mu sync.Mutex
	w  *pdns.Writer
}

func (s *sharedWriter) Record(t *detect.Transaction) {
	s.mu.Lock()
	s.w.Record(t)
	s.mu.Unlock()
}

func (s *sharedWriter) flush() {
	s.mu.Lock()
	s.w.Flush()
	s.mu.Unlock()
}

func (o *outputs) create(path string, stdout io.Writer) (io.Writer, error) {
	if path == "-" {
		return stdout, nil
	}
	// Transactions say who asked for what: not for everybody to read.
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, f.Close)
	return f, nil
}

// writer is w as a sink, closed in front of its file.
func (o *outputs) writer(path string, w *pdns.Writer) *sharedWriter {
	shared := &sharedWriter{w: w}
	o.writers = append(o.writers, shared)
	o.closes(path, w)
	return shared
}

// closes has w closed in front of its file.
func (o *outputs) closes(path string, w io.Closer) {
	o.closers = append(o.closers, func() error {
		if err := w.Close(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

// flushEvery is how old a line may get before it is in its file, as of records
// (docs/formats.md).
const flushEvery = time.Second

// tend brings finished lines to their files until ctx ends.
func (o *outputs) tend(ctx context.Context) error {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, w := range o.writers {
				w.flush()
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// close flushes before it closes: in the opposite order of opening.
func (o *outputs) close() error {
	var errs []error
	for i := len(o.closers) - 1; i >= 0; i-- {
		errs = append(errs, o.closers[i]())
	}
	return errors.Join(errs...)
}
