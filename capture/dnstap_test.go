package capture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"google.golang.org/protobuf/encoding/protowire"
)

// tapFrame is a dnstap message as a resolver would send it.
func tapFrame(kind uint64, client string, at time.Time, msg []byte) []byte {
	const clientQuery = 5
	addr := netip.MustParseAddr(client)
	var m []byte
	number := func(field protowire.Number, v uint64) {
		m = protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
	}
	octets := func(field protowire.Number, v []byte) {
		m = protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), v)
	}
	nanos := func(field protowire.Number) {
		m = protowire.AppendFixed32(protowire.AppendTag(m, field, protowire.Fixed32Type), uint32(at.Nanosecond()))
	}
	number(1, kind)
	number(2, 1)
	number(3, 3) // DoT
	octets(4, addr.AsSlice())
	octets(5, netip.MustParseAddr(server4).AsSlice())
	number(6, 40000)
	number(7, 853)
	number(8, uint64(start.Unix()))
	m = protowire.AppendFixed32(protowire.AppendTag(m, 9, protowire.Fixed32Type), uint32(start.Nanosecond()))
	if kind%2 == clientQuery%2 {
		octets(10, msg)
	} else {
		number(12, uint64(at.Unix()))
		nanos(13)
		octets(14, msg)
	}
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("resolver"))
	b = protowire.AppendBytes(protowire.AppendTag(b, 14, protowire.BytesType), m)
	return protowire.AppendVarint(protowire.AppendTag(b, 15, protowire.VarintType), 1)
}

func sized(data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
}

// control is a control frame, with the content type if it is to have one.
func control(kind uint32, content string) []byte {
	b := binary.BigEndian.AppendUint32(nil, kind)
	if content != "" {
		b = append(binary.BigEndian.AppendUint32(b, 1), sized([]byte(content))...)
	}
	return append(make([]byte, 4), sized(b)...)
}

const tapContent = "protobuf:dnstap.Dnstap"

func tapStream(tb testing.TB) []byte {
	q := query(tb, 7, "a.example.", dns.TypeA)
	a := answer(tb, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1")
	b := control(2, tapContent)
	for _, f := range [][]byte{
		tapFrame(5, client4, start, q),
		tapFrame(6, client4, start.Add(30*time.Millisecond), a),
		tapFrame(6, client6, start.Add(40*time.Millisecond), a), // without its query, but with that one's time
		tapFrame(5, client6, start, nil),
		tapFrame(99, client6, start, q),
		tapFrame(5, client6, start, q[:3]),
		[]byte("\x72\xff"),
		make([]byte, 300<<10),
	} {
		b = append(b, sized(f)...)
	}
	return append(b, control(3, "")...)
}

func checkTap(t *testing.T, s capture.Summary, got []seen) {
	t.Helper()
	checkSums(t, s)
	if s.Packets != 8 || s.Answered != 1 || s.Unmatched != 1 || s.Drops["dnstap"]["no_message"] != 1 || s.Drops["dnstap"]["other_type"] != 1 ||
		s.Drops["dnstap"]["malformed"] != 1 || s.Drops["dnstap"]["too_large"] != 1 || s.Drops["dns"]["short"] != 1 {
		t.Errorf("%+v", s)
	}
	if len(got) != 2 || got[0].client != client4 || got[0].upstream != server4 || got[0].latency != 30*time.Millisecond || got[0].transport != detect.Dnstap ||
		got[1].client != client6 || got[1].latency != 40*time.Millisecond || got[1].time != 0 {
		t.Errorf("%+v", got)
	}
}

func TestADnstapFileIsReadLikeACapture(t *testing.T) {
	s, got := read(t, tapStream(t), nil)
	checkTap(t, s, got)
}

func TestResolversBringDnstapOverAnySocket(t *testing.T) {
	for _, listen := range []string{"unix:" + filepath.Join(t.TempDir(), "tap.sock"), "tcp:127.0.0.1:0"} {
		for _, handshake := range []bool{false, true} {
			c, sink := newCapture(t, func(c *capture.Config, _ *capture.Deps) { c.Dnstap.Listen = []string{listen} })
			d, err := c.OpenDnstap()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- d.Run(ctx) }()
			network, addr, _ := bytes.Cut([]byte(d.Addrs()[0]), []byte(":"))
			conn, err := net.Dial(string(network), string(addr))
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			send := func(b []byte) {
				if _, err := conn.Write(b); err != nil {
					t.Fatal(err)
				}
			}
			receive := func(want []byte) {
				got := make([]byte, len(want))
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s: got %x, want %x: %v", listen, got, want, err)
				}
			}
			if handshake {
				send(control(4, tapContent))
				receive(control(1, tapContent))
			}
			send(tapStream(t))
			if handshake {
				receive(control(5, ""))
			} else if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("a stream without a handshake ends with %v", err)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			_ = conn.Close()
			checkTap(t, c.Summary(), sink.all)
		}
	}
}

