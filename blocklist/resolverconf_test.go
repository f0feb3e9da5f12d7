package blocklist_test

import (
	"strings"
	"testing"

	"github.com/weirdns/weir/blocklist"
)

func TestDnsmasqLines(t *testing.T) {
	l := load(t, blocklist.Config{Name: "d", File: file(t,
		"address=/zero.example/0.0.0.0", "address=/six.example/::", "address=/hash.example/#", "address=/nx.example/ # why",
		"address=/a.example/b.example/127.0.0.1", "address=/garden.example/192.0.2.80", "address=/garden.example/2001:db8::80",
		"server=/srv.example/", "local=/loc.example/", "server=/ok.zero.example/#", "address=/.dot.example/", "address=/*.star.example/",
		"server=/x.example/192.0.2.53", "server=192.0.2.53", "ipset=/x.example/set", "no-resolv", "address=/x.example/here", "address=/",
		"address=/#/0.0.0.0", "address=/com/0.0.0.0")})
	if got := list(t, l, "d").Format; got != blocklist.FormatDnsmasq {
		t.Errorf("format %s, want dnsmasq", got)
	}
	wantRejected(t, l, "d", map[blocklist.Reason]int{blocklist.Unsupported: 4, blocklist.BadRule: 2, blocklist.PublicSuffix: 2})
	for _, n := range []string{"zero.example", "six.example", "hash.example", "a.example", "b.example"} {
		wantWishes(t, l, "x."+n, n+" as list")
	}
	for _, n := range []string{"nx.example", "srv.example", "loc.example", "dot.example"} {
		wantWishes(t, l, "x."+n, n+" nxdomain")
	}
	wantWishes(t, l, "x.star.example", "*.star.example nxdomain")
	wantWishes(t, l, "star.example")
	wantWishes(t, l, "garden.example", "garden.example local [192.0.2.80] [2001:db8::80]")
	wantWishes(t, l, "ok.zero.example", "@@ok.zero.example passthru", "zero.example as list overruled")
	wantWishes(t, l, "x.example")
}

func TestUnboundLines(t *testing.T) {
	l := load(t, blocklist.Config{Name: "u", File: file(t,
		"server:", strings.Repeat(`local-zone: "nx.example" always_nxdomain`+"\n", 30), `local-zone: "nx.example" always_nxdomain`, "local-zone: static.example. static # why", `local-zone: 'nodata.example' always_nodata`,
		`  local-zone: "null.example" always_null`, `local-zone: "refuse.example" refuse`, `local-zone: "deny.example" deny`,
		`local-zone: "ok.nx.example" always_transparent`,
		`local-zone: "walled.example" redirect`, `local-data: "walled.example. 60 IN A 192.0.2.80"`, `local-data: "walled.example AAAA 2001:db8::80"`,
		`local-zone: "zero.example" redirect`, `local-data: "zero.example A 0.0.0.0"`,
		`local-data: 'one.example A 192.0.2.81'`,
		`local-zone: "x.example" inform`, `local-data: "x.example TXT hello"`, "do-ip6: no",
		`local-zone: "x.example`, `local-zone: "x.example"`, `local-data: "x.example A nonsense"`, "nonsense",
		`local-zone: "com" always_nxdomain`)})
	if got := list(t, l, "u").Format; got != blocklist.FormatUnbound {
		t.Errorf("format %s, want unbound", got)
	}
	wantRejected(t, l, "u", map[blocklist.Reason]int{blocklist.Unsupported: 3, blocklist.BadRule: 4, blocklist.PublicSuffix: 1})
	for name, want := range map[string]string{
		"x.nx.example": "nx.example nxdomain", "static.example": "static.example nxdomain", "nodata.example": "nodata.example nodata",
		"x.null.example": "null.example as list", "refuse.example": "refuse.example refuse", "deny.example": "deny.example drop",
		"walled.example":   "walled.example local [192.0.2.80] [2001:db8::80]",
		"x.walled.example": "walled.example local [192.0.2.80] [2001:db8::80]",
		"zero.example":     "zero.example as list", "x.zero.example": "zero.example as list",
		"one.example": "one.example local [192.0.2.81] []",
	} {
		wantWishes(t, l, name, want)
	}
	wantWishes(t, l, "ok.nx.example", "@@ok.nx.example passthru", "nx.example nxdomain overruled")
	wantWishes(t, l, "x.one.example")
	wantWishes(t, l, "x.example")
}

func TestBINDZones(t *testing.T) {
	l := load(t, blocklist.Config{Name: "b", File: file(t,
		strings.Repeat(`zone "bad.example" { type master; notify no; file "null.zone.file"; };`+"\n", 10),
		`zone "bad.example" { type master; notify no; file "null.zone.file"; };`,
		`zone "worse.example" IN {type primary; file "/etc/bind/db.empty";};`,
		`zone "corp.example" { type forward; forwarders { 192.0.2.53; }; };`, `zone "open.example" {`,
		`zone "com" { type master; file "null.zone.file"; };`)})
	if got := list(t, l, "b").Format; got != blocklist.FormatBIND {
		t.Errorf("format %s, want bind", got)
	}
	wantRejected(t, l, "b", map[blocklist.Reason]int{blocklist.Unsupported: 1, blocklist.BadRule: 1, blocklist.PublicSuffix: 1})
	wantWishes(t, l, "x.bad.example", "bad.example as list")
	wantWishes(t, l, "worse.example", "worse.example as list")
	wantWishes(t, l, "corp.example")
}
