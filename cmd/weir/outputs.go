package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"go.uber.org/zap"
)

// outputs are what was asked for, in the order of opening.
type outputs struct {
	all     []*output
	writers []*sharedWriter
	log     *zap.Logger  // is told at once of what cannot be written; nil: the end is soon enough
	none    func()       // is called when none is left that can be written
	left    atomic.Int32 // how many can be, and what else keeps records
	waits   bool         // a full disk is waited for: what is read goes on
}

// output is a file or standard output, under the flag that asked for it. It is
// the writer of one goroutine at a time.
type output struct {
	flag, path string
	to         io.Writer
	file       *os.File  // nil: standard output
	regular    bool      // file is one, not a device or a pipe
	made       bool      // there was none before
	begun      bool      // what was in the file before is gone
	size       int64     // octets of it that were written
	lines      heldLines // nil: it is written at the end
	lost       uint64    // of what is written at the end
	failing    bool
	of         *outputs
}

// heldLines holds lines back for a while.
type heldLines interface {
	io.Closer
	Lost() uint64 // for any goroutine
}

// Write writes, and lets it be known when that fails for the first time, and when
// it works again. Of what a disk did not take whole nothing is left in the file.
func (o *output) Write(b []byte) (n int, err error) {
	if err = o.begin(); err == nil {
		n, err = o.to.Write(b)
	}
	if err == nil {
		o.size += int64(n)
		if o.failing && o.of.log != nil {
			o.failing = false
			o.of.log.Info("output can be written again", zap.String("output", o.flag+" "+o.path))
		}
		return n, nil
	}
	if n > 0 && o.regular && o.takeBack() == nil {
		n = 0
	}
	if !o.failing {
		o.failing = true
		o.of.failure(o, err)
	}
	return n, err
}

// begin empties the file: what was in it is lost only when there is something new.
func (o *output) begin() error {
	if o.begun || !o.regular {
		return nil
	}
	err := o.file.Truncate(0)
	o.begun = err == nil
	return err
}

// takeBack cuts off what was written of a write that failed.
func (o *output) takeBack() error {
	if err := o.file.Truncate(o.size); err != nil {
		return err
	}
	_, err := o.file.Seek(o.size, io.SeekStart)
	return err
}

// named says of an error which output it is about.
func (o *output) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", o.flag, o.path, err)
}

// failure takes note of an output that cannot be written.
func (o *outputs) failure(which *output, err error) {
	waits := o.waits && which.regular
	if o.log != nil {
		say := "output cannot be written: its lines are lost from here on"
		if waits {
			say = "output cannot be written: its lines are lost until it can be again"
		}
		o.log.Error(say, zap.Error(which.named(err)))
	}
	if !waits && o.left.Add(-1) == 0 && o.none != nil {
		o.none()
	}
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

// create opens what the flag names. What was in the file stays until something is
// written, or begin is called: a start that fails must not cost what the last run
// wrote.
func (o *outputs) create(flag, path string, stdout io.Writer) (*output, error) {
	out := &output{flag: flag, path: path, to: stdout, of: o}
	if path != "-" {
		path = filepath.Clean(path)
		_, missing := os.Stat(path)
		// Transactions say who asked for what: not for everybody to read.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o640)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", flag, err)
		}
		out.to, out.file, out.made = f, f, errors.Is(missing, fs.ErrNotExist)
		info, err := f.Stat()
		out.regular = err == nil && info.Mode().IsRegular()
	}
	o.all = append(o.all, out)
	o.left.Add(1)
	return out, nil
}

// begin empties all files.
func (o *outputs) begin() error {
	var errs []error
	for _, out := range o.all {
		errs = append(errs, out.named(out.begin()))
	}
	return errors.Join(errs...)
}

// writer is w, which writes to out, as a sink.
func (o *outputs) writer(out *output, w *pdns.Writer) *sharedWriter {
	out.lines = w
	shared := &sharedWriter{w: w}
	o.writers = append(o.writers, shared)
	return shared
}

// register makes visible what is lost.
func (o *outputs) register(reg prometheus.Registerer) error {
	var errs []error
	for _, out := range o.all {
		if out.lines == nil {
			continue
		}
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "weir_sniff_lines_lost_total",
			Help:        "Lines of an output of weir sniff that could not be written.",
			ConstLabels: prometheus.Labels{"output": out.name()},
		}, func() float64 { return float64(out.lines.Lost()) })))
	}
	return errors.Join(errs...)
}

func (o *output) name() string { return strings.TrimPrefix(o.flag, "--") }

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

// finish brings what was held back to the files. Then lost is the whole truth
// about lines.
func (o *outputs) finish() error {
	errs := []error{o.begin()}
	for _, out := range o.all {
		if out.lines != nil {
			errs = append(errs, out.named(out.lines.Close()))
		}
	}
	return errors.Join(errs...)
}

// lost are the lines that could not be written, by output; only those over 0.
func (o *outputs) lost() map[string]uint64 {
	all := map[string]uint64{}
	for _, out := range o.all {
		n := out.lost
		if out.lines != nil {
			n = out.lines.Lost()
		}
		if n > 0 {
			all[out.name()] = n
		}
	}
	return all
}

// close closes the files. What was not finished before is lost. A file that was
// made for nothing goes again.
func (o *outputs) close() error {
	var errs []error
	for _, out := range o.all {
		if out.file == nil {
			continue
		}
		errs = append(errs, out.named(out.file.Close()))
		if out.made && out.regular && !out.begun {
			errs = append(errs, os.Remove(out.file.Name()))
		}
	}
	return errors.Join(errs...)
}
