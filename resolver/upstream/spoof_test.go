package upstream_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

// what a forgery is counted as; "" where it is not seen, or is no packet to
// count by itself.
var countedAs = map[string]string{
	"badid": "id", "badq": "question", "badcase": "case", "badqt": "question", "badqc": "question",
	"noq": "question", "twoq": "question", "qr0": "qr", "opc": "opcode", "otherport": "",
	"wrongowner": "owner", "wrongclass": "owner", "trunc": "format", "short": "short", "empty": "short",
	"loopresp": "format", "cnameloop": "loop", "oversize": "oversize", "badrdata": "format", "badcount": "format",
}

// eachForgery runs test once per forgery, against a server that knows the name
// spoofed.example and has an address of its own for it.
func eachForgery(t *testing.T, test func(t *testing.T, what string, s *dnstest.Server, q *upstream.Question)) {
	for _, what := range dnstest.Forgeries() {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := dnstest.NewServer(t, "example.", zone+"\nspoofed A "+trueAddress+"\n")
			test(t, what, s, question("spoofed.example", dns.TypeA))
		})
	}
}

func mustBeTrue(t *testing.T, a *upstream.Answer, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if got := addresses(unpack(t, a)); got != trueAddress {
		t.Errorf("got %q, want the true address", got)
	}
}

func TestForgedThenTrueOverUDP(t *testing.T) {
	eachForgery(t, func(t *testing.T, what string, s *dnstest.Server, q *upstream.Question) {
		s.ScriptAll(dnstest.Split(
			dnstest.Then(dnstest.Forged(what), 150*time.Millisecond, dnstest.Good()),
			func(x *dnstest.Exchange) { x.Close() }, // TCP is no way out
		))
		g, reg := group(t, nil, s)
		a, err := g.Exchange(t.Context(), q)
		mustBeTrue(t, a, err)
		if want := countedAs[what]; want != "" && value(t, reg, "weir_upstream_invalid_total", s.Addr(), want) == 0 {
			t.Errorf("not counted as %q", want)
		}
	})
}

func TestForgedOverUDPTrueOverTCP(t *testing.T) {
	eachForgery(t, func(t *testing.T, what string, s *dnstest.Server, q *upstream.Question) {
		if what == "otherport" {
			t.Skip("is not seen")
		}
		s.ScriptAll(dnstest.Split(dnstest.Forged(what), dnstest.Good()))
		g, _ := group(t, func(c *upstream.Config) { c.AttemptTimeout = 10 * time.Second }, s)
		start := time.Now()
		a, err := g.Exchange(t.Context(), q)
		mustBeTrue(t, a, err)
		if time.Since(start) >= 10*time.Second {
			t.Errorf("took %s: TCP did not start at the first bad packet", time.Since(start))
		}
	})
}

// Over connections a liar is one that was chosen: what it says is held against
// the question all the same.
func TestForgedOverConnections(t *testing.T) {
	id := dnstest.NewIdentity(t, "127.0.0.1")
	for _, proto := range []string{"tcp", "tls", "https", "quic", "h3"} {
		t.Run(proto, func(t *testing.T) {
			eachForgery(t, func(t *testing.T, what string, s *dnstest.Server, q *upstream.Question) {
				switch what {
				case "oversize", "badcase", "otherport":
					t.Skip("means nothing over TCP")
				}
				addr := over(s, proto, id)
				s.ScriptAll(dnstest.Forged(what))
				reg := mustBeInvalid(t, s, q, func(c *upstream.Config) { c.Servers, c.CAFile = []string{addr}, id.CAFile })
				ports := map[int]bool{}
				for _, q := range s.Queries() {
					if ports[q.Port] && proto != "https" && proto != "h3" {
						t.Error("the connection was used again after a bad answer")
					}
					ports[q.Port] = true
				}
				if want := countedAs[what]; value(t, reg, "weir_upstream_invalid_total", want) == 0 {
					t.Errorf("not counted as %q", want)
				}
			})
		})
	}
}

