package capture_test

import (
	"bufio"
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// layerCase is a query with something around it: a packet of a link type, or a
// whole capture.
type layerCase struct {
	name     string
	file     bool
	link     layers.LinkType
	messages uint64
	data     []byte
}

func (c *layerCase) capture(tb testing.TB) []byte {
	if c.file {
		return c.data
	}
	return pcapFile(tb, c.link, frame{0, c.data})
}

// layerCases are those of testdata/layers.txt, built from the documents of each
// layer by testdata/bench/layers.py and held against tshark there.
func layerCases(tb testing.TB) []layerCase {
	tb.Helper()
	f, err := os.Open("testdata/layers.txt")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []layerCase
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 4 || fields[0] == "#" {
			continue
		}
		c := layerCase{name: fields[0], file: fields[1] == "file"}
		link, linkErr := strconv.ParseUint(fields[1], 10, 16)
		if linkErr != nil && !c.file {
			tb.Fatal(linkErr)
		}
		c.link = layers.LinkType(link)
		if c.messages, err = strconv.ParseUint(fields[2], 10, 16); err != nil {
			tb.Fatal(err)
		}
		if c.data, err = hex.DecodeString(fields[3]); err != nil {
			tb.Fatal(err)
		}
		out = append(out, c)
	}
	if err := lines.Err(); err != nil || len(out) < 300 {
		tb.Fatalf("%d cases: %v", len(out), err)
	}
	return out
}

func TestEveryLayerThatMayBeAroundAMessageIsRead(t *testing.T) {
	for _, c := range layerCases(t) {
		s, got := read(t, c.capture(t), nil)
		if s.DNSMessages != c.messages || s.Panics != 0 {
			t.Errorf("%s: %d messages, want %d: %+v", c.name, s.DNSMessages, c.messages, s)
		}
		for _, g := range got {
			if g.name != "a.example" {
				t.Errorf("%s: a query for %q", c.name, g.name)
			}
		}
	}
}

// Cut at any octet, a packet is counted once, and a file, at any of its last 200,
// is read as far as it goes; neither shows a name that was not there.
func TestEveryLayerMayBeCutAnywhere(t *testing.T) {
	for _, c := range layerCases(t) {
		if c.file {
			for cut := max(0, len(c.data)-200); cut < len(c.data); cut++ {
				capt, sink := newCapture(t, nil)
				_ = capt.Read(t.Context(), strings.NewReader(string(c.data[:cut]))) // some cannot be read
				s := capt.Summary()
				checkSums(t, s)
				if s.Panics != 0 || s.DNSMessages > c.messages+3 || uint64(len(sink.all)) != s.Transactions {
					t.Fatalf("%s cut to %d: %+v", c.name, cut, s)
				}
			}
			continue
		}
		var packets [][]byte
		for cut := range c.data {
			packets = append(packets, c.data[:cut])
		}
		s, got := read(t, pcapFile(t, c.link, inOrder(packets...)...), nil)
		for _, g := range got {
			if g.name != "a.example" {
				t.Fatalf("%s: a query for %q", c.name, g.name)
			}
		}
		if s.Packets != uint64(len(packets)) || s.Panics != 0 {
			t.Fatalf("%s: %+v", c.name, s)
		}
	}
}
