package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Network is how questions are asked.
type Network struct {
	// Timeout of one question.
	Timeout time.Duration
	// Linger is how long a second answer to a question over UDP is waited for.
	Linger time.Duration
	// Nobody is an address where no server is, of a network that never has one.
	Nobody netip.AddrPort
}

// DefaultNetwork asks 192.0.2.1 (RFC 5737), where nobody is.
func DefaultNetwork() Network {
	return Network{Timeout: 2 * time.Second, Linger: 300 * time.Millisecond, Nobody: netip.MustParseAddrPort("192.0.2.1:53")}
}

// Upstreams says whether servers over plain DNS answer, and whether what they say
// is what there is: names that do not exist must not, and UDP and TCP must agree.
// It also says how the clock stands to the signatures of the root.
func (n Network) Upstreams(ctx context.Context, servers []netip.AddrPort, now time.Time) (out []Result) {
	const check = "upstream"
	if len(servers) == 0 {
		return []Result{result(check, Skip, "", "none over plain DNS: those with proof of who they are cannot be rewritten on the way")}
	}
	answering := 0
	var clock *Result
	for _, server := range servers {
		root, err := n.ask(ctx, "udp", server, ".", dns.TypeSOA)
		if err != nil {
			out = append(out, result(check, Fail, fmt.Sprintf("dig -p %d @%s . SOA; is there a network, and may this machine ask it?", server.Port(), server.Addr()), "%s does not answer: %v", server, err))
			continue
		}
		answering++
		out = append(out, n.hijack(ctx, server)...)
		out = append(out, n.transports(ctx, server))
		if clock == nil {
			if r, ok := signatures(root[0], now); ok {
				clock = &r
			}
		}
	}
	if answering == 0 {
		return append(out, result("hijack", Skip, "", "no upstream answers: nothing can be said of what they would say"),
			result("clock", Skip, "", "no upstream answers, and nobody else is asked for the time"))
	}
	out = append(out, n.interception(ctx))
	if clock == nil {
		clock = &Result{Check: "clock", Grade: Skip, Text: "the upstreams give no signatures (DNSSEC) to hold it against"}
	}
	return append(out, *clock)
}

// hijack asks for names that cannot exist.
func (n Network) hijack(ctx context.Context, server netip.AddrPort) (out []Result) {
	const check = "hijack"
	var label [10]byte
	_, _ = rand.Read(label[:]) // never fails
	for _, zone := range []string{"invalid.", "com."} {
		name := "weir-" + hex.EncodeToString(label[:]) + "." + zone
		answers, err := n.ask(ctx, "udp", server, name, dns.TypeA)
		if err != nil {
			out = append(out, result(check, Skip, "", "%s does not answer for a name that cannot exist: %v", server, err))
			continue
		}
		switch first := answers[0]; {
		case len(answers) > 1 && !same(answers[0], answers[1]):
			out = append(out, result(check, Fail, "use an upstream over TLS or HTTPS: tls://9.9.9.9#dns.quad9.net",
				"two different answers came from %s for a name that cannot exist: somebody on the way injects one", server))
		case first.Rcode == dns.RcodeSuccess && len(first.Answer) > 0:
			out = append(out, result(check, Fail, "use another upstream, or one over TLS or HTTPS: tls://9.9.9.9#dns.quad9.net",
				"%s, or somebody on the way, has an address for a name below %s that cannot exist: %s", server, zone, addresses(first)))
		case first.Rcode == dns.RcodeNameError:
			out = append(out, result(check, OK, "", "%s says of a name below %s that it does not exist", server, zone))
		default:
			out = append(out, result(check, Warn, "", "%s says %s of a name below %s that cannot exist; NXDOMAIN would be right", server, dns.RcodeToString[first.Rcode], zone))
		}
	}
	return out
}

