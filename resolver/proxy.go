package resolver

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
)

// The PROXY protocol, version 2 (haproxy, doc/proxy-protocol.txt, section 2.2):
// a header in front of a connection, or of every datagram, that says who the
// client is. Version 1, which is text, is not taken.
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyHeader    = 16
	// maxProxyBody bounds the addresses and what follows them: the options that
	// others send take some hundred octets.
	maxProxyBody = 2048
)

var errProxy = errors.New("no PROXY header where there must be one")

// readProxy takes the header off a datagram. The client is the proxy itself
// where that speaks for nobody (LOCAL, as for health checks, and UNSPEC).
func readProxy(msg []byte, proxy netip.AddrPort) (client netip.AddrPort, rest []byte, err error) {
	size, err := proxySize(msg)
	if err != nil || size > len(msg) {
		return netip.AddrPort{}, nil, errProxy
	}
	client, err = proxyClient(msg[:size], proxy)
	return client, msg[size:], err
}

// readProxyConn takes the header off a connection, and not an octet more.
func readProxyConn(c net.Conn, proxy netip.AddrPort) (netip.AddrPort, error) {
	var buf [proxyHeader + maxProxyBody]byte
	if _, err := io.ReadFull(c, buf[:proxyHeader]); err != nil {
		return netip.AddrPort{}, err
	}
	size, err := proxySize(buf[:])
	if err != nil {
		return netip.AddrPort{}, err
	}
	if _, err := io.ReadFull(c, buf[proxyHeader:size]); err != nil {
		return netip.AddrPort{}, err
	}
	return proxyClient(buf[:size], proxy)
}

// proxySize is how long the header is with all that belongs to it.
func proxySize(b []byte) (int, error) {
	if len(b) < proxyHeader || string(b[:len(proxySignature)]) != proxySignature || b[12]>>4 != 2 {
		return 0, errProxy
	}
	n := int(binary.BigEndian.Uint16(b[14:]))
	if n > maxProxyBody {
		return 0, errProxy
	}
	return proxyHeader + n, nil
}

// proxyClient is the source address of a whole header.
func proxyClient(b []byte, proxy netip.AddrPort) (netip.AddrPort, error) {
	const local, proxied = 0, 1
	command, family, body := b[12]&0xf, b[13]>>4, b[proxyHeader:]
	switch {
	case command == local, command == proxied && family == 0:
		return proxy, nil
	case command == proxied && family == 1 && len(body) >= 12:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(body[0:4])), binary.BigEndian.Uint16(body[8:])), nil
	case command == proxied && family == 2 && len(body) >= 36:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(body[0:16])).Unmap(), binary.BigEndian.Uint16(body[32:])), nil
	}
	return netip.AddrPort{}, errProxy
}
