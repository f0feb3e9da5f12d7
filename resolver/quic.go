package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/quicdns"
)

// QUICConfig bounds what clients over QUIC may hold. It is apart from TCPConfig:
// a flood over one leaves the other its places.
type QUICConfig struct {
	// MaxConns over all listeners. Default 256.
	MaxConns int `yaml:"max_conns"`
	// MaxConnsPerClient from one IPv4 address or IPv6 /64. Default 16.
	MaxConnsPerClient int `yaml:"max_conns_per_client"`
	// MaxStreams is how many queries of one connection are worked on at once.
	// Default 32.
	MaxStreams int `yaml:"max_streams"`
	// RetryAbove is how many handshakes may be under way with clients that have
	// not shown that their address is their own: beyond it they must show that
	// first (RFC 9000, section 8.1). 0: always. Default 32.
	RetryAbove int `yaml:"retry_above"`
	// IdleTimeout closes a connection without a query. Default 10s.
	IdleTimeout time.Duration `yaml:"idle_timeout"`
}

func (c *QUICConfig) validate() error {
	var errs []error
	inRange := func(field string, got, low, high int) {
		if got < low || got > high {
			errs = append(errs, fmt.Errorf("quic.%s: must be %d to %d, got %d", field, low, high, got))
		}
	}
	inRange("max_conns", c.MaxConns, 1, 1<<16)
	inRange("max_conns_per_client", c.MaxConnsPerClient, 1, 1<<16)
	inRange("max_streams", c.MaxStreams, 1, 1<<10)
	inRange("retry_above", c.RetryAbove, 0, 1<<12)
	if c.IdleTimeout < 100*time.Millisecond || c.IdleTimeout > 10*time.Minute {
		errs = append(errs, fmt.Errorf("quic.idle_timeout: must be 100ms to 10m, got %s", c.IdleTimeout))
	}
	return errors.Join(errs...)
}

// validateQUIC is about the addresses for it.
func (c *Config) validateQUIC() error {
	var errs []error
	for i, s := range c.ListenQUIC {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			continue // said of all addresses alike
		}
		if a.Port() == 53 {
			errs = append(errs, fmt.Errorf("listen_quic[%d]: not port 53 (RFC 9250, section 4.1.1), as in %s", i, s))
		}
		for j, plain := range c.Listen {
			if plain == s && a.Port() != 0 {
				errs = append(errs, fmt.Errorf("listen_quic[%d]: %s is taken by UDP in listen[%d]", i, s, j))
			}
		}
	}
	return errors.Join(errs...)
}

// listenQUIC binds the addresses for DNS over QUIC.
func (s *Resolver) listenQUIC() error {
	for _, addr := range s.cfg.ListenQUIC {
		sockets := s.inherited.UDP(addr)
		if len(sockets) == 0 {
			pc, err := net.ListenPacket(family("udp", addr), addr)
			if err != nil {
				return fmt.Errorf("listen on %s/udp for QUIC: %w", addr, err)
			}
			sockets = []*net.UDPConn{pc.(*net.UDPConn)}
		}
		for _, c := range sockets {
			s.quic = append(s.quic, quicdns.NewServer(s.quicServer(), c))
		}
	}
	return nil
}

func (s *Resolver) quicServer() quicdns.ServerConfig {
	c := &s.cfg.QUIC
	return quicdns.ServerConfig{
		TLS:        s.cert.config(quicdns.ALPN),
		MaxStreams: c.MaxStreams, MaxQuery: maxQuery, MaxUnproven: c.RetryAbove,
		IdleTimeout: c.IdleTimeout, MessageTimeout: s.cfg.TCP.MessageTimeout,
		Allow: s.allowsQUIC, Admit: s.quicLimits.acquire, Release: s.quicLimits.release,
		Answer: s.answerQUIC,
	}
}

// allowsQUIC is asked for every datagram before it is looked at. Who speaks for
// others has no way to say so over QUIC, and would be taken for the client.
func (s *Resolver) allowsQUIC(client netip.Addr) bool {
	live := s.live.Load()
	if live.acl.allows(client) && !live.proxies.allows(client) {
		return true
	}
	s.metrics.denied.Add(1)
	return false
}

// answerQUIC answers one query (RFC 9250).
func (s *Resolver) answerQUIC(client netip.Addr, msg []byte, write func([]byte) error) error {
	if len(msg) < 2 || msg[0] != 0 || msg[1] != 0 {
		return quicdns.ErrProtocol // the ID must be 0: section 4.2.1
	}
	r := s.getRequest()
	back := make(awaited, 1)
	r.ask = detect.Query{Time: s.now(), Client: client, Transport: detect.DoQ}
	r.from = back
	if !s.serve(r, msg) {
		r = <-back // the exchange has a time-out of its own
	}
	defer s.putRequest(r)
	switch {
	case r.options.forbidden:
		return quicdns.ErrProtocol
	case len(r.out) == 0 && r.source == detect.FromPolicy:
		return nil // dropped, as elsewhere
	case len(r.out) == 0:
		return quicdns.ErrProtocol // it was no query
	}
	err := write(r.out)
	if err != nil {
		s.metrics.writeErrors.Add(1)
	}
	return err
}

// AddrsQUIC is what AddrsTLS says.
func (s *Resolver) AddrsQUIC() (out []string) {
	for _, q := range s.quic {
		out = append(out, q.Addr().String())
	}
	return out
}

// quicStats are the counts of all listeners together.
func (s *Resolver) quicStats() (sum quicdns.Stats) {
	for _, q := range s.quic {
		one := q.Stats()
		sum.Open += one.Open
		sum.Retries += one.Retries
		sum.Refused += one.Refused
		sum.Failed += one.Failed
		sum.Protocol += one.Protocol
		sum.Incomplete += one.Incomplete
	}
	return sum
}

// runQUIC runs one listener.
func runQUIC(q *quicdns.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := q.Run(ctx); err != nil {
			return fmt.Errorf("%s over QUIC: %w", q.Addr(), err)
		}
		return nil
	}
}
