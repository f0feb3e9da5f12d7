package capture_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/quic-go/quic-go"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
)

type findings []string

func (f *findings) Find(x *detect.Finding) {
	s := fmt.Sprint(x.Kind, " ", x.Client, " ", x.Name)
	for _, fact := range x.Evidence {
		s += " " + fact.Key + "=" + fact.Value
	}
	*f = append(*f, s)
}

// clientHello is what Go's TLS client says first.
func clientHello(tb testing.TB, name string) []byte {
	tb.Helper()
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(theirs, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	}()
	b := make([]byte, 64<<10)
	n, err := ours.Read(b)
	if err != nil {
		tb.Fatal(err)
	}
	_ = ours.Close()
	_ = theirs.Close()
	return b[:n]
}

func TestFindings(t *testing.T) {
	const other = "203.0.113.53"
	tcp := func(to string, port uint16, data []byte) []byte {
		return tcpFlow{client4, to, 40000, port, 1}.packet(t, 0, "", data)
	}
	ask := func(server string, id uint16, name string) []byte {
		return udp(t, client4, server, 40000, 53, query(t, id, name, dns.TypeA))
	}
	reply := func(server string, id uint16, name string, rcode int, records ...string) []byte {
		return udp(t, server, client4, 53, 40000, answer(t, id, name, dns.TypeA, rcode, records...))
	}
	quic := append([]byte("\xc3\x00\x00\x00\x01"), make([]byte, 1200)...)
	for name, c := range map[string]struct {
		frames []frame
		want   []string
	}{
		"DoT":               {inOrder(tcp(other, 853, clientHello(t, "dns.example"))), []string{"encrypted_dns 192.0.2.10 dns.example server=203.0.113.53 protocol=dot sni=dns.example"}},
		"DoT, twice":        {inOrder(tcp(other, 853, clientHello(t, "dns.example")), tcp(other, 853, clientHello(t, "dns.example"))), []string{"encrypted_dns 192.0.2.10 dns.example server=203.0.113.53 protocol=dot sni=dns.example"}},
		"DoQ":               {inOrder(udp(t, client4, other, 40000, 853, quic)), []string{"encrypted_dns 192.0.2.10  server=203.0.113.53 protocol=doq sni="}},
		"DoH by name":       {inOrder(tcp(other, 443, clientHello(t, "abc.dns.nextdns.io"))), []string{"encrypted_dns 192.0.2.10 abc.dns.nextdns.io server=203.0.113.53 protocol=doh sni=abc.dns.nextdns.io"}},
		"DoH by our name":   {inOrder(tcp(other, 443, clientHello(t, "doh.corp.example"))), []string{"encrypted_dns 192.0.2.10 doh.corp.example server=203.0.113.53 protocol=doh sni=doh.corp.example"}},
		"DoH by address":    {inOrder(tcp("9.9.9.9", 443, clientHello(t, ""))), []string{"encrypted_dns 192.0.2.10  server=9.9.9.9 protocol=doh sni="}},
		"DoH3 by address":   {inOrder(udp(t, client4, "1.1.1.1", 40000, 443, quic)), []string{"encrypted_dns 192.0.2.10  server=1.1.1.1 protocol=doh3 sni="}},
		"the web":           {inOrder(tcp(other, 443, clientHello(t, "www.example.com")), udp(t, client4, other, 40000, 443, quic)), nil},
		"data, no begin":    {inOrder(tcp("1.1.1.1", 443, []byte("\x17\x03\x03\x00\x10................"))), nil},
		"past the resolver": {inOrder(ask(other, 1, "a.example.")), []string{"bypassed_resolver 192.0.2.10 a.example server=203.0.113.53 protocol=dns"}},
		"to the resolver":   {inOrder(ask(server4, 1, "a.example.")), nil},
		"by the resolver":   {inOrder(udp(t, server4, other, 40000, 53, query(t, 1, "a.example.", dns.TypeA))), nil},
		"two answers": {[]frame{{0, ask(server4, 1, "a.example.")}, {10 * ms, reply(server4, 1, "a.example.", 0, "a.example. 60 IN A 198.51.100.66")}, {12 * ms, reply(server4, 1, "a.example.", 0, "a.example. 60 IN A 192.0.2.1")}},
			[]string{"answers_race 192.0.2.10 a.example server=198.51.100.53 second=192.0.2.1 after=2ms"}},
		"the same twice, in another order and older": {[]frame{{0, ask(server4, 1, "a.example.")},
			{10 * ms, reply(server4, 1, "a.example.", 0, "a.example. 60 IN A 192.0.2.1", "a.example. 60 IN A 192.0.2.2")},
			{12 * ms, reply(server4, 1, "a.example.", 0, "a.example. 59 IN A 192.0.2.2", "a.example. 59 IN A 192.0.2.1")}}, nil},
		"one knows no such name": {inOrder(ask(server4, 1, "a.example."), reply(server4, 1, "a.example.", 0, "a.example. 60 IN A 198.51.100.1"),
			ask("198.51.100.54", 2, "a.example."), reply("198.51.100.54", 2, "a.example.", dns.RcodeNameError)),
			[]string{"answers_differ 192.0.2.10 a.example server=198.51.100.54 says=NXDOMAIN other_server=198.51.100.53 other_says=198.51.100.1"}},
		"one sends inside": {inOrder(ask(server4, 1, "a.example."), reply(server4, 1, "a.example.", 0, "a.example. 60 IN A 198.51.100.1"),
			ask("198.51.100.54", 2, "a.example."), reply("198.51.100.54", 2, "a.example.", 0, "a.example. 60 IN A 10.0.0.1")),
			[]string{"answers_differ 192.0.2.10 a.example server=198.51.100.54 says=10.0.0.1 other_server=198.51.100.53 other_says=198.51.100.1"}},
		"other addresses": {inOrder(ask(server4, 1, "a.example."), reply(server4, 1, "a.example.", 0, "a.example. 60 IN A 198.51.100.1"),
			ask("198.51.100.54", 2, "a.example."), reply("198.51.100.54", 2, "a.example.", 0, "a.example. 60 IN A 203.0.113.1")), nil},
	} {
		var got findings
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, c.frames...), func(cfg *capture.Config, d *capture.Deps) {
			d.Findings = []detect.FindingSink{&got}
			cfg.Findings.Resolvers, cfg.Findings.DoHNames = []string{server4, "198.51.100.54/32"}, []string{"doh.corp.example"}
		})
		if fmt.Sprint([]string(got)) != fmt.Sprint(c.want) {
			t.Errorf("%s: got\n%q, want\n%q", name, []string(got), c.want)
		}
		var told uint64
		for _, n := range s.Findings {
			told += n
		}
		if told != uint64(len(c.want)) {
			t.Errorf("%s: %v counted, want %d", name, s.Findings, len(c.want))
		}
	}
}

