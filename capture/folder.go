package capture

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxLooked bounds the files of a folder that are looked at for whether they
// were written anew: those that were read longest ago, which a ring takes first.
const maxLooked = 1024

// folder is one that is being filled.
type folder struct {
	path   string
	pos    *position
	looked map[string]time.Time // when those that were read were last changed
}

// next is the name of the file to read, or if one is being read, behind it: that
// which somebody else began to read, then those that were read and are others
// now, in that order, then the first that was not. It is empty if there is none.
func (d *folder) next(reading string) (string, error) {
	names, err := captureNames(d.path)
	if err != nil {
		return "", err
	}
	present := make(map[string]bool, len(names))
	for _, name := range names {
		present[plainName(name)] = true
	}
	before := len(d.pos.Taken)
	d.pos.Taken = slices.DeleteFunc(d.pos.Taken, func(t taken) bool { return !present[plainName(t.Name)] })
	d.pos.changed = d.pos.changed || len(d.pos.Taken) != before // so that it does not grow with what was deleted
	read := make(map[string]bool, len(d.pos.Taken))
	for _, t := range d.pos.Taken {
		read[plainName(t.Name)] = true
	}
	if began := plainName(d.pos.Current.Name); reading == "" && present[began] && !read[began] {
		return names[slices.IndexFunc(names, func(name string) bool { return plainName(name) == began })], nil
	}
	for i := range d.pos.Taken[:min(len(d.pos.Taken), maxLooked)] {
		if t := &d.pos.Taken[i]; d.anew(t) {
			return t.Name, nil
		}
	}
	for _, name := range names {
		if plain := plainName(name); !read[plain] && (reading == "" || natural(plain, plainName(reading)) > 0) {
			return name, nil
		}
	}
	return "", nil
}

// anew says whether the file that t was is another now.
func (d *folder) anew(t *taken) bool {
	path := filepath.Join(d.path, t.Name)
	info, err := os.Stat(path)
	if err != nil {
		delete(d.looked, t.Name)
		return false
	}
	if at, ok := d.looked[t.Name]; ok && at.Equal(info.ModTime()) {
		return false
	}
	if !t.Begin.of(path) {
		return true
	}
	d.looked[t.Name] = info.ModTime()
	return false
}

// take notes that a file is being read.
func (d *folder) take(name string) {
	delete(d.looked, name)
	d.pos.Taken = slices.DeleteFunc(d.pos.Taken, func(t taken) bool { return t.Name == name })
	d.pos.changed = true
}

// captureNames are the regular files of a folder, in the order of their names,
// without hidden ones.
func captureNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, natural)
	return names, nil
}

// plainName is a file's name before it was compressed.
func plainName(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
}

// natural orders names as people do: numbers in them by their value, so that
// dns9 comes before dns10.
func natural(a, b string) int {
	whole := strings.Compare(a, b)
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x == 0 || y == 0 {
			if a[0] != b[0] {
				return strings.Compare(a, b)
			}
			a, b = a[1:], b[1:]
			continue
		}
		m, n := strings.TrimLeft(a[:x], "0"), strings.TrimLeft(b[:y], "0")
		if len(m) != len(n) {
			return len(m) - len(n)
		}
		if m != n {
			return strings.Compare(m, n)
		}
		a, b = a[x:], b[y:]
	}
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return whole // they differ in leading zeros, or not at all
}

// digits is how many of them s begins with.
func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
