package pdns

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// FindingsConfig is the log of findings.
type FindingsConfig struct {
	// Enabled switches the log on. It says of clients what privacy allows.
	// Default: true.
	Enabled bool `yaml:"enabled"`
	// RotateBytes is the size at which a file is closed and another begun.
	// Bytes. Default: 4 MiB.
	RotateBytes int64 `yaml:"rotate_bytes"`
	// MaxBytes bounds all files of this log together; the oldest go first.
	// Bytes. Default: 64 MiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxAge is how long a closed file is kept. Default: 2160h (90 days).
	MaxAge time.Duration `yaml:"max_age"`
}

func (c *FindingsConfig) bounds() bounds {
	return bounds{rotateBytes: c.RotateBytes, maxBytes: c.MaxBytes, maxAge: c.MaxAge}
}

// FindingLog writes findings to files that rotate as those of records do. It is
// a detect.FindingSink from New until Run has returned.
type FindingLog struct {
	counts counts
	log    *zap.Logger

	mu    sync.Mutex // guards what is below
	lines findingLines
	file  *rotatingLog
	ended bool
}

// NewFindingLog checks the configuration and registers the metrics. It touches
// no disk before Run.
func NewFindingLog(cfg Config, client *privacy.Guard, log *zap.Logger, reg prometheus.Registerer) (*FindingLog, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pdns: %w", err)
	}
	if cfg.Dir == "" {
		return nil, errors.New("pdns: dir: must not be empty while findings are kept")
	}
	l := &FindingLog{log: log, lines: findingLines{client: client}}
	l.file = &rotatingLog{fs: disk{}, dir: cfg.Dir, name: "findings", bounds: cfg.Findings.bounds(), now: time.Now}
	for _, m := range []struct {
		name, help string
		labels     prometheus.Labels
		read       func() uint64
	}{
		{"weir_sink_records_total", "Transactions that a sink has recorded.", prometheus.Labels{"sink": "findings"}, l.counts.recorded.Load},
		{"weir_sink_dropped_total", "Transactions that a sink has lost, by reason.", prometheus.Labels{"sink": "findings", "reason": reasonNames[diskFull]}, l.counts.dropped[diskFull].Load},
	} {
		if err := reg.Register(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help, ConstLabels: m.labels},
			func() float64 { return float64(m.read()) })); err != nil {
			return nil, fmt.Errorf("pdns: metrics of findings: %w", err)
		}
	}
	return l, nil
}

// Find takes f for the file. It waits for no disk unless a quarter of a megabyte
// is due at once.
func (l *FindingLog) Find(f *detect.Finding) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.lines.line(f)
	if line == nil {
		return
	}
	if l.ended || !l.file.row(line, f.Time.Unix()) {
		l.counts.dropped[diskFull].Add(1)
	}
	l.counts.recorded.Store(l.file.written)
}

// Run brings findings to their file until ctx ends, and closes it. Whoever finds
// must have stopped before, or what they bring is dropped.
func (l *FindingLog) Run(ctx context.Context) error {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	failing := false
	for ctx.Err() == nil {
		err := l.tend()
		if (err != nil) != failing {
			if failing = err != nil; failing {
				l.log.Error("findings cannot be written, will try again", zap.Error(err))
			} else {
				l.log.Info("findings are written again")
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	err := l.file.close()
	l.counts.recorded.Store(l.file.written)
	l.counts.dropped[diskFull].Add(uint64(l.file.pending))
	return err
}

func (l *FindingLog) tend() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.file.tend()
	l.counts.recorded.Store(l.file.written)
	return err
}
