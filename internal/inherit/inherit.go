// Package inherit takes over the sockets that a service manager opened for this
// process, as sd_listen_fds(3) tells it to: they stay open while the process is
// exchanged for another, and what clients send meanwhile waits in them.
package inherit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

const (
	firstFD = 3
	// MaxSockets is how many are taken over.
	MaxSockets = 256
)

// Sockets are those that were handed over and not taken yet. The nil *Sockets has
// none.
type Sockets struct {
	packets   []socket[*net.UDPConn]
	listeners []socket[*net.TCPListener]
}

type socket[T io.Closer] struct {
	conn T
	addr netip.AddrPort
	name string
}

// FromEnv takes over what LISTEN_FDS says, if LISTEN_PID is pid: else it is
// meant for somebody else. The variables may be forgotten then. An error means
// that a socket is of no use here; none is kept open.
func FromEnv(getenv func(string) string, pid int) (_ *Sockets, err error) {
	fds := getenv("LISTEN_FDS")
	if fds == "" || getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	n, err := strconv.Atoi(fds)
	if err != nil || n < 0 || n > MaxSockets {
		return nil, fmt.Errorf("LISTEN_FDS: must be 0 to %d, got %q", MaxSockets, fds)
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	s := &Sockets{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	for i := range n {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if err := s.take(firstFD+i, name); err != nil {
			return nil, fmt.Errorf("inherited socket %d %q: %w", i, name, err)
		}
	}
	return s, nil
}

// take makes a connection of a descriptor, which it closes: net works on a copy.
func (s *Sockets) take(fd int, name string) error {
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return os.ErrInvalid
	}
	defer f.Close()
	if c, err := net.FilePacketConn(f); err == nil {
		if u, ok := c.(*net.UDPConn); ok {
			s.packets = append(s.packets, socket[*net.UDPConn]{u, address(u.LocalAddr()), name})
			return nil
		}
		_ = c.Close() // of no use
		return errors.New("is neither UDP nor TCP")
	}
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	t, ok := l.(*net.TCPListener)
	if !ok {
		_ = l.Close() // of no use
		return errors.New("is neither UDP nor TCP")
	}
	s.listeners = append(s.listeners, socket[*net.TCPListener]{t, address(t.Addr()), name})
	return nil
}

// address is a socket's own; net writes IPv4 ones in sixteen octets.
func address(a net.Addr) (out netip.AddrPort) {
	switch a := a.(type) {
	case *net.UDPAddr:
		out = a.AddrPort()
	case *net.TCPAddr:
		out = a.AddrPort()
	}
	return netip.AddrPortFrom(out.Addr().Unmap(), out.Port())
}

// UDP takes the sockets that are bound to addr, IP:port: several may share it.
func (s *Sockets) UDP(addr string) []*net.UDPConn {
	if s == nil {
		return nil
	}
	var out []*net.UDPConn
	s.packets, out = match(s.packets, addr, MaxSockets)
	return out
}

// TCP takes a listener that is bound to addr, IP:port; nil: there is none.
func (s *Sockets) TCP(addr string) *net.TCPListener {
	if s == nil {
		return nil
	}
	var out []*net.TCPListener
	if s.listeners, out = match(s.listeners, addr, 1); len(out) == 0 {
		return nil
	}
	return out[0]
}

// match parts all in those that are left and at most limit that have addr.
func match[T io.Closer](all []socket[T], addr string, limit int) (rest []socket[T], out []T) {
	want, err := netip.ParseAddrPort(addr)
	for _, c := range all {
		if err == nil && c.addr == want && len(out) < limit {
			out = append(out, c.conn)
		} else {
			rest = append(rest, c)
		}
	}
	return rest, out
}

// Left are the addresses, and names, of the sockets that nobody took.
func (s *Sockets) Left() (out []string) {
	if s == nil {
		return nil
	}
	say := func(addr netip.AddrPort, network, name string) {
		if name != "" {
			name = " (" + name + ")"
		}
		out = append(out, addr.String()+"/"+network+name)
	}
	for _, c := range s.packets {
		say(c.addr, "udp", c.name)
	}
	for _, c := range s.listeners {
		say(c.addr, "tcp", c.name)
	}
	return out
}

// Close closes the sockets that nobody took. The service manager has its own.
func (s *Sockets) Close() {
	if s == nil {
		return
	}
	for _, c := range s.packets {
		_ = c.conn.Close() // nobody has written to it
	}
	for _, c := range s.listeners {
		_ = c.conn.Close()
	}
	s.packets, s.listeners = nil, nil
}
