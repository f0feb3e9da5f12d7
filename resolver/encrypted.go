package resolver

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/weirdns/weir/detect"
)

// listenConn binds an address for connections, unless that was done for us.
func listenConn(addr string, s *Resolver, secure *tls.Config) (*listener, error) {
	if l := s.inherited.TCP(addr); l != nil {
		return &listener{Listener: l, s: s, tls: secure}, nil
	}
	l, err := net.Listen(family("tcp", addr), addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s/tcp: %w", addr, err)
	}
	return &listener{Listener: l, s: s, tls: secure}, nil
}

func listenTCP(addr string, s *Resolver) (*tcpServer, error) {
	l, err := listenConn(addr, s, nil)
	if err != nil {
		return nil, err
	}
	return &tcpServer{listener: l, transport: detect.TCP}, nil
}

// listenEncrypted binds the addresses for TLS, HTTPS and QUIC.
func (s *Resolver) listenEncrypted() error {
	for _, addr := range s.cfg.ListenTLS {
		l, err := listenConn(addr, s, s.cert.config("dot"))
		if err != nil {
			return err
		}
		s.tcp = append(s.tcp, &tcpServer{listener: l, transport: detect.DoT})
	}
	for _, addr := range s.cfg.ListenHTTPS {
		l, err := listenConn(addr, s, s.cert.config("h2", "http/1.1"))
		if err != nil {
			return err
		}
		s.doh = append(s.doh, newDoHServer(l))
	}
	return s.listenQUIC()
}

// AddrsTLS and AddrsHTTPS are the addresses that Listen bound for DNS over TLS
// and HTTPS.
func (s *Resolver) AddrsTLS() (out []string) {
	for _, t := range s.tcp {
		if t.transport == detect.DoT {
			out = append(out, t.Addr().String())
		}
	}
	return out
}

// AddrsHTTPS is what AddrsTLS says.
func (s *Resolver) AddrsHTTPS() (out []string) {
	for _, d := range s.doh {
		out = append(out, d.Addr().String())
	}
	return out
}
