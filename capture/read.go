package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// FileError says where in a capture reading came to an end. What was read until
// then has gone to the sinks.
type FileError struct {
	File   string
	Packet uint64 // the first one that was not read, from 1; 0 if the file's header was not read
	Err    error
}

func (e *FileError) Error() string {
	if e.Packet == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s: packet %d: %v", e.File, e.Packet, e.Err)
}

// Unwrap is the cause.
func (e *FileError) Unwrap() error { return e.Err }

// ReadFile reads the capture at path, or those in the folder at path.
func (c *Capture) ReadFile(ctx context.Context, path string) error {
	return c.ReadFiles(ctx, path)
}

// ReadFiles reads captures, and those in folders, one after the other as if they
// were one: what waits at the end of one goes on in the next. One that cannot be
// read does not keep those behind it from being read, but for the end of ctx. The
// error joins one for each.
func (c *Capture) ReadFiles(ctx context.Context, paths ...string) error {
	defer c.first().finish()
	var errs []error
	for _, path := range paths {
		read := c.readFile
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			read = c.readFolder
		}
		if err := read(ctx, path); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil && len(errs) > 0 {
			break
		}
	}
	return errors.Join(errs...)
}

// readFolder reads the files of a folder in the order of their names, where
// numbers count by their value. That is the order of time where a program writes
// one after the other; so what waits at the
// end of one goes on in the next. Files that are no captures are passed over,
// and one that is damaged does not keep those behind it from being read.
func (c *Capture) readFolder(ctx context.Context, path string) error {
	names, err := captureNames(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		switch err := c.readFile(ctx, filepath.Join(path, name)); {
		case ctx.Err() != nil:
			return errors.Join(append(errs, err)...)
		case errors.Is(err, ErrFormat):
			c.deps.Log.Warn("passed over a file that is no capture", zap.Error(err))
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Capture) readFile(ctx context.Context, path string) error {
	f, err := c.open(path)
	if err != nil {
		return err // it names the file
	}
	defer func() { _ = f.Close() }() // it was only read
	return c.read(ctx, path, f)
}

func (c *Capture) open(path string) (io.ReadCloser, error) {
	if c.deps.Open != nil {
		return c.deps.Open(path)
	}
	return os.Open(filepath.Clean(path))
}

// Read reads a capture from r: pcap or pcapng in either byte order, snoop, ERF,
// frames of dnstap, or one of them in gzip, zstd or LZ4, by magic number. At its
// end, and at an error, queries that still wait are unanswered. A capture that ends
// inside of a packet, as one does whose writer was stopped, is no error: what is
// missing counts as one packet, dropped. Read returns between two packets when ctx
// ends; it cannot end a wait for r.
func (c *Capture) Read(ctx context.Context, r io.Reader) error {
	return c.ReadNamed(ctx, "input", r)
}

// ReadNamed is Read, with a name of r for errors and the log.
func (c *Capture) ReadNamed(ctx context.Context, name string, r io.Reader) error {
	defer c.first().finish()
	return c.read(ctx, name, r)
}

func (c *Capture) read(ctx context.Context, name string, r io.Reader) error {
	return c.readFrom(ctx, name, r, nil)
}

// readFrom reads a capture; g is not nil where it is one that grows.
func (c *Capture) readFrom(ctx context.Context, name string, r io.Reader, g *growing) error {
	w := c.first()
	src, err := openSource(r)
	if err != nil {
		return &FileError{File: name, Err: err}
	}
	for n := uint64(1); ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := src.next()
		if g != nil && err == nil {
			if n <= g.before {
				continue
			}
			g.pos.reached(n)
		}
		switch {
		case g != nil && ctx.Err() != nil && errors.Is(err, io.ErrUnexpectedEOF):
			return ctx.Err() // it may become whole, and is read then
		case err == nil && p.tap:
			w.tapFrame(p.data)
		case err == nil:
			w.packet(&p)
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			w.counts.packets.Add(1)
			w.counts.drop(dropCut)
			c.deps.Log.Warn("capture ends inside of a packet", zap.String("file", name), zap.Uint64("packet", n))
			return nil
		default:
			return &FileError{File: name, Packet: n, Err: err}
		}
	}
}
