package resolver_test

import (
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/resolver"
)

// What clients sent before the stop is answered, and every datagram that was
// read is a response or has a reason why not.
func TestNoDatagramIsLostAtTheStop(t *testing.T) {
	const queries, rubbish = 100, 7
	entered, hold := make(chan struct{}, 1+queries), make(chan struct{})
	j := &judge{inspect: func(*detect.Query, *detect.Verdict) {
		entered <- struct{}{}
		<-hold
	}}
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), j, func(c *resolver.Config) { c.Workers = 1 })
	conn, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wire, _ := new(dns.Msg).SetQuestion("www.example.", dns.TypeA).Pack()
	send := func(msg []byte) {
		t.Helper()
		if _, err := conn.Write(msg); err != nil {
			t.Fatal(err)
		}
	}
	send(wire)
	<-entered // the worker is busy; what comes now waits in the socket
	for range queries - 1 {
		send(wire)
	}
	for range rubbish {
		send([]byte("rubbish")) // shorter than a header
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); s.stop() }()
	// The stop has begun when no new connection is taken any more.
	for {
		c, err := net.DialTimeout("tcp", s.addr, 5*time.Second)
		if err != nil {
			break
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
	close(hold)
	<-stopped
	got := 0
	buf := make([]byte, 512)
	for ; got < queries; got++ {
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Read(buf); err != nil {
			break
		}
	}
	if got != queries {
		t.Errorf("%d of %d queries that came before the stop were answered", got, queries)
	}
	read := sum(t, s.registry, "weir_dns_datagrams_total")
	responses := sum(t, s.registry, "weir_dns_responses_total")
	ignored := sum(t, s.registry, "weir_dns_not_served_total", "ignored")
	if read != queries+rubbish || read != responses+ignored {
		t.Errorf("%v datagrams read, %v responses, %v ignored; want %d read, and each one of the two", read, responses, ignored, queries+rubbish)
	}
}

// A flood that a rate limit cuts is accounted for to the last datagram.
func TestEveryDatagramOfAFloodIsCounted(t *testing.T) {
	s := start(t, answersA("www.example. 300 A 192.0.2.1"), nil, func(c *resolver.Config) {
		c.RateLimit.ResponsesPerSecond, c.Cookies.Enabled = 10, false
	})
	s.ask(t, "udp", "www.example.", dns.TypeA, nil)
	conn, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wire, _ := new(dns.Msg).SetQuestion("www.example.", dns.TypeA).Pack()
	const flood = 200 // what a socket's memory holds without losses
	for range flood {
		if _, err := conn.Write(wire); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(30 * time.Second); sum(t, s.registry, "weir_dns_datagrams_total") < flood+1 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	s.stop()
	read := sum(t, s.registry, "weir_dns_datagrams_total")
	responses := sum(t, s.registry, "weir_dns_responses_total")
	limited := sum(t, s.registry, "weir_dns_not_served_total", "rate_limited")
	if read != flood+1 || limited == 0 || read != responses+limited {
		t.Errorf("%v datagrams read, %v responses, %v dropped by the limit; want %d read, and each one of the two", read, responses, limited, flood+1)
	}
}
