package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/weirdns/weir/internal/atomicfile"
)

// Files in the folder of alerts.
const (
	alertsFile   = "alerts.json"
	countersFile = "counters.json"
)

// How often what changed is written: alerts soon, as people wait for them, and
// counters, which are larger, as often as a crash may cost.
const (
	saveAlerts   = 5 * time.Second
	saveCounters = time.Minute
)

// maxFile bounds what is read of a file, octets.
const maxFile = 256 << 20

// files is where state is kept.
type files struct {
	dir                string
	alertsAt, countsAt time.Time // when each was last written, by the clock of alerts
}

// keptAlerts is what alerts.json holds.
type keptAlerts struct {
	Firing   []*Alert  `json:"firing"`
	Over     []*Alert  `json:"resolved"`
	Silences []Silence `json:"silences"`
}

// keptRule is what counters.json holds of a rule.
type keptRule struct {
	Windows map[string]*window `json:"windows,omitempty"`
	Seen    map[string]int64   `json:"seen,omitempty"`
}

// save writes what changed, if it is time or at the end.
func (e *Engine) save(now time.Time, last bool) error {
	if e.files == nil {
		return nil
	}
	e.mu.Lock()
	var alerts, counters []byte
	var errs []error
	// A clock that was set back must not stop the writing.
	since := func(t time.Time) time.Duration { return now.Sub(t).Abs() }
	if e.dirty && (last || since(e.files.alertsAt) >= saveAlerts) {
		k := keptAlerts{Over: e.over, Silences: e.silences}
		for _, a := range e.firing {
			k.Firing = append(k.Firing, a)
		}
		var err error
		alerts, err = json.Marshal(k)
		errs = append(errs, err)
		e.dirty, e.files.alertsAt = false, now
	}
	if e.counted && (last || since(e.files.countsAt) >= saveCounters) {
		all := map[string]keptRule{}
		for _, r := range *e.rules.Load() {
			if len(r.windows.all)+len(r.seen.all) > 0 {
				all[r.Name] = keptRule{r.windows.all, r.seen.all}
			}
		}
		var err error
		counters, err = json.Marshal(all)
		errs = append(errs, err)
		e.counted, e.files.countsAt = false, now
	}
	e.mu.Unlock()
	errs = append(errs, e.files.write(alertsFile, alerts), e.files.write(countersFile, counters))
	err := errors.Join(errs...)
	if err != nil {
		e.counts.unsaved.Add(1)
		e.mu.Lock()
		e.dirty, e.counted = e.dirty || alerts != nil, e.counted || counters != nil
		e.mu.Unlock()
	}
	return err
}

func (f *files) write(name string, data []byte) error {
	if data == nil {
		return nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(f.dir, name), 0o600, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

func (f *files) read(name string, into any) error {
	in, err := os.Open(filepath.Join(f.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer in.Close()
	if err := json.NewDecoder(io.LimitReader(in, maxFile)).Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// restore takes up what the last run left. It is called before anybody else knows
// e.
func (e *Engine) restore() error {
	var k keptAlerts
	errAlerts := e.files.read(alertsFile, &k)
	if errAlerts == nil {
		for _, a := range k.Firing {
			if a != nil && len(e.firing) < e.cfg.MaxAlerts {
				e.firing[place(a.Rule, a.Key)] = a
			}
		}
		for _, a := range k.Over {
			if a != nil && len(e.over) < e.cfg.MaxAlerts {
				e.over = append(e.over, a)
			}
		}
		e.silences = k.Silences[:min(len(k.Silences), maxSilences)]
	}
	all := map[string]keptRule{}
	errCounters := e.files.read(countersFile, &all)
	if errCounters == nil {
		for _, r := range *e.rules.Load() {
			kept := all[r.Name]
			for key, w := range kept.Windows {
				if w != nil && len(r.windows.all) < r.windows.max {
					r.windows.all[key] = w
				}
			}
			for key, at := range kept.Seen {
				if len(r.seen.all) < r.seen.max {
					r.seen.all[key] = at
				}
			}
		}
	}
	return errors.Join(errAlerts, errCounters)
}
