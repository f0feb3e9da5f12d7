package pdns_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
)

func TestAFindingIsOneLine(t *testing.T) {
	name, err := dnsname.Parse("a.example")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := pdns.NewFindingWriter(&b, privacy.Plain(privacy.Truncated))
	f := detect.Finding{
		Time: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), Kind: detect.EncryptedDNS, Level: detect.LevelLow, Client: netip.MustParseAddr("192.0.2.10"),
		Name: name, Evidence: []detect.Fact{{Key: "server", Value: "9.9.9.9"}, {Key: "sni", Value: "<\n>"}},
	}
	w.Find(&f)
	f.Name, f.Evidence = nil, nil
	f.Until, f.Enforce = f.Time.Add(24*time.Hour), true
	f.Context = &detect.Context{Client: detect.ClientContext{Name: "lab", Own: true}}
	w.Find(&f)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const want = `{"time":"2026-03-01T12:00:00.000000005Z","kind":"encrypted_dns","level":"low","client":"192.0.2.0/24","name":"a.example","evidence":{"server":"9.9.9.9","sni":"\u003c\u000a\u003e"},"suspected_until":null,"enforced":false,"context":null}
{"time":"2026-03-01T12:00:00.000000005Z","kind":"encrypted_dns","level":"low","client":"192.0.2.0/24","name":null,"evidence":{},"suspected_until":"2026-03-02T12:00:00.000000005Z","enforced":true,"context":{"client":{"name":"lab","own":true,"country":null,"city":null,"asn":null,"org":null},"answers":[],"reputations":[]}}
`
	if got := b.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
