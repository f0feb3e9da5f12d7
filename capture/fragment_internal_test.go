package capture

import (
	"net/netip"
	"testing"
	"time"
)

// checkLedger adds up what a table holds, and holds that against its account
// and its bound.
func checkLedger[T any](tb testing.TB, l *ledger[T], indexed int) {
	tb.Helper()
	var used int64
	n := 0
	by := map[netip.Addr]int64{}
	for e := l.all.first; e != nil; e = e.all.newer {
		used += e.size
		by[e.by.addr] += e.size
		n++
	}
	if used != l.used || n != indexed || len(by) != len(l.sources) {
		tb.Fatalf("%d octets in %d entries of %d sources; the account says %d, %d, %d", used, n, len(by), l.used, indexed, len(l.sources))
	}
	if used > l.max {
		tb.Fatalf("%d octets, more than %d", used, l.max)
	}
	for addr, used := range by {
		if l.sources[addr].used != used || used > l.max/sourceShare {
			tb.Fatalf("%d octets of %v; its account says %d, its share is %d", used, addr, l.sources[addr].used, l.max/sourceShare)
		}
	}
}

// FuzzFragments: whatever fragments come, each is counted once, and the memory
// stays within its bound.
func FuzzFragments(f *testing.F) {
	f.Add([]byte("\x00\x00\x08\x01\x00\x01\x08\x00"))
	f.Add([]byte("\x00\x01\x08\x00\x00\x00\x08\x01\x01\x00\xff\x01\x01\x10\xff\x01"))
	f.Fuzz(func(t *testing.T, script []byte) {
		var n counters
		var s slabs
		table := newFragments(minFragmentBytes, 30*time.Second, &n, &s)
		now := time.Unix(0, 0)
		fed, dropped, whole := uint64(0), uint64(0), uint64(0)
		for ; len(script) >= 4; script = script[4:] {
			who, at, size, flags := script[0], int(script[1]), int(script[2]), script[3]
			key := fragmentKey{src: netip.AddrFrom4([4]byte{0, 0, 0, who >> 6}), id: uint32(who & 63)}
			g := fragment{offset: at * 8 * int(1+flags>>6), length: size * 8, more: flags&1 != 0, proto: protoUDP}
			g.data = make([]byte, g.length)
			if flags&2 != 0 {
				g.data = g.data[:len(g.data)/2]
			}
			if flags&4 != 0 && len(g.data) > 0 {
				g.data[0] = 1
			}
			if flags&8 != 0 {
				now = now.Add(time.Second)
			}
			table.expire(now)
			fed++
			b, _, why := table.add(key, g, now, func(uint8, []byte) drop {
				if flags&16 != 0 {
					return dropUDPOther
				}
				return 0
			})
			switch {
			case why == 0:
				whole++
				if len(b) == 0 || len(b) > maxIPPayload {
					t.Fatalf("a datagram of %d octets", len(b))
				}
			case why != counted:
				dropped++
				n.drop(why)
			}
			checkLedger(t, &table.ledger, len(table.index))
			if sum := n.accounted() + whole; sum != fed {
				t.Fatalf("%d fragments, %d accounted for", fed, sum)
			}
		}
		table.finish()
		if sum := n.accounted() + whole; sum != fed || n.waiting.Load() != 0 || table.ledger.used != 0 {
			t.Fatalf("%d fragments, %d accounted for, %d wait, %d octets", fed, sum, n.waiting.Load(), table.ledger.used)
		}
	})
}
