package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/internal/atomicfile"
	"go.uber.org/zap"
)

// readState returns what the last run wrote, up to maxSize octets.
func readState(path string, maxSize int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only: nothing to lose
	return io.ReadAll(io.LimitReader(f, maxSize))
}

// stateFile is a file of the state folder in which a part of weir outlives a
// restart, written from time to time and at the end.
type stateFile struct {
	path     string
	every    time.Duration // what a crash may cost
	what     string        // for the log
	log      *zap.Logger
	failures prometheus.Counter
}

// keep calls save every so often and when ctx ends, and counts its failures.
func (f *stateFile) keep(ctx context.Context, save func() error) error {
	counted := func() error {
		err := save()
		if err != nil {
			f.failures.Inc()
		}
		return err
	}
	tick := time.NewTicker(f.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return counted()
		case <-tick.C:
			if err := counted(); err != nil {
				f.log.Warn(f.what+" not written", zap.Error(err))
			}
		}
	}
}

// write replaces the file, so that after a crash there is the old one or the new.
func (f *stateFile) write(data []byte) error {
	return atomicfile.Write(f.path, 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
