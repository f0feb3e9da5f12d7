package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/replay"
	"go.uber.org/zap"
)

// sources are the files to read, in order, and what is wrong with others. A
// folder with logs in it is its files; one of captures stays what it is, as what
// waits at the end of one capture goes on in the next.
func (r *replayer) sources(paths []string) (all []string, failed []error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case path == "-":
			all = append(all, path)
			continue
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w", path, errors.Unwrap(err)))
			continue
		case !info.IsDir():
			all = append(all, path)
			continue
		}
		files, err := logsIn(path)
		switch {
		case err != nil:
			failed = append(failed, err)
			continue
		case files == nil:
			files = []string{path}
		}
		r.found = append(r.found, files...)
		all = append(all, files...)
	}
	return all, failed
}

// logsIn are the files of a folder, in the order of their names, if any of them
// is a log.
func logsIn(dir string) (files []string, err error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	any := false
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		path := filepath.Join(dir, e.Name())
		files = append(files, path)
		if any {
			continue
		}
		f, err := os.Open(filepath.Clean(path))
		if err != nil {
			return nil, err
		}
		b, err := plain(f)
		any = err == nil && isLog(b)
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	if !any {
		return nil, nil
	}
	return files, nil
}

// source replays a file or a folder of captures. What is neither a log nor a
// capture is passed over if nobody named it.
func (r *replayer) source(ctx context.Context, path string) error {
	err := r.read(ctx, path)
	for _, unknown := range []error{capture.ErrFormat, replay.ErrFormat, replay.ErrSums, replay.ErrEmpty} {
		if errors.Is(err, unknown) && slices.Contains(r.found, path) {
			r.log.Warn("passed over a file that is neither a capture nor a log of queries", zap.Error(err))
			return nil
		}
	}
	return err
}

// read replays one file: a log if it begins like one, else a capture.
func (r *replayer) read(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		r.anyCapture = true
		return r.captures.ReadFile(ctx, path)
	}
	name := path
	if path == "-" {
		name = "standard input"
	}
	f, err := r.inputs.open(path)
	if err != nil {
		return err // it names the file
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := plain(f)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !isLog(b) {
		if _, err := b.Peek(1); errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", name, replay.ErrEmpty)
		}
		r.anyCapture = true
		err := r.captures.ReadNamed(ctx, name, b)
		if errors.Is(err, capture.ErrFormat) {
			err = fmt.Errorf("%w, and no log", err)
		}
		return err
	}
	r.anyLog = true
	s, err := replay.Read(b, r.Record)
	r.logs.Add(s)
	if errors.Is(err, replay.ErrFormat) {
		err = fmt.Errorf("no capture, and %w", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// plain is what is below gzip or zstd, by magic number.
func plain(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(4)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, err
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		return bufio.NewReaderSize(z, 64<<10), nil
	case string(head) == "\x28\xb5\x2f\xfd":
		// One at a time: it decodes where it is read, and starts no goroutine.
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
		return bufio.NewReaderSize(z, 64<<10), nil
	}
	return b, nil
}

// maxZstdWindow is what zstd itself takes without being asked for more.
const maxZstdWindow = 128 << 20

// isLog says whether b begins with text: no capture does.
func isLog(b *bufio.Reader) bool {
	head, _ := b.Peek(16) // fewer, if there are no more
	for _, c := range head {
		if (c < ' ' || c > '~') && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	return len(head) > 0 && !bytes.HasPrefix(head, []byte("\n\r\r\n")) // pcapng
}