// transports compares UDP with TCP.
func (n Network) transports(ctx context.Context, server netip.AddrPort) Result {
	const check = "transports"
	udp, err := n.ask(ctx, "udp", server, "com.", dns.TypeNS)
	if err != nil {
		return result(check, Skip, "", "%s over UDP: %v", server, err)
	}
	tcp, err := n.ask(ctx, "tcp", server, "com.", dns.TypeNS)
	if err != nil {
		return result(check, Warn, "let port 53 over TCP out: large answers need it", "%s does not answer over TCP: %v", server, err)
	}
	if len(udp) > 1 && !same(udp[0], udp[1]) || !udp[0].Truncated && !same(udp[0], tcp[0]) {
		return result(check, Fail, "use an upstream over TLS or HTTPS: tls://9.9.9.9#dns.quad9.net", "%s says one thing over UDP and another over TCP: somebody on the way answers one of them", server)
	}
	return result(check, OK, "", "%s says the same over UDP and TCP", server)
}

// interception asks where nobody is.
func (n Network) interception(ctx context.Context) Result {
	const check = "interception"
	_, err := n.ask(ctx, "udp", n.Nobody, "com.", dns.TypeNS)
	if err == nil {
		return result(check, Fail, "use upstreams over TLS or HTTPS: tls://9.9.9.9#dns.quad9.net", "a question to %s, where nobody is, was answered: somebody on the way answers for all servers", n.Nobody.Addr())
	}
	return result(check, OK, "", "nobody answers for %s, where nobody is", n.Nobody.Addr())
}

// ask sends one question and returns the answers, the first of them first: over
// UDP there may be a second, by somebody who is quicker or slower than the server.
func (n Network) ask(ctx context.Context, network string, server netip.AddrPort, name string, qtype uint16) ([]*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Timeout)
	defer cancel()
	q := new(dns.Msg).SetQuestion(name, qtype)
	q.SetEdns0(1232, true)
	conn, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	c := &dns.Conn{Conn: conn, UDPSize: 4096}
	if err := errors.Join(conn.SetDeadline(deadline), c.WriteMsg(q)); err != nil {
		return nil, err
	}
	var out []*dns.Msg
	for len(out) < 2 {
		m, err := c.ReadMsg()
		if err != nil {
			if len(out) > 0 {
				return out, nil // nobody else
			}
			return nil, err
		}
		if m.Id != q.Id || !m.Response || len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, name) {
			continue
		}
		out = append(out, m)
		if network == "tcp" {
			break
		}
		if err := conn.SetReadDeadline(time.Now().Add(n.Linger)); err != nil {
			return out, nil
		}
	}
	return out, nil
}

// same says whether two answers say the same, TTLs and order aside.
func same(a, b *dns.Msg) bool { return a.Rcode == b.Rcode && slices.Equal(records(a), records(b)) }

func records(m *dns.Msg) (out []string) {
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == dns.TypeRRSIG {
			continue
		}
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		out = append(out, strings.ToLower(rr.String()))
	}
	slices.Sort(out)
	return out
}

func addresses(m *dns.Msg) string {
	var out []string
	for _, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			out = append(out, a.A.String())
		}
	}
	return strings.Join(out, " ")
}

// skew is by how much a clock may be wrong before it matters.
const skew = 5 * time.Minute

// signatures holds the clock against those of the root, which are made anew
// several times a day and hold for two weeks.
func signatures(m *dns.Msg, now time.Time) (Result, bool) {
	const check = "clock"
	fix := "timedatectl set-ntp true"
	for _, rr := range m.Answer {
		sig, ok := rr.(*dns.RRSIG)
		if !ok || sig.TypeCovered != dns.TypeSOA {
			continue
		}
		from, until := time.Unix(int64(sig.Inception), 0), time.Unix(int64(sig.Expiration), 0)
		switch {
		case now.Before(from.Add(-skew)):
			return result(check, Fail, fix, "it is %v behind at least: certificates and signatures are not valid yet", from.Sub(now).Round(time.Minute)), true
		case now.After(until.Add(skew)):
			return result(check, Fail, fix, "it is %v ahead at least: certificates and signatures have ended", now.Sub(until).Round(time.Minute)), true
		}
		return result(check, OK, "", "it agrees with the signature of the root (%s to %s)", from.UTC().Format(time.DateTime), until.UTC().Format(time.DateTime)), true
	}
	return Result{}, false
}
