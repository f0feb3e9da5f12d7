package capture_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
)

// following runs Follow until stop is called.
func following(t *testing.T, c *capture.Capture, path string) (stop func() capture.Summary) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Follow(ctx, path) }()
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
	stop := following(t, c, dir)
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
	stop := following(t, c, path)
	write(t, path, oneQuery(t, 1)[10:], os.O_APPEND)
	waitFor(t, func() bool { return c.Summary().DNSMessages == 1 })
	// Half a packet at the end is counted as one that is cut.
	write(t, path, oneQuery(t, 2)[24:60], os.O_APPEND)
	if s := stop(); s.Packets != 1 && s.Packets != 2 || s.Unanswered != 1 {
		t.Errorf("%+v", s)
	}
}
