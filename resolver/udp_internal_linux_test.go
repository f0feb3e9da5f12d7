package resolver

import (
	"net"
	"testing"
)

// Sockets of a service manager hold what our own do while nobody reads them,
// and keep what they hold beyond that.
func TestInheritedSocketsHoldAsMuchAsOurOwn(t *testing.T) {
	socket := func(octets int) *net.UDPConn {
		t.Helper()
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if octets > 0 {
			if err := c.SetReadBuffer(octets); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	ours := holds(socket(receiveBuffer))
	if ours == 0 {
		t.Fatal("a socket holds nothing")
	}
	small := socket(4096)
	if before := holds(small); before >= ours {
		t.Fatalf("a small socket holds %d octets, one of our own %d", before, ours)
	}
	enlarge(small)
	if got := holds(small); got != ours {
		t.Errorf("a small socket holds %d octets, want %d", got, ours)
	}
	large := socket(3 * receiveBuffer) // as much as the system allows
	before := holds(large)
	enlarge(large)
	if got := holds(large); got != before {
		t.Errorf("a large socket holds %d octets, %d before", got, before)
	}
}
