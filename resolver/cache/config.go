package cache

import (
	"errors"
	"fmt"
	"time"
)

// Config of the cache.
type Config struct {
	// MaxBytes is what the cache may take altogether, index included. At least
	// 1 MiB. Default 64 MiB, some 300,000 common answers.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxEntryBytes is the largest answer that is kept, framing included:
	// between 512 and 81920. Default 81920, which every answer fits.
	MaxEntryBytes int64 `yaml:"max_entry_bytes"`
	// MinTTL raises smaller TTLs of positive answers to this. It makes weir keep
	// what its owner asked not to be kept. Default 0, off; at most 1h.
	MinTTL time.Duration `yaml:"min_ttl"`
	// MaxTTL caps every TTL. Default 24h.
	MaxTTL time.Duration `yaml:"max_ttl"`
	// NegativeMaxTTL caps how long it is believed that a name or type does not
	// exist. RFC 2308, section 5 found one to three hours to work well.
	// Default 1h.
	NegativeMaxTTL time.Duration `yaml:"negative_max_ttl"`
	// FailureTTL is how long a failure to resolve is remembered, so that it is
	// not tried again for every client: between 1s and 5m (RFC 9520, section
	// 3.2). Default 5s.
	FailureTTL time.Duration `yaml:"failure_ttl"`
	// FailureMaxTTL is what that grows to: each further failure in a row is
	// remembered twice as long. At most 5m, and not under failure_ttl.
	// Default 5m.
	FailureMaxTTL time.Duration `yaml:"failure_max_ttl"`
	// MaxStale is how long after its TTL an answer may be used when the
	// upstreams fail (RFC 8767); 0 is never. Default 24h, at most 168h.
	MaxStale time.Duration `yaml:"max_stale"`
	// PrefetchHits is how often an answer must have been asked for within its
	// TTL, of at least 10s, to be fetched anew in the last tenth of it. 0 is
	// never; at most 60. Default 5.
	PrefetchHits int `yaml:"prefetch_hits"`
	// SnapshotInterval is how often the cache is written to the state folder,
	// besides at the end, so that a restart begins with it. 0 is never; at
	// least 10s. Default 5m.
	SnapshotInterval time.Duration `yaml:"snapshot_interval"`
}

// minBytes is a shard whose probation share can take two of the largest entries.
const minBytes = 1 << 20

// maxBytes is what offsets of 32 bits in units of 8 octets reach, per shard,
// and far more than anybody needs.
const maxBytes = 1 << 40

// DefaultConfig is what the comments in Config say.
func DefaultConfig() Config {
	return Config{
		MaxBytes:         64 << 20,
		MaxEntryBytes:    maxEntry,
		MaxTTL:           24 * time.Hour,
		NegativeMaxTTL:   time.Hour,
		FailureTTL:       5 * time.Second,
		FailureMaxTTL:    5 * time.Minute,
		MaxStale:         24 * time.Hour,
		PrefetchHits:     5,
		SnapshotInterval: 5 * time.Minute,
	}
}

// Validate joins everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	bad := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(c.MaxBytes >= minBytes && c.MaxBytes <= maxBytes,
		"max_bytes: must be between %d and %d, got %d", int64(minBytes), int64(maxBytes), c.MaxBytes)
	bad(c.MaxEntryBytes >= 512 && c.MaxEntryBytes <= maxEntry,
		"max_entry_bytes: must be between 512 and %d, got %d", maxEntry, c.MaxEntryBytes)
	bad(c.MinTTL >= 0 && c.MinTTL <= time.Hour,
		"min_ttl: must be between 0s and 1h, got %s", c.MinTTL)
	// RFC 8767, section 4 caps TTLs at seven days.
	bad(c.MaxTTL >= time.Second && c.MaxTTL <= 7*24*time.Hour,
		"max_ttl: must be between 1s and 168h, got %s", c.MaxTTL)
	bad(c.MinTTL <= c.MaxTTL,
		"min_ttl: must not be over max_ttl (%s), got %s", c.MaxTTL, c.MinTTL)
	bad(c.NegativeMaxTTL >= time.Second && c.NegativeMaxTTL <= 24*time.Hour,
		"negative_max_ttl: must be between 1s and 24h, got %s", c.NegativeMaxTTL)
	bad(c.FailureTTL >= time.Second && c.FailureTTL <= 5*time.Minute,
		"failure_ttl: must be between 1s and 5m, got %s", c.FailureTTL)
	bad(c.FailureMaxTTL >= c.FailureTTL && c.FailureMaxTTL <= 5*time.Minute,
		"failure_max_ttl: must be between failure_ttl (%s) and 5m, got %s", c.FailureTTL, c.FailureMaxTTL)
	bad(c.PrefetchHits >= 0 && c.PrefetchHits <= 60,
		"prefetch_hits: must be between 0 and 60, got %d", c.PrefetchHits)
	bad(c.SnapshotInterval == 0 || c.SnapshotInterval >= 10*time.Second,
		"snapshot_interval: must be 0s or at least 10s, got %s", c.SnapshotInterval)
	bad(c.MaxStale >= 0 && c.MaxStale <= 7*24*time.Hour,
		"max_stale: must be between 0s and 168h, got %s", c.MaxStale)
	return errors.Join(errs...)
}
