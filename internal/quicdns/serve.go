package quicdns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// settle is how long the last answers have to leave before a connection is
// closed at the end: closing does not wait for what is queued.
const settle = 100 * time.Millisecond

// serve takes the queries of one connection until it or ctx ends.
func (s *Server) serve(ctx context.Context, c *quic.Conn) {
	v, ok := c.Context().Value(visitorKey{}).(*visitor)
	if !ok || !v.arrived() {
		_ = c.CloseWithError(codeLoad, "")
		return
	}
	var active atomic.Int64
	var idle *time.Timer
	// QUIC's own time-out is about packets, and a client may send those for ever.
	idle = time.AfterFunc(s.cfg.IdleTimeout, func() {
		if active.Load() > 0 {
			idle.Reset(s.cfg.IdleTimeout)
			return
		}
		_ = c.CloseWithError(codeNone, "")
	})
	defer idle.Stop()
	var streams sync.WaitGroup
	for {
		st, err := c.AcceptStream(ctx)
		if err != nil {
			break
		}
		active.Add(1)
		idle.Reset(s.cfg.IdleTimeout)
		streams.Go(func() {
			defer active.Add(-1)
			defer st.ReleaseStreamCredit()
			s.stream(c, st)
		})
	}
	streams.Wait()
	if ctx.Err() != nil && c.Context().Err() == nil {
		t := time.NewTimer(settle)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.Context().Done():
		}
	}
	_ = c.CloseWithError(codeNone, "")
}

// stream takes the one query of a stream and answers it.
func (s *Server) stream(c *quic.Conn, st *quic.Stream) {
	// Whatever happens, nothing of the stream stays open.
	defer st.CancelRead(codeNone)
	client := addrOf(c.RemoteAddr()) // it may have moved, and has shown that it is there
	if !client.IsValid() || !s.cfg.Allow(client) {
		_ = c.CloseWithError(codeUnspecified, "")
		return
	}
	query, err := s.read(st)
	switch {
	case errors.Is(err, ErrProtocol):
		s.violated(c)
		return
	case err != nil:
		// Reset by the client, or too slow: RFC 9250, section 4.2, lets us give
		// up on streams whose end does not come.
		s.incomplete.Add(1)
		st.CancelWrite(codeCancelled)
		return
	}
	s.answer(c, st, client, query)
}

// violated ends a connection on which came what must not.
func (s *Server) violated(c *quic.Conn) {
	s.protocol.Add(1)
	_ = c.CloseWithError(codeProtocol, "")
}

// read reads a query with its length in front and nothing behind it.
func (s *Server) read(st *quic.Stream) ([]byte, error) {
	if err := st.SetReadDeadline(time.Now().Add(s.cfg.MessageTimeout)); err != nil {
		return nil, err
	}
	var size [2]byte
	if _, err := io.ReadFull(st, size[:]); err != nil {
		return nil, cut(err)
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > s.cfg.MaxQuery {
		return nil, ErrProtocol // more than any query has, and it would not fit the window
	}
	query := make([]byte, n)
	if _, err := io.ReadFull(st, query); err != nil {
		return nil, cut(err)
	}
	// One query a stream, and then its end.
	switch k, err := st.Read(make([]byte, 1)); {
	case k > 0:
		return nil, ErrProtocol
	case err == nil, errors.Is(err, io.EOF):
		return query, nil
	default:
		return nil, err
	}
}

// cut tells a stream that ended too early, which is against the protocol (RFC
// 9250, section 4.3.3), from one that broke.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrProtocol
	}
	return err
}

func (s *Server) answer(c *quic.Conn, st *quic.Stream, client netip.Addr, query []byte) {
	written := false
	err := s.cfg.Answer(client, query, func(answer []byte) error {
		written = true
		if err := st.SetWriteDeadline(time.Now().Add(s.cfg.MessageTimeout)); err != nil {
			return err
		}
		framed := make([]byte, 0, 2+len(answer))
		framed = binary.BigEndian.AppendUint16(framed, uint16(len(answer)))
		_, err := st.Write(append(framed, answer...))
		return err
	})
	switch {
	case errors.Is(err, ErrProtocol):
		s.violated(c)
	case err != nil:
		st.CancelWrite(codeInternal) // half an answer, at most
	case !written:
		st.CancelWrite(codeUnspecified)
	default:
		_ = st.Close() // sends the end; fails only where all is over anyway
	}
}
