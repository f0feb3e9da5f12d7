package detect_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
)

// A policy zone, a list for browsers with exceptions, and a plain list.
func ownActions() []blocklist.Config {
	return []blocklist.Config{
		{Name: "rpz", Format: blocklist.FormatRPZ, Inline: []string{
			"nx.example.net CNAME .", "nodata.example.net CNAME *.", "drop.example.net CNAME rpz-drop.", "tcp.example.net CNAME rpz-tcp-only.",
			"garden.example.net A 192.0.2.80", "garden.example.net AAAA 2001:db8::80", "zero.example.net A 0.0.0.0",
			"*.wild.example.net CNAME .", "ok.wild.example.net CNAME rpz-passthru.", "both.example.net CNAME rpz-passthru.",
			"32.9.113.0.203.rpz-ip CNAME ."}},
		{Name: "ads", Format: blocklist.FormatAdblock, Inline: []string{
			"||ads.example.org^", "@@||good.ads.example.org^", "||must.good.ads.example.org^$important", "@@||fine.example.org^", "||both.example.net^"}},
		{Name: "unbound", Format: blocklist.FormatUnbound, Inline: []string{`local-zone: "refuse.example.net" always_refuse`}},
		inline("plain", blocklist.Block, "good.ads.example.org", "fine.example.org"),
		inline("allow", blocklist.Allow, "allowed.nx.example.net", "allowed.must.good.ads.example.org"),
	}
}

func TestEntriesActAsTheyWantUnlessTheListSaysOtherwise(t *testing.T) {
	explicit := detect.DefaultListPolicy()
	explicit.Action = "refuse"
	configured := map[string]detect.ListPolicy{"rpz": explicit, "ads": explicit, "unbound": explicit, "plain": explicit, "allow": explicit}
	for _, c := range []struct{ name, want, configured string }{
		{"nx.example.net", "nxdomain", "refuse"},
		{"nodata.example.net", "nodata", "refuse"},
		{"drop.example.net", "drop", "refuse"},
		{"tcp.example.net", "truncate", "refuse"},
		{"garden.example.net", "sinkhole [192.0.2.80] [2001:db8::80]", "refuse"},
		{"zero.example.net", "zero_ip", "refuse"},
		{"x.wild.example.net", "nxdomain", "refuse"},
		{"refuse.example.net", "refuse", "refuse"},
		{"ads.example.org", "zero_ip", "refuse"},
	} {
		for what, policies := range map[string]map[string]detect.ListPolicy{c.want: nil, c.configured: configured} {
			v := inspect(newDetector(t, setup{lists: ownActions(), policies: policies, noModel: true}), c.name)
			got := v.Action.String()
			if v.Action == detect.Sinkhole {
				got += fmt.Sprint(" ", v.Answer.V4, " ", v.Answer.V6)
			}
			if got != what || !v.Blocks() || v.Answer == nil || v.Answer.TTL == 0 {
				t.Errorf("%s: %s (%s, %+v), want %s", c.name, got, brief(v), v.Answer, what)
			}
		}
	}
}

func TestAnExceptionIsOneOfItsListOnly(t *testing.T) {
	d := newDetector(t, setup{lists: ownActions(), noModel: true})
	for _, c := range []struct{ what, name, want string }{
		{"a longer passthru", "ok.wild.example.net", "none pass monitor rpz/@@ok.wild.example.net/qname rpz/*.wild.example.net/qname"},
		{"the exception is one of ads, and plain blocks", "good.ads.example.org",
			"blocklist zero_ip enforce ads/@@good.ads.example.org/qname ads/ads.example.org/qname plain/good.ads.example.org/qname"},
		{"an exception without a block, and another list", "fine.example.org", "blocklist zero_ip enforce ads/@@fine.example.org/qname plain/fine.example.org/qname"},
		{"passed by one list and blocked by another", "both.example.net", "blocklist zero_ip enforce rpz/@@both.example.net/qname ads/both.example.net/qname"},
		{"important beats the exception", "must.good.ads.example.org",
			"blocklist zero_ip enforce ads/must.good.ads.example.org/qname ads/@@good.ads.example.org/qname ads/ads.example.org/qname plain/good.ads.example.org/qname"},
		{"allow beats important", "allowed.must.good.ads.example.org",
			"allowlist pass monitor ads/must.good.ads.example.org/qname ads/@@good.ads.example.org/qname ads/ads.example.org/qname plain/good.ads.example.org/qname allow/allowed.must.good.ads.example.org/qname"},
		{"nothing of the zone below an exact rule", "allowed.nx.example.net", "allowlist pass monitor allow/allowed.nx.example.net/qname"},
	} {
		if got := brief(inspect(d, c.name)); got != c.want {
			t.Errorf("%s: %s: %s; want %s", c.what, c.name, got, c.want)
		}
	}
}

