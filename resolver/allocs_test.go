package resolver

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/resolver/upstream"
	"go.uber.org/zap"
)

type noJudge struct{}

func (noJudge) Inspect(*detect.Query, *detect.Verdict)               {}
func (noJudge) InspectAnswer(*detect.Query, []byte, *detect.Verdict) {}

type noSink struct{}

func (noSink) Record(*detect.Transaction) {}

type noReply struct{ s *Resolver }

func (n noReply) reply(r *request) { n.s.putRequest(r) }

type oneAnswer struct{ msg []byte }

func (o oneAnswer) Exchange(context.Context, *upstream.Question) (*upstream.Answer, error) {
	return &upstream.Answer{Msg: o.msg, Server: "192.0.2.53:53"}, nil
}

// hit is a resolver with one cached name, and the query for it.
func hit(tb testing.TB) (*Resolver, []byte) {
	tb.Helper()
	q := new(dns.Msg)
	q.SetQuestion("www.example.com.", dns.TypeA)
	q.SetEdns0(1232, false)
	query, err := q.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	a := new(dns.Msg)
	a.SetReply(q)
	rr, _ := dns.NewRR("www.example.com. 300 IN A 192.0.2.1")
	a.Answer = []dns.RR{rr}
	answer, err := a.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Upstream.Servers = []string{"192.0.2.53"}
	s, err := New(cfg, Deps{
		Log: zap.NewNop(), Registry: prometheus.NewRegistry(), Detector: noJudge{},
		Upstream: oneAnswer{answer}, Sinks: []detect.Sink{noSink{}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.serveOne(query)
	s.work.Wait()
	return s, query
}

// serveOne is what a worker does with one datagram, without the socket.
func (s *Resolver) serveOne(query []byte) detect.Source {
	r := s.getRequest()
	r.ask = detect.Query{Time: time.Now(), Client: loopback4, Transport: detect.UDP}
	r.from, r.peer = noReply{s}, netip.AddrPortFrom(loopback4, 4711)
	if !s.serve(r, query) {
		return detect.FromUpstream
	}
	source := r.source
	s.putRequest(r)
	return source
}

// A hit is the common case by far: whatever it allocates, the collector pays
// for tens of thousands of times a second.
func TestAHitDoesNotAllocate(t *testing.T) {
	s, query := hit(t)
	if got := s.serveOne(query); got != detect.FromCache {
		t.Fatalf("answered from %s, want the cache", got)
	}
	if got := testing.AllocsPerRun(1000, func() { s.serveOne(query) }); got >= 1 {
		t.Errorf("a hit allocates %v times, want 0", got)
	}
}

func BenchmarkHit(b *testing.B) {
	s, query := hit(b)
	b.ReportAllocs()
	for b.Loop() {
		s.serveOne(query)
	}
}
