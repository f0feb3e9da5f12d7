package outlet

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Config is what every outlet has.
type Config struct {
	// Name of the outlet: its folder, and its label in metrics. Lower-case
	// letters, digits, - and _, 32 at most.
	Name string `yaml:"name"`
	// Disabled keeps the entry without using it. Default: false.
	Disabled bool `yaml:"disabled"`
	// Rows says what goes out: all, or detections only. Default: all.
	Rows Rows `yaml:"rows"`
	// BatchRows, BatchBytes and BatchInterval: a batch goes out when it has so many
	// rows, or octets in the spool, or when its first row has waited that long.
	BatchRows     int           `yaml:"batch_rows"`
	BatchBytes    int64         `yaml:"batch_bytes"`
	BatchInterval time.Duration `yaml:"batch_interval"`
	// Timeout is how long a batch may take; then it is tried again. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
	// RetryMax is the longest wait between two tries; the first is of half a
	// second. Default: 1m.
	RetryMax time.Duration `yaml:"retry_max"`
	// SpoolBytes bounds what waits on the disk; the oldest makes room. Bytes.
	// Default: 256 MiB.
	SpoolBytes int64 `yaml:"spool_bytes"`
	// SpoolAge is how long a row may wait on the disk. Default: 72h.
	SpoolAge time.Duration `yaml:"spool_age"`
	// QueueBytes bounds what waits for the spool; what does not fit is dropped and
	// counted. Bytes. Default: 4 MiB.
	QueueBytes int64 `yaml:"queue_bytes"`
}

// DefaultConfig is for services that take many small batches.
func DefaultConfig() Config {
	return Config{
		BatchRows: 5000, BatchBytes: 4 << 20, BatchInterval: time.Second, Timeout: 30 * time.Second, RetryMax: time.Minute,
		SpoolBytes: 256 << 20, SpoolAge: 72 * time.Hour, QueueBytes: 4 << 20,
	}
}

// The least that works.
const (
	minSpoolBytes = 1 << 20
	minQueueBytes = 64 << 10 // one chunk of the queue
	spoolBatches  = 4        // that the spool must have room for
	maxInterval   = time.Hour
	maxRetry      = time.Hour
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// Validate says everything that is wrong with c, also where it is disabled.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !nameForm.MatchString(c.Name) {
		fail("name: must be up to 32 lower-case letters, digits, - and _, got %q", c.Name)
	}
	if int(c.Rows) >= len(rowsNames) {
		fail("rows: must be all or detections, got %d", c.Rows)
	}
	if c.BatchRows < 1 {
		fail("batch_rows: must be at least 1, got %d", c.BatchRows)
	}
	if c.BatchInterval < 0 || c.BatchInterval > maxInterval {
		fail("batch_interval: must be from 0 to %v, got %v", maxInterval, c.BatchInterval)
	}
	if c.Timeout < time.Second {
		fail("timeout: must be at least 1s, got %v", c.Timeout)
	}
	if c.RetryMax < firstRetry || c.RetryMax > maxRetry {
		fail("retry_max: must be from %v to %v, got %v", firstRetry, maxRetry, c.RetryMax)
	}
	if c.SpoolBytes < minSpoolBytes {
		fail("spool_bytes: must be at least %d, got %d", minSpoolBytes, c.SpoolBytes)
	}
	if c.BatchBytes < 1 || c.BatchBytes > c.SpoolBytes/spoolBatches {
		fail("batch_bytes: must be from 1 to a quarter of spool_bytes, %d, got %d", c.SpoolBytes/spoolBatches, c.BatchBytes)
	}
	if c.SpoolAge < time.Minute {
		fail("spool_age: must be at least 1m, got %v", c.SpoolAge)
	}
	if c.QueueBytes < minQueueBytes {
		fail("queue_bytes: must be at least %d, got %d", minQueueBytes, c.QueueBytes)
	}
	return errors.Join(errs...)
}

// Rows says which transactions go out.
type Rows uint8

// What goes out.
const (
	All        Rows = iota // every transaction
	Detections             // those that policy, a list or the model has something against
)

var rowsNames = [...]string{All: "all", Detections: "detections"}

// String is the word used in the configuration.
func (r Rows) String() string {
	if int(r) < len(rowsNames) {
		return rowsNames[r]
	}
	return fmt.Sprintf("Rows(%d)", uint8(r))
}

// MarshalText is String, for the configuration.
func (r Rows) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the word used in the configuration.
func (r *Rows) UnmarshalText(text []byte) error {
	for i, name := range rowsNames {
		if string(text) == name {
			*r = Rows(i)
			return nil
		}
	}
	return fmt.Errorf("must be all or detections, got %q", text)
}
