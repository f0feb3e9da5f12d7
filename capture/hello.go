package capture

import (
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	// maxHello is the longest ClientHello that is put together. Those with keys
	// against quantum computers have some 1,800 octets.
	maxHello = 8 << 10
	// maxHellos bounds those in the making; the oldest goes first, told without
	// a name.
	maxHellos = 64
	// helloTime is how long the rest may take, in the time of the packets.
	helloTime = 2 * time.Second
	// helloHeader is in front of a handshake message: type and length.
	helloHeader = 4
)

// hello is a ClientHello whose rest is in packets to come.
type hello struct {
	client, server netip.AddrPort
	udp            bool
	at             time.Time
	first          uint32 // TCP: sequence number of data's first octet
	data           [maxHello]byte
	have           [maxHello]bool
}

// add takes the octets at an offset, as far as there is room.
func (h *hello) add(off int, b []byte) {
	if off < 0 || off >= maxHello {
		return
	}
	n := copy(h.data[off:], b)
	for i := range n {
		h.have[off+i] = true
	}
}

// name is the server name, and whether more could change that.
func (h *hello) name() (sni []byte, done bool) {
	n := 0
	for n < maxHello && h.have[n] {
		n++
	}
	b := h.data[:n]
	if n < helloHeader {
		return nil, false
	}
	if b[0] != tlsClientHello {
		return nil, true
	}
	whole := int(binary.BigEndian.Uint32(b)&0xffffff) + helloHeader
	sni = serverName(b[helloHeader:])
	return sni, sni != nil || n >= min(whole, maxHello)
}

// hellos are the ClientHellos in the making, the oldest first.
type hellos struct {
	waiting []*hello
	spare   []*hello
}

// find is the one of a connection, or nil.
func (s *hellos) find(client, server netip.AddrPort, udp bool) *hello {
	for _, h := range s.waiting {
		if h.client == client && h.server == server && h.udp == udp {
			return h
		}
	}
	return nil
}

// begin is a new one. If there are too many, the oldest is handed to tell.
func (s *hellos) begin(client, server netip.AddrPort, udp bool, at time.Time, tell func(*encrypted, time.Time)) *hello {
	if len(s.waiting) == maxHellos {
		s.give(0, tell)
	}
	h := new(hello)
	if n := len(s.spare); n > 0 {
		h, s.spare = s.spare[n-1], s.spare[:n-1]
		h.have = [maxHello]bool{}
	}
	h.client, h.server, h.udp, h.at = client, server, udp, at
	s.waiting = append(s.waiting, h)
	return h
}

// give tells of the one at i, with its name if there is one, and forgets it.
func (s *hellos) give(i int, tell func(*encrypted, time.Time)) {
	h := s.waiting[i]
	sni, _ := h.name()
	tell(&encrypted{client: h.client, server: h.server, udp: h.udp, sni: sni}, h.at)
	s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
	s.spare = append(s.spare, h)
}

// settle tells of h if it is whole.
func (s *hellos) settle(h *hello, tell func(*encrypted, time.Time)) {
	if _, done := h.name(); !done {
		return
	}
	for i := range s.waiting {
		if s.waiting[i] == h {
			s.give(i, tell)
			return
		}
	}
}

// expire tells of those whose rest did not come. A jump back in time is as in
// pairs.expired.
func (s *hellos) expire(now time.Time, tell func(*encrypted, time.Time)) {
	for len(s.waiting) > 0 && now.Sub(s.waiting[0].at).Abs() >= helloTime {
		s.give(0, tell)
	}
}

// finish tells of all.
func (s *hellos) finish(tell func(*encrypted, time.Time)) {
	for len(s.waiting) > 0 {
		s.give(0, tell)
	}
}
