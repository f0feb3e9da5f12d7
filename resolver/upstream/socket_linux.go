package upstream

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// control keeps forged ICMP "fragmentation needed" messages from making our
// own queries go out in fragments, and from leaving anything in the kernel's
// path MTU cache (RFC 9715, section 3). Answers are kept whole by their size.
func control(network, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		// Best effort: an old kernel may not know the value.
		if network == "udp6" {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_OMIT)
			return
		}
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_OMIT)
	})
}

// dialer makes UDP sockets.
func dialer() *net.Dialer { return &net.Dialer{Control: control} }
