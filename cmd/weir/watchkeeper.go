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
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/internal/atomicfile"
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
	watch    *behaviour.Watcher
	path     string
	log      *zap.Logger
	every    time.Duration
	failures prometheus.Counter
	restored error // why the last run's state was not taken up
}

// newWatchKeeper takes up the state of the last run; without it the site begins
// anew. run says in the log how it went.
func newWatchKeeper(dir string, watch *behaviour.Watcher, log *zap.Logger, reg prometheus.Registerer) *watchKeeper {
	k := &watchKeeper{
		watch: watch, path: filepath.Join(dir, behaviourFileName), log: log, every: siteSaveInterval,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_behaviour_save_failures_total", Help: "Times that what is known of clients' behaviour could not be written to the state folder.",
		}),
	}
	reg.MustRegister(k.failures)
	k.restored = k.restore()
	return k
}

func (k *watchKeeper) restore() error {
	f, err := os.Open(k.path)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	data, err := io.ReadAll(io.LimitReader(f, maxBehaviourFile))
	if err != nil {
		return err
	}
	return k.watch.Restore(data)
}

// run writes the state from time to time, and at the end.
func (k *watchKeeper) run(ctx context.Context) error {
	if k.restored != nil && !errors.Is(k.restored, fs.ErrNotExist) {
		k.log.Warn("behaviour of clients begins anew: that of the last run cannot be used", zap.Error(k.restored))
	}
	tick := time.NewTicker(k.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return k.save()
		case <-tick.C:
			if err := k.save(); err != nil {
				k.log.Warn("behaviour of clients not written", zap.Error(err))
			}
		}
	}
}

// save writes the state, so that after a crash there is the old one or the new.
func (k *watchKeeper) save() (err error) {
	defer func() {
		if err != nil {
			k.failures.Inc()
		}
	}()
	data, err := k.watch.Append(nil)
	if err != nil {
		return err
	}
	return atomicfile.Write(k.path, 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
