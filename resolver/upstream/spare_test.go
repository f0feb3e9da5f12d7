//go:build linux

package upstream_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/weirdns/weir/internal/dnstest"
	"github.com/weirdns/weir/resolver/upstream"
)

// parrot answers each query with itself, and then sends what after makes of it
// to where the query came from, before it takes the next one.
type parrot struct {
	pc    *net.UDPConn
	sent  chan struct{} // one for each query that is done with
	ports []int
	ended chan struct{}
}

func newParrot(t *testing.T, after func(msg []byte) []byte) *parrot {
	t.Helper()
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &parrot{pc: pc, sent: make(chan struct{}, 1), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			p.ports = append(p.ports, int(from.Port()))
			buf[2] |= 0x80
			_, _ = pc.WriteToUDPAddrPort(buf[:n], from)
			if after != nil {
				_, _ = pc.WriteToUDPAddrPort(after(buf[:n]), from)
			}
			p.sent <- struct{}{}
		}
	}()
	return p
}

// stop ends the parrot and says from which ports it was asked, and how often.
func (p *parrot) stop() map[int]int {
	_ = p.pc.Close()
	<-p.ended
	uses := map[int]int{}
	for _, port := range p.ports {
		uses[port]++
	}
	return uses
}

// asked asks n questions one after the other.
func (p *parrot) asked(t *testing.T, g *upstream.Group, n int) {
	t.Helper()
	for i := range n {
		if _, err := g.Exchange(t.Context(), question(fmt.Sprintf("n%d.example", i), dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		<-p.sent
	}
}

func of(p *parrot, uses int64) func(*upstream.Config) {
	return func(c *upstream.Config) { c.Servers, c.PortUses = []string{p.pc.LocalAddr().String()}, uses }
}

func TestPortsServeSoManyQuestionsAndNoMore(t *testing.T) {
	const n = 64
	for _, uses := range []int64{1, 4} {
		p := newParrot(t, nil)
		g, _ := group(t, of(p, uses))
		g.Hurry()
		p.asked(t, g, n)
		ports := p.stop()
		if uses == 1 && len(ports) < n-3 || uses > 1 && len(ports) > n/2 {
			t.Errorf("%d uses: %d ports for %d questions", uses, len(ports), n)
		}
		for port, count := range ports {
			if count > 2*int(uses) { // a port may be drawn twice by chance
				t.Errorf("port %d served %d questions, want %d at most", port, count, uses)
			}
		}
	}
}

func TestNoPortServesTwiceWithoutHurry(t *testing.T) {
	const n = 64
	p := newParrot(t, nil)
	g, _ := group(t, of(p, 16))
	p.asked(t, g, n)
	if ports := p.stop(); len(ports) < n-3 || g.Spares() != 0 {
		t.Errorf("%d ports for %d questions, %d kept; want one for each, and none kept", len(ports), n, g.Spares())
	}
}

// What was put into a socket while nobody used it is never read: the socket is
// not used again.
func TestWhatArrivedBetweenQuestionsIsNotRead(t *testing.T) {
	const n = 64
	p := newParrot(t, func(msg []byte) []byte { msg[0] ^= 0xff; return msg })
	g, reg := group(t, of(p, 16))
	g.Hurry()
	p.asked(t, g, n)
	if ports := p.stop(); len(ports) < n-3 {
		t.Errorf("%d ports for %d questions, want one for each", len(ports), n)
	}
	if bad := value(t, reg, "weir_upstream_invalid_total"); bad != 0 {
		t.Errorf("%v packets were judged, want none", bad)
	}
}

func TestForgeriesOnSparePortsAreCountedAndOutwaited(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	g, reg := group(t, nil, s)
	g.Hurry()
	for i := range 20 {
		ask(t, g, question(fmt.Sprintf("warm%d.www.example", i), dns.TypeA))
	}
	const n = 20
	for i := range n {
		s.Script(fmt.Sprintf("f%d.www.example.", i), dnstest.Then(dnstest.Forged("badid"), 0, dnstest.Good()))
	}
	for i := range n {
		if _, m := ask(t, g, question(fmt.Sprintf("f%d.www.example", i), dns.TypeA)); addresses(m) != trueAddress {
			t.Errorf("got %s", m)
		}
	}
	if bad := value(t, reg, "weir_upstream_invalid_total"); bad < n {
		t.Errorf("%v packets counted, want %d or more", bad, n)
	}
}

func TestManyAtOnceEachHaveASocketOfTheirOwn(t *testing.T) {
	s := dnstest.NewServer(t, "example.", zone)
	reg := prometheus.NewRegistry()
	cfg := upstream.DefaultConfig()
	cfg.Servers = []string{s.Addr()}
	g, err := upstream.New(cfg, upstream.Deps{Log: zap.NewNop(), Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	g.Hurry()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				if _, m := ask(t, g, question(fmt.Sprintf("p%d.%d.www.example", j, i), dns.TypeA)); addresses(m) != trueAddress {
					t.Errorf("got %s", m)
				}
			}
		})
	}
	wg.Wait()
	if bad := value(t, reg, "weir_upstream_invalid_total"); bad != 0 {
		t.Errorf("%v packets were no answers, want none: one question's answer came to another", bad)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := g.Spares(); n != 0 {
		t.Errorf("%d sockets are kept after the end", n)
	}
}
