package rpz

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/atomicfile"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// Deps is what a Writer works with.
type Deps struct {
	Log      *zap.Logger
	Registry prometheus.Registerer
	Detector *detect.Detector
	Lists    detect.Lists
	Allows   *allow.Book
}

// Writer keeps a zone file up to date. It is a detect.Sink, to hear of the
// model's detections. New it, then Run.
type Writer struct {
	cfg  Config
	deps Deps

	mu       sync.Mutex // guards detected; taken for detections only, not for every query
	detected map[string]detection

	written uint64 // the fingerprint of what the file holds
	serial  uint32 // of the file; 0: not known

	writes  *prometheus.CounterVec
	rules   prometheus.Gauge
	when    prometheus.Gauge
	refused prometheus.Counter
}

// detection is a domain that the model found.
type detection struct {
	last   time.Time
	action detect.Action
	answer *detect.BlockAnswer
}

// New makes a Writer of a valid cfg with a Path. It opens nothing.
func New(cfg Config, deps Deps) *Writer {
	w := &Writer{cfg: cfg, deps: deps, detected: map[string]detection{}}
	w.writes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_rpz_writes_total", Help: "Times that the response policy zone was written, by result.",
	}, []string{"result"})
	for _, result := range []string{"ok", "error"} {
		w.writes.WithLabelValues(result)
	}
	w.rules = prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_rpz_rules", Help: "Rules in the response policy zone as it was last written."})
	w.when = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "weir_rpz_last_write_timestamp_seconds", Help: "When the response policy zone was last written; 0 for never.",
	})
	w.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "weir_rpz_detections_refused_total", Help: "Detections that were not kept for the response policy zone since max_detections were.",
	})
	deps.Registry.MustRegister(w.writes, w.rules, w.when, w.refused)
	return w
}

// Record keeps what the model detected.
func (w *Writer) Record(t *detect.Transaction) {
	v := &t.Verdict
	if v.Origin != detect.OriginModel || v.Action == detect.Pass || len(v.Registered) == 0 ||
		w.cfg.Detections == detect.ModeOff || w.cfg.Detections == detect.ModeEnforce && !v.Enforced {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old, known := w.detected[string(v.Registered)]
	if !known && len(w.detected) >= w.cfg.MaxDetections {
		w.refused.Inc()
		return
	}
	if t.Query.Time.After(old.last) {
		w.detected[string(v.Registered)] = detection{t.Query.Time, v.Action, v.Answer}
	}
}

// Run writes the zone when something in it changed, until ctx ends. A file that
// cannot be written is an error in the log, and tried again.
func (w *Writer) Run(ctx context.Context) error {
	t := time.NewTicker(w.cfg.Interval)
	defer t.Stop()
	for {
		if err := w.Update(time.Now()); err != nil {
			w.writes.WithLabelValues("error").Inc()
			w.deps.Log.Error("response policy zone not written", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Update writes the zone if it would be another than the file. It is Run's, and
// not for two goroutines at a time.
func (w *Writer) Update(now time.Time) error {
	extras := w.extras(now)
	stamp := w.fingerprint(now, extras)
	if w.written == stamp {
		return nil
	}
	if w.serial == 0 {
		serial, err := readSerial(w.cfg.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.serial = serial
	}
	zone := Zone{
		Origin: w.cfg.Origin, TTL: w.cfg.TTL, Serial: nextSerial(w.serial, now), Now: now, Inspector: w.deps.Detector,
		Snapshot: w.deps.Lists.Snapshot(), Lists: w.cfg.Lists, Extras: extras,
	}
	var counts Counts
	err := atomicfile.Write(w.cfg.Path, 0o644, func(out io.Writer) (err error) {
		counts, err = zone.Write(out)
		return err
	})
	if err != nil {
		return err
	}
	w.written, w.serial = stamp, zone.Serial
	w.writes.WithLabelValues("ok").Inc()
	w.rules.Set(float64(counts.Rules))
	w.when.Set(float64(now.UnixNano()) / 1e9)
	w.deps.Log.Info("response policy zone written", zap.Uint32("serial", zone.Serial), zap.Int("rules", counts.Rules),
		zap.Int("extras", counts.Extras), zap.Int("too_long", counts.Long))
	return nil
}

// extras are the names that are let through for everybody, and the detections
// that are not too old, in their order.
func (w *Writer) extras(now time.Time) []Extra {
	var out []Extra
	if w.deps.Allows != nil {
		for _, e := range w.deps.Allows.Entries(now) {
			if !e.Client.IsValid() {
				out = append(out, Extra{Name: dnsname.MustParse(e.Name)})
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, d := range w.detected {
		if now.Sub(d.last) > w.cfg.DetectionTTL {
			delete(w.detected, name)
			continue
		}
		out = append(out, Extra{dnsname.Name(name), d.action, d.answer})
	}
	return out
}

// fingerprint tells one zone from another without writing it: by the lists'
// data, the policy with its schedules, and the extras.
func (w *Writer) fingerprint(now time.Time, extras []Extra) uint64 {
	h := fnv.New64a()
	for _, l := range w.deps.Lists.Snapshot().Lists() {
		fmt.Fprintln(h, l.Name, l.SHA256, l.Entries, l.Addresses)
	}
	fmt.Fprintln(h, w.deps.Detector.Revision(now))
	stamp := h.Sum64()
	for _, x := range extras { // in any order
		h.Reset()
		fmt.Fprintln(h, x.Action)
		_, _ = h.Write(x.Name) // it cannot fail
		stamp += h.Sum64() | 1
	}
	return stamp | 1 // 0 is nothing written yet
}

// nextSerial is a serial after old, in the arithmetic of RFC 1982: the time, so
// that a file that was lost does not take the zone back.
func nextSerial(old uint32, now time.Time) uint32 {
	if at := uint32(now.Unix()); old == 0 || int32(at-old) > 0 {
		return at
	}
	return max(old+1, 1)
}

// readSerial is the serial of a zone file that this package wrote.
func readSerial(path string) (uint32, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() // read only: nothing to lose
	lines := bufio.NewScanner(io.LimitReader(f, 4096))
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && fields[1] == "SOA" {
			n, err := strconv.ParseUint(fields[4], 10, 32)
			if err != nil {
				break
			}
			return uint32(n), nil
		}
	}
	return 0, fmt.Errorf("%s is no zone of weir's: it is left alone; move it away or choose another path", path)
}
