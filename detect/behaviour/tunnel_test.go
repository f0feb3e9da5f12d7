package behaviour_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
)

// hexes is n random octets in hex, from a seed.
func hexes(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)
}

func TestTunnels(t *testing.T) {
	for _, c := range []struct {
		say    string
		change func(*behaviour.Config)
		send   func(record func(*detect.Transaction), r *rand.Rand)
		want   string // the beginning of the finding that says most; "": none
	}{
		{"30 octets of hex in a name", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 200 {
				record(query(time.Duration(i)*time.Second, "192.0.2.1", hexes(r, 30)+".t.evil.com", dns.TypeA))
			}
		}, "tunnel high 192.0.2.1 evil.com"},
		{"the same names again and again", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			var names []string
			for range 20 {
				names = append(names, hexes(r, 16)+".cdn.com")
			}
			for i := range 5000 {
				record(query(time.Duration(i)*time.Second, "192.0.2.1", names[i%20], dns.TypeA))
			}
		}, ""},
		{"0.7 octets a second, all day", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 24 * 60 * 2 {
				record(query(time.Duration(i)*30*time.Second, "192.0.2.1", hexes(r, 21)+".slow.com", dns.TypeA))
			}
		}, "tunnel high 192.0.2.1 slow.com"},
		{"data in TXT answers to short names", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 30 {
				name := fmt.Sprintf("%d.cmd.com", i)
				record(answer(t, query(time.Duration(i)*time.Second, "192.0.2.1", name, dns.TypeTXT), 0, name+`. 1 IN TXT "`+hexes(r, 120)+`"`))
			}
		}, "tunnel high 192.0.2.1 cmd.com"},
		{"a mail server and its DNSBL", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 5000 {
				a := r.Uint32()
				record(query(time.Duration(i)*time.Second/2, "192.0.2.1", fmt.Sprintf("%d.%d.%d.%d.zen.spamhaus.org", byte(a), byte(a>>8), byte(a>>16), byte(a>>24)), dns.TypeA))
			}
		}, ""},
		{"a tunnel through a DNSBL's name", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 20000 {
				record(query(time.Duration(i)*time.Second/10, "192.0.2.1", hexes(r, 30)+".spamhaus.org", dns.TypeA))
			}
		}, "tunnel high 192.0.2.1 spamhaus.org"},
		{"harmless by configuration", func(c *behaviour.Config) { c.Tunnels.Harmless = []string{"av.com"} }, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 400 {
				record(query(time.Duration(i)*time.Second, "192.0.2.1", hexes(r, 16)+".av.com", dns.TypeA))
			}
		}, ""},
		{"names without any domain, as dnscat2 makes them", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 100 {
				record(query(time.Duration(i)*time.Second, "192.0.2.1", hexes(r, 25)+"."+hexes(r, 25), dns.TypeTXT))
			}
		}, "tunnel high 192.0.2.1 ."},
		{"a browser's day", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 20000 {
				record(query(time.Duration(i)*4*time.Second, "192.0.2.1", fmt.Sprintf("www%d.site%d.com", r.IntN(5), r.IntN(900)), dns.TypeA))
			}
		}, ""},
		{"off", func(c *behaviour.Config) { c.Tunnels.Mode = detect.ModeOff }, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 200 {
				record(query(time.Duration(i)*time.Second, "192.0.2.1", hexes(r, 30)+".t.evil.com", dns.TypeA))
			}
		}, ""},
		{"allowed", nil, func(record func(*detect.Transaction), r *rand.Rand) {
			for i := range 200 {
				tx := query(time.Duration(i)*time.Second, "192.0.2.1", hexes(r, 30)+".t.evil.com", dns.TypeA)
				tx.Verdict.Origin = detect.OriginAllowList
				record(tx)
			}
		}, ""},
	} {
		t.Run(c.say, func(t *testing.T) {
			w, sink, _ := watcher(t, c.change)
			c.send(w.Record, rand.New(rand.NewPCG(3, 4)))
			switch {
			case c.want == "" && len(sink.lines) > 0:
				t.Errorf("found %q", sink.lines)
			case c.want != "" && (len(sink.lines) == 0 || !strings.HasPrefix(sink.lines[len(sink.lines)-1], c.want)):
				t.Errorf("found %q, want %q", sink.lines, c.want)
			}
		})
	}
}

// The sketch counts right on average up to where it is full, so that a tunnel is
// told when it has moved as much as the configuration says, not much sooner or
// later.
func TestATunnelIsToldWhenItHasMovedThatMuch(t *testing.T) {
	for _, hour := range []int{1 << 10, 4 << 10, 8 << 10} {
		w, sink, _ := watcher(t, func(c *behaviour.Config) { c.Tunnels.Hour, c.Tunnels.Day = hour, 1<<30 })
		r := rand.New(rand.NewPCG(5, 6))
		sent := 0
		for i := 0; len(sink.lines) == 0 && i < 5000; i++ {
			w.Record(query(time.Duration(i)*time.Second/4, "192.0.2.1", hexes(r, 12)+".evil.com", dns.TypeA))
			sent++
		}
		// 24 hex digits have 10 to 12 octets by their own distribution.
		if want := hour / 11; sent < want*8/10 || sent > want*12/10 {
			t.Errorf("%d octets an hour: told after %d names, want about %d", hour, sent, want)
		}
	}
}
