package pdns

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"
)

// bounds of one log.
type bounds struct {
	rotateBytes int64
	maxBytes    int64
	maxAge      time.Duration
}

// rotateAge is when a file that does not fill up is closed all the same, so
// that no line outlives maxAge by more than a tenth of it.
func (b bounds) rotateAge() time.Duration { return b.maxAge / 10 }

// logBuffer is how much is gathered for one write, and how much a log holds
// while its disk refuses; what comes then is dropped.
const logBuffer = 256 << 10

// rotatingLog writes lines to NAME.jsonl in its directory. A file that is full
// or old is renamed to NAME-TIME-SEQUENCE.jsonl, TIME being that of its last
// line, and the oldest files go when all together would be over the bound.
//
// Lines go out whole, many to a write. When a write fails the file is cut back
// to its last whole line and the lines are kept for the next try; when there is
// no room to keep more, row refuses. A process that was killed may leave half a
// line at the end: opening the file cuts it off.
//
// It is not safe for more than one goroutine. Its clock decides only what is
// due and what is old, never what is written.
type rotatingLog struct {
	fs     filesystem
	dir    string
	name   string
	bounds bounds
	now    func() time.Time
	header string // what a file begins with

	f       file // nil: not open
	size    int64
	torn    bool      // the file has to be cut back to size
	born    time.Time // of the oldest line in f
	seq     uint64    // of the last file that was renamed
	closed  []closedFile
	buf     []byte
	pruned  time.Time
	pending int    // lines in buf
	written uint64 // lines in files
	last    int64  // Unix seconds of the newest line, for the file's name
	err     error  // of the last try; while it stands, row tries nothing
}

// row takes a line unless the disk refuses and there is no room to keep it.
func (l *rotatingLog) row(line []byte, unix int64) bool {
	if int64(len(line)) > l.bounds.rotateBytes {
		return false
	}
	if len(l.buf) > 0 && len(l.buf)+len(line) > logBuffer {
		if l.err != nil || l.write() != nil {
			return false
		}
	}
	l.buf = append(l.buf, line...)
	l.pending++
	l.last = max(l.last, unix)
	return true
}

// flush brings all lines taken to their file, even if the last try failed.
func (l *rotatingLog) flush() error { return l.write() }

// tend does what time makes due: tries again, closes an old file, deletes those
// that are too old.
func (l *rotatingLog) tend() error {
	err := l.write()
	if err == nil && l.f == nil {
		// Before there is anything to write: whoever starts weir is to know now
		// that it cannot record, and not when the first line is due.
		l.err = l.open()
		err = l.err
	}
	now := l.now()
	if l.f != nil && l.size > 0 && now.Sub(l.born) >= l.bounds.rotateAge() {
		err = errors.Join(err, l.rotate())
	}
	if now.Sub(l.pruned) < pruneEvery {
		return err
	}
	l.pruned = now
	// Also with no file open: what an earlier process left grows old too.
	if listErr := l.list(); listErr != nil && !errors.Is(listErr, fs.ErrNotExist) {
		return errors.Join(err, listErr)
	}
	return errors.Join(err, l.prune())
}

// pruneEvery is how often old files are looked for while nothing else opens
// one: their age is hours at least.
const pruneEvery = time.Minute

// close writes what is left and closes the file.
func (l *rotatingLog) close() error {
	err := l.write()
	if l.f != nil {
		err = errors.Join(err, l.f.Sync(), l.f.Close())
		l.f = nil
	}
	return err
}

func (l *rotatingLog) path() string { return filepath.Join(l.dir, l.name+".jsonl") }

func (l *rotatingLog) write() error {
	l.err = l.tryWrite()
	return l.err
}

func (l *rotatingLog) tryWrite() error {
	if len(l.buf) == 0 {
		return nil
	}
	if l.f == nil {
		if err := l.open(); err != nil {
			return err
		}
	}
	if l.size > 0 && l.size+int64(len(l.buf)) > l.bounds.rotateBytes {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	// The buffer may be over rotateBytes only by config with tiny files, which
	// Validate refuses.
	out := l.buf
	if l.size == 0 && l.header != "" {
		out = append([]byte(l.header), out...)
	}
	n, err := l.f.Write(out)
	if err == nil && n < len(out) {
		err = fmt.Errorf("write %s: %w", l.path(), io.ErrShortWrite)
	}
	if err != nil { // it names the file
		if cut := l.f.Truncate(l.size); cut != nil {
			// Nothing may be written behind what stands there now. The next try
			// opens the file anew and cuts it first.
			err = errors.Join(err, fmt.Errorf("cut %s: %w", l.path(), cut), l.f.Close())
			l.f, l.torn = nil, true
		}
		return err
	}
	if l.size == 0 {
		l.born = l.now()
	}
	l.size += int64(n)
	l.written += uint64(l.pending)
	l.buf, l.pending = l.buf[:0], 0
	return nil
}

// open opens the current file, cuts off half a line, and lists the closed ones.
func (l *rotatingLog) open() error {
	if err := l.fs.MkdirAll(l.dir); err != nil {
		return err
	}
	if err := l.list(); err != nil {
		return err
	}
	f, err := l.fs.Open(l.path())
	if err != nil {
		return err
	}
	if l.torn {
		if err := f.Truncate(l.size); err != nil {
			return errors.Join(fmt.Errorf("cut %s: %w", l.path(), err), f.Close())
		}
		l.torn = false
	}
	size, born, err := repair(f)
	if err != nil {
		return errors.Join(fmt.Errorf("open %s: %w", l.path(), err), f.Close())
	}
	l.f, l.size, l.born = f, size, born
	// A smaller bound than last time holds from the first line.
	return l.prune()
}

// repair cuts a file behind its last newline and says how long it is then, and
// when its first line was written.
func repair(f file) (size int64, born time.Time, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, born, err
	}
	size = info.Size()
	whole := int64(0)
	chunk := make([]byte, 64<<10)
	for end := size; end > 0 && whole == 0; {
		start := max(0, end-int64(len(chunk)))
		part := chunk[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return 0, born, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			whole = start + int64(i) + 1
		}
		end = start
	}
	if whole < size {
		if err := f.Truncate(whole); err != nil {
			return 0, born, err
		}
	}
	n, err := f.ReadAt(chunk[:min(int64(len(chunk)), whole)], 0)
	if int64(n) < min(int64(len(chunk)), whole) {
		return 0, born, err
	}
	return whole, firstTime(chunk[:n], info.ModTime()), nil
}

// firstTime is the time of a file's first line, so that a file which is opened
// again every day still grows old; fallback where the line does not say.
func firstTime(head []byte, fallback time.Time) time.Time {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	var first struct {
		Time      time.Time `json:"time"`
		TimeFirst int64     `json:"time_first"`
	}
	switch err := json.Unmarshal(line, &first); {
	case err == nil && !first.Time.IsZero():
		return first.Time
	case err == nil && first.TimeFirst > 0:
		return time.Unix(first.TimeFirst, 0)
	}
	return fallback
}