// mustBeInvalid wants ErrInvalid for what s says to q. The wait behind a bad
// answer goes on to the end of the time-out, so it begins with a short one; where
// not even the bad answer came in that, on a busy machine, a longer one follows.
func mustBeInvalid(t *testing.T, s *dnstest.Server, q *upstream.Question, change func(*upstream.Config)) *prometheus.Registry {
	t.Helper()
	for patience := 300 * time.Millisecond; ; patience *= 8 {
		s.Reset()
		g, reg := group(t, func(c *upstream.Config) {
			c.Servers = []string{s.Addr()}
			if change != nil {
				change(c)
			}
			c.Timeout, c.AttemptTimeout = patience, patience/3
		})
		a, err := g.Exchange(t.Context(), q)
		if errors.Is(err, upstream.ErrInvalid) {
			return reg
		}
		if err == nil || patience > 10*time.Second {
			t.Fatalf("got %+v, %v; want ErrInvalid", a, err)
		}
	}
}

// The true answer behind the forged one on the same connection, and on the next.
func TestForgedThenTrueOverConnections(t *testing.T) {
	id := dnstest.NewIdentity(t, "127.0.0.1")
	for _, proto := range []string{"tcp", "tls", "https", "quic", "h3"} {
		t.Run(proto, func(t *testing.T) {
			eachForgery(t, func(t *testing.T, what string, s *dnstest.Server, q *upstream.Question) {
				switch what {
				case "oversize", "badcase", "otherport":
					t.Skip("means nothing over TCP")
				}
				addr := over(s, proto, id)
				s.ScriptAll(dnstest.Then(dnstest.Forged(what), 50*time.Millisecond, dnstest.Good()))
				if proto != "tcp" && proto != "tls" { // one answer to a question
					s.ScriptAll(firstThen(dnstest.Forged(what), dnstest.Good()))
				}
				g, _ := group(t, func(c *upstream.Config) {
					c.Servers, c.CAFile, c.Timeout = []string{addr}, id.CAFile, 20*time.Second
				})
				a, err := g.Exchange(t.Context(), q)
				mustBeTrue(t, a, err)
			})
		})
	}
}

// over is how s is asked by proto, as a server of a Config.
func over(s *dnstest.Server, proto string, id *dnstest.Identity) string {
	switch proto {
	case "tls":
		return "tls://" + s.ServeTLS(id)
	case "https":
		return "https://" + s.ServeHTTPS(id, nil) + "/dns-query"
	case "quic":
		return "quic://" + s.ServeQUIC(id)
	case "h3":
		return "h3://" + s.ServeHTTP3(id) + "/dns-query"
	}
	return proto + "://" + s.Addr()
}

// A server that lies over UDP and TCP is passed over for the next one.
func TestForgedByOneTrueByAnother(t *testing.T) {
	eachForgery(t, func(t *testing.T, what string, s *dnstest.Server, q *upstream.Question) {
		if what == "badcase" {
			t.Skip("is right over TCP")
		}
		liar := dnstest.NewServer(t)
		liar.ScriptAll(dnstest.Split(dnstest.Forged(what), func(x *dnstest.Exchange) { x.Close() }))
		g, _ := group(t, nil, liar, s)
		a, err := g.Exchange(t.Context(), q)
		mustBeTrue(t, a, err)
	})
}

// guessed is a forged answer in which everything is right.
func guessed() dnstest.Script {
	return dnstest.Edit(func(m *dns.Msg) { m.Answer[0].(*dns.A).A = dnstest.ForgedAddress })
}

func TestGuessingEndsTheTrustInUDP(t *testing.T) {
	times := func(n int, script dnstest.Script) dnstest.Script {
		return func(x *dnstest.Exchange) {
			for range n {
				script(x)
			}
		}
	}
	wrong := dnstest.Forged("badid")
	for name, udp := range map[string]dnstest.Script{
		"a flood":                              times(5000, wrong),
		"a right guess after three wrong ones": dnstest.Then(times(3, wrong), 20*time.Millisecond, guessed()),
		"wrong guesses at two packets, then a right one":    firstThen(times(2, wrong), dnstest.Then(wrong, 200*time.Millisecond, guessed())),
		"a right guess at the first after the second began": firstThen(dnstest.Then(times(2, wrong), time.Second, guessed()), wrong),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := dnstest.NewServer(t, "example.", zone)
			s.ScriptAll(dnstest.Split(udp, dnstest.Delay(1500*time.Millisecond, dnstest.Good())))
			g, reg := group(t, func(c *upstream.Config) { c.AttemptTimeout = 100 * time.Millisecond }, s)
			a, err := g.Exchange(t.Context(), question("www.example", dns.TypeA))
			mustBeTrue(t, a, err)
			if !a.TCP {
				t.Error("the answer did not come over TCP")
			}
			if got := value(t, reg, "weir_upstream_invalid_total", "id"); got < 3 {
				t.Errorf("%v bad packets counted, want at least 3", got)
			}
		})
	}
}

