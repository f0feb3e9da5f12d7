// Package dnstap sends rows as dnstap messages, in frame streams over a socket or
// to files, with weir's verdict in the field Policy.
package dnstap

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/weirdns/weir/pdns/outlet"
)

// Config is one receiver, or one file.
type Config struct {
	outlet.Config `yaml:",inline"`
	// URL is where frames go: unix:///PATH, tcp://HOST:PORT or tls://HOST:PORT, where
	// a receiver listens, or file:///PATH.
	URL string `yaml:"url"`
	// Identity is who speaks. Default: empty, the name of the system.
	Identity string `yaml:"identity"`
	// FileBytes is how large a file grows: then it becomes PATH.1, and PATH.1 PATH.2.
	// Bytes. Default: 64 MiB.
	FileBytes int64 `yaml:"file_bytes"`
	// Files is how many are kept, the one that is written included. Default: 8.
	Files int `yaml:"files"`
	// MaxAge is how long a file is kept; one that is written for a tenth of it is
	// ended. Default: 720h (30 days).
	MaxAge time.Duration `yaml:"max_age"`
	// TLS says whom to believe. Default: whom the system does.
	TLS outlet.TLSConfig `yaml:"tls"`
}

// DefaultConfig keeps up to half a GiB of files.
func DefaultConfig() Config {
	return Config{Config: outlet.DefaultConfig(), FileBytes: 64 << 20, Files: 8, MaxAge: 720 * time.Hour}
}

var schemes = []string{"unix", "tcp", "tls", "file"}

const (
	minFile     = 64 << 10
	maxFiles    = 1000
	maxIdentity = 255
	minAge      = time.Hour
)

// Validate says everything that is wrong with c, short of reading files.
func (c *Config) Validate() error {
	errs := []error{c.Config.Validate()}
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	target, err := outlet.ParseTarget(c.URL, schemes...)
	if err != nil {
		fail("url: %w", err)
	}
	if len(c.Identity) > maxIdentity {
		fail("identity: must be at most %d octets, got %d", maxIdentity, len(c.Identity))
	}
	if c.FileBytes < minFile {
		fail("file_bytes: must be at least %d, got %d", minFile, c.FileBytes)
	}
	if c.Files < 1 || c.Files > maxFiles {
		fail("files: must be from 1 to %d, got %d", maxFiles, c.Files)
	}
	if c.MaxAge < minAge {
		fail("max_age: must be at least %v, got %v", minAge, c.MaxAge)
	}
	if err := c.TLS.Validate(); err != nil {
		fail("tls.%w", err)
	} else if target.Network != "tls" && c.TLS != (outlet.TLSConfig{}) {
		fail("tls: means nothing unless url begins with tls://")
	}
	return errors.Join(errs...)
}

// ReadFiles are those that the configuration names.
func (c *Config) ReadFiles() []string { return c.TLS.Files() }

// Folders are those that are written to.
func (c *Config) Folders() []string {
	if t, err := outlet.ParseTarget(c.URL, "file"); err == nil {
		return []string{filepath.Dir(t.Address)}
	}
	return nil
}
