// Package quicdns is DNS over QUIC (RFC 9250), both ends, and what asking over
// HTTP/3 needs: the one place where QUIC is spoken. It knows messages by their
// octets only; what is in them is for others.
//
// A Server holds every connection, stream and octet of its clients within
// bounds from the first datagram on. A Client asks one server over one
// connection that its questions share. Neither sends nor takes early data (0-RTT),
// which anybody could send again. New opens nothing and starts nothing.
package quicdns

import (
	"errors"

	"github.com/quic-go/quic-go"
)

// ALPN is how TLS tells DNS over QUIC from all else (RFC 9250, section 4.1.1).
const ALPN = "doq"

// Error codes of RFC 9250, section 4.3, for streams and connections alike.
const (
	codeNone        = 0x0
	codeInternal    = 0x1
	codeProtocol    = 0x2
	codeCancelled   = 0x3
	codeLoad        = 0x4
	codeUnspecified = 0x5
)

// ErrProtocol is what a handler says of a message that may not be sent over
// QUIC: it ends the connection (RFC 9250, section 4.3.3).
var ErrProtocol = errors.New("message is not allowed over QUIC")

// versions are those that are spoken: that of RFC 9000 alone.
func versions() []quic.Version { return []quic.Version{quic.Version1} }
