package dnstap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/weirdns/weir/internal/framestream"
)

// file is a frame stream in a file, and those before it. What is behind size is no
// frame that anybody was told of.
type file struct {
	path   string
	max    int64
	keep   int
	maxAge time.Duration
	f      *os.File // nil until it is needed
	size   int64
	begun  time.Time
}

// append lets write add frames, all or none of them, and brings them to the disk.
func (f *file) append(write func(io.Writer) error) error {
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if err := f.f.Truncate(f.size); err != nil { // what an earlier try left
		return err
	}
	to := &counter{w: io.NewOffsetWriter(f.f, f.size)}
	w := bufio.NewWriterSize(to, 32<<10)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.f.Sync(); err != nil {
		return err
	}
	f.size += to.n
	if f.size >= f.max {
		// What is wrong with the end of this one is said with the next batch, which
		// begins another: this one has arrived.
		_ = f.close()
	}
	return nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// open begins a file, and moves those that are there out of its way.
func (f *file) open() error {
	if err := f.shift(); err != nil {
		return err
	}
	out, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	head := framestream.AppendControl(nil, framestream.Start, framestream.Dnstap)
	if _, err := out.Write(head); err != nil {
		return errors.Join(err, out.Close(), os.Remove(f.path))
	}
	f.f, f.size, f.begun = out, int64(len(head)), time.Now()
	return nil
}

// shift makes PATH PATH.1, PATH.1 PATH.2, and so on; the last one goes.
func (f *file) shift() error {
	if _, err := os.Lstat(f.path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for i := f.keep - 1; i >= 0; i-- {
		var err error
		if i == f.keep-1 {
			err = os.Remove(f.name(i))
		} else {
			err = os.Rename(f.name(i), f.name(i+1))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// shares is how many files a time of maxAge has at least: so a row is kept for a
// tenth longer at most.
const shares = 10

// tend ends the file if it is old, and removes those that nothing was written to for
// maxAge.
func (f *file) tend(now time.Time) error {
	var errs []error
	if f.f != nil && now.Sub(f.begun) >= f.maxAge/shares {
		errs = append(errs, f.close())
	}
	for i := range f.keep {
		if i == 0 && f.f != nil {
			continue
		}
		info, err := os.Lstat(f.name(i))
		if err == nil && info.Mode().IsRegular() && now.Sub(info.ModTime()) >= f.maxAge {
			err = os.Remove(f.name(i))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (f *file) name(i int) string {
	if i == 0 {
		return f.path
	}
	return fmt.Sprintf("%s.%d", f.path, i)
}

// close says STOP.
func (f *file) close() error {
	if f.f == nil {
		return nil
	}
	out := f.f
	f.f = nil
	err := out.Truncate(f.size)
	if err == nil {
		_, err = out.WriteAt(framestream.AppendControl(nil, framestream.Stop, ""), f.size)
	}
	return errors.Join(err, out.Close())
}
