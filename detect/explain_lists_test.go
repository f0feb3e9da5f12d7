package detect_test

import (
	"net/netip"
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
)

// A rule about a client blocks, and its network is in no record.
func TestRulesAboutClientsKeepThemOutOfRecords(t *testing.T) {
	d := newDetector(t, setup{noModel: true, lists: []blocklist.Config{
		{Name: "zone", Format: blocklist.FormatRPZ, Inline: []string{"32.7.0.0.10.rpz-client-ip CNAME ."}},
	}})
	q := query("www.example.com")
	q.Client = netip.MustParseAddr("10.0.0.7")
	var v detect.Verdict
	d.Inspect(q, &v)
	if got := brief(&v); got != "blocklist nxdomain enforce zone/client/client" {
		t.Errorf("%s; want the client's rule without its address", got)
	}
	group, matches := d.ExplainLists(q)
	if group != "" || len(matches) != 1 || matches[0].Effect != detect.EffectEnforce {
		t.Errorf("ExplainLists = %q, %+v", group, matches)
	}
	q.Client = netip.MustParseAddr("10.0.0.8")
	if d.Inspect(q, &v); v.Blocks() {
		t.Errorf("another client: %s", brief(&v))
	}
}
