package blocklist

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	// seedFile holds what hashes are keyed with. It must outlive the process,
	// since compiled files do, and is nobody else's business: who knows it can
	// make a list of names that all hash alike.
	seedFile = "hash.seed"
	// racy is how long after a file was written its time may be that of a later
	// write, too, on file systems with coarse clocks.
	racy = 2 * time.Second
	// abandoned is how old a temporary file is that nobody works on any more.
	abandoned = time.Hour
)

// newWorkshop reads the seed of dir, or makes one up, which keepSeed puts there
// when the first compiled file is.
func newWorkshop(dir string) workshop {
	if b, err := os.ReadFile(filepath.Join(dir, seedFile)); dir != "" && err == nil && len(b) == 8 {
		return workshop{seed: binary.LittleEndian.Uint64(b), dir: dir}
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return workshop{seed: binary.LittleEndian.Uint64(b[:]), dir: dir}
}

// temp makes a file that is abandoned unless it is renamed.
func (w workshop) temp(what string) (*os.File, error) {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, err
	}
	return os.CreateTemp(w.dir, what+"-*"+tmpSuffix)
}

// keepSeed writes the seed, unless another process was first: then its compiled
// files stay good, and ours are made anew at the next start.
func (w workshop) keepSeed() error {
	f, err := os.OpenFile(filepath.Join(w.dir, seedFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(binary.LittleEndian.AppendUint64(nil, w.seed))
	return errors.Join(err, f.Close())
}

// madeBy names everything besides the text that a set depends on.
func madeBy(c *Config, g *guard, shop workshop) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%x\n%s\n", setVersion, shop.seed, g.suffixes.ID())
	fmt.Fprintf(h, "%s %s %s %t %d\n", c.Kind, c.Format, c.Match, !c.remote() || c.AllowLocalData, c.MinConfidence)
	var own []string
	for name, o := range g.own {
		own = append(own, fmt.Sprintf("%q %t %t", name, o.host, o.above))
	}
	slices.Sort(own)
	fmt.Fprintln(h, own, platforms, popular, g.lenient)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// setPath is where a source's compiled file is, "" for none.
func (s *source) setPath(shop workshop) string {
	if shop.dir == "" || !s.cfg.remote() && s.cfg.File == "" {
		return ""
	}
	return strings.TrimSuffix(storePath(shop.dir, &s.cfg), copySuffix) + setSuffix
}

// openCompiled is the source's set as compiled before, if it is still what its
// text and configuration say. No error: it is made anew from the text.
func (l *Lists) openCompiled(s *source, g *guard, same func(*setHeader) bool) *data {
	path := s.setPath(l.shop)
	if path == "" {
		return nil
	}
	made := madeBy(&s.cfg, g, l.shop)
	set, err := openSet(path, l.shop.seed, func(h *setHeader) bool { return h.Made == made && same(h) })
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.deps.Log.Info("compiled list is made anew", zap.String("list", s.cfg.Name), zap.String("why", err.Error()))
		}
		return nil
	}
	h := &set.file.header
	d := &data{set: set, format: h.Format, sha256: h.SHA256, loaded: h.Loaded, checked: h.Loaded, compiled: true}
	for r, name := range reasonNames {
		d.rejected[r] = h.Rejected[name]
	}
	return d
}

// keepCompiled puts the set of new data where openCompiled finds it.
func (l *Lists) keepCompiled(s *source, d *data, stamp fileStamp) {
	path := s.setPath(l.shop)
	if d.set.file == nil || path == "" {
		return
	}
	h := setHeader{
		Made: madeBy(&s.cfg, l.guardFor(s, l.guard), l.shop), Stamp: stamp, SHA256: d.sha256,
		Loaded: d.loaded, Format: d.format, Rejected: map[string]int{},
	}
	for r, n := range d.rejected {
		if n > 0 {
			h.Rejected[Reason(r).String()] = n
		}
	}
	err := errors.Join(l.shop.keepSeed(), d.set.file.keep(path, h))
	if err != nil {
		l.deps.Log.Warn("compiled list not kept: the next start reads its text", zap.String("list", s.cfg.Name), zap.Error(err))
	}
}

// sweep removes compiled files of lists that are configured no more, and what
// a process that ended in the middle left behind.
func (l *Lists) sweep() {
	if l.shop.dir == "" {
		return
	}
	entries, err := os.ReadDir(l.shop.dir)
	if err != nil {
		return
	}
	keep := make(map[string]bool)
	for _, s := range l.sources {
		keep[filepath.Base(s.setPath(l.shop))] = true
	}
	for _, e := range entries {
		name := e.Name()
		old := false
		if info, err := e.Info(); err == nil {
			old = time.Since(info.ModTime()) > abandoned
		}
		if strings.HasSuffix(name, setSuffix) && !keep[name] || strings.HasSuffix(name, tmpSuffix) && old {
			os.Remove(filepath.Join(l.shop.dir, name))
		}
	}
}
