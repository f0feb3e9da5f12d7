package detect

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/weirdns/weir/internal/seen"
)

// Errors of Site.Restore.
var (
	// ErrSiteFile is a file that is damaged, or none of ours.
	ErrSiteFile = errors.New("bad file of site scores")
	// ErrSiteModel is a good file whose scores are those of another model.
	ErrSiteModel = errors.New("site scores of another model")
)

// The file, whose page is docs/formats-model.md.
const (
	siteMagic   = "WEIRSITE"
	siteVersion = 1
	siteHeader  = len(siteMagic) + 4 + sha256.Size + len(SiteKey{}) + 4
	siteFile    = siteHeader + 4*siteBins + seen.WordsLen + sha256.Size
)

// Append appends the site's figures in the form that Restore reads, nothing if
// no model ever judged. Whoever counts a domain waits meanwhile, for as long as
// copying 1 MiB takes.
func (s *Site) Append(dst []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model == [sha256.Size]byte{} {
		return dst
	}
	le, start := binary.LittleEndian, len(dst)
	dst = append(slices.Grow(dst, siteFile), siteMagic...)
	dst = le.AppendUint32(dst, siteVersion)
	dst = append(dst, s.model[:]...)
	dst = append(dst, s.key[:]...)
	dst = le.AppendUint32(dst, s.seen.Added())
	for _, n := range s.bins {
		dst = le.AppendUint32(dst, n)
	}
	dst = s.seen.AppendWords(dst)
	sum := sha256.Sum256(dst[start:])
	return append(dst, sum[:]...)
}

// Restore takes the figures of a file, all or none of them.
func (s *Site) Restore(data []byte) error {
	switch {
	case len(data) != siteFile:
		return fmt.Errorf("%w: %d octets, want %d", ErrSiteFile, len(data), siteFile)
	case !bytes.HasPrefix(data, []byte(siteMagic)):
		return fmt.Errorf("%w: starts with %q, want %q", ErrSiteFile, data[:len(siteMagic)], siteMagic)
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return fmt.Errorf("%w: checksum", ErrSiteFile)
	}
	le := binary.LittleEndian
	next := func(n int) (b []byte) { b, body = body[:n], body[n:]; return b }
	next(len(siteMagic))
	if v := le.Uint32(next(4)); v != siteVersion {
		return fmt.Errorf("%w: version %d, want %d", ErrSiteFile, v, siteVersion)
	}
	var r Site
	copy(r.model[:], next(len(r.model)))
	copy(r.key[:], next(len(r.key)))
	added := le.Uint32(next(4))
	total := uint64(0)
	for i := range r.bins {
		r.bins[i] = le.Uint32(next(4))
		total += uint64(r.bins[i])
	}
	if total > siteFull || r.seen.SetWords(added, next(seen.WordsLen)) != nil {
		return fmt.Errorf("%w: counts of %d and %d", ErrSiteFile, total, added)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.model != r.model {
		return ErrSiteModel
	}
	s.key, s.bins, s.counted, s.seen = r.key, r.bins, uint32(total), r.seen
	s.publish()
	return nil
}
