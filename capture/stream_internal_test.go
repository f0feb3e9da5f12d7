package capture

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// checkConn adds up what a connection holds, and holds that against its account
// and the bounds of one direction.
func checkConn(tb testing.TB, c *conn) {
	tb.Helper()
	size := int64(connCost)
	for i := range c.half {
		h := &c.half[i]
		n, octets := 0, 0
		for e := h.held; e != nil; e = e.next {
			if e.next != nil && int32(e.next.seq-e.seq) < 0 {
				tb.Fatalf("%d is held before %d", e.seq, e.next.seq)
			}
			n, octets, size = n+1, octets+len(e.data), size+int64(cap(e.data))+segmentCost
		}
		size += int64(cap(h.past) + cap(h.framing.part))
		if n != h.heldCount || octets != h.heldBytes || n > maxAheadSegments || octets > maxAhead || n > 0 && h.state != inStep {
			tb.Fatalf("%d segments of %d octets are held, %d of %d by the account, in state %d", n, octets, h.heldCount, h.heldBytes, h.state)
		}
		if len(h.framing.part) > 65535 || len(h.past) > maxPast {
			tb.Fatalf("%d octets of a message, %d read before", len(h.framing.part), len(h.past))
		}
	}
	if size != c.entry.size {
		tb.Fatalf("a connection takes %d octets; the account says %d", size, c.entry.size)
	}
}

// FuzzStreams: whatever segments come, each is counted once, and the memory
// stays within its bounds.
func FuzzStreams(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x00\x02\x10\x00\x00\x12\x30"))
	f.Add([]byte("\x00\x02\x00\x00\x00\x00\x02\xf0\x01\x00\x02\x10\x00\x00\x04\x20\x80\x10\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var n counters
		var mem slabs
		message := []byte("\x00\x1b\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01")
		octets := bytes.Repeat(message, 70000/len(message))
		emitted := 0
		table := newStreams(minStreamBytes, time.Minute, map[uint16]bool{53: true}, &n, &mem, func(d *datagram) {
			emitted++
			if len(d.payload) < leastMessage || len(d.payload) > 65535 || !d.tcp {
				t.Fatalf("a message of %d octets", len(d.payload))
			}
		})
		now := time.Unix(0, 0)
		fed := uint64(0)
		for ; len(script) >= 4; script = script[4:] {
			who, flags := script[0], script[1]
			at, size := int(script[2])*int(script[2])+int(script[3]&15), int(script[3]>>4)
			size *= size * size
			g := segment{
				src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{0, 0, 0, who >> 6}), uint16(who&31)), dst: netip.AddrPortFrom(netip.IPv4Unspecified(), 53),
				seq: uint32(at), ack: uint32(script[3]) * 256, flags: flags & 0x17, data: octets[at%len(octets):],
			}
			g.data = g.data[:min(size, len(g.data))]
			if flags&0x20 != 0 {
				g.data, g.missing = g.data[:len(g.data)/2], len(g.data)-len(g.data)/2
			}
			if flags&0x40 != 0 {
				g.data = bytes.Repeat([]byte{who}, len(g.data))
			}
			if flags&0x80 != 0 {
				now = now.Add(time.Second)
			}
			if who&32 != 0 {
				g.src, g.dst = g.dst, g.src
			}
			table.expire(now)
			fed++
			table.add(&g, now)
			checkLedger(t, &table.ledger, len(table.index))
			for e := table.ledger.all.first; e != nil; e = e.all.newer {
				checkConn(t, e.of)
			}
			if sum := n.accounted(); sum != fed {
				t.Fatalf("%d segments, %d accounted for", fed, sum)
			}
		}
		table.finish()
		if sum := n.accounted(); sum != fed || n.waiting.Load() != 0 || table.ledger.used != 0 {
			t.Fatalf("%d segments, %d accounted for, %d wait, %d octets", fed, sum, n.waiting.Load(), table.ledger.used)
		}
	})
}

// A bug in the tables costs what they hold, counted, and not what comes after.
func TestAPanicInTheTablesKeepsTheNumbersRight(t *testing.T) {
	c, err := New(DefaultConfig(), Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	// A fragment that waits, in Ethernet.
	b := []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00\x45\x00\x00\x1c\x00\x01\x20\x00\x40\x11\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x00\x35\x00\x35\x00\x64\x00\x00")
	c.first().packet(&packet{link: linkEthernet, data: b})
	if s := c.Summary(); s.Waiting != 1 {
		t.Fatalf("%+v", s)
	}
	c.first().streams = nil // what follows panics
	c.first().packet(&packet{link: linkEthernet, data: b})
	c.first().packet(&packet{link: linkEthernet, data: b[:10]})
	s := c.Summary()
	if s.Panics != 1 || s.Packets != 3 || s.Waiting != 0 || s.Drops["panic"]["recovered"] != 2 || s.Drops["link"]["short"] != 1 {
		t.Errorf("%+v", s)
	}
}
