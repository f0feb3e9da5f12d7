package dnstap

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weirdns/weir/internal/framestream"
	"github.com/weirdns/weir/pdns/outlet"
)

// Sink sends frames. Over a socket each batch is a stream of its own, at whose end
// the receiver says FINISH: by then it has read all.
type Sink struct {
	target outlet.Target
	tls    *tls.Config
	file   *file // nil: it is a socket
	writer writer
	frame  []byte // scratch
}

// New reads the files that the configuration names. It connects to nobody and
// writes nothing. Version is what messages call the sender's.
func New(cfg Config, version string) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{writer: writer{identity: cfg.Identity, version: version}}
	var err error
	if s.target, err = outlet.ParseTarget(cfg.URL, schemes...); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if s.tls, err = cfg.TLS.Load(); err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	if cfg.Identity == "" {
		s.writer.identity, _ = os.Hostname() // without one it stays empty
	}
	if s.target.Network == "file" {
		s.file = &file{path: s.target.Address, max: cfg.FileBytes, keep: cfg.Files, maxAge: cfg.MaxAge}
	}
	return s, nil
}

// Send writes b.
func (s *Sink) Send(ctx context.Context, b *outlet.Batch) error {
	if s.file != nil {
		return s.file.append(func(w io.Writer) error { return s.write(w, b) })
	}
	conn, err := s.target.Dial(ctx, s.tls)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // all was sent, or the batch is sent again
	if err := s.stream(conn, b); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // why the connection broke
		}
		return err
	}
	return nil
}

// stream is a whole bidirectional stream.
func (s *Sink) stream(conn io.ReadWriter, b *outlet.Batch) error {
	w, r := bufio.NewWriterSize(conn, 32<<10), bufio.NewReaderSize(conn, 1<<10)
	say := func(kind uint32, content string) error {
		if _, err := w.Write(framestream.AppendControl(nil, kind, content)); err != nil {
			return err
		}
		return w.Flush()
	}
	if err := say(framestream.Ready, framestream.Dnstap); err != nil {
		return err
	}
	if err := expect(r, framestream.Accept); err != nil {
		return err
	}
	if err := say(framestream.Start, framestream.Dnstap); err != nil {
		return err
	}
	if err := s.write(w, b); err != nil {
		return err
	}
	if err := say(framestream.Stop, ""); err != nil {
		return err
	}
	return expect(r, framestream.Finish)
}

// expect reads one control frame, which has to be of that type.
func expect(r io.Reader, want uint32) error {
	n, err := framestream.ReadLength(r)
	if err != nil {
		return err
	}
	if n != 0 {
		return fmt.Errorf("%w: data from a receiver", framestream.ErrFormat)
	}
	kind, ours, err := framestream.ReadControl(r, framestream.Dnstap)
	switch {
	case err != nil:
		return err
	case kind != want:
		return fmt.Errorf("%w: control frame %d from a receiver, want %d", framestream.ErrFormat, kind, want)
	case !ours:
		return fmt.Errorf("%w: the receiver does not take %s", framestream.ErrFormat, framestream.Dnstap)
	}
	return nil
}

// write writes the data frames of b.
func (s *Sink) write(w io.Writer, b *outlet.Batch) error {
	return b.Each(func(r outlet.Row) (err error) {
		if s.frame, err = s.writer.append(append(s.frame[:0], 0, 0, 0, 0), r); err != nil {
			return err
		}
		binary.BigEndian.PutUint32(s.frame, uint32(len(s.frame)-4))
		_, err = w.Write(s.frame)
		return err
	})
}

// Tend ends a file that is old, and removes those that are too old.
func (s *Sink) Tend() error {
	if s.file == nil {
		return nil
	}
	return s.file.tend(time.Now())
}

// Close ends the file.
func (s *Sink) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.close()
}
