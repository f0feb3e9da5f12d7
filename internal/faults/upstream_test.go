package faults

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/internal/dnstest"
)

// anything answers every A question below any name with an address.
func anything(ttl uint32) dnstest.Script {
	return func(x *dnstest.Exchange) {
		m := new(dns.Msg)
		m.SetReply(x.Msg)
		if x.EDNS {
			m.SetEdns0(1232, x.DO)
		}
		m.Answer = []dns.RR{&dns.A{
			Hdr: dns.RR_Header{Name: x.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: net.IPv4(192, 0, 2, 1),
		}}
		x.Send(m)
	}
}

// server answers everything but what its scripts say.
func server(t *testing.T) *dnstest.Server {
	s := dnstest.NewServer(t)
	s.ScriptAll(anything(300))
	return s
}

// below does one thing for names below a zone and another for the rest.
func below(zone string, a, b dnstest.Script) dnstest.Script {
	return func(x *dnstest.Exchange) {
		if strings.HasSuffix(strings.ToLower(x.Name), "."+zone) {
			a(x)
		} else {
			b(x)
		}
	}
}

// lossy drops a share of the queries and of the answers.
func lossy(share float64, next dnstest.Script) dnstest.Script {
	return func(x *dnstest.Exchange) {
		there, back := rand.Float64() >= share, rand.Float64() >= share
		if x.TCP || there && back {
			next(x)
		}
	}
}

func TestE1SilentUpstream(t *testing.T) {
	t.Parallel()
	up := server(t)
	up.Script("old.example.com.", anything(1))
	w := start(t, options{upstreams: []*dnstest.Server{up}, silent: true})
	ask(t, "udp", w.addr, "old.example.com.")
	time.Sleep(1100 * time.Millisecond)
	up.Script("old.example.com.", dnstest.Drop())
	up.ScriptAll(dnstest.Drop())

	var slowest time.Duration
	var mu sync.Mutex
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			r, took := ask(t, "udp", w.addr, fmt.Sprintf("n%d.dead%d.example.", i, i))
			if r == nil || r.Rcode != dns.RcodeServerFailure || ede(r) != 22 && ede(r) != 23 {
				t.Errorf("with a silent upstream: %v, want SERVFAIL with EDE 22 or 23", r)
			}
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
		})
	}
	clients.Wait()
	r, staleTook := ask(t, "udp", w.addr, "old.example.com.")
	if r == nil || len(r.Answer) != 1 || ede(r) != 3 {
		t.Errorf("with a silent upstream, an old answer: %v, want it with EDE 3", r)
	}
	if got := up.Count("n0.dead0.example."); got > 3 {
		t.Errorf("%d packets for one name, want at most 3", got)
	}
	up.ScriptAll(anything(300))
	back := time.Now()
	for {
		if r, _ := ask(t, "udp", w.addr, "n7.dead7.example."); r != nil && len(r.Answer) == 1 {
			break
		}
		if time.Since(back) > 20*time.Second {
			t.Fatal("20 s after the upstream is back there is no answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
	recovered := time.Since(back)
	figure(t, "E1", "answered in 2 s, stale with EDE 3, at most 3 packets a name, good again in 1 s",
		slowest <= 2*time.Second && recovered <= 1100*time.Millisecond,
		"SERVFAIL with EDE 22 in %s at most, stale in %s, %d packets for a name, good again after %s",
		slowest.Round(time.Millisecond), staleTook.Round(time.Millisecond), up.Count("n0.dead0.example."), recovered.Round(time.Millisecond))
}

func TestE2BlackHoleFirst(t *testing.T) {
	t.Parallel()
	hole, up := dnstest.NewServer(t), server(t)
	hole.ScriptAll(dnstest.Drop())
	w := start(t, options{upstreams: []*dnstest.Server{hole, up}})
	o := load(t, w.addr, pick(50, 100), pick(1000, 200), fresh("n", "example.com."))
	if o.good != o.sent {
		t.Errorf("%d of %d answered with data, want all", o.good, o.sent)
	}
	figure(t, "E2", "1,000 of 1,000, none over 1 s, at most 5 over 250 ms, p99 under 10 ms",
		o.good == o.sent && o.over(time.Second) == 0 && o.over(250*time.Millisecond) <= 5 && o.quantile(.99) < 10*time.Millisecond,
		"%d of %d, %d over 1 s, %d over 250 ms, p99 %s", o.good, o.sent, o.over(time.Second), o.over(250*time.Millisecond), o.quantile(.99))
}

func TestE3TheUpstreamInUseDies(t *testing.T) {
	t.Parallel()
	first, second := server(t), server(t)
	w := start(t, options{upstreams: []*dnstest.Server{first, second}})
	rate, seconds := pick(500, 100), pick(10, 3)
	time.AfterFunc(time.Duration(seconds)*time.Second/3, func() { first.ScriptAll(dnstest.Drop()) })
	o := load(t, w.addr, rate, rate*seconds, fresh("n", "example.com."))
	if o.good != o.sent {
		t.Errorf("%d of %d answered with data, want all", o.good, o.sent)
	}
	figure(t, "E3", "0 lost, at most 1 % of a second over 500 ms", o.good == o.sent && o.over(500*time.Millisecond) <= rate/100,
		"%d lost of %d, %d over 500 ms, p99 %s", o.sent-o.good, o.sent, o.over(500*time.Millisecond), o.quantile(.99))
}

func TestE4BothFlap(t *testing.T) {
	t.Parallel()
	began := time.Now()
	flap := func(odd bool) dnstest.Script {
		return func(x *dnstest.Exchange) {
			if (time.Since(began)/time.Second%2 == 1) == odd {
				anything(300)(x)
			}
		}
	}
	a, b := dnstest.NewServer(t), dnstest.NewServer(t)
	a.ScriptAll(flap(true))
	b.ScriptAll(flap(false))
	w := start(t, options{upstreams: []*dnstest.Server{a, b}})
	rate, seconds := pick(200, 50), pick(20, 4)
	o := load(t, w.addr, rate, rate*seconds, fresh("n", "example.com."))
	asked := len(a.Queries()) + len(b.Queries())
	share := float64(o.good) / float64(o.sent)
	if o.lost() != 0 {
		t.Errorf("%d without any answer, want none", o.lost())
	}
	figure(t, "E4", "99.9 % with data, at most 2 queries upstream for a miss (3 where two servers are raced)",
		share >= .999 && asked <= 3*o.sent, "%.2f %% with data, %.2f queries upstream for a miss, p99 %s",
		100*share, float64(asked)/float64(o.sent), o.quantile(.99))
}

func TestE5OneZoneIsSlow(t *testing.T) {
	t.Parallel()
	up := dnstest.NewServer(t)
	up.ScriptAll(below("slow.example.", dnstest.Delay(2*time.Second, anything(300)), anything(300)))
	w := start(t, options{upstreams: []*dnstest.Server{up}})
	n := pick(2000, 200)
	load(t, w.addr, 500, 50, among(50, "cached.example.")) // now they are
	calm := load(t, w.addr, 200, n, fresh("c", "calm.example."))
	done := make(chan *outcome)
	go func() { done <- load(t, w.addr, 50, n/4, fresh("s", "slow.example.")) }()
	other := load(t, w.addr, 200, n, fresh("o", "other.example."))
	cached := load(t, w.addr, 500, n, among(50, "cached.example."))
	slow := <-done
	for what, o := range map[string]*outcome{"other": other, "cached": cached} {
		if o.good != o.sent {
			t.Errorf("%s names: %d of %d answered with data, want all", what, o.good, o.sent)
		}
	}
	if slow.lost() != 0 {
		t.Errorf("%d slow names without any answer, want none", slow.lost())
	}
	figure(t, "E5", "all answered, p99 of other and cached names unchanged", slow.lost() == 0 && other.quantile(.99) < calm.quantile(.99)+5*time.Millisecond,
		"slow names got SERVFAIL in %s at most, as any that takes over 1.8 s; other names p99 %s (before: %s), cached %s",
		slow.quantile(1).Round(time.Millisecond), other.quantile(.99), calm.quantile(.99), cached.quantile(.99))
}

func TestE6Loss(t *testing.T) {
	for _, c := range []struct {
		percent int
		want    float64
	}{{10, .999}, {30, .99}} {
		t.Run(fmt.Sprintf("%d %%", c.percent), func(t *testing.T) {
			t.Parallel()
			a, b := dnstest.NewServer(t), dnstest.NewServer(t)
			for _, s := range []*dnstest.Server{a, b} {
				s.ScriptAll(lossy(float64(c.percent)/100, anything(300)))
			}
			w := start(t, options{upstreams: []*dnstest.Server{a, b}})
			o := load(t, w.addr, 100, pick(2000, 200), fresh("n", "example.com."))
			share := float64(o.good) / float64(o.sent)
			if o.lost() != 0 {
				t.Errorf("%d without any answer, want none", o.lost())
			}
			figure(t, fmt.Sprintf("E6 %d %%", c.percent), fmt.Sprintf("%.1f %% inside 3 s", 100*c.want), share >= c.want && o.over(3*time.Second) == 0,
				"%.2f %% with data, p50 %s, p99 %s, the slowest %s", 100*share, o.quantile(.5), o.quantile(.99), o.quantile(1).Round(time.Millisecond))
		})
	}
}

func TestE7LyingUpstream(t *testing.T) {
	t.Parallel()
	up := server(t)
	w := start(t, options{upstreams: []*dnstest.Server{up}})
	kinds, served := dnstest.Forgeries(), 0
	for _, kind := range kinds {
		name := kind + ".example.com."
		up.Script(name, dnstest.Split(dnstest.Then(dnstest.Forged(kind), 50*time.Millisecond, anything(300)), anything(300)))
		r, _ := ask(t, "udp", w.addr, name)
		switch {
		case r == nil || len(r.Answer) != 1:
			t.Errorf("%s: %v, want the true answer", kind, r)
		case r.Answer[0].(*dns.A).A.Equal(dnstest.ForgedAddress):
			t.Errorf("%s: the forged answer was taken", kind)
		default:
			served++
		}
	}
	figure(t, "E7", "no forged answer, the true one in every case", served == len(kinds), "%d kinds of forgery, 0 accepted, the true answer in %d", len(kinds), served)
}

func TestE8TruncatingUpstream(t *testing.T) {
	t.Parallel()
	truncate := func(x *dnstest.Exchange) {
		m := new(dns.Msg)
		m.SetReply(x.Msg)
		m.Truncated = true
		x.Send(m)
	}
	up := server(t)
	up.Script("tcp.example.", dnstest.Split(truncate, anything(300)))
	up.Script("cut.example.", dnstest.Split(truncate, func(x *dnstest.Exchange) { x.Close() }))
	w := start(t, options{upstreams: []*dnstest.Server{up}, silent: true})
	good, _ := ask(t, "udp", w.addr, "tcp.example.")
	bad, took := ask(t, "udp", w.addr, "cut.example.")
	if good == nil || len(good.Answer) != 1 || good.Truncated {
		t.Errorf("truncated over UDP: %v, want the data from TCP", good)
	}
	if bad == nil || bad.Rcode != dns.RcodeServerFailure || ede(bad) < 0 {
		t.Errorf("truncated, and cut over TCP: %v, want SERVFAIL with an EDE", bad)
	}
	figure(t, "E8", "data by TCP; where that is cut, SERVFAIL with EDE in 2 s", took <= 2*time.Second,
		"data by TCP; SERVFAIL with EDE %d in %s", ede(bad), took.Round(time.Millisecond))
}

func TestE9UpstreamThatRefuses(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	a, b := dnstest.NewServer(t), server(t)
	a.ScriptAll(func(x *dnstest.Exchange) {
		asked.Add(1)
		dnstest.Rcode([]int{dns.RcodeRefused, dns.RcodeServerFailure}[asked.Load()%2])(x)
	})
	w := start(t, options{upstreams: []*dnstest.Server{a, b}})
	o := load(t, w.addr, 100, pick(1000, 100), fresh("n", "example.com."))
	if o.good != o.sent {
		t.Errorf("%d of %d answered with data, want all", o.good, o.sent)
	}
	figure(t, "E9", "REFUSED and SERVFAIL: the next upstream", o.good == o.sent, "%d of %d with data from the second, p99 %s", o.good, o.sent, o.quantile(.99))
}