func TestConnectionsForDnstapAreBounded(t *testing.T) {
	c, _ := newCapture(t, func(c *capture.Config, _ *capture.Deps) {
		c.Dnstap.Listen, c.Dnstap.MaxConnections = []string{"tcp:127.0.0.1:0"}, 1
	})
	d, err := c.OpenDnstap()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	addr := d.Addrs()[0][len("tcp:"):]
	first, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := first.Write(control(4, tapContent)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(first, make([]byte, len(control(1, tapContent)))); err != nil {
		t.Fatal(err)
	}
	second, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = second.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := second.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one too many: %v, want it closed", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A resolver that dies inside of a frame leaves one that is counted.
func TestAConnectionThatEndsInsideOfAFrameIsCounted(t *testing.T) {
	c, _ := newCapture(t, func(c *capture.Config, _ *capture.Deps) { c.Dnstap.Listen = []string{"tcp:127.0.0.1:0"} })
	d, err := c.OpenDnstap()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	conn, err := net.Dial("tcp", d.Addrs()[0][len("tcp:"):])
	if err != nil {
		t.Fatal(err)
	}
	frame := sized(tapFrame(5, client4, time.Unix(1, 0), query(t, 7, "a.example.", dns.TypeA)))
	stream := slices.Concat(control(2, tapContent), frame, frame[:len(frame)/2])
	if _, err := conn.Write(stream); err != nil || conn.Close() != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return c.Summary().Drops["file"]["cut"] == 1 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s := c.Summary()
	checkSums(t, s)
	if s.Packets != 2 || s.DNSMessages != 1 {
		t.Errorf("%+v", s)
	}
}

// Wherever a stream is cut, what came before is read and the numbers add up.
func TestAStreamOfFramesMayEndAnywhere(t *testing.T) {
	whole := control(2, tapContent)
	start := len(whole)
	for i := range 3 {
		whole = append(whole, sized(tapFrame(5, client4, time.Unix(int64(i), 0), query(t, uint16(i), "a.example.", dns.TypeA)))...)
	}
	for n := start; n <= len(whole); n++ {
		c, _ := newCapture(t, nil)
		if err := c.Read(t.Context(), bytes.NewReader(whole[:n])); err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		s := c.Summary()
		checkSums(t, s)
		if whole := uint64((n - start) * 3 / (len(whole) - start)); s.DNSMessages != whole || s.Panics > 0 {
			t.Fatalf("cut at %d: %+v, want %d messages", n, s, whole)
		}
	}
}

func FuzzDnstap(f *testing.F) {
	f.Add(tapStream(f))
	f.Add(control(2, "text"))
	f.Add(append(control(4, tapContent), tapStream(f)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, _ := newCapture(t, nil)
		_ = c.Read(t.Context(), bytes.NewReader(append([]byte{0, 0, 0, 0}, data...))) // whatever it says, it adds up
		s := c.Summary()
		checkSums(t, s)
		if s.Panics > 0 {
			t.Errorf("%d panics", s.Panics)
		}
	})
}
