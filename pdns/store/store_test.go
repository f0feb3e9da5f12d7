package store_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/store"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

// childEnv is set for a test that runs in a process of its own.
const childEnv = "WEIR_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

var _ pdns.Output = (*store.Store)(nil)

// start is the time of the data in these tests.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clocks can be set by hand.
type clocks struct {
	wall time.Time
	mono time.Duration
}

func (c *clocks) pass(d time.Duration) { c.wall, c.mono = c.wall.Add(d), c.mono+d }

type part struct {
	cfg    store.Config
	fs     vfs.FS
	clocks *clocks
	client func(dst []byte, a netip.Addr) []byte
}

func newPart(tb testing.TB) *part {
	cfg := store.DefaultConfig()
	cfg.Dir = filepath.Join(tb.TempDir(), "pdns")
	return &part{cfg: cfg, fs: vfs.Default, clocks: &clocks{wall: start}}
}

// open makes a store and opens it.
func (p *part) open(tb testing.TB) *store.Store {
	tb.Helper()
	s, err := store.NewOn(p.cfg, store.Deps{Log: zap.NewNop(), Registry: prometheus.NewRegistry(), ClientText: p.client},
		p.fs, func() time.Time { return p.clocks.wall }, func() time.Duration { return p.clocks.mono })
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Tend(); err != nil {
		tb.Fatal(err)
	}
	return s
}

func shut(tb testing.TB, s *store.Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Error(err)
	}
}

func tend(tb testing.TB, s *store.Store) {
	tb.Helper()
	if err := s.Tend(); err != nil {
		tb.Fatal(err)
	}
}

// said is a transaction in which the DNS said these records, each with its
// section's letter in front: "a", "n" or "x".
func said(tb testing.TB, seconds int, qname string, records ...string) *detect.Transaction {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(qname), dns.TypeA)
	m.Response, m.Compress = true, true
	for _, s := range records {
		section, text, _ := strings.Cut(s, " ")
		rr, err := dns.NewRR(text)
		if err != nil {
			tb.Fatalf("%q: %v", s, err)
		}
		switch section {
		case "a":
			m.Answer = append(m.Answer, rr)
		case "n":
			m.Ns = append(m.Ns, rr)
		case "x":
			m.Extra = append(m.Extra, rr)
		}
	}
	msg, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return &detect.Transaction{
		Query: detect.Query{
			Time: start.Add(time.Duration(seconds) * time.Second), Client: netip.MustParseAddr("192.0.2.77"),
			Name: dnsname.MustParse(qname), Type: dns.TypeA, Class: dns.ClassINET,
		},
		Verdict: detect.Verdict{Unscored: detect.NoModel}, Source: detect.FromUpstream, Response: msg,
	}
}

// quick is said with one address, for tests that need many.
func quick(at time.Time, qname string, addr netip.Addr) *detect.Transaction {
	name := dnsname.MustParse(qname)
	msg := dnswire.AppendHeader(nil, dnswire.Header{Flags: dnswire.FlagQR, QD: 1, AN: 1})
	msg = dnswire.AppendQuestion(msg, name, dnswire.TypeA, dnswire.ClassIN)
	return &detect.Transaction{
		Query:    detect.Query{Time: at, Name: name, Type: dnswire.TypeA, Class: dnswire.ClassIN},
		Source:   detect.FromUpstream,
		Response: dnswire.AppendAddress(msg, addr, dnswire.ClassIN, 60),
	}
}

