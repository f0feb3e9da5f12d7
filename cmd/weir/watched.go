package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

const (
	watchedFileName = "watched.json"
	// maxWatchedFile bounds what is read; a file of maxGaps has 130 KiB.
	maxWatchedFile = 1 << 20
	// maxGaps is how many are kept, the latest.
	maxGaps = 1000
	// watchedSaveInterval is how much too early a gap may begin after a crash.
	watchedSaveInterval = 5 * time.Second
)

// gap is a time in which a sniffer saw nothing since it did not run. Without it
// no record would look like no traffic.
type gap struct {
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Killed bool      `json:"killed"` // else it was asked to end
}

// watched says when a sniffer last watched, and which gaps there were before.
type watched struct {
	Until time.Time `json:"until"`
	Ended bool      `json:"ended"` // it was asked to; a killed one says no more
	Gaps  []gap     `json:"gaps"`
}

// watchedKeeper keeps it in the state folder.
type watchedKeeper struct {
	stateFile
	before   *gap  // the one that ends with this start; nil: there was no run before
	restored error // why what the last run wrote was not taken up
	gaps     []gap
}

// newWatchedKeeper takes up what the last run wrote; run says in the log which gap
// ends now. A file that cannot be used is put aside.
func newWatchedKeeper(dir string, log *zap.Logger, reg prometheus.Registerer) *watchedKeeper {
	k := &watchedKeeper{stateFile: stateFile{
		path: filepath.Join(dir, watchedFileName), every: watchedSaveInterval, what: "until when was watched", log: log,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_capture_watched_save_failures_total", Help: "Times that the sniffer could not write to the state folder until when it watched.",
		}),
	}}
	length := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "weir_capture_gap_seconds", Help: "How long nothing was watched before this start of the sniffer; 0 at the first.",
	})
	reg.MustRegister(k.failures, length)
	if k.restored = k.restore(time.Now()); k.before != nil {
		length.Set(k.before.End.Sub(k.before.Start).Seconds())
	}
	return k
}

// readWatched returns what a sniffer wrote into a state folder; the error is
// fs.ErrNotExist if there was none.
func readWatched(dir string) (watched, error) {
	var w watched
	data, err := readState(filepath.Join(dir, watchedFileName), maxWatchedFile)
	if err != nil {
		return w, err
	}
	if err = json.Unmarshal(data, &w); err == nil && w.Until.IsZero() {
		err = errors.New("until: is missing")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %w", watchedFileName, errWatched, err)
	}
	return w, err
}

// errWatched is that the file is none of a sniffer's.
var errWatched = errors.New("cannot be used")

// watchesNow says whether a sniffer with this state folder is running.
func watchesNow(dir string) bool {
	w, err := readWatched(dir)
	return err == nil && !w.Ended && time.Since(w.Until).Abs() < 3*watchedSaveInterval
}

func (k *watchedKeeper) restore(now time.Time) error {
	last, err := readWatched(filepath.Dir(k.path))
	if errors.Is(err, errWatched) {
		err = errors.Join(err, os.Rename(k.path, k.path+".bad"))
	}
	if err != nil {
		return err
	}
	now = now.UTC().Truncate(time.Millisecond)
	if now.Before(last.Until) {
		now = last.Until // the clock was set back: the gap has no length that is known
	}
	k.before = &gap{last.Until, now, !last.Ended}
	k.gaps = append(last.Gaps, *k.before)
	if n := len(k.gaps) - maxGaps; n > 0 {
		k.gaps = k.gaps[n:]
	}
	return nil
}

// run writes from time to time, and at the end, that it still watches.
func (k *watchedKeeper) run(ctx context.Context) error {
	switch {
	case k.before != nil:
		say := k.log.Info
		if k.before.Killed {
			say = k.log.Warn
		}
		say("nothing was watched since the last run", zap.Time("from", k.before.Start), zap.Time("to", k.before.End), zap.Bool("killed", k.before.Killed))
	case !errors.Is(k.restored, fs.ErrNotExist):
		k.log.Warn("until when the last run watched cannot be told: its file is put aside as "+watchedFileName+".bad", zap.Error(k.restored))
	}
	save := func() error {
		data, err := json.Marshal(&watched{Until: time.Now().UTC().Truncate(time.Millisecond), Ended: ctx.Err() != nil, Gaps: k.gaps})
		if err != nil {
			return err
		}
		return k.write(data)
	}
	if err := save(); err != nil { // at once: else a crash within seconds would be no gap
		k.failures.Inc()
		k.log.Warn(k.what+" not written", zap.Error(err))
	}
	return k.keep(ctx, save)
}
