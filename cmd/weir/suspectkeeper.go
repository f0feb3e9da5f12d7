package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/atomicfile"
	"go.uber.org/zap"
)

const (
	suspectFileName = "suspects.json"
	// maxSuspectFile bounds what is read: as many as may be take 16 MiB.
	maxSuspectFile = 32 << 20
	// suspectSaveInterval is what a crash may cost.
	suspectSaveInterval = 10 * time.Second
)

// suspectKeeper keeps in the state folder which domains findings speak against.
type suspectKeeper struct {
	suspects *detect.Suspects
	path     string
	log      *zap.Logger
	failures prometheus.Counter
	saved    uint64 // changes that are on the disk
	restored error  // why those of the last run were not taken up
}

// newSuspectKeeper takes up those of the last run. A file that cannot be used is put
// aside. run says in the log how it went.
func newSuspectKeeper(dir string, suspects *detect.Suspects, log *zap.Logger, reg prometheus.Registerer) *suspectKeeper {
	k := &suspectKeeper{
		suspects: suspects, path: filepath.Join(dir, suspectFileName), log: log,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_suspect_save_failures_total", Help: "Times that the domains which findings speak against could not be written to the state folder.",
		}),
	}
	reg.MustRegister(k.failures)
	if k.restored = k.restore(); errors.Is(k.restored, detect.ErrSuspectState) {
		k.restored = errors.Join(k.restored, os.Rename(k.path, k.path+".bad"))
	}
	k.saved = suspects.Changes()
	return k
}

func (k *suspectKeeper) restore() error {
	f, err := os.Open(k.path)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	data, err := io.ReadAll(io.LimitReader(f, maxSuspectFile))
	if err != nil {
		return err
	}
	return k.suspects.RestoreState(data, time.Now())
}

// run writes them when they have changed, and at the end.
func (k *suspectKeeper) run(ctx context.Context) error {
	if k.restored != nil && !errors.Is(k.restored, fs.ErrNotExist) {
		k.log.Warn("the domains that findings spoke against before the restart cannot be used: nothing is suspected until it is found again; the file is put aside as "+suspectFileName+".bad", zap.Error(k.restored))
	}
	tick := time.NewTicker(suspectSaveInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return k.save()
		case <-tick.C:
			if err := k.save(); err != nil {
				k.log.Warn("domains that findings speak against not written", zap.Error(err))
			}
		}
	}
}

// save writes them if they have changed, so that after a crash there are the old
// ones or the new.
func (k *suspectKeeper) save() (err error) {
	changes := k.suspects.Changes()
	if changes == k.saved {
		return nil
	}
	defer func() {
		if err != nil {
			k.failures.Inc()
		}
	}()
	data, err := k.suspects.AppendState(nil, time.Now())
	if err != nil {
		return err
	}
	err = atomicfile.Write(k.path, 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err == nil {
		k.saved = changes
	}
	return err
}