// find is the records of a query, one string each.
func find(tb testing.TB, s *store.Store, q store.Query) []string {
	tb.Helper()
	var out []string
	err := s.View(func(r *store.Reader) error {
		for rec, err := range r.Records(context.Background(), q) {
			if err != nil {
				return err
			}
			out = append(out, text(rec))
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func text(r store.Record) string {
	zone, folded := "?", ""
	if r.Bailiwick != nil {
		zone = r.Bailiwick.String()
	}
	if r.Folded {
		folded = " folded"
	}
	return fmt.Sprintf("%s %s %s zone=%s in=%d +%d +%d n=%d%s", r.Name, dnswire.TypeString(r.Type), r.Rdata, zone, r.Sections,
		r.First-start.Unix(), r.Last-start.Unix(), r.Count, folded)
}

func check(tb testing.TB, what string, got []string, want ...string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRecordsAreFoundByNameSubtreeAddressRdataAndTime(t *testing.T) {
	s := newPart(t).open(t)
	defer shut(t, s)
	s.Consume(said(t, 0, "www.example.com", "a www.example.com. 60 IN CNAME host.example.com.", "a host.example.com. 60 IN A 192.0.2.1",
		"n example.com. 60 IN NS ns1.example.net.", "x ns1.example.net. 60 IN A 198.51.100.5"))
	s.Consume(said(t, 9, "www.example.com", "a www.example.com. 60 IN CNAME host.example.com.", "a host.example.com. 60 IN A 192.0.2.1",
		"n example.com. 60 IN NS ns1.example.net.", "x ns1.example.net. 60 IN A 198.51.100.5"))
	tend(t, s)
	s.Consume(said(t, 20, "example.com", "a example.com. 60 IN MX 10 mx.example.net.", "a example.com. 60 IN AAAA 2001:db8::1"))
	s.Consume(said(t, 30, "wexample.com", "a wexample.com. 60 IN A 192.0.3.1"))
	tend(t, s)

	const (
		www  = "www.example.com CNAME host.example.com. zone=example.com in=1 +0 +9 n=2"
		host = "host.example.com A 192.0.2.1 zone=example.com in=1 +0 +9 n=2"
		ns   = "example.com NS ns1.example.net. zone=example.com in=2 +0 +9 n=2"
		glue = "ns1.example.net A 198.51.100.5 zone=? in=4 +0 +9 n=2"
		mx   = "example.com MX 10 mx.example.net. zone=? in=1 +20 +20 n=1"
		aaaa = "example.com AAAA 2001:db8::1 zone=? in=1 +20 +20 n=1"
		w    = "wexample.com A 192.0.3.1 zone=? in=1 +30 +30 n=1"
	)
	name := func(n string) store.Query { return store.Query{Name: dnsname.MustParse(n)} }
	check(t, "name", find(t, s, name("www.example.com")), www)
	check(t, "name above others", find(t, s, name("example.com")), ns, mx, aaaa)
	check(t, "unknown name", find(t, s, name("com")))
	q := name("example.com")
	q.Subtree = true
	check(t, "subtree", find(t, s, q), ns, mx, aaaa, host, www)
	q.Types = []uint16{dns.TypeA, dns.TypeAAAA}
	check(t, "subtree by type", find(t, s, q), aaaa, host)
	q = store.Query{Name: dnsname.Root(), Subtree: true, Since: start.Unix() + 10}
	check(t, "seen since", find(t, s, q), mx, aaaa, w)
	q.Since, q.Until = 0, start.Unix()+19
	check(t, "seen until", find(t, s, q), ns, host, www, glue)
	check(t, "address", find(t, s, store.Query{Prefix: netip.MustParsePrefix("192.0.2.1/32")}), host)
	check(t, "network", find(t, s, store.Query{Prefix: netip.MustParsePrefix("192.0.2.99/23")}), host, w)
	check(t, "everything IPv4", find(t, s, store.Query{Prefix: netip.MustParsePrefix("0.0.0.0/0")}), host, w, glue)
	check(t, "network of IPv6", find(t, s, store.Query{Prefix: netip.MustParsePrefix("2001:db8::/32")}), aaaa)
	check(t, "target", find(t, s, store.Query{Rdata: "host.example.com."}), www)
	check(t, "name among rdata", find(t, s, store.Query{Rdata: "mx.example.net."}), mx)
	check(t, "whole rdata", find(t, s, store.Query{Rdata: "10 mx.example.net."}), mx)
}

// What one process summed up, the next goes on with; the merge on disk is what
// makes that so.
func TestSumsGoOnAfterARestart(t *testing.T) {
	p := newPart(t)
	for i := range 5 {
		s := p.open(t)
		s.Consume(said(t, 10-i, "a.example", "a a.example. 60 IN A 192.0.2.1"))
		tend(t, s)
		s.Consume(said(t, 100+i, "a.example", "x a.example. 60 IN A 192.0.2.1"))
		if got := s.Recorded(); got != 1 {
			t.Fatalf("%d recorded before the second commit, want 1", got)
		}
		shut(t, s)
		if got := s.Recorded() + s.Dropped(); got != 2 {
			t.Fatalf("%d accounted for, want 2", got)
		}
	}
	r, err := store.OpenReader(p.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for rec, err := range r.Records(t.Context(), store.Query{Name: dnsname.MustParse("a.example")}) {
		if got, want := text(rec), "a.example A 192.0.2.1 zone=? in=5 +6 +104 n=10"; err != nil || got != want {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestAFolderInUseIsSaidToBe(t *testing.T) {
	p := newPart(t)
	s := p.open(t)
	defer shut(t, s)
	if r, err := store.OpenReader(p.cfg.Dir); err == nil || !strings.Contains(err.Error(), store.ErrInUse.Error()) {
		t.Errorf("OpenReader beside a running store = %v, %v", r, err)
	}
	if _, err := store.OpenReader(t.TempDir() + "/none"); err == nil {
		t.Error("a folder that is not there was opened")
	}
}

func TestEveryRegisteredDomainHasItsFirstTime(t *testing.T) {
	s := newPart(t).open(t)
	defer shut(t, s)
	for i, n := range []string{"www.b.co.uk", "x.b.co.uk", "a.example.org", "b.co.uk"} {
		s.Consume(said(t, i*10, n, "a "+n+". 60 IN A 192.0.2.1"))
		tend(t, s)
	}
	none := said(t, 1, "nothing.example.net", "n example.net. 60 IN SOA a. b. 1 1 1 1 1")
	none.Rcode = dns.RcodeNameError
	s.Consume(none)
	tend(t, s)
	var got []string
	err := s.View(func(r *store.Reader) error {
		for d, err := range r.NewDomains(t.Context(), 0, start.Unix()+1000) {
			if err != nil {
				return err
			}
			got = append(got, fmt.Sprintf("%s +%d +%d n=%d", d.Name, d.First-start.Unix(), d.Last-start.Unix(), d.Count))
		}
		if _, ok, err := r.Domain(dnsname.MustParse("example.net")); ok || err != nil {
			t.Errorf("a domain that does not exist was seen (%v)", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "new domains", got, "b.co.uk +0 +30 n=3", "example.org +20 +20 n=1")
}

func TestDetectionsAreFoundByTime(t *testing.T) {
	s := newPart(t).open(t)
	defer shut(t, s)
	bad := func(seconds int, n string, o detect.Origin) *detect.Transaction {
		tx := said(t, seconds, n)
		tx.Source, tx.Response = detect.FromPolicy, nil
		tx.Verdict = detect.Verdict{
			Origin: o, Action: detect.ZeroIP, Enforced: true, Score: 0.99, Level: detect.LevelHigh,
			Matches: []detect.Match{{List: "feed", Rule: "bad\n.example"}},
		}
		return tx
	}
	s.Consume(bad(0, "bad.example", detect.OriginBlockList))
	s.Consume(bad(5, "bad.example", detect.OriginBlockList))
	s.Consume(bad(4000, "dga.example", detect.OriginModel))
	s.Consume(bad(8000, "inside.example", detect.OriginRebinding))
	s.Consume(bad(12000, "examp1e.example", detect.OriginLookalike))
	allowed := bad(6, "good.example", detect.OriginAllowList)
	if s.Wants(allowed) {
		t.Error("what an allow list passed is no detection")
	}
	tend(t, s)
	var got []string
	err := s.View(func(r *store.Reader) error {
		for d, err := range r.Detections(t.Context(), start.Unix()-10, start.Unix()+100000) {
			if err != nil {
				return err
			}
			got = append(got, fmt.Sprintf("%s %s %s %v %v %s %q %q +%d +%d n=%d", d.Name, d.Origin, d.Action, d.Enforced, *d.Score, d.Level, d.Lists, d.Rules,
				d.First-start.Unix(), d.Last-start.Unix(), d.Count))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "detections", got,
		`bad.example blocklist zero_ip true 0.99 high ["feed"] ["bad\n.example"] +0 +5 n=2`,
		`dga.example model zero_ip true 0.99 high ["feed"] ["bad\n.example"] +4000 +4000 n=1`,
		`inside.example rebinding zero_ip true 0.99 high ["feed"] ["bad\n.example"] +8000 +8000 n=1`,
		`examp1e.example lookalike zero_ip true 0.99 high ["feed"] ["bad\n.example"] +12000 +12000 n=1`)
}

func TestClientsAreKeptOnlyIfAskedFor(t *testing.T) {
	for _, on := range []bool{false, true} {
		p := newPart(t)
		p.cfg.Clients = on
		p.client = func(dst []byte, a netip.Addr) []byte { return a.AppendTo(dst) }
		s := p.open(t)
		s.Consume(said(t, 0, "a.example.com", "a a.example.com. 60 IN A 192.0.2.1"))
		s.Consume(said(t, 3, "a.example.com", "a a.example.com. 60 IN A 192.0.2.1"))
		tend(t, s)
		var names, askers, below []string
		err := s.View(func(r *store.Reader) error {
			collect := func(to *[]string) func(store.Asked, error) bool {
				return func(a store.Asked, err error) bool {
					*to = append(*to, fmt.Sprintf("%s %s n=%d %v", a.Client, a.Name, a.Count, err))
					return true
				}
			}
			r.NamesOf(t.Context(), "192.0.2.77")(collect(&names))
			r.ClientsOf(t.Context(), dnsname.MustParse("a.example.com"), false)(collect(&askers))
			r.ClientsOf(t.Context(), dnsname.MustParse("example.com"), true)(collect(&below))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		if on {
			want = []string{"192.0.2.77 a.example.com n=2 <nil>"}
		}
		check(t, "names of the client", names, want...)
		check(t, "clients of the name", askers, want...)
		check(t, "clients of the subtree", below, want...)
		shut(t, s)
	}
}