func TestWhatFindingsRememberIsBounded(t *testing.T) {
	var frames []frame
	for i := range 100 {
		server := fmt.Sprintf("203.0.113.%d", i)
		frames = append(frames, frame{time.Duration(i) * ms, udp(t, client4, server, 40000, 53, query(t, 1, "a.example.", dns.TypeA))})
	}
	var got findings
	c, _ := newCapture(t, func(cfg *capture.Config, d *capture.Deps) {
		d.Findings = []detect.FindingSink{&got}
		cfg.Findings.Resolvers, cfg.Findings.MaxEntries = []string{server4}, 16
	})
	file := pcapFile(t, layers.LinkTypeEthernet, append(frames, frames...)...)
	if err := c.Read(t.Context(), bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	if len(got) != 200 { // the first were forgotten, and told again
		t.Errorf("%d findings, want 200", len(got))
	}
}

// quicHello are the first packets of a real client of QUIC; its ClientHello is
// longer than one of them.
func quicHello(tb testing.TB, name string) [][]byte {
	tb.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = quic.DialAddr(ctx, pc.LocalAddr().String(), &tls.Config{ServerName: name, NextProtos: []string{"doq"}, InsecureSkipVerify: true}, nil)
	}()
	var out [][]byte
	for range 2 {
		b := make([]byte, 2048)
		n, _, err := pc.ReadFrom(b)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, b[:n])
	}
	cancel()
	<-ended
	return out
}

