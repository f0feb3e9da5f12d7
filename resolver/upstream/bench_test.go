package upstream_test

import (
	"context"
	"net"
	"testing"

	"github.com/miekg/dns"

	"github.com/weirdns/weir/resolver/upstream"
)

// The other side only turns queries into empty answers, without allocating.
// It shares the processors with what is measured.
func BenchmarkExchange(b *testing.B) {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			buf[2] |= 0x80
			_, _ = pc.WriteToUDPAddrPort(buf[:n], from)
		}
	}()
	defer func() { pc.Close(); <-ended }()
	g, _ := group(b, func(c *upstream.Config) { c.Servers = []string{pc.LocalAddr().String()} })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		q := question("www.example", dns.TypeA)
		for pb.Next() {
			if _, err := g.Exchange(context.Background(), q); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
