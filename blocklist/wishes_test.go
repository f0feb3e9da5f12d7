package blocklist_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
)

// wishes is what the lists' entries want of a name, each as "rule policy",
// with the addresses of local data, and "overruled" where another counts more.
func wishes(l *blocklist.Lists, name string) []string {
	var hits []blocklist.Hit
	if addr, err := netip.ParseAddr(name); err == nil {
		hits = l.Snapshot().MatchAddr(nil, addr)
	} else {
		hits = l.Snapshot().Match(nil, dnsname.MustParse(name))
	}
	var out []string
	for _, h := range hits {
		s := h.Rule + " " + policyNames[h.Policy]
		if h.Local != nil {
			s += fmt.Sprint(" ", h.Local.V4, h.Local.V6)
		}
		if h.Overruled {
			s += " overruled"
		}
		out = append(out, s)
	}
	return out
}

var policyNames = map[blocklist.Policy]string{
	blocklist.AsList: "as list", blocklist.NXDOMAIN: "nxdomain", blocklist.NODATA: "nodata",
	blocklist.Refuse: "refuse", blocklist.Drop: "drop", blocklist.TCPOnly: "tcp only",
	blocklist.LocalData: "local", blocklist.Passthru: "passthru",
}

func wantWishes(t *testing.T, l *blocklist.Lists, name string, want ...string) {
	t.Helper()
	if got := wishes(l, name); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}
