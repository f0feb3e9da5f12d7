package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect/behaviour"
	"go.uber.org/zap"
)

const (
	behaviourFileName = "behaviour"
	// maxBehaviourFile bounds what is read; a usual one has 2 MiB.
	maxBehaviourFile = 64 << 20
)

// watchKeeper keeps in the state folder what the watcher knows of this site and
// its clients.
type watchKeeper struct {
	stateFile
	watch    *behaviour.Watcher
	restored error // why the last run's state was not taken up
}

// newWatchKeeper takes up the state of the last run; without it the site begins
// anew. run says in the log how it went.
func newWatchKeeper(dir string, watch *behaviour.Watcher, log *zap.Logger, reg prometheus.Registerer) *watchKeeper {
	k := &watchKeeper{watch: watch, stateFile: stateFile{
		path: filepath.Join(dir, behaviourFileName), every: siteSaveInterval,
		what: "behaviour of clients", log: log,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_behaviour_save_failures_total", Help: "Times that what is known of clients' behaviour could not be written to the state folder.",
		}),
	}}
	reg.MustRegister(k.failures)
	data, err := readState(k.path, maxBehaviourFile)
	if err == nil {
		err = watch.Restore(data)
	}
	k.restored = err
	return k
}

// run writes the state from time to time, and at the end.
func (k *watchKeeper) run(ctx context.Context) error {
	if k.restored != nil && !errors.Is(k.restored, fs.ErrNotExist) {
		k.log.Warn("behaviour of clients begins anew: that of the last run cannot be used", zap.Error(k.restored))
	}
	return k.keep(ctx, k.save)
}

func (k *watchKeeper) save() error {
	data, err := k.watch.Append(nil)
	if err != nil {
		return err
	}
	return k.write(data)
}
