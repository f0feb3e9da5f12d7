package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
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
	stateFile
	suspects *detect.Suspects
	saved    uint64 // changes that are on the disk
	restored error  // why those of the last run were not taken up
}

// newSuspectKeeper takes up those of the last run. A file that cannot be used is put
// aside. run says in the log how it went.
func newSuspectKeeper(dir string, suspects *detect.Suspects, log *zap.Logger, reg prometheus.Registerer) *suspectKeeper {
	k := &suspectKeeper{suspects: suspects, stateFile: stateFile{
		path: filepath.Join(dir, suspectFileName), every: suspectSaveInterval,
		what: "domains that findings speak against", log: log,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_suspect_save_failures_total", Help: "Times that the domains which findings speak against could not be written to the state folder.",
		}),
	}}
	reg.MustRegister(k.failures)
	data, err := readState(k.path, maxSuspectFile)
	if err == nil {
		err = suspects.RestoreState(data, time.Now())
	}
	if errors.Is(err, detect.ErrSuspectState) {
		err = errors.Join(err, os.Rename(k.path, k.path+".bad"))
	}
	k.restored, k.saved = err, suspects.Changes()
	return k
}

// run writes them when they have changed, and at the end.
func (k *suspectKeeper) run(ctx context.Context) error {
	if k.restored != nil && !errors.Is(k.restored, fs.ErrNotExist) {
		k.log.Warn("the domains that findings spoke against before the restart cannot be used: nothing is suspected until it is found again; the file is put aside as "+suspectFileName+".bad", zap.Error(k.restored))
	}
	return k.keep(ctx, k.save)
}

// save writes them if they have changed.
func (k *suspectKeeper) save() error {
	changes := k.suspects.Changes()
	if changes == k.saved {
		return nil
	}
	data, err := k.suspects.AppendState(nil, time.Now())
	if err != nil {
		return err
	}
	if err := k.write(data); err != nil {
		return err
	}
	k.saved = changes
	return nil
}
