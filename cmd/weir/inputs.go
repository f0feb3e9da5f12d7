package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/weirdns/weir/capture"
)

// inputs opens what is to be read. Reading from it ends with ctx, also while
// nothing comes.
type inputs struct {
	ctx   context.Context // of the one command that it is made for
	stdin io.Reader
	bar   *progress
}

// open opens a file, or standard input for "-".
func (in *inputs) open(path string) (io.ReadCloser, error) {
	if f, ok := in.stdin.(*os.File); path == "-" && (!ok || waits(f.Stat())) {
		return in.through(in.await(func() (io.ReadCloser, error) { return io.NopCloser(in.stdin), nil })), nil
	} else if path == "-" {
		return in.through(io.NopCloser(in.stdin)), nil
	}
	file := func() (io.ReadCloser, error) { return os.Open(filepath.Clean(path)) }
	if waits(os.Stat(path)) {
		return in.through(in.await(file)), nil // to open a pipe is to wait, too
	}
	f, err := file()
	if err != nil {
		return nil, err
	}
	return in.through(f), nil
}

// waits says whether reading what info is of may have to wait for somebody.
func waits(info os.FileInfo, err error) bool { return err == nil && !info.Mode().IsRegular() }

// openedInput is one that is read through what counts.
type openedInput struct {
	io.Reader
	io.Closer
}

// through counts what is read from f, and ends it between two reads when ctx ends.
func (in *inputs) through(f io.ReadCloser) io.ReadCloser {
	return openedInput{&interruptible{in.ctx, in.bar.read(f)}, f}
}

// interruptible ends a read between two when ctx ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// awaited is read by a goroutine of its own, so that the wait for a pipe or a
// terminal can be given up. The goroutine then stays behind until something comes
// or the process ends.
type awaited struct {
	ctx    context.Context
	chunks chan chunk
	closed chan struct{}
	rest   []byte
	err    error
}

type chunk struct {
	data []byte
	err  error
}

// awaitedChunk is how much is read at once: what a pipe holds.
const awaitedChunk = 64 << 10

func (in *inputs) await(open func() (io.ReadCloser, error)) *awaited {
	a := &awaited{ctx: in.ctx, chunks: make(chan chunk), closed: make(chan struct{})}
	go a.fetch(open)
	return a
}

// fetch reads ahead by one chunk: while it fills one, the other is read.
func (a *awaited) fetch(open func() (io.ReadCloser, error)) {
	f, err := open()
	if err != nil {
		a.bring(chunk{nil, err})
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	buffers := [2][]byte{make([]byte, awaitedChunk), make([]byte, awaitedChunk)}
	for i := 0; err == nil; i = 1 - i {
		var n int
		n, err = f.Read(buffers[i])
		if !a.bring(chunk{buffers[i][:n], err}) {
			return
		}
	}
}

func (a *awaited) bring(c chunk) bool {
	select {
	case a.chunks <- c:
		return true
	case <-a.closed:
		return false
	}
}

func (a *awaited) Read(b []byte) (int, error) {
	for len(a.rest) == 0 && a.err == nil {
		select {
		case c := <-a.chunks:
			a.rest, a.err = c.data, c.err
		case <-a.ctx.Done():
			return 0, a.ctx.Err()
		}
	}
	if len(a.rest) == 0 {
		return 0, a.err
	}
	n := copy(b, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// Close ends the reading ahead.
func (a *awaited) Close() error {
	close(a.closed)
	return nil
}

// readsStdinTwice says whether standard input is asked for more than once.
func readsStdinTwice(paths []string) bool {
	n := 0
	for _, path := range paths {
		if path == "-" {
			n++
		}
	}
	return n > 1
}

// namedStdin names standard input in errors of captures.
func namedStdin(err error) error {
	for _, e := range split(err) {
		if at, ok := errors.AsType[*capture.FileError](e); ok && at.File == "-" {
			at.File = "standard input"
		}
	}
	return err
}
