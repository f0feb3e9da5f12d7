package quicdns

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// ServerConfig bounds a Server. All of it is wanted.
type ServerConfig struct {
	TLS *tls.Config // with a certificate; what is spoken is set here
	// MaxStreams is how many queries of one connection are worked on at once.
	MaxStreams int
	// MaxQuery is the longest query, octets.
	MaxQuery int
	// MaxUnproven is how many handshakes may be under way with clients that have
	// not shown that their address is theirs. Above it they have to show that
	// first (Retry, RFC 9000, section 8.1), which costs us no memory.
	MaxUnproven int
	// IdleTimeout closes a connection on which nothing comes.
	IdleTimeout time.Duration
	// MessageTimeout is for a handshake, for a query to come whole once it began,
	// and for an answer to be taken.
	MessageTimeout time.Duration

	// Allow says whether datagrams from an address are looked at at all.
	Allow func(client netip.Addr) bool
	// Admit gives a connection of a client a place, and Release takes it back.
	// The client's address is its own by then.
	Admit   func(client netip.Addr) bool
	Release func(client netip.Addr)
	// Answer is asked for each query, in a goroutine of its own: it calls write
	// with the answer, at most once, and returns. ErrProtocol ends the
	// connection; without an answer the stream is reset.
	Answer func(client netip.Addr, query []byte, write func(answer []byte) error) error
}

// Stats are what a Server has counted since it was made.
type Stats struct {
	Open                 int    // connections
	Retries, Refused     uint64 // connections asked for proof, and refused for want of a place
	Failed               uint64 // handshakes that did not end well
	Protocol, Incomplete uint64 // connections ended for what came on them, and queries that never came whole
}

// Server answers DNS over QUIC on one socket.
type Server struct {
	cfg  ServerConfig
	conn *net.UDPConn

	unproven atomic.Int64
	open     atomic.Int64

	retries, refused, failed, protocol, incomplete atomic.Uint64
}

// NewServer makes a Server for a bound socket, which it owns.
func NewServer(cfg ServerConfig, conn *net.UDPConn) *Server {
	return &Server{cfg: cfg, conn: conn}
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Stats are the server's counts.
func (s *Server) Stats() Stats {
	return Stats{
		Open: int(s.open.Load()), Retries: s.retries.Load(), Refused: s.refused.Load(),
		Failed: s.failed.Load(), Protocol: s.protocol.Load(), Incomplete: s.incomplete.Load(),
	}
}

// Close closes the socket of a Server that will not Run, or has run.
func (s *Server) Close() { _ = s.conn.Close() } // closing twice is no harm

// Run serves until ctx ends. Queries under way get their answers.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	var key quic.StatelessResetKey
	_, _ = rand.Read(key[:]) // never fails
	tr := &quic.Transport{
		Conn:                newDoor(s.conn, s.cfg.Allow),
		StatelessResetKey:   &key,
		VerifySourceAddress: s.wantsProof,
		ConnContext:         s.let,
	}
	defer func() { _ = tr.Close() }()
	conf := s.cfg.TLS.Clone()
	conf.NextProtos, conf.MinVersion = []string{ALPN}, tls.VersionTLS13
	l, err := tr.Listen(conf, s.config())
	if err != nil {
		return err
	}
	var conns sync.WaitGroup
	for {
		c, err := l.Accept(ctx)
		if err != nil {
			break // ctx has ended, or the socket was closed
		}
		conns.Go(func() { s.serve(ctx, c) })
	}
	conns.Wait()
	_ = l.Close()
	if ctx.Err() == nil {
		return errors.New("socket for QUIC closed")
	}
	return nil
}

// config bounds what QUIC itself keeps for a connection. A query fits the
// window of its stream, and what a client sends beyond is not taken.
func (s *Server) config() *quic.Config {
	stream := uint64(2 + s.cfg.MaxQuery + 1)
	return &quic.Config{
		Versions:                       versions(),
		HandshakeIdleTimeout:           s.cfg.MessageTimeout,
		MaxIdleTimeout:                 s.cfg.IdleTimeout,
		InitialStreamReceiveWindow:     stream,
		MaxStreamReceiveWindow:         stream,
		InitialConnectionReceiveWindow: 4 * stream,
		MaxConnectionReceiveWindow:     4 * stream,
		MaxIncomingStreams:             int64(s.cfg.MaxStreams),
		MaxIncomingUniStreams:          -1,
		// A stream that was opened and reset at once counts until we are done with
		// it: else resetting is a way to have any number of them (CVE-2023-44487).
		RequireStreamCreditRelease: true,
	}
}

// wantsProof says whether a client must show that its address is its own
// before anything is kept for it.
func (s *Server) wantsProof(net.Addr) bool {
	if s.unproven.Load() < int64(s.cfg.MaxUnproven) {
		return false
	}
	s.retries.Add(1)
	return true
}

// visitor is a connection from its first packet on.
type visitor struct {
	server *Server
	client netip.Addr // whose place it has

	mu       sync.Mutex // guards all below
	proven   bool       // has shown its address
	admitted bool
	ended    bool
}

type visitorKey struct{}

// let is asked for each connection before anything is kept for it.
func (s *Server) let(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	v := &visitor{server: s, client: addrOf(info.RemoteAddr), proven: info.AddrVerified}
	if !s.cfg.Allow(v.client) {
		return nil, errors.New("not allowed")
	}
	if v.proven {
		if v.admitted = s.cfg.Admit(v.client); !v.admitted {
			s.refused.Add(1)
			return nil, errors.New("no place")
		}
	} else {
		s.unproven.Add(1)
	}
	s.open.Add(1)
	context.AfterFunc(ctx, v.end)
	return context.WithValue(ctx, visitorKey{}, v), nil
}

// arrived gives a connection whose handshake is done its place: the address is
// now known to be the client's own. False: there is none.
func (v *visitor) arrived() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return false
	}
	if !v.proven {
		v.proven = true
		v.server.unproven.Add(-1)
		if v.admitted = v.server.cfg.Admit(v.client); !v.admitted {
			v.server.refused.Add(1)
		}
	}
	return v.admitted
}

// end gives back what the connection had.
func (v *visitor) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	v.server.open.Add(-1)
	if !v.proven {
		v.server.unproven.Add(-1)
		v.server.failed.Add(1)
	}
	if v.admitted {
		v.server.cfg.Release(v.client)
	}
}

// addrOf is a client's address as all others are.
func addrOf(a net.Addr) netip.Addr {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.Addr{}
	}
	return u.AddrPort().Addr().Unmap()
}