// Nobody vouches for a FORMERR without a question: an answer like that must
// neither end the question nor keep OPT, and with it DNSSEC, away from a server.
func TestForgedFormErrDoesNotTurnOffEDNS(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	bare := func(x *dnstest.Exchange) {
		m := new(dns.Msg).SetRcode(x.Msg, dns.RcodeFormatError)
		m.Question = nil
		x.Send(m)
	}
	s.ScriptAll(dnstest.Split(dnstest.Then(bare, 50*time.Millisecond, dnstest.Good()), dnstest.Good()))
	g, _ := group(t, nil, s)
	for i := range 4 {
		s.Reset()
		a, err := g.Exchange(t.Context(), question("www.example", dns.TypeA))
		mustBeTrue(t, a, err)
		if !s.Queries()[0].EDNS {
			t.Errorf("question %d was asked without OPT first", i)
		}
	}
}

// records answers with records given as text, before OPT.
func records(t *testing.T, answer ...string) dnstest.Script {
	var rrs []dns.RR
	for _, text := range answer {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	return dnstest.Edit(func(m *dns.Msg) { m.Rcode, m.Answer, m.Ns = 0, rrs, nil })
}

func TestOnlyAnswersToTheQuestionPass(t *testing.T) {
	long := strings.Repeat("x", 60)
	for _, tt := range []struct {
		name, qname string
		sent, want  []string // want nil: no answer
	}{
		{"aliases in reverse order", "www.example",
			[]string{"c.example. 60 A 192.0.2.1", "b.example. 60 CNAME c.example.", "www.example. 60 CNAME b.example."},
			[]string{"c.example. 60 A 192.0.2.1", "b.example. 60 CNAME c.example.", "www.example. 60 CNAME b.example."}},
		{"another name beside", "www.example",
			[]string{"www.example. 60 A 192.0.2.1", "bank.test. 60 A 203.0.113.66"},
			[]string{"www.example. 60 A 192.0.2.1"}},
		{"another name before", "www.example",
			[]string{"bank.test. 60 A 203.0.113.66", "www.example. 60 CNAME bank.example.", "bank.example. 60 A 192.0.2.1"},
			[]string{"www.example. 60 CNAME bank.example.", "bank.example. 60 A 192.0.2.1"}},
		{"a name that differs in case", "www.example",
			[]string{"WWW.example. 60 A 192.0.2.1"},
			[]string{"www.example. 60 A 192.0.2.1"}},
		{"alias to nowhere", "www.example",
			[]string{"www.example. 60 CNAME b.example."},
			[]string{"www.example. 60 CNAME b.example."}},
		{"alias of another name", "www.example",
			[]string{"b.example. 60 CNAME www.example.", "b.example. 60 A 203.0.113.66"}, nil},
		{"DNAME with its CNAME", "a.old.example",
			[]string{"old.example. 60 DNAME new.example.", "a.old.example. 0 CNAME a.new.example.", "a.new.example. 60 A 192.0.2.1"},
			[]string{"old.example. 60 DNAME new.example.", "a.old.example. 0 CNAME a.new.example.", "a.new.example. 60 A 192.0.2.1"}},
		{"DNAME alone", "a.old.example",
			[]string{"old.example. 60 DNAME new.example.", "a.new.example. 60 A 192.0.2.1"},
			[]string{"old.example. 60 DNAME new.example.", "a.new.example. 60 A 192.0.2.1"}},
		{"DNAME of another name", "a.old.example",
			[]string{"older.example. 60 DNAME new.example.", "a.new.example. 60 A 203.0.113.66"}, nil},
		{"DNAME does not alias its owner", "old.example",
			[]string{"old.example. 60 DNAME new.example.", "new.example. 60 A 203.0.113.66"},
			[]string{"old.example. 60 DNAME new.example."}},
		{"DNAME to a name that is too long", long + "." + long + "." + long + ".a.example",
			[]string{"a.example. 60 DNAME " + long + "." + long + ".example."},
			[]string{"a.example. 60 DNAME " + long + "." + long + ".example."}},
		{"alias to itself", "www.example", []string{"www.example. 60 CNAME www.example."}, nil},
		{"loop behind the question", "www.example",
			[]string{"www.example. 60 CNAME b.example.", "b.example. 60 CNAME c.example.", "c.example. 60 CNAME b.example."}, nil},
		{"DNAME that grows for ever", "a.example", []string{"example. 60 DNAME b.example."}, nil},
		{"TTLs out of range", "www.example",
			[]string{"www.example. 2147483649 A 192.0.2.1", "www.example. 2147483647 A 192.0.2.2"},
			[]string{"www.example. 0 A 192.0.2.1", "www.example. 0 A 192.0.2.2"}}, // one for the set
		{"the largest TTL", "www.example",
			[]string{"www.example. 2147483647 A 192.0.2.2"},
			[]string{"www.example. 604800 A 192.0.2.2"}},
		{"unknown type with octets like a pointer", "www.example",
			[]string{"bank.test. 60 A 203.0.113.66", `www.example. 60 TYPE65400 \# 4 c00cc0ff`},
			[]string{`www.example. 60 TYPE65400 \# 4 c00cc0ff`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := dnstest.NewServer(t, "example.", zone)
			s.ScriptAll(records(t, tt.sent...))
			if tt.want == nil {
				mustBeInvalid(t, s, question(tt.qname, dns.TypeA), nil)
				return
			}
			g, _ := group(t, nil, s)
			a, err := g.Exchange(t.Context(), question(tt.qname, dns.TypeA))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, rr := range unpack(t, a).Answer {
				got = append(got, strings.ReplaceAll(strings.ReplaceAll(rr.String(), "\t", " "), " IN ", " "))
			}
			for i, text := range tt.want {
				rr, _ := dns.NewRR(text)
				tt.want[i] = strings.ReplaceAll(strings.ReplaceAll(rr.String(), "\t", " "), " IN ", " ")
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestLongChains(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	chain := func(n int) dnstest.Script {
		return dnstest.Edit(func(m *dns.Msg) {
			m.Rcode, m.Answer, m.Ns = 0, nil, nil
			owner := m.Question[0].Name
			for i := range n {
				next := fmt.Sprintf("n%d.example.", i)
				m.Answer = append(m.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeCNAME, Class: 1, Ttl: 60}, Target: next})
				owner = next
			}
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: owner, Rrtype: dns.TypeA, Class: 1, Ttl: 60}, A: net.ParseIP(trueAddress)})
		})
	}
	g, _ := group(t, nil, s)
	s.ScriptAll(chain(20))
	if a, m := ask(t, g, question("www.example", dns.TypeA)); len(m.Answer) != 21 {
		t.Errorf("chain of 20: %+v\n%s", a, m)
	}
	for _, n := range []int{33, 1000} {
		s.ScriptAll(chain(n))
		mustBeInvalid(t, s, question("www.example", dns.TypeA), nil)
	}
}

// OPT is hop by hop, wherever a server puts it.
func TestOPTIsRemovedWhereverItStands(t *testing.T) {
	extra := func(text string) dns.RR {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return rr
	}
	s := dnstest.NewServer(t, "example.", zone)
	g, _ := group(t, nil, s)
	orders := map[string]func(opt dns.RR) []dns.RR{
		"last":   func(opt dns.RR) []dns.RR { return []dns.RR{extra("ns.example. 60 A 192.0.2.53"), opt} },
		"first":  func(opt dns.RR) []dns.RR { return []dns.RR{opt, extra("ns.example. 60 A 192.0.2.53")} },
		"only":   func(opt dns.RR) []dns.RR { return []dns.RR{opt} },
		"absent": func(dns.RR) []dns.RR { return []dns.RR{extra("ns.example. 60 A 192.0.2.53")} },
		"before TSIG": func(opt dns.RR) []dns.RR {
			return []dns.RR{opt, &dns.TSIG{Hdr: dns.RR_Header{Name: "key.", Rrtype: dns.TypeTSIG, Class: dns.ClassANY}, Algorithm: dns.HmacSHA256}}
		},
	}
	for name, order := range orders {
		want := map[string]int{"last": 1, "first": 1, "absent": 1}[name]
		s.ScriptAll(dnstest.Edit(func(m *dns.Msg) {
			opt := m.IsEdns0()
			opt.Option = append(opt.Option, &dns.EDNS0_PADDING{Padding: make([]byte, 9)})
			m.Extra = order(opt)
		}))
		_, m := ask(t, g, question("www.example", dns.TypeA))
		if addresses(m) != trueAddress || len(m.Extra) != want {
			t.Errorf("OPT %s: got\n%s\nwant %d additional records", name, m, want)
		}
	}
}
