package capture_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
)

// following runs Follow until stop is called.
func following(t *testing.T, c *capture.Capture, path, note string) (stop func() capture.Summary) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Follow(ctx, path, note) }()
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

func oneQuery(tb testing.TB, id uint16) []byte {
	return pcapFile(tb, layers.LinkTypeEthernet, frame{0, udp(tb, client4, server4, 40000, 53, query(tb, id, "a.example.", dns.TypeA))})
}

func write(tb testing.TB, path string, data []byte, flags int) {
	tb.Helper()
	f, err := os.OpenFile(path, flags|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

func TestAFolderThatIsFilledIsFollowed(t *testing.T) {
	dir := t.TempDir()
	c, _ := newCapture(t, nil)
	messages := func(n uint64) func() bool { return func() bool { return c.Summary().DNSMessages == n } }
	first, second := filepath.Join(dir, "dns-0001.pcap"), filepath.Join(dir, "dns-0002.pcap")
	write(t, first, oneQuery(t, 1), 0)
	stop := following(t, c, dir, "")
	waitFor(t, messages(1))
	// The first grows, half a packet at a time.
	more := oneQuery(t, 2)[24:]
	write(t, first, more[:30], os.O_APPEND)
	write(t, first, more[30:], os.O_APPEND)
	waitFor(t, messages(2))
	// Others come, one of them no capture; the first is compressed, which is not
	// another file.
	write(t, second, oneQuery(t, 3), 0)
	waitFor(t, messages(3))
	data, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	write(t, first+".gz", zipped(t, data), 0)
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "dns-0003.txt"), []byte("no capture"), 0)
	write(t, filepath.Join(dir, "dns-0004.pcap.zst"), zstandard(t, oneQuery(t, 4)), 0)
	waitFor(t, messages(4))
	if s := stop(); s.Packets != 4 {
		t.Errorf("%+v", s)
	}
}

func TestAFileThatGrowsIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dns.pcap")
	write(t, path, oneQuery(t, 1)[:10], 0)
	c, _ := newCapture(t, nil)
	stop := following(t, c, path, "")
	write(t, path, oneQuery(t, 1)[10:], os.O_APPEND)
	waitFor(t, func() bool { return c.Summary().DNSMessages == 1 })
	// Half a packet at the end may become a whole one: it is not counted yet.
	write(t, path, oneQuery(t, 2)[24:60], os.O_APPEND)
	if s := stop(); s.Packets != 1 || s.Unanswered != 1 {
		t.Errorf("%+v", s)
	}
}

// Who is started again goes on where it stopped: each packet is read once,
// though files grow, are compressed and deleted meanwhile.
func TestFollowingGoesOnAfterARestart(t *testing.T) {
	dir, note := t.TempDir(), filepath.Join(t.TempDir(), "follow.json")
	file := func(i int) string { return filepath.Join(dir, fmt.Sprintf("dns-%04d.pcap", i)) }
	total := uint64(0)
	run := func(want uint64, change func()) {
		t.Helper()
		c, _ := newCapture(t, nil)
		stop := following(t, c, dir, note)
		waitFor(t, func() bool { return c.Summary().DNSMessages == want })
		change()
		s := stop()
		if s.Packets != s.DNSMessages || s.DNSMessages < want {
			t.Fatalf("%+v, want %d messages", s, want)
		}
		total += s.Packets
	}
	more := func(i, id int) { write(t, file(i), oneQuery(t, uint16(id))[24:], os.O_APPEND) }
	write(t, file(1), oneQuery(t, 1), 0)
	more(1, 2)
	run(2, func() {})
	more(1, 3) // while nobody reads
	run(1, func() { write(t, file(1), oneQuery(t, 4)[24:50], os.O_APPEND) })
	write(t, file(1), oneQuery(t, 4)[50:], os.O_APPEND) // the rest of half a packet
	write(t, file(2), oneQuery(t, 5), 0)
	run(2, func() {})
	data, err := os.ReadFile(file(1))
	if err != nil {
		t.Fatal(err)
	}
	write(t, file(1)+".gz", zipped(t, data), 0)
	more(2, 6)
	if err := os.Remove(file(1)); err != nil {
		t.Fatal(err)
	}
	write(t, file(3), oneQuery(t, 7), 0)
	run(2, func() {})
	if total != 7 {
		t.Errorf("%d packets in all, want 7", total)
	}
	if err := os.WriteFile(note, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := newCapture(t, nil)
	if err := c.Follow(t.Context(), dir, note); err == nil || !strings.Contains(err.Error(), note) {
		t.Errorf("a damaged note: %v, want an error that names it", err)
	}
}
