package capture_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"golang.org/x/sys/unix"
)

// veth makes a network namespace with a pair of interfaces in it, for
// the test's own thread; what is sent on span1 comes in on span0. It skips the test
// where that is not allowed.
func veth(t *testing.T) {
	t.Helper()
	runtime.LockOSThread() // for good: the thread ends with the test's goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("a network namespace needs root: %v", err)
	}
	// Nothing but the test is to speak.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, args := range []string{
		"link add name span0 type veth peer name span1", "link set span0 up", "link set span1 up", "link set lo up",
	} {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) {
			t.Skip("ip is needed: apt-get install iproute2")
		}
		if err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
}

// sender puts frames on span1 as they are.
type sender struct {
	tb testing.TB
	fd int
}

func newSender(tb testing.TB, name string) *sender {
	tb.Helper()
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		tb.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: ifi.Index}); err != nil {
		tb.Fatal(err)
	}
	return &sender{tb, fd}
}

func (s *sender) send(frames ...[]byte) (sent uint64) {
	s.tb.Helper()
	for _, f := range frames {
		for {
			_, err := unix.Write(s.fd, f)
			if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) {
				continue
			}
			if err != nil {
				s.tb.Fatal(err)
			}
			break
		}
		sent++
	}
	return sent
}

// counting is a sink for several workers.
type counting struct {
	transactions atomic.Int64
	mu           sync.Mutex
	clients      map[string]int
	gate         chan struct{} // if there is one: Record waits for its end
}

func (c *counting) Record(t *detect.Transaction) {
	if c.gate != nil {
		<-c.gate
	}
	c.transactions.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients == nil {
		c.clients = map[string]int{}
	}
	c.clients[t.Query.Client.String()]++
}

// live runs c on interface span0 until stop is called.
func live(t *testing.T, c *capture.Capture) (stop func() capture.Summary) {
	t.Helper()
	l, err := c.OpenLive()
	if errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return func() capture.Summary {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s := c.Summary()
		checkSums(t, s)
		return s
	}
}

func TestAnInterfaceGivesEveryPacketOnce(t *testing.T) {
	veth(t)
	var sink counting
	c, _ := newCapture(t, func(c *capture.Config, d *capture.Deps) {
		c.Live.Interfaces, c.Live.Workers, c.Live.RingBytes = []string{"span0"}, 3, 24<<20
		d.Sinks = []detect.Sink{&sink}
	})
	stop := live(t, c)
	b := newSender(t, "span1")
	var sent, messages uint64
	const clients = 300
	for i := range uint16(clients) {
		client := net.IPv4(10, 1, byte(i>>8), byte(i)).String()
		id := 1 + i
		q, a := query(t, id, "www.example.com.", dns.TypeA), answer(t, id, "www.example.com.", dns.TypeA, 0, "www.example.com. 60 IN A 192.0.2.1")
		// Plain, tagged, tagged twice; the answers in fragments, so that they have
		// no ports; and over TCP.
		tags := [][]uint16{nil, {11}, {11, 12}}[i%3]
		sent += b.send(udp(t, client, server4, 40000, 53, q, tags...))
		sent += b.send(udp(t, server4, client, 53, 40000, a, tags...))
		sent += b.send(udp(t, client, server4, 40001, 53, query(t, id, "large.example.", dns.TypeTXT)))
		sent += b.send(fragmented(udp(t, server4, client, 53, 40001, large(t, id, 400)), uint32(id), 256)...)
		out, in := tcpFlow{client, server4, 40002, 53, 1000}, tcpFlow{server4, client, 53, 40002, 2000}
		sent += b.send(out.packet(t, 0, "S", nil), in.packet(t, 0, "S", nil, 1001), out.packet(t, 0, "", framed(q), 2001), in.packet(t, 0, "", framed(a), 1001))
		messages += 6
		b.send(udp(t, client, server4, 40000, 123, nil)) // none of ours
	}
	waitFor(t, func() bool { return c.Summary().DNSMessages >= messages })
	s := stop()
	if s.Packets != sent || s.DNSMessages != messages || s.Answered != 3*clients || s.Transactions != 3*clients || s.Kernel.Received != sent || s.Kernel.Dropped != 0 {
		t.Errorf("%d packets sent, %d messages in them: %+v", sent, messages, s)
	}
	if n := sink.transactions.Load(); n != 3*clients || len(sink.clients) != clients {
		t.Errorf("%d transactions of %d clients, want %d of %d", n, len(sink.clients), 3*clients, clients)
	}
}

