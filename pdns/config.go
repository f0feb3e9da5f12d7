package pdns

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirdns/weir/pdns/encode"
)

// Config says what is recorded, where, and how much of it is kept.
type Config struct {
	// Dir is the directory of the record files; it is made if it is missing.
	// Default: empty, and whoever calls New puts it where its state is.
	Dir string `yaml:"dir"`
	// SensorID names this instance in every COF line. Default: empty, and the
	// field is left out.
	SensorID string `yaml:"sensor_id"`
	// COF is the aggregate of what the DNS said. It holds no client address.
	COF COFConfig `yaml:"cof"`
	// Transactions is the log of every single query and its outcome.
	Transactions TransactionsConfig `yaml:"transactions"`
	// Findings is the log of what detections found that no single query shows.
	Findings FindingsConfig `yaml:"findings"`
}

// COFConfig is the aggregate in the passive DNS Common Output Format.
type COFConfig struct {
	// Enabled switches the aggregate on. Default: true.
	Enabled bool `yaml:"enabled"`
	// FlushInterval is how long observations are summed up before they become
	// lines: longer means fewer lines, and more that a killed process loses.
	// Default: 60s.
	FlushInterval time.Duration `yaml:"flush_interval"`
	// MemoryBytes bounds the sums held between two flushes; when it is reached,
	// they are flushed early. Bytes. Default: 32 MiB.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// QueueBytes bounds what waits between the answer path and the aggregate;
	// what does not fit is dropped and counted. Bytes. Default: 16 MiB.
	QueueBytes int64 `yaml:"queue_bytes"`
	// RotateBytes is the size at which a file is closed and another begun.
	// Bytes. Default: 64 MiB.
	RotateBytes int64 `yaml:"rotate_bytes"`
	// MaxBytes bounds all files of this log together; the oldest go first.
	// Bytes. Default: 1 GiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxAge is how long a closed file is kept. Default: 720h (30 days).
	MaxAge time.Duration `yaml:"max_age"`
}

// TransactionsConfig is the log of single transactions.
type TransactionsConfig struct {
	// Enabled switches the log on. It says who asked for what, so it is off
	// unless wanted. Default: false.
	Enabled bool `yaml:"enabled"`
	// Format is native (docs/formats.md), zeek, zeek_json, eve, ecs, ocsf, spot or
	// csv. Default: native.
	Format encode.Format `yaml:"format"`
	// QueueBytes bounds what waits between the answer path and the file; what
	// does not fit is dropped and counted. Bytes. Default: 16 MiB.
	QueueBytes int64 `yaml:"queue_bytes"`
	// RotateBytes is the size at which a file is closed and another begun.
	// Bytes. Default: 64 MiB.
	RotateBytes int64 `yaml:"rotate_bytes"`
	// MaxBytes bounds all files of this log together; the oldest go first.
	// Bytes. Default: 1 GiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxAge is how long a closed file is kept. Default: 720h (30 days).
	MaxAge time.Duration `yaml:"max_age"`
}

// DefaultConfig is the aggregate on and the transaction log off.
func DefaultConfig() Config {
	return Config{
		COF: COFConfig{
			Enabled: true, FlushInterval: time.Minute, MemoryBytes: 32 << 20, QueueBytes: 16 << 20,
			RotateBytes: 64 << 20, MaxBytes: 1 << 30, MaxAge: 720 * time.Hour,
		},
		Transactions: TransactionsConfig{
			QueueBytes: 16 << 20, RotateBytes: 64 << 20, MaxBytes: 1 << 30, MaxAge: 720 * time.Hour,
		},
		Findings: FindingsConfig{Enabled: true, RotateBytes: 4 << 20, MaxBytes: 64 << 20, MaxAge: 2160 * time.Hour},
	}
}

// The least that works. A row is under 1 MiB, so a file of that size takes any.
const (
	minRotateBytes = 1 << 20
	minQueueBytes  = 64 << 10 // one chunk of the queue
	minMemoryBytes = 1 << 20
	minMaxAge      = time.Hour
)

// Validate says everything that is wrong with c. Parts that are switched off
// are checked too, so that switching them on brings no surprise.
func (c *Config) Validate() error {
	var errs []error
	if c.COF.FlushInterval < time.Second {
		errs = append(errs, fmt.Errorf("cof.flush_interval: must be at least 1s, got %v", c.COF.FlushInterval))
	}
	atLeast := func(field string, got, least int64) {
		if got < least {
			errs = append(errs, fmt.Errorf("%s: must be at least %d, got %d", field, least, got))
		}
	}
	atLeast("cof.memory_bytes", c.COF.MemoryBytes, minMemoryBytes)
	files := func(prefix string, b bounds) {
		atLeast(prefix+".rotate_bytes", b.rotateBytes, minRotateBytes)
		if b.maxBytes < 2*b.rotateBytes {
			errs = append(errs, fmt.Errorf("%s.max_bytes: must be at least twice rotate_bytes, %d, got %d", prefix, 2*b.rotateBytes, b.maxBytes))
		}
		if b.maxAge < minMaxAge {
			errs = append(errs, fmt.Errorf("%s.max_age: must be at least %v, got %v", prefix, minMaxAge, b.maxAge))
		}
	}
	atLeast("cof.queue_bytes", c.COF.QueueBytes, minQueueBytes)
	files("cof", c.COF.bounds())
	atLeast("transactions.queue_bytes", c.Transactions.QueueBytes, minQueueBytes)
	files("transactions", c.Transactions.bounds())
	files("findings", c.Findings.bounds())
	if !c.Transactions.Format.Valid() {
		errs = append(errs, fmt.Errorf("transactions.format: must be a format, got %d", c.Transactions.Format))
	}
	return errors.Join(errs...)
}

func (c *COFConfig) bounds() bounds {
	return bounds{rotateBytes: c.RotateBytes, maxBytes: c.MaxBytes, maxAge: c.MaxAge}
}

func (c *TransactionsConfig) bounds() bounds {
	return bounds{rotateBytes: c.RotateBytes, maxBytes: c.MaxBytes, maxAge: c.MaxAge}
}
