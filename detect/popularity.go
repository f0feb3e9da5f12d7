package detect

import (
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// PopularityConfig names lists of popular names. One list alone says little:
// each has names that only look popular, generated ones among them, so a name
// counts if two lists have it, and on two dates.
type PopularityConfig struct {
	// Files are lists as they come from Tranco, Umbrella and their like, a line
	// "rank,name" or "name", each given as "LIST DATE PATH" ("tranco 2026-04-01
	// /var/lib/weir/tranco.csv"): two lists and two dates at least, sixteen
	// files at most. Default none.
	Files []string `yaml:"files"`
	// Top is the last rank that counts. Default 100000.
	Top int `yaml:"top"`
}

const (
	maxPopularityFiles = 16
	minPopularityTop   = 1
	maxPopularityTop   = 1_000_000
)

// popularityFile is one of PopularityConfig.Files.
type popularityFile struct {
	list, date, path string
}

func (c *PopularityConfig) parse(errs *[]error) (files []popularityFile) {
	bad := func(format string, args ...any) { *errs = append(*errs, fmt.Errorf("popularity."+format, args...)) }
	if c.Top < minPopularityTop || c.Top > maxPopularityTop {
		bad("top: must be %d to %d, got %d", minPopularityTop, maxPopularityTop, c.Top)
	}
	if len(c.Files) > maxPopularityFiles {
		bad("files: at most %d, got %d", maxPopularityFiles, len(c.Files))
		return nil
	}
	lists, dates := map[string]bool{}, map[string]bool{}
	for i, s := range c.Files {
		list, rest, _ := strings.Cut(s, " ")
		date, path, _ := strings.Cut(rest, " ")
		if _, err := time.Parse(time.DateOnly, date); err != nil || list == "" || path == "" {
			bad(`files[%d]: must be "LIST YYYY-MM-DD PATH", got %q`, i, s)
			continue
		}
		lists[list], dates[date] = true, true
		files = append(files, popularityFile{list, date, path})
	}
	if len(files) == len(c.Files) && len(files) > 0 && (len(lists) < 2 || len(dates) < 2) {
		bad("files: must be of two lists and two dates at least, got %d and %d: one list alone says too little", len(lists), len(dates))
	}
	return files
}

// Paths are the files that a valid c names.
func (c *PopularityConfig) Paths() (paths []string) {
	var errs []error
	for _, f := range c.parse(&errs) {
		paths = append(paths, f.path)
	}
	return paths
}

// Popularity knows registered domains that several lists call popular. It is
// immutable; nil knows none.
type Popularity struct {
	seed  maphash.Seed
	slots []uint64 // hashes, at most half full; 0 is free
	count int
}

// LoadPopularity reads the lists of c, a valid configuration; nil without any.
func LoadPopularity(c PopularityConfig, suffixes *dnsname.Suffixes) (*Popularity, error) {
	var errs []error
	files := c.parse(&errs)
	if len(errs) > 0 || len(files) == 0 {
		return nil, errors.Join(errs...)
	}
	seen := map[string]popularIn{}
	lists, dates := numbers(files, func(f popularityFile) string { return f.list }), numbers(files, func(f popularityFile) string { return f.date })
	for _, file := range files {
		in := popularIn{1 << lists[file.list], 1 << dates[file.date]}
		if err := readPopularity(file.path, c.Top, suffixes, func(domain dnsname.Name) {
			was := seen[string(domain)]
			seen[string(domain)] = popularIn{was.lists | in.lists, was.dates | in.dates}
		}); err != nil {
			return nil, fmt.Errorf("popularity list %s of %s: %s: %w", file.list, file.date, file.path, err)
		}
	}
	return newPopularity(seen), nil
}

// popularIn are the lists and dates that have a name, as bits.
type popularIn struct{ lists, dates uint16 }

// numbers numbers what files have of something.
func numbers(files []popularityFile, of func(popularityFile) string) map[string]int {
	out := map[string]int{}
	for _, f := range files {
		if _, ok := out[of(f)]; !ok {
			out[of(f)] = len(out)
		}
	}
	return out
}

func newPopularity(seen map[string]popularIn) *Popularity {
	p := &Popularity{seed: maphash.MakeSeed()}
	several := func(bits uint16) bool { return bits&(bits-1) != 0 }
	for name, in := range seen {
		if !several(in.lists) || !several(in.dates) {
			delete(seen, name)
		}
	}
	size := 16
	for size < 2*len(seen) {
		size *= 2
	}
	p.slots, p.count = make([]uint64, size), len(seen)
	for name := range seen {
		h := p.hash(dnsname.Name(name))
		at := h & uint64(size-1)
		for p.slots[at] != 0 && p.slots[at] != h {
			at = (at + 1) & uint64(size-1)
		}
		p.slots[at] = h
	}
	return p
}

func (p *Popularity) hash(domain dnsname.Name) uint64 { return max(maphash.Bytes(p.seed, domain), 1) }

// Has says whether a registered domain is popular. It is wrong about one name
// in 10^13 or so: only a hash of 64 bits is kept.
func (p *Popularity) Has(domain dnsname.Name) bool {
	if p == nil {
		return false
	}
	h, mask := p.hash(domain), uint64(len(p.slots)-1)
	for at := h & mask; p.slots[at] != 0; at = (at + 1) & mask {
		if p.slots[at] == h {
			return true
		}
	}
	return false
}

// Len is how many domains are popular.
func (p *Popularity) Len() int {
	if p == nil {
		return 0
	}
	return p.count
}

// Bounds of a list: a million names take about 25 MiB.
const (
	maxPopularityBytes = 64 << 20
	maxPopularityLine  = 4096
)

// readPopularity calls add with the registered domain of each name up to rank
// top. A list of which every tenth line is no name is none of the kind.
func readPopularity(path string, top int, suffixes *dnsname.Suffixes, add func(dnsname.Name)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	limited := &io.LimitedReader{R: f, N: maxPopularityBytes + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, maxPopularityLine), maxPopularityLine)
	names, bad := 0, 0
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || text[0] == '#' {
			n--
			continue
		}
		rank, name := n, text
		if first, rest, ok := strings.Cut(text, ","); ok {
			if rank, err = strconv.Atoi(first); err != nil || rank < 1 {
				if bad++; n == 1 {
					bad-- // a header
				}
				continue
			}
			name = rest
		}
		if rank > top {
			continue // no list need be in order
		}
		parsed, err := dnsname.ParseHost(name)
		if err != nil {
			bad++
			continue
		}
		names++
		if split := suffixes.Split(parsed); split.Registered != nil {
			add(split.Registered)
		}
	}
	switch {
	case lines.Err() != nil:
		return lines.Err()
	case limited.N <= 0:
		return fmt.Errorf("larger than %d octets", maxPopularityBytes)
	case names == 0 || bad*10 > names:
		return fmt.Errorf("no list of ranked names: %d names, %d lines that are none", names, bad)
	}
	return nil
}

// SetPopularity replaces what is known to be popular. Calls of it, SetShadow
// and Swap must not overlap.
func (d *Detector) SetPopularity(p *Popularity) {
	next := *d.state.Load()
	next.popular = p
	d.state.Store(&next)
	d.metrics.popular.Store(int64(p.Len()))
}
