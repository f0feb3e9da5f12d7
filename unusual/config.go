package unusual

import (
	"errors"
	"fmt"
	"time"
)

// Config says how much is remembered, and for how long.
type Config struct {
	// Enabled switches the ranking on. Default: true.
	Enabled bool `yaml:"enabled"`
	// Top is how many entries a day keeps. Default: 1000.
	Top int `yaml:"top"`
	// Days is how many days are kept. Default: 30.
	Days int `yaml:"days"`
	// HalfLife is the age at which what was seen counts half. Default: 168h, a week.
	HalfLife time.Duration `yaml:"half_life"`
	// MemoryBytes is the size of the counters, whatever the number of clients; with
	// too little, clients take each other's habits for their own. Bytes. Default:
	// 4 MiB.
	MemoryBytes int64 `yaml:"memory_bytes"`
}

// DefaultConfig ranks.
func DefaultConfig() Config {
	return Config{Enabled: true, Top: 1000, Days: 30, HalfLife: 7 * 24 * time.Hour, MemoryBytes: 4 << 20}
}

const (
	maxTop         = 20_000
	maxDays        = 400
	minHalfLife    = time.Hour
	maxHalfLife    = 365 * 24 * time.Hour
	minMemoryBytes = 64 << 10
	maxMemoryBytes = 1 << 30
)

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	between := func(field string, got, least, most int64) {
		if got < least || got > most {
			errs = append(errs, fmt.Errorf("%s: must be %d to %d, got %d", field, least, most, got))
		}
	}
	between("top", int64(c.Top), 1, maxTop)
	between("days", int64(c.Days), 1, maxDays)
	if c.HalfLife < minHalfLife || c.HalfLife > maxHalfLife {
		errs = append(errs, fmt.Errorf("half_life: must be %v to %v, got %v", minHalfLife, maxHalfLife, c.HalfLife))
	}
	between("memory_bytes", c.MemoryBytes, minMemoryBytes, maxMemoryBytes)
	return errors.Join(errs...)
}
