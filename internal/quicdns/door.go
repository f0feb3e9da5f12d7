package quicdns

import (
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
)

// door is a socket behind which only datagrams from clients that are allowed
// are seen: all others are gone before an octet of them is looked at.
type door struct {
	*net.UDPConn
	batch *ipv4.PacketConn // reads IPv6 just as well
	allow func(netip.Addr) bool
}

func newDoor(c *net.UDPConn, allow func(netip.Addr) bool) *door {
	return &door{UDPConn: c, batch: ipv4.NewPacketConn(c), allow: allow}
}

// ReadBatch is how QUIC reads where there is recvmmsg. It reads at least one
// datagram from somebody who is allowed.
func (d *door) ReadBatch(ms []ipv4.Message, flags int) (int, error) {
	for {
		n, err := d.batch.ReadBatch(ms, flags)
		if err != nil {
			return 0, err
		}
		if n = d.keep(ms[:n]); n > 0 {
			return n, nil
		}
	}
}

// keep moves what is allowed to the front. Each message keeps its own buffers:
// the reader knows them by their place.
func (d *door) keep(ms []ipv4.Message) (n int) {
	for i := range ms {
		if !d.allow(addrOf(ms[i].Addr)) {
			continue
		}
		if n != i {
			copy(ms[n].Buffers[0], ms[i].Buffers[0][:ms[i].N])
			copy(ms[n].OOB, ms[i].OOB[:ms[i].NN])
			ms[n].Addr, ms[n].N, ms[n].NN, ms[n].Flags = ms[i].Addr, ms[i].N, ms[i].NN, ms[i].Flags
		}
		n++
	}
	return n
}

// ReadFrom is how it reads elsewhere.
func (d *door) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := d.UDPConn.ReadFrom(b)
		if err != nil || d.allow(addrOf(from)) {
			return n, from, err
		}
	}
}
