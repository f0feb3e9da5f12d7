//go:build !linux

package upstream

import (
	"context"
	"net"
	"net/netip"
)

// openUDP binds a socket to local and connects it to remote.
func (g *Group) openUDP(ctx context.Context, local, remote netip.AddrPort) (socket, error) {
	return g.dialer.DialUDP(ctx, "udp", local, remote)
}

// dialer makes UDP sockets.
func dialer() *net.Dialer { return &net.Dialer{} }
