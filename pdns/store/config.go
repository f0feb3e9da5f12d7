package store

import (
	"errors"
	"fmt"
	"time"
)

// Config says what the store keeps, and how much of it.
type Config struct {
	// Enabled switches the store on. Default: true.
	Enabled bool `yaml:"enabled"`
	// Dir is the store's folder; it is made if it is missing. Default: empty,
	// and whoever calls New puts it where its state is.
	Dir string `yaml:"dir"`
	// MaxAge is how long a record is kept after it was last seen. Default: 2160h
	// (90 days).
	MaxAge time.Duration `yaml:"max_age"`
	// MaxBytes bounds the folder. When records take about two thirds of it,
	// those that were seen longest ago go; the rest is for the log, and for files
	// while they are written anew. Bytes. Default: 1 GiB.
	MaxBytes int64 `yaml:"max_bytes"`
	// Clients keeps which client asked for which name, for weir investigate. It
	// says who asked for what. Default: false.
	Clients bool `yaml:"clients"`
	// TokenFile holds the token that lets programs ask the database on the admin
	// listener, as Authorization: Bearer TOKEN. At least 16 octets. Default:
	// empty, and only the control socket answers.
	TokenFile string `yaml:"token_file"`
	// FoldNames is how many new records one registered domain may bring in an
	// hour; those beyond are counted in one record "*.domain" for each type, so
	// that random names do not fill the disk. Default: 10000.
	FoldNames int `yaml:"fold_names"`
	// CacheBytes is the memory for blocks of the files. Bytes. Default: 8 MiB.
	CacheBytes int64 `yaml:"cache_bytes"`
	// MemoryBytes bounds the sums of the current second. Bytes. Default: 4 MiB.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// QueueBytes bounds what waits between the answer path and the store; what
	// does not fit is dropped and counted. Bytes. Default: 16 MiB.
	QueueBytes int64 `yaml:"queue_bytes"`
}

// DefaultConfig is the store on, without clients.
func DefaultConfig() Config {
	return Config{
		Enabled: true, MaxAge: 90 * 24 * time.Hour, MaxBytes: 1 << 30, FoldNames: 10000,
		CacheBytes: 8 << 20, MemoryBytes: 4 << 20, QueueBytes: 16 << 20,
	}
}

// The least that works. The log of what was written last takes up to 16 MiB.
const (
	minMaxAge      = time.Hour
	minMaxBytes    = 64 << 20
	minCacheBytes  = 1 << 20
	minMemoryBytes = 1 << 20
	minQueueBytes  = 64 << 10 // one chunk of the queue
)

// Validate says everything that is wrong with c, also where it is switched off.
func (c *Config) Validate() error {
	var errs []error
	atLeast := func(field string, got, least int64) {
		if got < least {
			errs = append(errs, fmt.Errorf("%s: must be at least %d, got %d", field, least, got))
		}
	}
	if c.MaxAge < minMaxAge {
		errs = append(errs, fmt.Errorf("max_age: must be at least %v, got %v", minMaxAge, c.MaxAge))
	}
	atLeast("max_bytes", c.MaxBytes, minMaxBytes)
	atLeast("fold_names", int64(c.FoldNames), 1)
	atLeast("cache_bytes", c.CacheBytes, minCacheBytes)
	atLeast("memory_bytes", c.MemoryBytes, minMemoryBytes)
	atLeast("queue_bytes", c.QueueBytes, minQueueBytes)
	return errors.Join(errs...)
}
