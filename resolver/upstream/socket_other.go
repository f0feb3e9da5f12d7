//go:build !linux

package upstream

import "net"

// dialer makes UDP sockets.
func dialer() *net.Dialer { return &net.Dialer{} }
