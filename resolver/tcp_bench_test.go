package resolver

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/miekg/dns"
)

// BenchmarkTCPPipelined is cached answers over one TCP connection, 64 queries
// written at a time, as a forwarder in front of us does; per query.
func BenchmarkTCPPipelined(b *testing.B) {
	s, query := hit(b)
	s.cfg.Listen = []string{"127.0.0.1:0"}
	if err := s.Listen(); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	c, err := net.Dial("tcp", s.Addrs()[0])
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	const batch = 64
	var out []byte
	for range batch {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(query))), query...)
	}
	in := bufio.NewReaderSize(c, 64<<10)
	buf := make([]byte, dns.MaxMsgSize)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%batch == 0 {
			if _, err := c.Write(out); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := io.ReadFull(in, buf[:2]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(in, buf[:binary.BigEndian.Uint16(buf)]); err != nil {
			b.Fatal(err)
		}
	}
}
