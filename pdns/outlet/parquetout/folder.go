package parquetout

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// suffix is that of files. A name that begins with a dot is none to Spark, Hive and
// DuckDB.
const suffix = ".parquet"

// folder is a lake on a disk.
type folder struct {
	root     string
	maxBytes int64
	maxAge   time.Duration
}

func (f *folder) close() {}

// put writes beside path and renames. What a kill leaves behind is written over
// when the batch comes again.
func (f *folder) put(_ context.Context, name string, write func(io.Writer) error) (err error) {
	dir, base := filepath.Split(filepath.Join(f.root, filepath.FromSlash(name)))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+base+".tmp")
	// Transactions say who asked for what: not for everybody to read.
	w, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp) // the error says more
		}
	}()
	err = write(w)
	if err == nil {
		err = w.Sync()
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, base)); err != nil {
		return err
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) { // it may be new, and so may those above
		if err := sync(filepath.Join(f.root, filepath.FromSlash(dir))); err != nil {
			return err
		}
		if dir == "." {
			return nil
		}
	}
}

func sync(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ours are the names of files that weir writes, below a lake's root: it removes no
// others.
var ours = regexp.MustCompile(`^dt=(\d{4}-\d\d-\d\d)/hour=(\d\d)/[0-9a-f]{32}-\d+\.parquet$`)

// tend removes files of partitions that are too old, and the oldest where there is
// too much.
func (f *folder) tend(now time.Time) error {
	type file struct {
		path string
		end  time.Time // of its hour
		size int64
	}
	var files []file
	var total int64
	err := filepath.WalkDir(f.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return gone(err)
		}
		rel, err := filepath.Rel(f.root, path)
		if err != nil {
			return err
		}
		m := ours.FindStringSubmatch(filepath.ToSlash(rel))
		if m == nil {
			return nil
		}
		hour, err := time.Parse("2006-01-02 15", m[1]+" "+m[2])
		if err != nil {
			return nil // not ours after all
		}
		info, err := d.Info()
		if err != nil {
			return gone(err)
		}
		files = append(files, file{path, hour.Add(time.Hour), info.Size()})
		total += info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(files, func(a, b file) int { return cmp.Or(a.end.Compare(b.end), cmp.Compare(a.path, b.path)) })
	for _, one := range files {
		if total <= f.maxBytes && now.Sub(one.end) < f.maxAge {
			break
		}
		if err := gone(os.Remove(one.path)); err != nil {
			return err
		}
		total -= one.size
		dir := filepath.Dir(one.path)
		if os.Remove(dir) == nil { // was its last
			_ = os.Remove(filepath.Dir(dir)) // as long as there is another hour, it stays
		}
	}
	return nil
}

// gone takes what another one removed for removed.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
