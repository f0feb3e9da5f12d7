package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/weirdns/weir/internal/dnsname"
)

// Ports of encrypted DNS: DoT and DoQ (RFC 7858, RFC 9250), DoH (RFC 8484).
const (
	portDoT = 853
	portDoH = 443
)

// The first octets of TLS records and of their messages (RFC 8446, sections 5.1
// and 4), and of server_name (RFC 6066, section 3).
const (
	tlsHandshake   = 22
	tlsClientHello = 1
	tlsServerName  = 0
	tlsHostName    = 0
	tlsRecord      = 5
)

// sighting of a flow that may be encrypted DNS.
type encrypted struct {
	client, server netip.AddrPort
	udp            bool
	sni            []byte // of the packet; empty if there is none in it
}

// hello notes the begin of a TLS connection to a port of encrypted DNS, and what
// follows it as long as the name is not there. seq is that of the payload.
func (d *decoder) hello(from, to uint16, seq uint32, payload []byte, a addresses) {
	if !d.watch || to != portDoT && to != portDoH || len(payload) == 0 {
		return
	}
	client, server := netip.AddrPortFrom(a.src, from), netip.AddrPortFrom(a.dst, to)
	if len(payload) <= tlsRecord || payload[0] != tlsHandshake || payload[tlsRecord] != tlsClientHello {
		if h := d.hellos.find(client, server, false); h != nil {
			h.add(int(int32(seq-h.first)), payload)
			d.hellos.settle(h, d.tell)
		}
		return
	}
	if d.hellos.find(client, server, false) != nil { // again
		return
	}
	h := d.hellos.begin(client, server, false, d.now, d.tell)
	h.first = seq + tlsRecord
	h.add(0, payload[tlsRecord:])
	d.hellos.settle(h, d.tell)
}

// quic notes the begin of a QUIC connection there: a long header (RFC 9000,
// section 17.2). The name is in what everybody on the way can decrypt; where it
// cannot be read, the connection is told without.
func (d *decoder) quic(from, to uint16, payload []byte, a addresses) {
	if !d.watch || to != portDoT && to != portDoH || len(payload) < 7 || payload[0]&0xc0 != 0xc0 {
		return
	}
	client, server := netip.AddrPortFrom(a.src, from), netip.AddrPortFrom(a.dst, to)
	p, otherType, err := readInitial(payload)
	if otherType { // behind an Initial
		return
	}
	var frames []byte
	if err == nil {
		frames, err = p.open()
	}
	h := d.hellos.find(client, server, true)
	if err != nil {
		if h == nil {
			d.tell(&encrypted{client: client, server: server, udp: true}, d.now)
		}
		return
	}
	cryptoFrames(frames, func(off int, data []byte) {
		if h == nil {
			h = d.hellos.begin(client, server, true, d.now, d.tell)
		}
		h.add(off, data)
	})
	if h != nil {
		d.hellos.settle(h, d.tell)
	}
}

// serverName is the name that the body of a ClientHello asks for, as far as it
// is there (RFC 8446, section 4.1.2), or nil.
func serverName(b []byte) []byte {
	const random = 2 + 32
	if len(b) < random {
		return nil
	}
	b = b[random:]
	for _, size := range [3]int{1, 2, 1} { // session ID, cipher suites, compression
		if b = skipVector(b, size); b == nil {
			return nil
		}
	}
	if len(b) < 2 {
		return nil
	}
	for b = b[2:]; len(b) >= 4; {
		kind, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		body := b[4:min(len(b), 4+size)]
		if kind == tlsServerName {
			if len(body) < 5 || body[2] != tlsHostName || len(body)-5 < int(binary.BigEndian.Uint16(body[3:])) {
				return nil
			}
			name := body[5 : 5+int(binary.BigEndian.Uint16(body[3:]))]
			if len(name) > dnsname.MaxText {
				return nil
			}
			return name
		}
		b = b[len(body)+4:]
	}
	return nil
}

// skipVector passes over a vector whose length is in size octets.
func skipVector(b []byte, size int) []byte {
	if len(b) < size {
		return nil
	}
	n := int(b[0])
	if size == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	if len(b) < size+n {
		return nil
	}
	return b[size+n:]
}
