package resolver_test

import (
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/resolver"
)

func designated(c *resolver.Config) {
	c.DDR = resolver.DDRConfig{Name: "dns.example.net", Addresses: []string{"192.0.2.53", "2001:db8::53"}}
}

// A client that asks in the clear learns where the encrypted listeners are, and
// gets an answer there.
func TestDesignatedResolversAreOurOwnListeners(t *testing.T) {
	s, id := secure(t, answersA("www.example. 300 A 192.0.2.1"), designated)
	for _, network := range []string{"udp", "tcp"} {
		r := s.ask(t, network, "_dNs.resolver.arpa.", dns.TypeSVCB, nil) // without EDNS: 512 octets
		if r.Rcode != dns.RcodeSuccess || r.Truncated || len(r.Answer) != 2 || len(r.Ns) != 0 {
			t.Fatalf("%s: want two service bindings:\n%s", network, r)
		}
		want := map[string]string{"dot": s.resolver.AddrsTLS()[0], "h2": s.resolver.AddrsHTTPS()[0]}
		for i, rr := range r.Answer {
			svc, ok := rr.(*dns.SVCB)
			if !ok || svc.Hdr.Name != "_dNs.resolver.arpa." || svc.Target != "dns.example.net." || int(svc.Priority) != i+1 {
				t.Fatalf("%s: %s, want a binding of priority %d to dns.example.net", network, rr, i+1)
			}
			got := map[string]string{}
			for _, kv := range svc.Value {
				got[kv.Key().String()] = kv.String()
			}
			_, port, _ := net.SplitHostPort(want[got["alpn"]])
			if got["port"] != port || got["ipv4hint"] != "192.0.2.53" || got["ipv6hint"] != "2001:db8::53" ||
				(got["dohpath"] == "/dns-query{?dns}") != (got["alpn"] == "h2") {
				t.Errorf("%s: %v, want port %s, the hints, and for HTTPS the path", network, got, port)
			}
		}
		var hosts []string
		for _, rr := range withoutOPT(r.Extra) {
			hosts = append(hosts, strings.Join(strings.Fields(rr.String()), " "))
		}
		if got := strings.Join(hosts, "; "); got != "dns.example.net. 3600 IN A 192.0.2.53; dns.example.net. 3600 IN AAAA 2001:db8::53" {
			t.Errorf("%s: additional records %q, want the target's addresses", network, got)
		}
		// What was offered works.
		port := strconv.Itoa(int(r.Answer[0].(*dns.SVCB).Value[1].(*dns.SVCBPort).Port))
		c := dns.Client{Net: "tcp-tls", TLSConfig: roots(t, id)}
		if a, _, err := c.Exchange(new(dns.Msg).SetQuestion("www.example.", dns.TypeA), "127.0.0.1:"+port); err != nil || len(a.Answer) != 1 {
			t.Errorf("over the offered TLS: %v, %v", a, err)
		}
	}
	// Other types and names are denied, as long as nothing else is there.
	for name, qtype := range map[string]uint16{"_dns.resolver.arpa.": dns.TypeA, "resolver.arpa.": dns.TypeSVCB, "x.resolver.arpa.": dns.TypeSVCB} {
		if r := s.ask(t, "udp", name, qtype, nil); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 0 || len(r.Ns) != 1 {
			t.Errorf("%s %s: want NODATA:\n%s", name, dns.TypeToString[qtype], r)
		}
	}
	if n := s.up.asked.Load(); n != 1 { // www.example
		t.Errorf("%d questions went upstream, want none about resolver.arpa", n)
	}
}

// Nobody is sent to a listener that is not there.
func TestNothingIsDesignatedWithoutAName(t *testing.T) {
	s, _ := secure(t, answersA("www.example. 300 A 192.0.2.1"), nil)
	if r := s.ask(t, "udp", "_dns.resolver.arpa.", dns.TypeSVCB, nil); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 0 || len(r.Ns) != 1 {
		t.Errorf("want NODATA:\n%s", r)
	}
	c := resolver.DefaultConfig()
	c.Upstream.Servers = []string{"192.0.2.53"}
	c.DDR = resolver.DDRConfig{Name: "dns.example.net"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "ddr.name: nothing to offer") {
		t.Errorf("Validate = %v, want that there is nothing to offer", err)
	}
	c.DDR = resolver.DDRConfig{Addresses: []string{"one", "0.0.0.0", "1.1.1.1", "1.1.1.2", "1.1.1.3"}}
	err := c.Validate()
	for _, want := range []string{"ddr.name: needs", "ddr.addresses: at most 4", "ddr.addresses[0]", "ddr.addresses[1]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, want it to say %q", err, want)
		}
	}
}

