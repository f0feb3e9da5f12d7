package upstream

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

var testHosts = []HostConfig{{Name: "dns.example", Addresses: []string{"192.0.2.1", "2001:db8::1"}}}

func TestTargets(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1":                                  "udp [192.0.2.1:53]  ",
		"tcp://[2001:db8::2]":                        "tcp [[2001:db8::2]:53]  ",
		"tls://192.0.2.1":                            "tls [192.0.2.1:853] 192.0.2.1 ",
		"tls://192.0.2.1:8853#DNS.example":           "tls [192.0.2.1:8853] dns.example ",
		"tls://[2001:db8::2]#dns.example":            "tls [[2001:db8::2]:853] dns.example ",
		"tls://dns.example":                          "tls [192.0.2.1:853 [2001:db8::1]:853] dns.example ",
		"tls://dns.example:8853":                     "tls [192.0.2.1:8853 [2001:db8::1]:8853] dns.example ",
		"https://dns.example":                        "https [192.0.2.1:443 [2001:db8::1]:443] dns.example /dns-query",
		"https://dns.example/q{?dns}":                "https [192.0.2.1:443 [2001:db8::1]:443] dns.example /q",
		"https://192.0.2.7:8443/q#dns.example":       "https [192.0.2.7:8443] dns.example /q",
		"https://192.0.2.7/":                         "https [192.0.2.7:443] 192.0.2.7 /dns-query",
		"quic://192.0.2.1":                           "quic [192.0.2.1:853] 192.0.2.1 ",
		"quic://dns.example":                         "quic [192.0.2.1:853 [2001:db8::1]:853] dns.example ",
		"h3://dns.example":                           "h3 [192.0.2.1:443 [2001:db8::1]:443] dns.example /dns-query",
		"h3://192.0.2.7:8443/q#dns.example":          "h3 [192.0.2.7:8443] dns.example /q",
		stamp(4, "192.0.2.7", "", "d.test"):          "quic [192.0.2.7:853] d.test ",
		stamp(4, "", "", "dns.example:8853"):         "quic [192.0.2.1:8853 [2001:db8::1]:8853] dns.example ",
		stamp(0, "192.0.2.1:5353"):                   "udp [192.0.2.1:5353]  ",
		stamp(2, "192.0.2.7", "", "d.test", "/q"):    "https [192.0.2.7:443] d.test /q",
		stamp(2, "", "", "dns.example", "/q"):        "https [192.0.2.1:443 [2001:db8::1]:443] dns.example /q",
		stamp(3, "[2001:db8::7]", "", "d.test:8853"): "tls [[2001:db8::7]:8853] d.test ",
	} {
		got, err := parseTarget(text, testHosts)
		if s := fmt.Sprint(got.proto, " ", got.addrs, " ", got.name, " ", got.path); err != nil || s != want {
			t.Errorf("%s: got %s, %v; want %s", text, s, err, want)
		}
	}
}

func TestTargetsThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", "dns.example", "udp://192.0.2.1", "tls://other.example", "https://other.example/dns-query", "tls://192.0.2.1/path",
		"https://user@192.0.2.1/", "https://192.0.2.1/?dns=x", "tls://192.0.2.1:0", "tls://192.0.2.1#no_such name", "tls://0.0.0.0",
		"sdns://", "sdns://AAAA", "sdns://!", stamp(1, "192.0.2.1"), stamp(4, "192.0.2.1"), stamp(5, "192.0.2.1", "", "d.test"),
		"quic://192.0.2.1/path", "quic://192.0.2.1:53", "quic://other.example", "h3://other.example", stamp(2, "192.0.2.1", "", "d.test", "q"),
		stamp(2, "192.0.2.1", "short", "d.test", "/q"), stamp(3, "192.0.2.1", "", ""), stamp(3, "", "", "other.example"), stamp(3, ":853", "", "d.test"),
	} {
		if got, err := parseTarget(text, testHosts); err == nil {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

func TestStampsHashesAreKept(t *testing.T) {
	got, err := parseTarget(stamp(3, "192.0.2.1", strings.Repeat("h", 32), "d.test"), nil)
	if err != nil || len(got.tbs) != 1 || len(got.pins) != 0 {
		t.Errorf("got %+v, %v; want one hash", got, err)
	}
}

// stamp writes a DNS stamp: protocol, no properties, and texts.
func stamp(proto byte, texts ...string) string {
	b := append([]byte{proto}, make([]byte, 8)...)
	for _, s := range texts {
		b = append(append(b, byte(len(s))), s...)
	}
	return "sdns://" + base64.RawURLEncoding.EncodeToString(b)
}

// FuzzTarget: nothing that is configured makes it panic, and what it accepts
// has an address.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "tcp://192.0.2.1:53", "tls://192.0.2.1#dns.example", "https://dns.example/dns-query",
		stamp(0, "192.0.2.1:5353"), stamp(2, "192.0.2.7", "", "d.test", "/q"), stamp(3, "[2001:db8::7]", strings.Repeat("h", 32), "d.test:8853")} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTarget(text, testHosts)
		if err == nil && (len(got.addrs) == 0 || got.encrypted() && got.name == "") {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
