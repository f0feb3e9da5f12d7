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
	return pcapFile(tb, layers.LinkTypeEthernet, frame{0, udp(tb, client4, server4, 40000, 53, query(tb, id, fmt.Sprintf("n%d.example.", id), dns.TypeA))})
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

// A ring of files has the same names again (tcpdump -C with -W): each of its
// files is read as often as it is written, in the order in which it is, also by
// who is started again meanwhile.
func TestARingOfFilesIsFollowed(t *testing.T) {
	dir, note := t.TempDir(), filepath.Join(t.TempDir(), "follow.json")
	write(t, filepath.Join(dir, "aaa"), []byte("no capture, and never one"), 0)
	const ring, rounds = 5, 2
	file := func(i int) string { return filepath.Join(dir, fmt.Sprintf("dns.pcap%d", i%ring)) }
	id, total := uint16(0), uint64(0)
	messages := func(c *capture.Capture, n uint64) {
		t.Helper()
		waitFor(t, func() bool { return c.Summary().DNSMessages == n })
	}
	next := 0
	for range rounds {
		c, _ := newCapture(t, nil)
		stop := following(t, c, dir, note)
		for i := range uint64(ring) {
			id++
			write(t, file(next), oneQuery(t, id), os.O_TRUNC)
			messages(c, 2*i+1)
			id++
			write(t, file(next), oneQuery(t, id)[24:], os.O_APPEND)
			messages(c, 2*i+2)
			next++
		}
		total += stop().Packets
	}
	// While nobody reads, the ring goes on; the first of these files has what
	// was read and more.
	id++
	write(t, file(next-1), oneQuery(t, id)[24:], os.O_APPEND)
	for range 3 {
		id++
		write(t, file(next), oneQuery(t, id), os.O_TRUNC)
		next++
	}
	c, sink := newCapture(t, nil)
	stop := following(t, c, dir, note)
	messages(c, 4)
	if total += stop().Packets; total != uint64(id) {
		t.Errorf("%d packets in all, want %d", total, id)
	}
	for i, s := range sink.all {
		if want := fmt.Sprintf("n%d.example", int(id)-3+i); s.name != want {
			t.Errorf("transaction %d is of %s, want %s", i, s.name, want)
		}
	}
}

// One file that is written anew, shorter or longer or as another file, is read
// from its beginning.
func TestAFileThatIsWrittenAnewIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dns.pcap")
	write(t, path, append(oneQuery(t, 1), oneQuery(t, 2)[24:]...), 0)
	c, _ := newCapture(t, nil)
	stop := following(t, c, path, "")
	messages := func(n uint64) func() bool { return func() bool { return c.Summary().DNSMessages == n } }
	waitFor(t, messages(2))
	write(t, path, oneQuery(t, 3), os.O_TRUNC)
	waitFor(t, messages(3))
	longer := oneQuery(t, 4)
	for id := range uint16(3) {
		longer = append(longer, oneQuery(t, 5+id)[24:]...)
	}
	write(t, path, longer, os.O_TRUNC)
	waitFor(t, messages(7))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, path, oneQuery(t, 8), 0)
	waitFor(t, messages(8))
	stop()
}

func TestNumbersInNamesOfFilesCountByTheirValue(t *testing.T) {
	dir := t.TempDir()
	for _, i := range []int{10, 9, 100, 1} {
		write(t, filepath.Join(dir, fmt.Sprintf("dns.pcap%d", i)), oneQuery(t, uint16(i)), 0)
	}
	write(t, filepath.Join(dir, "dns.pcap"), oneQuery(t, 0), 0)
	c, sink := newCapture(t, nil)
	if err := c.ReadFile(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range sink.all {
		got = append(got, s.name)
	}
	if want := "[n0.example n1.example n9.example n10.example n100.example]"; fmt.Sprint(got) != want {
		t.Errorf("read in the order %v, want %v", got, want)
	}
}
