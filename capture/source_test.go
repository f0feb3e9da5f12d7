package capture_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/klauspost/compress/zstd"
	"github.com/miekg/dns"
	"github.com/pierrec/lz4/v4"
	"github.com/weirdns/weir/capture"
)

func someFrames(tb testing.TB) []frame {
	return []frame{
		{0, udp(tb, client4, server4, 40000, 53, query(tb, 7, "a.example.", dns.TypeA))},
		{3 * time.Microsecond, udp(tb, server4, client4, 53, 40000, answer(tb, 7, "a.example.", dns.TypeA, 0, "a.example. 60 IN A 192.0.2.1"))},
		{time.Second, udp(tb, client6, server6, 40000, 53, query(tb, 8, "b.example.", dns.TypeA))},
	}
}

// rawPcap is a classic capture written by hand: any byte order, unit, version.
func rawPcap(order binary.AppendByteOrder, magic uint32, minor uint16, frames []frame, extra uint32) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), minor)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(order.AppendUint32(b, 65535), 1)
	for _, f := range frames {
		at := start.Add(f.at)
		fraction := at.Nanosecond()
		if magic == 0xa1b2c3d4 {
			fraction /= 1000
		}
		b = order.AppendUint32(order.AppendUint32(b, uint32(at.Unix())), uint32(fraction))
		b = order.AppendUint32(order.AppendUint32(b, uint32(len(f.data))), uint32(len(f.data))-extra)
		b = append(b, f.data...)
	}
	return b
}

func pcapng(tb testing.TB, frames ...frame) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		tb.Fatal(err)
	}
	raw, err := w.AddInterface(pcapgo.NgInterface{LinkType: layers.LinkTypeRaw, TimestampResolution: 9, OS: "x"})
	if err != nil {
		tb.Fatal(err)
	}
	for i, f := range frames {
		if i == 1 { // one packet on another interface, of another link type
			f.data = f.data[14:]
		}
		ci := info(f)
		if i == 1 {
			ci.InterfaceIndex = raw
		}
		if err := w.WritePacket(ci, f.data); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func zipped(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil || w.Close() != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(tb testing.TB, data []byte) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	return w.EncodeAll(data, nil)
}

func fourZ(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(lz4.BlockSizeOption(lz4.Block64Kb)); err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(data); err != nil || w.Close() != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestEveryFileFormatGivesTheSame(t *testing.T) {
	frames := someFrames(t)
	files := map[string][]byte{
		"pcap, nanoseconds":             pcapFile(t, layers.LinkTypeEthernet, frames...),
		"pcap, big-endian":              rawPcap(binary.BigEndian, 0xa1b2c3d4, 4, frames, 0),
		"pcap, little-endian":           rawPcap(binary.LittleEndian, 0xa1b2c3d4, 4, frames, 0),
		"pcap, big-endian, nano":        rawPcap(binary.BigEndian, 0xa1b23c4d, 4, frames, 0),
		"pcap of minor version 3":       rawPcap(binary.LittleEndian, 0xa1b2c3d4, 3, frames, 0),
		"pcap, longer than its packets": rawPcap(binary.LittleEndian, 0xa1b2c3d4, 4, frames, 1),
		"pcapng, two interfaces":        pcapng(t, frames...),
	}
	for name, file := range maps.Clone(files) {
		files[name+", gzip"] = zipped(t, file)
		files[name+", zstd"] = zstandard(t, file)
		files[name+", LZ4"] = fourZ(t, file)
	}
	_, want := read(t, files["pcap, nanoseconds"], nil)
	for name, file := range maps.Clone(files) {
		s, got := read(t, file, nil)
		if s.Packets != 3 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\n%+v\nwant\n%+v", name, s, got, want)
		}
	}
}

// A writer that is stopped leaves a file that ends anywhere. What is whole is
// read, and the rest is one packet that is dropped.
func TestACaptureMayEndAnywhere(t *testing.T) {
	frames := someFrames(t)
	classic, ng := pcapFile(t, layers.LinkTypeEthernet, frames...), pcapng(t, frames...)
	for name, file := range map[string][]byte{"pcap": classic, "pcapng": ng} {
		last := uint64(0)
		for cut := range len(file) {
			c, sink := newCapture(t, nil)
			err := c.Read(t.Context(), bytes.NewReader(file[:cut]))
			s := c.Summary()
			checkSums(t, s)
			if uint64(len(sink.all)) != s.Transactions || s.DNSMessages < last {
				t.Fatalf("%s cut to %d: %d transactions of %+v", name, cut, len(sink.all), s)
			}
			last = s.DNSMessages
			if cut < 24 != (err != nil) && name == "pcap" {
				t.Fatalf("%s cut to %d: %v", name, cut, err)
			}
			var fileErr *capture.FileError
			if err != nil && (!errors.As(err, &fileErr) || fileErr.Packet != 0 || s.Packets != 0) {
				t.Fatalf("%s cut to %d: %v, want an error of the header", name, cut, err)
			}
			if s.Drops["file"]["cut"] > 1 || s.Packets > 3 {
				t.Fatalf("%s cut to %d: %+v", name, cut, s)
			}
		}
		if last != 2 {
			t.Errorf("%s without its last octet has %d messages, want 2", name, last)
		}
	}
}

// What compresses does so in blocks, of which all that are whole are read. A file
// that ends within the first has a first packet that is cut.
func TestACompressedCaptureMayEndAnywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var frames []frame
	for i := range 500 { // what does not compress, so that there are several blocks
		b := make([]byte, 700)
		for j := range b {
			b[j] = byte(random.Uint32())
		}
		frames = append(frames, frame{time.Duration(i) * ms, udp(t, client4, server4, 40000, 9, b)})
	}
	file := pcapFile(t, layers.LinkTypeEthernet, frames...)
	for name, z := range map[string][]byte{"gzip": zipped(t, file), "zstd": zstandard(t, file), "LZ4": fourZ(t, file)} {
		last := uint64(0)
		for cut := 100; cut < len(z); cut += 9973 {
			c, _ := newCapture(t, nil)
			err := c.Read(t.Context(), bytes.NewReader(z[:cut]))
			s := c.Summary()
			checkSums(t, s)
			if err != nil || s.Drops["file"]["cut"] != 1 || s.Packets < max(last, 1) {
				t.Fatalf("%s cut to %d of %d: %v, %+v", name, cut, len(z), err, s)
			}
			last = s.Packets
		}
		if last < 250 {
			t.Errorf("%s: %d packets before the last cuts", name, last)
		}
	}
}