// A sink that stands still lets the ring fill: what does not fit is counted by
// the kernel, and the sum is what was sent.
// Live too, the name of the server is found where it comes in two packets; of
// what else goes to these ports nothing is let through.
func TestAnInterfaceShowsServerNamesOfTwoPackets(t *testing.T) {
	hello, initials := clientHello(t, "dns.example"), quicHello(t, "doq.example") // in the namespace that all threads share
	veth(t)
	var got findings
	c, _ := newCapture(t, func(c *capture.Config, d *capture.Deps) {
		c.Live.Interfaces, c.Live.Workers, c.Live.RingBytes = []string{"span0"}, 1, 8<<20
		d.Findings = []detect.FindingSink{&got}
	})
	stop := live(t, c)
	b := newSender(t, "span1")
	const server, other = "203.0.113.53", "203.0.113.54"
	out := tcpFlow{client4, server, 40000, 853, 1}
	b.send(out.packet(t, 0, "S", nil), out.packet(t, len(hello), "P", []byte("\x17\x03\x03\x00\x10................")), out.packet(t, 9000, "", make([]byte, 1200)))
	sent := b.send(out.packet(t, 0, "", hello[:60]), out.packet(t, 60, "P", hello[60:]))
	for _, p := range initials {
		sent += b.send(udp(t, client4, other, 40000, 853, p))
	}
	waitFor(t, func() bool { return c.Summary().Packets >= sent })
	s := stop()
	slices.Sort(got)
	want := []string{
		"encrypted_dns 192.0.2.10 dns.example server=203.0.113.53 protocol=dot sni=dns.example",
		"encrypted_dns 192.0.2.10 doq.example server=203.0.113.54 protocol=doq sni=doq.example",
	}
	if !slices.Equal(got, want) || s.Packets != sent {
		t.Errorf("%d packets let through, want %d; %q, want %q", s.Packets, sent, got, want)
	}
}

func TestOverloadIsCountedExactly(t *testing.T) {
	veth(t)
	sink := counting{gate: make(chan struct{})}
	c, _ := newCapture(t, func(c *capture.Config, d *capture.Deps) {
		c.Live.Interfaces, c.Live.Workers, c.Live.RingBytes = []string{"span0"}, 1, 2<<20
		d.Sinks = []detect.Sink{&sink}
	})
	stop := live(t, c)
	b := newSender(t, "span1")
	var sent uint64
	q, a := query(t, 7, "www.example.com.", dns.TypeA), answer(t, 7, "www.example.com.", dns.TypeA, 0, "www.example.com. 60 IN A 192.0.2.1")
	ask, reply := udp(t, client4, server4, 40000, 53, q), udp(t, server4, client4, 53, 40000, a)
	for range 20_000 {
		sent += b.send(ask, reply)
	}
	close(sink.gate)
	s := stop()
	if s.Packets != sent || s.Kernel.Received != sent || s.Kernel.Dropped == 0 || s.Drops["kernel"]["ring_full"] != s.Kernel.Dropped {
		t.Errorf("%d packets sent: %+v", sent, s)
	}
	if n := uint64(sink.transactions.Load()); n != s.Transactions {
		t.Errorf("%d transactions recorded, %d counted", n, s.Transactions)
	}
}

// Time goes on where no packet comes.
func TestAQueryExpiresOnASilentInterface(t *testing.T) {
	veth(t)
	var sink counting
	c, _ := newCapture(t, func(c *capture.Config, d *capture.Deps) {
		c.Live.Interfaces, c.Live.Workers, c.Live.RingBytes = []string{"span0"}, 2, 4<<20
		c.PairTimeout = 200 * time.Millisecond
		d.Sinks = []detect.Sink{&sink}
	})
	stop := live(t, c)
	newSender(t, "span1").send(udp(t, client4, server4, 40000, 53, query(t, 7, "www.example.com.", dns.TypeA)))
	waitFor(t, func() bool { return sink.transactions.Load() == 1 })
	if s := stop(); s.Unanswered != 1 {
		t.Errorf("%+v", s)
	}
}

func TestLoopbackShowsEachPacketOnce(t *testing.T) {
	veth(t)
	c, _ := newCapture(t, func(c *capture.Config, _ *capture.Deps) {
		c.Live.Interfaces, c.Live.Workers, c.Live.RingBytes = []string{"lo"}, 1, 2<<20
	})
	stop := live(t, c)
	conn, err := net.Dial("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(query(t, 7, "www.example.com.", dns.TypeA)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return c.Summary().Queries > 0 })
	// The ICMP error comes with it: it quotes the query, and is none.
	if s := stop(); s.Queries != 1 || s.Packets != s.Kernel.Received {
		t.Errorf("%+v", s)
	}
}

func TestWhatCannotBeOpenedIsNamed(t *testing.T) {
	c, _ := newCapture(t, func(c *capture.Config, _ *capture.Deps) { c.Live.Interfaces = []string{"nosuch0"} })
	if _, err := c.OpenLive(); err == nil || !strings.Contains(err.Error(), "nosuch0") {
		t.Errorf("%v, want it to name nosuch0", err)
	}
}
