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

// keep writes the state that current gives, every so often and when ctx ends, so
// that after a crash there is the old one or the new. Nothing is written of none;
// written is called after each time that something was.
func (f *stateFile) keep(ctx context.Context, current func() ([]byte, error), written func()) error {
	save := func() error {
		data, err := current()
		if err == nil && len(data) > 0 {
			err = atomicfile.Write(f.path, 0o600, func(w io.Writer) error {
				_, err := w.Write(data)
				return err
			})
			if err == nil {
				written()
			}
		}
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
			return save()
		case <-tick.C:
			if err := save(); err != nil {
				f.log.Warn(f.what+" not written", zap.Error(err))
			}
		}
	}
}
