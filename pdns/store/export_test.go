package store

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirdns/weir/internal/dnsname"
)

// NewOn is New on another disk, with other clocks.
func NewOn(cfg Config, deps Deps, fs vfs.FS, wall func() time.Time, mono func() time.Duration) (*Store, error) {
	return newStore(cfg, deps, fs, sources{wall, mono}, 10*time.Millisecond)
}

// AppendPath and CutPath are the keys' way to write names.
func AppendPath(dst []byte, n dnsname.Name) []byte { return appendPath(dst, n) }
func AppendLabels(dst []byte, n dnsname.Name) []byte {
	return appendLabels(dst, n)
}
func CutPath(b []byte) (dnsname.Name, []byte, error) {
	name, _, rest, err := cutPath(b)
	return name, rest, err
}

// Sweep runs a whole sweep now.
func (s *Store) Sweep() {
	s.sweep.stop()
	s.sweep.last = time.Time{}
	s.sweep.checked = time.Time{}
	s.look()
	<-s.sweep.done
}

// Bytes is the size as it was last looked at.
func (s *Store) Bytes() int64 { return s.counts.bytes.Load() }

// Folded and Damaged are counters.
func (s *Store) Folded() uint64  { return s.counts.folded.Load() }
func (s *Store) Damaged() uint64 { return s.counts.damagedTimes.Load() }
