// Package rpz writes what weir blocks as a response policy zone, for servers
// that enforce it themselves: BIND, Unbound, PowerDNS Recursor.
//
// It decides nothing: detect says of each entry what would happen to a query
// for it, so that the zone is weir's own policy, allow lists and exceptions
// among it. It serves no zone transfers; the zone is a file.
package rpz

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// Config says what is written, and where to.
type Config struct {
	// Path of the zone file, which is replaced as a whole. Empty: none is
	// written. Default empty.
	Path string `yaml:"path"`
	// Origin is the zone's name. Default rpz.weir.invalid.
	Origin string `yaml:"origin"`
	// TTL of the zone's records. Default 1m.
	TTL time.Duration `yaml:"ttl"`
	// Interval is how often it is looked whether something changed, from 1s to
	// 24h. Default 1m.
	Interval time.Duration `yaml:"interval"`
	// Lists whose entries are written, where they are enforced. Empty: all.
	// Allow lists are always heeded.
	Lists []string `yaml:"lists"`
	// Detections of the model that are written: off, enforce (those that are
	// enforced) or monitor (those that are only watched too). Default enforce.
	Detections string `yaml:"detections"`
	// DetectionTTL is how long a domain stays in the zone after its last
	// query, from 1m to 744h. Default 24h.
	DetectionTTL time.Duration `yaml:"detection_ttl"`
	// MaxDetections is how many domains are kept. Default 65536.
	MaxDetections int `yaml:"max_detections"`
}

// DefaultConfig writes nothing.
func DefaultConfig() Config {
	return Config{
		Origin: "rpz.weir.invalid", TTL: time.Minute, Interval: time.Minute,
		Detections: detect.ModeEnforce, DetectionTTL: 24 * time.Hour, MaxDetections: 1 << 16,
	}
}

const (
	maxTTL          = 7 * 24 * time.Hour
	maxDetectionTTL = 31 * 24 * time.Hour
	mostDetections  = 1 << 22
)

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		bad("path: must be absolute, since other servers read it; got %q", c.Path)
	}
	if n, err := dnsname.ParseHost(c.Origin); err != nil || n.IsRoot() {
		bad("origin: must be a domain name, got %q", c.Origin)
	} else if len(n) > maxOrigin {
		bad("origin: %d octets, and at most %d leave room for names below it", len(n), maxOrigin)
	}
	between := func(field string, d, least, most time.Duration) {
		if d < least || d > most {
			bad("%s: must be from %s to %s, got %s", field, least, most, d)
		}
	}
	between("ttl", c.TTL, 0, maxTTL)
	between("interval", c.Interval, time.Second, 24*time.Hour)
	between("detection_ttl", c.DetectionTTL, time.Minute, maxDetectionTTL)
	if modes := []string{detect.ModeOff, detect.ModeEnforce, detect.ModeMonitor}; !slices.Contains(modes, c.Detections) {
		bad("detections: must be one of %q, got %q", modes, c.Detections)
	}
	if c.MaxDetections < 1 || c.MaxDetections > mostDetections {
		bad("max_detections: must be from 1 to %d, got %d", mostDetections, c.MaxDetections)
	}
	return errors.Join(errs...)
}