// A folder of captures, one written after the other, is one capture: what waits
// at the end of a file goes on in the next. What is none is passed over, and
// what is damaged is said and keeps nothing else from being read.
func TestAFolderIsReadInTheOrderOfItsNames(t *testing.T) {
	frames := someFrames(t)
	parts := fragmented(udp(t, server4, client4, 53, 40001, large(t, 9, 2000)), 9, 1480)
	dir := t.TempDir()
	file := func(frames ...frame) []byte { return pcapFile(t, layers.LinkTypeEthernet, frames...) }
	damaged := file(frame{5 * ms, parts[0]})
	damaged[24+8+3] = 0xff
	for name, data := range map[string][]byte{
		"1.pcap": file(frames[0]), "2.pcap.zst": zstandard(t, file(frames[1], frame{ms, parts[0]})), "3.pcap": damaged,
		"4.pcap.gz": zipped(t, file(frame{2 * ms, parts[1]})), "README": []byte("captures of a Monday"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "0"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, sink := newCapture(t, nil)
	err := c.ReadFile(t.Context(), dir)
	var fileErr *capture.FileError
	if !errors.As(err, &fileErr) || filepath.Base(fileErr.File) != "3.pcap" || errors.Is(err, capture.ErrFormat) {
		t.Errorf("error %v, want one of 3.pcap", err)
	}
	s := c.Summary()
	checkSums(t, s)
	if s.Answered != 1 || s.Merged != 1 || len(sink.all) != 2 {
		t.Errorf("%+v", s)
	}
}

// Where the bytes make no sense, the error names the file and the packet, and
// what came before has been recorded.
func TestADamagedCaptureSaysWhere(t *testing.T) {
	frames := someFrames(t)
	file := pcapFile(t, layers.LinkTypeEthernet, frames...)
	at := 24 + 16 + len(frames[0].data) + 8
	binary.LittleEndian.PutUint32(file[at:], 1<<30)
	path := filepath.Join(t.TempDir(), "damaged.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	c, sink := newCapture(t, nil)
	err := c.ReadFile(t.Context(), path)
	var fileErr *capture.FileError
	if !errors.As(err, &fileErr) || fileErr.Packet != 2 || !strings.Contains(err.Error(), path+": packet 2: ") {
		t.Errorf("error %v, want one at packet 2 of the file", err)
	}
	if len(sink.all) != 1 || sink.all[0].name != "a.example" {
		t.Errorf("%d transactions, want the one before the damage", len(sink.all))
	}
	checkSums(t, c.Summary())
}

func TestWhatIsNoCaptureIsRefused(t *testing.T) {
	for name, data := range map[string][]byte{
		"zstd of text": zstandard(t, []byte("some text")), "LZ4 of text": fourZ(t, []byte("some text")), "text as long as a record of ERF claims to be": bytes.Repeat([]byte("some text and more of it\n"), 10000), "empty": nil, "three octets": []byte("abc"), "text": []byte("time,client\n1,2\n"), "gzip of text": zipped(t, []byte("some text")),
	} {
		c, _ := newCapture(t, nil)
		err := c.Read(t.Context(), bytes.NewReader(data))
		if !errors.Is(err, capture.ErrFormat) {
			t.Errorf("%s: %v, want %v", name, err, capture.ErrFormat)
		}
	}
	c, _ := newCapture(t, nil)
	if err := c.Read(t.Context(), strings.NewReader("GMBU\x00\x02\x01\x00 and more")); !errors.Is(err, capture.ErrFormat) || !strings.Contains(err.Error(), "Network Monitor 2") {
		t.Errorf("a format that is known and not read: %v", err)
	}
	if err := c.ReadFile(t.Context(), filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// A hostile file claims what it likes: reading on without end, or a packet of
// gigabytes, is refused while it is still small.
func TestAHostileFileIsRefusedWhileItIsSmall(t *testing.T) {
	ng := pcapng(t, someFrames(t)[0])
	block := make([]byte, 12)
	binary.LittleEndian.PutUint32(block, 0x0bad) // unknown: to be skipped
	binary.LittleEndian.PutUint32(block[4:], 1<<31)
	epb := make([]byte, 28)
	binary.LittleEndian.PutUint32(epb, 6)
	binary.LittleEndian.PutUint32(epb[4:], 1<<31)
	binary.LittleEndian.PutUint32(epb[8+12:], 1<<30)
	for name, tail := range map[string][]byte{"a block of 2 GiB": block, "a packet of 1 GiB": epb} {
		var n counter
		c, _ := newCapture(t, nil)
		err := c.Read(t.Context(), io.TeeReader(io.MultiReader(bytes.NewReader(ng), bytes.NewReader(tail), zeros{}), &n))
		if err == nil || n > 64<<20 {
			t.Errorf("%s: %v after %d octets", name, err, n)
		}
		if s := c.Summary(); s.Queries != 1 {
			t.Errorf("%s: %+v, want the packet before it", name, s)
		}
	}
}

// The bound on what lies between two packets is none on the file.
func TestALargeCaptureIsReadToItsEnd(t *testing.T) {
	var frames []frame
	for i := range 200 {
		frames = append(frames, frame{time.Duration(i), append(udp(t, client4, server4, 40000, 53, query(t, 7, "a.example.", dns.TypeA)), make([]byte, 60_000)...)})
	}
	for name, file := range map[string][]byte{"pcap": pcapFile(t, layers.LinkTypeEthernet, frames...), "pcapng": pcapng(t, frames...)} {
		if s, _ := read(t, file, nil); s.Queries != 200 {
			t.Errorf("%s of %d octets: %d queries, want 200", name, len(file), s.Queries)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type counter int

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

func TestReadingStopsWhenItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	frames := someFrames(t)
	c, sink := newCapture(t, nil)
	r := &canceller{r: bytes.NewReader(pcapFile(t, layers.LinkTypeEthernet, frames...)), cancel: cancel, after: 24 + 16 + len(frames[0].data)}
	if err := c.Read(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if len(sink.all) != 1 {
		t.Errorf("%d transactions, want the query that was waiting", len(sink.all))
	}
	checkSums(t, c.Summary())
}

// canceller cancels once so many octets were read; it gives one packet at a
// time.
type canceller struct {
	r      io.Reader
	cancel func()
	after  int
}

func (c *canceller) Read(b []byte) (int, error) {
	if c.after <= 0 {
		c.cancel()
	}
	n, err := c.r.Read(b[:min(len(b), max(c.after, 16))])
	c.after -= n
	return n, err
}

// FuzzRead: no file makes the reader panic, loop or miscount.
func FuzzRead(f *testing.F) {
	frames := someFrames(f)
	f.Add(pcapFile(f, layers.LinkTypeEthernet, frames...))
	f.Add(pcapng(f, frames...))
	f.Add(rawPcap(binary.BigEndian, 0xa1b2c3d4, 4, frames, 0))
	f.Add(fourZ(f, pcapFile(f, layers.LinkTypeEthernet, frames...)))
	for _, c := range layerCases(f) {
		if c.file {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, sink := newCapture(t, nil)
		_ = c.Read(t.Context(), bytes.NewReader(file))
		s := c.Summary()
		checkSums(t, s)
		if s.Panics != 0 || uint64(len(sink.all)) != s.Transactions {
			t.Fatalf("%+v, %d transactions", s, len(sink.all))
		}
	})
}

// Several captures are one: a question in the first has its answer in the second,
// and one between them that is damaged does not keep it from that.
func TestSeveralFilesAreOneCapture(t *testing.T) {
	files := map[string][]byte{
		"1": pcapFile(t, layers.LinkTypeEthernet, frame{0, udp(t, client4, server4, 40001, 53, query(t, 1, "a.example.", dns.TypeA))}),
		"2": []byte("no capture"),
		"3": pcapFile(t, layers.LinkTypeEthernet, frame{ms, udp(t, server4, client4, 53, 40001, answer(t, 1, "a.example.", dns.TypeA, 0))}),
	}
	c, sink := newCapture(t, func(_ *capture.Config, d *capture.Deps) {
		d.Open = func(path string) (io.ReadCloser, error) {
			if files[path] == nil {
				return nil, fmt.Errorf("%s: %w", path, os.ErrNotExist)
			}
			return io.NopCloser(bytes.NewReader(files[path])), nil
		}
	})
	err := c.ReadFiles(t.Context(), "0", "1", "2", "3")
	if !errors.Is(err, capture.ErrFormat) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want those of 0 and 2", err)
	}
	if s := c.Summary(); s.Answered != 1 || s.Unanswered != 0 || len(sink.all) != 1 {
		t.Errorf("%+v", s)
	}
}
