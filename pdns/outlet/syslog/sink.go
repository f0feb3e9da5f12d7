package syslog

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/privacy"
)

// Sink sends messages. Each batch has a connection of its own: syslog has no word
// for "I have it", and a receiver that closes after the sender has done so has.
type Sink struct {
	cfg      Config
	target   outlet.Target
	tls      *tls.Config
	lines    *pdns.Lines
	facility int
	sender   string // HOSTNAME, APP-NAME and PROCID of all messages
	msg      []byte // scratch
}

// New reads the files that the configuration names. It connects to nobody.
func New(cfg Config, client *privacy.Guard) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sink{cfg: cfg, lines: pdns.NewLines(cfg.Format, client, nil), facility: slices.Index(facilities, cfg.Facility)}
	var err error
	if s.target, err = outlet.ParseTarget(cfg.URL, schemes...); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	if s.tls, err = cfg.TLS.Load(); err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	host := cfg.Hostname
	if host == "" {
		if host, err = os.Hostname(); err != nil || !printable(host, 255) {
			host = "-" // as RFC 5424 writes what is not known
		}
	}
	s.sender = " " + host + " " + cfg.AppName + " - "
	return s, nil
}

// errLong is why a row is refused.
var errLong = errors.New("a message is longer than max_message_bytes")

// Send writes b, a message a row.
func (s *Sink) Send(ctx context.Context, b *outlet.Batch) error {
	conn, err := s.target.Dial(ctx, s.tls)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // all was sent, or the batch is sent again
	long, err := s.write(conn, b)
	if err == nil {
		err = s.confirm(ctx, conn)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err() // why the connection broke
	case err != nil:
		return err
	case long > 0:
		return &outlet.Refused{Rows: long, Err: errLong}
	}
	return nil
}

// datagrams says whether each message is a datagram.
func (s *Sink) datagrams() bool { return s.target.Network == "udp" || s.target.Network == "unixgram" }

// write writes the messages of b, and says how many rows are too long for one.
func (s *Sink) write(conn *outlet.Conn, b *outlet.Batch) (long int, err error) {
	stream := bufio.NewWriterSize(conn, 32<<10)
	var count [24]byte
	err = b.Each(func(r outlet.Row) error {
		s.msg = s.append(s.msg[:0], r)
		switch {
		case len(s.msg) > s.cfg.MaxMessageBytes:
			long++
			return nil
		case s.datagrams():
			_, err := conn.Write(s.msg)
			return err
		}
		// What is wrong with the stream stays with the writer.
		_, _ = stream.Write(append(strconv.AppendInt(count[:0], int64(len(s.msg)), 10), ' '))
		_, err := stream.Write(s.msg)
		return err
	})
	if err == nil {
		err = stream.Flush()
	}
	return long, err
}

// confirm waits until the receiver has read all: then it closes its side. One that
// breaks the connection instead may not have.
func (s *Sink) confirm(ctx context.Context, conn *outlet.Conn) error {
	if s.datagrams() || !s.cfg.Confirm {
		return nil
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, io.LimitReader(conn, 64<<10))
	if err == nil && n == 64<<10 {
		err = errors.New("the receiver talks, which no syslog receiver does")
	}
	if err == nil {
		err = conn.Acknowledged(ctx)
	}
	return err
}

// append appends the message of a row (RFC 5424, section 6).
func (s *Sink) append(dst []byte, r outlet.Row) []byte {
	const warning, informational = 4, 6
	severity, kind := informational, "dns"
	if outlet.Detection(r.Transaction) {
		severity, kind = warning, "detection"
	}
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(s.facility*8+severity), 10)
	dst = append(dst, ">1 "...)
	if at := r.Query.Time.UTC(); at.Year() < 0 || at.Year() > 9999 {
		dst = append(dst, '-')
	} else {
		dst = at.AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	}
	dst = append(dst, s.sender...)
	dst = append(dst, kind...)
	id := r.ID.String()
	dst = append(append(append(dst, " ["...), s.cfg.DataID...), ` weir_id="`...)
	dst = append(append(dst, id...), `"] `...)
	if s.cfg.Format.JSON() {
		return s.lines.AppendIdentified(dst, id, r.Transaction)
	}
	return bytes.TrimSuffix(s.lines.Append(dst, r.Transaction), []byte("\n"))
}

// Close does nothing: no connection outlives its batch.
func (s *Sink) Close() error { return nil }
