package upstream

import (
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Protocols of DNS stamps (https://dnscrypt.info/stamps-specifications).
const (
	stampPlain = 0x00
	stampDoH   = 0x02
	stampDoT   = 0x03
	stampDoQ   = 0x04
)

var errStamp = errors.New("damaged DNS stamp")

// parseStamp reads what follows sdns://. Its hashes are of certificates in the
// chain, and are wanted beside a valid chain, not instead of one.
func parseStamp(text string, hosts []HostConfig) (target, error) {
	data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(data) < 9 {
		return target{}, errStamp
	}
	s := stampReader{rest: data[9:]} // behind the protocol and eight octets of properties
	t := target{}
	switch data[0] {
	case stampPlain:
		addr, err := parseAddr(s.text(), defaultPort[overUDP])
		if err != nil || s.bad || len(s.rest) > 0 {
			return target{}, errStamp
		}
		t.addrs = []netip.AddrPort{addr}
		return t, nil
	case stampDoH:
		t.proto = overHTTPS
	case stampDoT:
		t.proto = overTLS
	case stampDoQ:
		t.proto = overQUIC
	default:
		return target{}, errors.New("a DNS stamp for neither plain DNS nor DNS over TLS, HTTPS or QUIC")
	}
	addr := s.text()
	for _, hash := range s.list() {
		if len(hash) == 32 {
			t.tbs = append(t.tbs, hash)
		} else if len(hash) > 0 {
			return target{}, errStamp
		}
	}
	host := s.text()
	if t.proto == overHTTPS {
		t.path = s.text()
	}
	if s.bad || host == "" || t.proto == overHTTPS && !strings.HasPrefix(t.path, "/") {
		return target{}, errStamp
	}
	// The port stands with the name; the address may have one of its own.
	name, port := host, strconv.Itoa(int(defaultPort[t.proto]))
	if n, p, err := net.SplitHostPort(host); err == nil {
		name, port = n, p
	}
	t.name = name
	at := net.JoinHostPort(strings.Trim(name, "[]"), port)
	if addr != "" {
		at = addr
		if strings.HasPrefix(addr, ":") {
			return target{}, errors.New("a DNS stamp without an address: give it in hosts, with the name in a tls://, https:// or quic:// server")
		}
		if _, err := netip.ParseAddr(strings.Trim(addr, "[]")); err == nil {
			at = net.JoinHostPort(strings.Trim(addr, "[]"), port)
		}
	}
	return t.located(at, hosts)
}

// stampReader takes a stamp apart: octets with their length in front.
type stampReader struct {
	rest []byte
	bad  bool
}

func (s *stampReader) take(mask byte) (value []byte, more bool) {
	if len(s.rest) == 0 {
		s.bad = true
		return nil, false
	}
	n := int(s.rest[0] & mask)
	more = s.rest[0]&^mask != 0
	if s.rest = s.rest[1:]; n > len(s.rest) {
		s.bad = true
		return nil, false
	}
	value, s.rest = s.rest[:n], s.rest[n:]
	return value, more
}

func (s *stampReader) text() string {
	v, _ := s.take(0xff)
	return string(v)
}

// list reads values of which all but the last have the top bit of their length
// set.
func (s *stampReader) list() (values [][]byte) {
	for {
		v, more := s.take(0x7f)
		values = append(values, v)
		if !more {
			return values
		}
	}
}
