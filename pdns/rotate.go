package pdns

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// closedFile is a file that is not written any more.
type closedFile struct {
	name string
	seq  uint64
	size int64
	done time.Time // when it was last written
}

// timestamp is the form of the time in a closed file's name.
const timestamp = "20060102T150405Z"

// rotate closes the current file, gives it its lasting name and opens another.
// If that fails the file stays current, or is opened again by the next write.
func (l *rotatingLog) rotate() error {
	if err := l.f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", l.path(), err)
	}
	err := l.f.Close()
	l.f = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", l.path(), err)
	}
	last := time.Unix(min(max(l.last, 0), lastTime.Unix()), 0).UTC() // a year of four digits, as sequence wants
	name := fmt.Sprintf("%s-%s-%06d.jsonl", l.name, last.Format(timestamp), l.seq+1)
	if err := l.fs.Rename(l.path(), filepath.Join(l.dir, name)); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync %s: %w", l.dir, err)
	}
	return l.open()
}

// list finds the closed files, oldest first. It believes names for their order
// and the file system for their size and age.
func (l *rotatingLog) list() error {
	entries, err := l.fs.ReadDir(l.dir)
	if err != nil {
		return err
	}
	l.closed = l.closed[:0]
	for _, e := range entries {
		seq, ok := sequence(e.Name(), l.name)
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		l.closed = append(l.closed, closedFile{name: e.Name(), seq: seq, size: info.Size(), done: info.ModTime()})
		l.seq = max(l.seq, seq)
	}
	slices.SortFunc(l.closed, func(a, b closedFile) int {
		if a.seq != b.seq {
			return int(min(max(int64(a.seq-b.seq), -1), 1))
		}
		return strings.Compare(a.name, b.name)
	})
	return nil
}

// sequence reads the number in a closed file's name; ok is false for any other
// file, which is nobody's business here.
func sequence(name, log string) (seq uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, log+"-")
	if !ok {
		return 0, false
	}
	at, rest, ok := strings.Cut(rest, "-")
	if !ok {
		return 0, false
	}
	if _, err := time.Parse(timestamp, at); err != nil {
		return 0, false
	}
	digits, ok := strings.CutSuffix(rest, ".jsonl")
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 63)
	return seq, err == nil
}

// prune deletes the oldest closed files until a full current file would still
// be within maxBytes, and those older than maxAge.
func (l *rotatingLog) prune() error {
	total := l.bounds.rotateBytes
	for i := range l.closed {
		total += l.closed[i].size
	}
	now := l.now()
	for len(l.closed) > 0 {
		oldest := l.closed[0]
		if total <= l.bounds.maxBytes && now.Sub(oldest.done) < l.bounds.maxAge {
			return nil
		}
		err := l.fs.Remove(filepath.Join(l.dir, oldest.name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		total -= oldest.size
		l.closed = l.closed[1:]
	}
	return nil
}
