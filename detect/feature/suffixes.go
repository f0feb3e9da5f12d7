package feature

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// Suffixes says how often names have which public suffix. It knows popular
// names only, so that what it says is how usual a suffix is and not which
// registry a generator of the training lists bought from. It is immutable and
// safe for concurrent use; the nil Suffixes finds every suffix equally rare.
type Suffixes struct {
	names  uint64
	counts map[string]uint64 // by wire form
	rarity map[string]uint8
}

const (
	// maxRarity is of a suffix that is not in the table.
	maxRarity = 8
	// leastSuffix is how often a suffix must occur to be in a table.
	leastSuffix     = 10
	maxSuffixes     = 20_000
	maxSuffixesFile = 1 << 20
	suffixesHeader  = "suffix\tnames"
)

// NewSuffixes takes the number of names of each public suffix, in wire form.
func NewSuffixes(counts map[string]uint64) *Suffixes {
	s := &Suffixes{counts: make(map[string]uint64), rarity: make(map[string]uint8)}
	for _, n := range counts {
		s.names += n
	}
	for suffix, n := range counts {
		if n >= leastSuffix {
			s.counts[suffix] = n
		}
	}
	s.weigh()
	return s
}

// weigh works out the rarities: half of -log2 of the share, rounded down in
// whole numbers, 0 for a quarter of the names and more.
func (s *Suffixes) weigh() {
	for suffix, n := range s.counts {
		s.rarity[suffix] = uint8(min((bits.Len64(s.names/n)-1)/2, maxRarity-1))
	}
}

// Len is the number of suffixes in the table.
func (s *Suffixes) Len() int { return len(s.counts) }

func (x *Extractor) suffix(v *[Count]float64, s dnsname.Split) {
	v[fSuffixRarity] = maxRarity
	if t := x.tables.Suffixes; t != nil {
		if r, ok := t.rarity[string(s.Suffix)]; ok {
			v[fSuffixRarity] = float64(r)
		}
	}
	if s.Private {
		v[fSuffixPrivate] = 1
	}
	top := s.Suffix
	for len(top) > 1 && len(top.Parent()) > 1 {
		top = top.Parent()
	}
	if len(top) == 4 { // a length, two letters, the root
		v[fSuffixCountry] = 1
	}
}

// Append appends the table in the form that ReadSuffixes reads.
func (s *Suffixes) Append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "%s\n.\t%d\n", suffixesHeader, s.names)
	for _, suffix := range slices.Sorted(maps.Keys(s.counts)) {
		dst = dnsname.Name(suffix).AppendText(dst)
		dst = fmt.Appendf(dst, "\t%d\n", s.counts[suffix])
	}
	return dst
}

// ReadSuffixes reads a table and checks all of it. Every error that is not the
// reader's wraps ErrTable.
func ReadSuffixes(r io.Reader) (*Suffixes, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxSuffixesFile+1))
	if err != nil {
		return nil, fmt.Errorf("table of suffixes: %w", err)
	}
	s, err := parseSuffixes(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	return s, nil
}

func parseSuffixes(data []byte) (*Suffixes, error) {
	if len(data) > maxSuffixesFile {
		return nil, fmt.Errorf("larger than %d bytes", maxSuffixesFile)
	}
	if !bytes.HasSuffix(data, []byte("\n")) {
		return nil, errors.New("cut short")
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if lines[0] != suffixesHeader {
		return nil, fmt.Errorf("starts with %.40q, want %q", lines[0], suffixesHeader)
	}
	if len(lines)-2 > maxSuffixes {
		return nil, fmt.Errorf("%d suffixes, at most %d are possible", len(lines)-2, maxSuffixes)
	}
	s := &Suffixes{counts: make(map[string]uint64), rarity: make(map[string]uint8)}
	for i, line := range lines[1:] {
		text, number, _ := strings.Cut(line, "\t")
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("line %d: %.40q is no number of names", i+2, number)
		}
		name, err := dnsname.Parse(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %.80q: %w", i+2, text, err)
		case (i == 0) != (len(name) == 1):
			return nil, fmt.Errorf("line %d: the root's number, that of all names, comes first and once", i+2)
		case i == 0:
			s.names = n
			continue
		case s.counts[string(name)] > 0:
			return nil, fmt.Errorf("line %d: %.80q a second time", i+2, text)
		case n > s.names:
			return nil, fmt.Errorf("line %d: %d of %d names", i+2, n, s.names)
		}
		s.counts[string(name)] = n
	}
	if s.names == 0 {
		return nil, errors.New("no names")
	}
	s.weigh()
	return s, nil
}
