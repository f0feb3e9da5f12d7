package capture

import (
	"time"
)

// packet is one record of a capture.
type packet struct {
	time time.Time
	link uint32 // LINKTYPE_ number
	data []byte // good until the next is read; shorter than the packet was if the capture cut it
}

// maxNested bounds VLAN tags, MPLS labels, IPv6 extension headers, and packets
// within packets.
const maxNested = 8

// decoder finds what is for us in a packet, below links, IP and tunnels.
type decoder struct {
	ports     map[uint16]bool
	fragments *fragments

	now  time.Time // of the packet
	left int       // packets and frames that may still come, one inside of the other

	// What was found; which of them, tcp says.
	tcp      bool
	quoting  bool // it is inside of an ICMP error, and nothing of it is to be remembered
	datagram datagram
	segment  segment
}

// decode finds the UDP datagram or the TCP segment of p on a DNS port, or says
// why there is none for us.
func (d *decoder) decode(p *packet) drop {
	d.now, d.left, d.tcp, d.quoting = p.time, maxNested, false, false
	return d.link(p.link, p.data)
}
