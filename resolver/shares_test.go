package resolver

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/weirdns/weir/internal/dnsname"
)

// take asks for n slots and says how many were given, and the last reason
// against one.
func take(s *shares, n int, client, name string) (got int, last admission) {
	for range n {
		why := s.enter(s.of(netip.MustParseAddr(client), dnsname.MustParse(name)))
		if why == admitted {
			got++
		} else {
			last = why
		}
	}
	return got, last
}

func TestNoClientAndNoDomainKeepsTheOthersOut(t *testing.T) {
	for _, c := range []struct {
		what                   string
		greedyClient, greedy   string
		others                 func(i int) (client, name string)
		why                    admission
		alone, besides, theirs int
	}{
		{"a domain", "10.0.0.1", "%d.junk.co.uk", func(i int) (string, string) {
			return "10.0.0.1", fmt.Sprintf("www.good%d.co.uk", i)
		}, domainShare, 300, 0, 40},
		{"a client network", "10.0.0.1", "www.%d.example", func(i int) (string, string) {
			return fmt.Sprintf("10.0.%d.1", 1+i), "www.example.com"
		}, clientShare, 350, 0, 40},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newShares(400, dnsname.DefaultSuffixes())
			alone := 0
			var last admission
			for i := range 1000 {
				n, why := take(s, 1, c.greedyClient, fmt.Sprintf(c.greedy, i))
				if alone += n; n == 0 {
					last = why
				}
			}
			if alone != c.alone || last != c.why {
				t.Errorf("alone it got %d of 400 slots and then %v, want %d and %v", alone, last, c.alone, c.why)
			}
			theirs := 0
			for i := range c.theirs {
				client, name := c.others(i)
				n, _ := take(s, 1, client, name)
				theirs += n
			}
			if theirs != c.theirs {
				t.Errorf("the others got %d slots, want all %d that they asked for", theirs, c.theirs)
			}
			if n, why := take(s, 1, c.greedyClient, fmt.Sprintf(c.greedy, 0)); n != 0 || why != c.why {
				t.Errorf("beside others it got %d more slots (%v), want none", n, why)
			}
		})
	}
}

func TestAQuarterForEachUnderPressure(t *testing.T) {
	s := newShares(400, nil)
	take(s, 100, "10.0.0.1", "a.one.example")
	take(s, 100, "10.0.1.1", "a.two.example")
	if got, why := take(s, 10, "10.0.0.1", "a.three.example"); got != 0 || why != clientShare {
		t.Errorf("a client with a quarter got %d more (%v), want none", got, why)
	}
	if got, why := take(s, 10, "10.0.2.1", "b.one.example"); got != 0 || why != domainShare {
		t.Errorf("a domain with a quarter got %d more (%v), want none", got, why)
	}
	if got, _ := take(s, 10, "10.0.2.1", "a.three.example"); got != 10 {
		t.Errorf("somebody new got %d, want 10", got)
	}
	if got, why := take(s, 1000, "10.0.3.1", "a.four.example"); got != 100 || why != domainShare {
		t.Errorf("one more got %d (%v), want a quarter", got, why)
	}
}

func TestSlotsComeBack(t *testing.T) {
	s := newShares(8, nil)
	h := s.of(netip.MustParseAddr("2001:db8::1"), dnsname.MustParse("www.example.com"))
	for range 100 {
		if why := s.enter(h); why != admitted {
			t.Fatalf("a free slot was not given: %v", why)
		}
		s.leave(h)
	}
	if s.taken() != 0 || len(s.clients) != 0 || len(s.domains) != 0 {
		t.Errorf("when all have left, %d slots, %d clients and %d domains stay", s.taken(), len(s.clients), len(s.domains))
	}
	// One customer's network is one client, whatever address it uses next.
	if o := s.of(netip.MustParseAddr("2001:db8:0:ff::2"), dnsname.MustParse("ftp.example.com")); o != h {
		t.Errorf("two addresses of a /56 and two names of a domain are %v and %v, want one share", o, h)
	}
}