// The name of the server is found where it comes in several packets, in any
// order, and where some are missing the connection is told without it.
func TestServerNamesAreFoundInSeveralPackets(t *testing.T) {
	const dotServer = "203.0.113.53"
	first := clientHello(t, "dns.example")
	q := quicHello(t, "doq.example")
	if len(q[0])+len(q[1]) < 2000 || len(first) < 1200 {
		t.Fatalf("packets of %d and %d octets, a ClientHello of %d", len(q[0]), len(q[1]), len(first))
	}
	seg := func(from, to int) []byte {
		return tcpFlow{client4, dotServer, 40000, 853, 1}.packet(t, from, "", first[from:to])
	}
	dgram := func(i int) []byte { return udp(t, client4, dotServer, 40000, 853, q[i]) }
	dot, noName := "encrypted_dns 192.0.2.10 dns.example server=203.0.113.53 protocol=dot sni=dns.example", "encrypted_dns 192.0.2.10  server=203.0.113.53 protocol=dot sni="
	doq := "encrypted_dns 192.0.2.10 doq.example server=203.0.113.53 protocol=doq sni=doq.example"
	for name, c := range map[string]struct {
		frames []frame
		want   string
	}{
		"a segment":                        {inOrder(seg(0, len(first))), dot},
		"two segments":                     {inOrder(seg(0, 60), seg(60, len(first))), dot},
		"three, the last two out of order": {inOrder(seg(0, 60), seg(90, len(first)), seg(60, 90)), dot},
		"a segment twice":                  {inOrder(seg(0, 60), seg(0, 60), seg(60, len(first))), dot},
		"nothing behind the first":         {inOrder(seg(0, 60)), noName},
		"the rest too late":                {[]frame{{0, seg(0, 60)}, {3 * time.Second, seg(60, len(first))}}, noName},
		"datagrams of QUIC":                {inOrder(dgram(0), dgram(1)), doq},
		"in the other order":               {inOrder(dgram(1), dgram(0)), doq},
	} {
		var got findings
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, c.frames...), func(_ *capture.Config, d *capture.Deps) { d.Findings = []detect.FindingSink{&got} })
		if len(got) != 1 || got[0] != c.want || s.Findings["encrypted_dns"] != 1 {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// More connections than may wait are told all the same.
func TestConnectionsWhoseNameIsMissingAreBounded(t *testing.T) {
	var frames []frame
	first := clientHello(t, "dns.example")
	for i := range 300 {
		frames = append(frames, frame{time.Duration(i) * ms, tcpFlow{fmt.Sprintf("192.0.2.%d", i%250), "203.0.113.53", uint16(40000 + i), 853, 1}.packet(t, 0, "", first[:60])})
	}
	var got findings
	read(t, pcapFile(t, layers.LinkTypeEthernet, frames...), func(c *capture.Config, d *capture.Deps) {
		d.Findings, c.Findings.Repeat = []detect.FindingSink{&got}, 0
	})
	if len(got) != 300 {
		t.Errorf("%d findings, want 300", len(got))
	}
}

// FuzzQUIC: no datagram to a port of QUIC makes the reader panic.
func FuzzQUIC(f *testing.F) {
	for _, b := range quicHello(f, "doq.example") {
		f.Add(b)
	}
	f.Add([]byte("\xc3\x00\x00\x00\x01\x08\x83\x94\xc8\xf0\x3e\x51\x57\x08\x00\x00\x44\x9e"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got findings
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frame{0, udp(t, client4, server4, 40000, 853, data[:min(len(data), 2000)])}),
			func(_ *capture.Config, d *capture.Deps) { d.Findings = []detect.FindingSink{&got} })
		if s.Panics > 0 {
			t.Error("panic")
		}
	})
}

func FuzzClientHello(f *testing.F) {
	f.Add(clientHello(f, "dns.example"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got findings
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frame{0, tcpFlow{client4, server4, 40000, 853, 1}.packet(t, 0, "", data[:min(len(data), 60000)])}),
			func(_ *capture.Config, d *capture.Deps) { d.Findings = []detect.FindingSink{&got} })
		if s.Panics > 0 {
			t.Error("panic")
		}
	})
}
