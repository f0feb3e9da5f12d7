package capture

import (
	"bytes"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// packet is one record of a capture.
type packet struct {
	time time.Time
	link uint32 // LINKTYPE_ number, or linkCooked
	// Of linkCooked: the EtherType of data, and the ID of the VLAN whose tag the
	// network card took off, or 0.
	proto, vlan uint16
	// data is a dnstap frame, or nil for one that was too large.
	tap  bool
	data []byte // good until the next is read; shorter than the packet was if the capture cut it
}

// Bounds of packets within packets, and of VLAN tags, MPLS labels and IPv6
// extension headers in a row.
const (
	maxNested  = 8
	maxHeaders = 16
)

// decoder finds what is for us in a packet, below links, IP and tunnels.
type decoder struct {
	ports     map[uint16]bool
	tcpPorts  map[uint16]bool             // and mDNS's, where that is read
	multicast bool                        // mDNS and LLMNR are read
	watch     bool                        // encrypted DNS is looked for
	tell      func(*encrypted, time.Time) // of it
	hellos    hellos
	anyPort   bool // whole messages on other ports are read
	fragments *fragments

	now   time.Time // of the packet
	ident uint32    // of the IP packet, so that it can be told from another with the same octets; 0 in IPv6
	net   uint32    // the virtual network that it is in, or 0: a hash of VLAN IDs and VNIs
	left  int       // packets and frames that may still come, one inside of the other

	// What was found; which of them, tcp says.
	tcp      bool
	quoting  bool   // it is inside of an ICMP error or a sample, and nothing of it is to be remembered
	further  uint64 // messages beside it that are quoted too
	datagram datagram
	segment  segment
	besides  []beside // what else the packet holds

	unstuffed []byte // scratch
	inflater  inflater
	inflated  bool // its memory is in use
	name      [dnsname.MaxWire]byte
}

// decode finds the UDP datagram or the TCP segment of p on a DNS port, or says
// why there is none for us.
func (d *decoder) decode(p *packet) drop {
	d.now, d.left, d.tcp, d.quoting, d.inflated, d.further, d.net, d.ident = p.time, maxNested, false, false, false, 0, 0, 0
	if p.link == linkCooked {
		return d.cooked(p)
	}
	return d.link(p.link, p.data)
}

// beside is a part of a packet that is decoded after the first, as if it came
// in a packet of its own.
type beside struct {
	data       []byte
	decode     func([]byte) drop
	net, ident uint32
	left       int
}

// later has a part decoded when the packet's first is dealt with. Parts do not
// overlap, so that one level of nesting holds no more octets than the packet. In
// what is quoted, the first is all that counts.
func (d *decoder) later(b []byte, decode func([]byte) drop) {
	if !d.quoting {
		d.besides = append(d.besides, beside{data: bytes.Clone(b), decode: decode, net: d.net, ident: d.ident, left: d.left})
	}
}

// next decodes the first of besides. What was inflated stays so: one packet is
// worth one inflation.
func (d *decoder) next() drop {
	const kept = 64 // for the next packet
	p := d.besides[0]
	d.besides[0] = beside{}
	if d.besides = d.besides[1:]; len(d.besides) == 0 && cap(d.besides) > kept {
		d.besides = nil
	}
	d.net, d.ident, d.left, d.tcp, d.quoting, d.further = p.net, p.ident, p.left, false, false, 0
	return p.decode(p.data)
}

// speaks says whether UDP on one of these ports is for us.
func (d *decoder) speaks(from, to uint16) bool {
	return d.ports[from] || d.ports[to] || d.multicast && (multicastPort(from) || multicastPort(to))
}

// enter notes that what follows is in a virtual network: addresses mean there
// what they mean nowhere else. ID 0 is none.
func (d *decoder) enter(id uint32) {
	if id != 0 {
		d.net = (d.net ^ id) * 0x01000193 // FNV-1's prime
	}
}