// kdig reads the offer as we mean it.
func TestKdigReadsTheDesignation(t *testing.T) {
	kdig, err := exec.LookPath("kdig")
	if err != nil {
		t.Skip("kdig is not installed (Debian: knot-dnsutils)")
	}
	s, _ := secure(t, answersA("www.example. 300 A 192.0.2.1"), designated)
	host, port, _ := net.SplitHostPort(s.addr)
	out, err := exec.CommandContext(t.Context(), kdig, "@"+host, "-p", port, "_dns.resolver.arpa", "TYPE64").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, tls, _ := net.SplitHostPort(s.resolver.AddrsTLS()[0])
	for _, want := range []string{"status: NOERROR", "1 dns.example.net. alpn=dot port=" + tls, "2 dns.example.net. alpn=h2", "ipv4hint=192.0.2.53", "ipv6hint=2001:db8::53"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("kdig does not show %q:\n%s", want, out)
		}
	}
}

// A client that knows our name asks for that, and is told the same, QUIC
// included.
func TestOurOwnNameIsDesignatedToo(t *testing.T) {
	s, _ := secure(t, answersA("www.example. 300 A 192.0.2.1"), func(c *resolver.Config) {
		designated(c)
		c.ListenQUIC = []string{"127.0.0.1:0"}
	})
	offer := func(name string) (alpn []string) {
		t.Helper()
		r := s.ask(t, "udp", name, dns.TypeSVCB, nil)
		if r.Truncated || len(withoutOPT(r.Extra)) != 2 {
			t.Errorf("%s: want it whole, in 512 octets, with two addresses:\n%s", name, r)
		}
		for _, rr := range r.Answer {
			svc := rr.(*dns.SVCB)
			if svc.Hdr.Name != name || svc.Target != "dns.example.net." {
				t.Errorf("%s: %s", name, svc)
			}
			for _, kv := range svc.Value {
				if kv.Key() == dns.SVCB_ALPN {
					alpn = append(alpn, kv.String())
				}
				if want := "port=" + portOf(s.resolver.AddrsQUIC()[0]); kv.Key() == dns.SVCB_PORT && alpn[len(alpn)-1] == "doq" && "port="+kv.String() != want {
					t.Errorf("%s: doq at port %s, want %s", name, kv, want)
				}
			}
		}
		return alpn
	}
	for _, name := range []string{"_dns.resolver.arpa.", "_dns.dns.example.net.", "_DNS.Dns.Example.Net."} {
		if got := strings.Join(offer(name), " "); got != "dot h2 doq" {
			t.Errorf("%s: offers %q, want dot h2 doq", name, got)
		}
	}
	for name, qtype := range map[string]uint16{"_dns.dns.example.net.": dns.TypeA, "_853._dns.dns.example.net.": dns.TypeSVCB} {
		if r := s.ask(t, "udp", name, qtype, nil); r.Rcode != dns.RcodeSuccess || len(r.Answer) != 0 || len(r.Ns) != 1 {
			t.Errorf("%s %s: want NODATA:\n%s", name, dns.TypeToString[qtype], r)
		}
	}
	if n := s.up.asked.Load(); n != 0 {
		t.Errorf("%d questions went upstream, want none", n)
	}
	s.ask(t, "udp", "dns.example.net.", dns.TypeA, nil)
	s.ask(t, "udp", "_dns.other.example.", dns.TypeSVCB, nil)
	if n := s.up.asked.Load(); n != 2 {
		t.Errorf("%d questions went upstream, want the name itself and other servers' names", n)
	}
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func TestNamesTooLongToAskForAreRefused(t *testing.T) {
	c := resolver.DefaultConfig()
	c.Upstream.Servers, c.ListenQUIC = []string{"192.0.2.53"}, []string{"127.0.0.1:0"}
	label := strings.Repeat("x", 62)
	c.DDR.Name = label + "." + label + "." + label + "." + label[:60] // 251 octets
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "ddr.name: ") || !strings.Contains(err.Error(), "too long") {
		t.Errorf("Validate = %v, want that it is too long", err)
	}
}