func TestAnswersMeetEntriesWithActionsOfTheirOwn(t *testing.T) {
	for _, c := range []struct{ record, want string }{
		{"www.example.com. 1 CNAME nodata.example.net.", "blocklist nodata enforce rpz/nodata.example.net/cname"},
		{"www.example.com. 1 CNAME ok.wild.example.net.", "none pass monitor rpz/@@ok.wild.example.net/cname rpz/*.wild.example.net/cname"},
		{"www.example.com. 1 A 203.0.113.9", "blocklist nxdomain enforce rpz/203.0.113.9/address"},
	} {
		d := newDetector(t, setup{lists: ownActions(), noModel: true, change: func(c *detect.Config) { c.Answers.Address = detect.ModeEnforce }})
		var v detect.Verdict
		q := query("www.example.com")
		d.Inspect(q, &v)
		d.InspectAnswer(q, answer(t, c.record), &v)
		if got := brief(&v); got != c.want {
			t.Errorf("%s: %s; want %s", c.record, got, c.want)
		}
	}
}

// One allocation for an answer with addresses of an entry's own, which is
// shared with whoever records it; none for the rest.
func TestEntriesWithActionsAllocate(t *testing.T) {
	d := newDetector(t, setup{lists: ownActions(), noModel: true})
	v := detect.Verdict{Matches: make([]detect.Match, 0, 8)}
	for name, want := range map[string]float64{"nx.example.net": 0, "must.good.ads.example.org": 0, "garden.example.net": 1} {
		q := query(name)
		if got := testing.AllocsPerRun(100, func() { d.Inspect(q, &v) }); got != want {
			t.Errorf("%s: %v allocations, want %v", name, got, want)
		}
	}
}

// A policy zone may say something of a client, whatever it asks for.
func TestClientsOfAPolicyZone(t *testing.T) {
	d := newDetector(t, setup{noModel: true, lists: []blocklist.Config{{Name: "rpz", Format: blocklist.FormatRPZ, Inline: []string{
		"24.0.100.51.198.rpz-client-ip CNAME .", "32.9.100.51.198.rpz-client-ip CNAME rpz-passthru.", "bad.example CNAME *."}}}})
	for _, c := range []struct{ client, name, want string }{
		{"198.51.100.7", "ok.example", "blocklist nxdomain enforce rpz/client/client"},
		{"198.51.100.7", "bad.example", "blocklist nxdomain enforce rpz/client/client rpz/bad.example/qname"},
		{"198.51.100.9", "bad.example", "none pass monitor rpz/@@client/client rpz/bad.example/qname"},
		{"203.0.113.1", "bad.example", "blocklist nodata enforce rpz/bad.example/qname"},
		{"203.0.113.1", "ok.example", "none pass monitor"},
	} {
		q := query(c.name)
		q.Client = netip.MustParseAddr(c.client)
		var v detect.Verdict
		d.Inspect(q, &v)
		if got := brief(&v); got != c.want {
			t.Errorf("%s asks for %s: %s; want %s", c.client, c.name, got, c.want)
		}
	}
}
