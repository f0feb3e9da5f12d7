package blocklist

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/xfr"
)

// source is one configured list and the state of its loading. cfg and path do
// not change; the rest is guarded by Lists.mu.
type source struct {
	cfg  Config // with its defaults
	path string // of the stored copy, "" for none

	list               *List // as it serves
	etag, lastModified string
	soa                *xfr.SOA  // of a zone, as it serves
	stamp              fileStamp // of the file, when it was last read
	seen               fileStamp // of the file, when it was last looked at
	next               time.Time // when the URL is due
	failures           int       // since the last success
}

// newSource makes a source without data.
func newSource(c *Config, dir string) *source {
	s := &source{cfg: c.withDefaults()}
	s.cfg.Inline = slices.Clone(c.Inline) // the caller may go on with his
	if s.cfg.remote() && dir != "" {
		s.path = storePath(dir, c)
	}
	s.list = &List{Name: c.Name, Kind: s.cfg.Kind, Format: s.cfg.Format, Err: "not loaded yet"}
	return s
}

// take makes d what the source serves.
func (s *source) take(d *data) {
	s.list = &List{
		Name: s.cfg.Name, Kind: s.cfg.Kind, Format: d.format,
		Entries: d.set.names, Addresses: d.set.addrs, Patterns: d.set.expressions(), Passes: d.set.passes, Memory: d.set.memory(),
		Loaded: d.loaded, Checked: d.checked, SHA256: d.sha256, Rejected: d.rejected,
		set: d.set,
	}
	s.etag, s.lastModified, s.soa = d.etag, d.lastModified, d.soa
}

// confirm notes that the data that serve are still current.
func (s *source) confirm(now time.Time) {
	l := *s.list
	l.Checked, l.Err, l.Failed = now, "", time.Time{}
	s.list = &l
}

// fail notes why newer data were refused.
func (s *source) fail(err error, now time.Time) {
	l := *s.list
	l.Err, l.Failed = err.Error(), now
	s.list = &l
}

// replace swaps the set for one made of it.
func (s *source) replace(set *set) {
	l := *s.list
	l.Entries, l.Addresses, l.Patterns, l.Passes = set.names, set.addrs, set.expressions(), set.passes
	l.Memory, l.set = set.memory(), set
	s.list = &l
}

// entries is how many entries serve.
func (s *source) entries() int { return s.list.Entries + s.list.Addresses + s.list.Patterns }

// loadInline compiles the entries of the configuration itself.
func loadInline(c *Config, g *guard, shop workshop, now time.Time) (*data, error) {
	text := strings.Join(c.Inline, "\n")
	d, err := compile(strings.NewReader(text), c, g, shop)
	if err != nil {
		return nil, fmt.Errorf("list %s: inline: %w", c.Name, err)
	}
	sum := sha256.Sum256([]byte(text))
	d.sha256, d.loaded, d.checked = hex.EncodeToString(sum[:]), now, now
	return d, nil
}

// fileStamp tells one state of a file from another.
type fileStamp struct {
	Modified int64  `json:"modified"` // nanoseconds
	Size     int64  `json:"size"`
	Inode    uint64 `json:"inode"` // 0 where files have none
	Missing  bool   `json:"missing,omitempty"`
}

func stampOf(info os.FileInfo) fileStamp {
	return fileStamp{Modified: info.ModTime().UnixNano(), Size: info.Size(), Inode: inode(info)}
}

// look is the stamp of the file at path now.
func look(path string) fileStamp {
	info, err := os.Stat(path)
	if err != nil {
		return fileStamp{Missing: true}
	}
	return stampOf(info)
}

// loadFile compiles a local file; had says how many entries serve now.
func loadFile(c *Config, g *guard, shop workshop, had int, now time.Time) (*data, fileStamp, error) {
	stamp := look(c.File)
	d, err := readFile(c, g, shop, had, stamp)
	if err != nil {
		return nil, stamp, &refusal{resultOf(err, resultFile), fmt.Errorf("list %s: file %s: %w", c.Name, c.File, err)}
	}
	d.loaded, d.checked = now, now
	return d, stamp, nil
}

func readFile(c *Config, g *guard, shop workshop, had int, stamp fileStamp) (*data, error) {
	info, err := os.Stat(c.File)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller names the file
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file") // a pipe would block, a device never end
	}
	if info.Size() == 0 && had > 0 {
		return nil, refuse(resultEmpty, "empty where %d entries were; if that is meant, leave a comment line in it", had)
	}
	f, err := os.Open(c.File)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	body, err := unpack(f, "", c.MaxBytes)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	d, err := compile(io.TeeReader(body, sum), c, g, shop)
	if err != nil {
		return nil, err
	}
	if look(c.File) != stamp {
		d.release()
		return nil, errors.New("changed while it was read")
	}
	d.sha256 = hex.EncodeToString(sum.Sum(nil))
	return d, nil
}

// loadCopy is the stored copy of a URL list, compiled before or now.
func (l *Lists) loadCopy(s *source, g *guard) (*data, error) {
	r, err := openCopy(s.path, &s.cfg)
	if err != nil {
		return nil, err
	}
	defer r.close()
	h := &r.header
	d := l.openCompiled(s, g, func(c *setHeader) bool { return c.SHA256 == h.SHA256 })
	if d == nil {
		d, err = compile(r, &s.cfg, g, l.shop)
		if sum := r.check(); sum != nil {
			d.release()
			return nil, sum // whatever the parser says of damaged data
		}
		if err != nil {
			return nil, err
		}
	}
	d.sha256, d.loaded, d.checked = h.SHA256, h.Fetched, r.checked
	d.etag, d.lastModified, d.soa = h.ETag, h.LastModified, h.SOA
	return d, nil
}
