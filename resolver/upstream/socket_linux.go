package upstream

import (
	"context"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openUDP binds a socket to local and connects it to remote. Every question
// opens one, and two thirds of what a question costs is that; net's own way
// makes five system calls more, so they are made here.
func (g *Group) openUDP(ctx context.Context, local, remote netip.AddrPort) (socket, error) {
	if remote.Addr().Zone() != "" {
		return g.dialer.DialUDP(ctx, "udp", local, remote) // link-local: net knows the interfaces
	}
	family, from, to := unix.AF_INET6, sockaddr(local), sockaddr(remote)
	if remote.Addr().Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	noPathMTU(fd, family == unix.AF_INET6)
	if err := unix.Bind(fd, from); err != nil {
		_ = unix.Close(fd) // the first error is the one to know
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.Connect(fd, to); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	// Non-blocking, so the file goes to the runtime's poller and has deadlines.
	return &fileSocket{os.NewFile(uintptr(fd), "udp"), fd}, nil
}

// fileSocket is a socket in the runtime's poller.
type fileSocket struct {
	*os.File
	fd int // while the file is open
}

// quiet says whether nothing has arrived, neither a packet nor an error.
func (s *fileSocket) quiet() bool {
	var one [1]byte
	_, _, err := unix.Recvfrom(s.fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err == unix.EAGAIN
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

// noPathMTU keeps forged ICMP "fragmentation needed" messages from making our
// own queries go out in fragments, and from leaving anything in the kernel's
// path MTU cache (RFC 9715, section 3). Answers are kept whole by their size.
// Best effort: an old kernel may not know the value.
func noPathMTU(fd int, v6 bool) {
	if v6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
		return
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
}

// dialer makes what openUDP leaves to net.
func dialer() *net.Dialer {
	return &net.Dialer{Control: func(network, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { noPathMTU(int(fd), network == "udp6") })
	}}
}
