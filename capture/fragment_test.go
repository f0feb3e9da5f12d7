package capture_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"
	"github.com/weirdns/weir/capture"
)

// fragmented takes a frame of udp apart into fragments of at most size octets,
// as a router (IPv4) or a sender (IPv6) does.
func fragmented(eth []byte, id uint32, size int) [][]byte {
	six := eth[14]>>4 == 6
	header, body := eth[:34], eth[34:]
	if six {
		header, body = eth[:54], eth[54:]
	}
	var all [][]byte
	for at := 0; at < len(body); at += size {
		part := body[at:min(at+size, len(body))]
		all = append(all, fragmentOf(header, id, at, at+size < len(body), part))
	}
	return all
}

// fragmentOf is one fragment below the header of a frame.
func fragmentOf(header []byte, id uint32, offset int, more bool, part []byte) []byte {
	b := bytes.Clone(header)
	if b[14]>>4 == 4 {
		binary.BigEndian.PutUint16(b[16:], uint16(20+len(part)))
		binary.BigEndian.PutUint16(b[18:], uint16(id))
		at := uint16(offset / 8)
		if more {
			at |= 0x2000
		}
		binary.BigEndian.PutUint16(b[20:], at)
		return append(b, part...)
	}
	binary.BigEndian.PutUint16(b[18:], uint16(8+len(part)))
	at := uint16(offset)
	if more {
		at |= 1
	}
	b = append(b, b[20], 0)
	b[20] = 44
	b = binary.BigEndian.AppendUint16(b, at)
	return append(binary.BigEndian.AppendUint32(b, id), part...)
}

// large is an answer of about n octets.
func large(tb testing.TB, id uint16, n int) []byte {
	tb.Helper()
	var records []string
	for size := 0; size < n; size += 213 {
		records = append(records, fmt.Sprintf("large.example. 60 IN TXT %q", strings.Repeat(string(rune('a'+len(records)%26)), 200)))
	}
	return answer(tb, id, "large.example.", dns.TypeTXT, 0, records...)
}

// inOrder gives packets times, one after the other.
func inOrder(packets ...[]byte) []frame {
	frames := make([]frame, len(packets))
	for i, p := range packets {
		frames[i] = frame{time.Duration(i) * ms, p}
	}
	return frames
}

func TestFragmentsInAnyOrderAreTheirDatagram(t *testing.T) {
	message := large(t, 7, 6000)
	random := rand.New(rand.NewPCG(1, 2))
	for name, eth := range map[string][]byte{
		"IPv4": udp(t, server4, client4, 53, 40000, message), "IPv6": udp(t, server6, client6, 53, 40000, message),
	} {
		orders := map[string]func([][]byte){
			"in order": func([][]byte) {}, "reversed": slices.Reverse[[][]byte],
			"shuffled": func(f [][]byte) { random.Shuffle(len(f), func(i, j int) { f[i], f[j] = f[j], f[i] }) },
		}
		for order, arrange := range orders {
			for _, size := range []int{1480, 552, 64} {
				parts := fragmented(eth, 9, size)
				arrange(parts)
				s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(parts...)...), nil)
				if len(got) != 1 || !bytes.Equal(got[0].response, message) || s.Merged != uint64(len(parts)-1) || s.DNSMessages != 1 {
					t.Errorf("%s %s by %d: %+v", name, order, size, s)
				}
			}
		}
	}
}

// The largest datagram there is, 65535 octets and its headers.
func TestTheLargestDatagramIsPutTogether(t *testing.T) {
	message := large(t, 7, 64000)
	message = append(message, make([]byte, 65535-20-8-len(message))...)
	eth := udp(t, server4, client4, 53, 40000, message)
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(fragmented(eth, 9, 1480)...)...), nil)
	if len(got) != 1 || len(got[0].response) != 65507 {
		t.Errorf("%+v", s)
	}
}

func TestFragmentsOfDatagramsThatInterleaveAreKeptApart(t *testing.T) {
	a, b := large(t, 7, 3000), large(t, 8, 3000)
	one := fragmented(udp(t, server4, client4, 53, 40000, a), 9, 1480)
	two := fragmented(udp(t, server4, client4, 53, 40000, b), 10, 1480)
	six := fragmented(udp(t, server6, client6, 53, 40000, b), 9, 1480)
	var packets [][]byte
	for i := range one {
		packets = append(packets, one[i], six[i], two[i])
	}
	if s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil); len(got) != 3 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsWrongWithFragmentsIsCounted(t *testing.T) {
	eth := udp(t, server4, client4, 53, 40000, large(t, 7, 3000))
	header, body := eth[:34], eth[34:]
	parts := fragmented(eth, 9, 1480)
	six := udp(t, server6, client6, 53, 40000, large(t, 7, 3000))
	parts6 := fragmented(six, 9, 1480)
	other := fragmented(udp(t, server4, client4, 443, 40000, bytes.Repeat([]byte("web "), 750)), 9, 1480)
	part := func(at, n int, more bool) []byte { return fragmentOf(header, 9, at, more, body[at:at+n]) }
	changed := part(1480, 1480, true)
	changed[len(changed)-1] ^= 1
	for _, c := range []struct {
		name     string
		packets  [][]byte
		messages uint64
		drops    map[string]uint64 // of stage ip
	}{
		{"one is missing", [][]byte{parts[0], parts[2]}, 0, map[string]uint64{"fragment": 2}},
		{"one came twice", [][]byte{parts[0], parts[1], parts[1], parts[2]}, 1, map[string]uint64{"fragment_duplicate": 1}},
		{"part of one came twice", [][]byte{parts[0], part(8, 80, true), parts[1], parts[2]}, 1, map[string]uint64{"fragment_duplicate": 1}},
		{"one came twice, and different", [][]byte{parts[0], parts[1], changed, parts[2]}, 0, map[string]uint64{"fragment_overlap": 4}},
		{"two overlap", [][]byte{parts[0], part(1472, 1480, true), parts[2]}, 0, map[string]uint64{"fragment_overlap": 3}},
		{"one covers another", [][]byte{part(1480, 8, true), part(0, 1496, true), parts[2]}, 0, map[string]uint64{"fragment_overlap": 3}},
		{"two overlap in IPv6", [][]byte{parts6[0], fragmentOf(six[:54], 9, 1472, true, six[54+1472:54+2952]), parts6[2]}, 0, map[string]uint64{"fragment_overlap": 3}},
		{"a length that is no multiple of 8", [][]byte{part(0, 1481, true)}, 0, map[string]uint64{"fragment_malformed": 1}},
		{"nothing in it", [][]byte{part(0, 0, true)}, 0, map[string]uint64{"fragment_malformed": 1}},
		{"beyond 65535", [][]byte{fragmentOf(header, 9, 65528, false, body[:100])}, 0, map[string]uint64{"fragment_malformed": 1}},
		{"two ends", [][]byte{parts[2], part(1480, 800, false)}, 0, map[string]uint64{"fragment_malformed": 2}},
		{"more behind the end", [][]byte{part(1480, 1480, true), part(640, 800, false)}, 0, map[string]uint64{"fragment_malformed": 2}},
		{"the first is not for us", [][]byte{other[1], other[0], other[2]}, 0, nil},
		{"a message on another port", fragmented(udp(t, server4, client4, 5300, 40000, large(t, 7, 3000)), 9, 1480), 1, map[string]uint64{}},
		{"a last one cut by the snap length", [][]byte{parts[0], parts[1][:200], parts[2]}, 0, map[string]uint64{"fragment": 2, "fragment_cut": 1}},
		{"all cut by the snap length", [][]byte{parts[0][:200], parts[1][:200], parts[2][:200]}, 1, map[string]uint64{"fragment_cut": 2}},
	} {
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(c.packets...)...), nil)
		if s.DNSMessages != c.messages || fmt.Sprint(s.Drops["ip"]) != fmt.Sprint(c.drops) {
			t.Errorf("%s: %d messages, %v; want %d, %v", c.name, s.DNSMessages, s.Drops, c.messages, c.drops)
		}
		if c.drops == nil && s.Drops["udp"]["other_port"] != uint64(len(c.packets)) {
			t.Errorf("%s: %v, want all udp other_port", c.name, s.Drops)
		}
	}
}

// A number is used again while what was judged by it is still remembered.
func TestANumberUsedAgainIsANewDatagram(t *testing.T) {
	other := fragmented(udp(t, server4, client4, 443, 40000, bytes.Repeat([]byte("web "), 750)), 9, 1480)
	ours := fragmented(udp(t, server4, client4, 53, 40000, large(t, 7, 3000)), 9, 1480)
	s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(append(other, ours...)...)...), nil)
	if len(got) != 1 || s.Drops["udp"]["other_port"] != 3 {
		t.Errorf("%+v", s)
	}
}

// A duplicate of a fragment that comes when its datagram was complete is dropped
// by itself, whatever comes under the same number afterwards.
func TestALateDuplicateCondemnsNoOtherDatagram(t *testing.T) {
	first := fragmented(udp(t, server4, client4, 53, 40000, large(t, 7, 3000)), 9, 1480)
	second := fragmented(udp(t, server4, client4, 53, 40001, large(t, 8, 4600)), 9, 1480)
	longer := fragmented(udp(t, server4, client4, 53, 40001, large(t, 8, 4600)), 9, 800)
	for _, c := range []struct {
		name                 string
		packets              [][]byte
		messages, duplicates uint64
	}{
		{"before the next begins", slices.Concat(first, first[1:2], second), 2, 1},
		{"two of them", slices.Concat(first, first[2:3], first[1:2], second), 2, 2},
		{"while the next is on its way", slices.Concat(first, second[:3], first[2:3], second[3:]), 2, 1},
		{"of another size than the next", slices.Concat(first, first[1:2], longer[:2], first[0:1], longer[2:]), 2, 2},
		{"and nothing more", slices.Concat(first, first[1:2]), 1, 1},
		{"all of them, which is the datagram again", slices.Concat(first, first), 2, 0},
	} {
		s, got := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(c.packets...)...), nil)
		if s.DNSMessages != c.messages || uint64(len(got)) != c.messages || s.Drops["ip"]["fragment_duplicate"] != c.duplicates || len(s.Drops["ip"]) > 1 {
			t.Errorf("%s: %d messages, %v; want %d, %d duplicates", c.name, s.DNSMessages, s.Drops, c.messages, c.duplicates)
		}
	}
}

// What is remembered of them has an end, and is of the latest.
func TestLateDuplicatesAreRememberedWithinABound(t *testing.T) {
	var packets [][]byte
	var last [][]byte
	for i := range 3000 {
		last = fragmented(udp(t, server4, client4, 53, 40000, large(t, uint16(i), 800)), uint32(i), 256)
		packets = append(packets, last...)
	}
	packets = append(packets, last[1])
	s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(packets...)...), nil)
	if s.DNSMessages != 3000 || s.Drops["ip"]["fragment_duplicate"] != 1 {
		t.Errorf("%+v", s)
	}
}

func TestFragmentsWaitByTheTimeOfThePackets(t *testing.T) {
	parts := fragmented(udp(t, server4, client4, 53, 40000, large(t, 7, 2000)), 9, 1480)
	for _, c := range []struct {
		at       time.Duration
		messages uint64
	}{{30*time.Second - 1, 1}, {30 * time.Second, 0}, {-time.Hour, 0}} {
		s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, frame{0, parts[0]}, frame{c.at, parts[1]}), nil)
		if s.DNSMessages != c.messages || s.Drops["ip"]["fragment"] != 2-2*c.messages {
			t.Errorf("after %v: %+v", c.at, s)
		}
	}
}

// Fragments without end from many sources and from one: the oldest go, counted,
// and one source does not drive out what others wait for.
func TestFragmentsThatWaitAreBounded(t *testing.T) {
	begin := fragmented(udp(t, server4, client4, 53, 40000, large(t, 7, 3000)), 9, 1480)[0]
	from := func(source uint32, id uint16) []byte {
		b := bytes.Clone(begin)
		binary.BigEndian.PutUint32(b[26:], source)
		binary.BigEndian.PutUint16(b[18:], id)
		return b
	}
	small := func(c *capture.Config, _ *capture.Deps) { c.FragmentBytes = 1 << 20 }
	parts := fragmented(udp(t, client4, server4, 40000, 53, append(query(t, 7, "a.example.", dns.TypeA), make([]byte, 2000)...)), 1, 1480)
	flood := [][]byte{parts[0]}
	for i := range 1000 {
		flood = append(flood, from(1<<24, uint16(i)))
	}
	flood = append(flood, parts[1])
	s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(flood...)...), small)
	if n := s.Drops["ip"]["fragment_evicted"]; s.Queries != 1 || n < 800 || n > 950 {
		t.Errorf("from one source: %+v; want the query of another, and about 890 of 1000 to go", s)
	}
	flood = [][]byte{parts[0]}
	for i := range 1000 {
		flood = append(flood, from(uint32(1<<24+i), 1))
	}
	flood = append(flood, parts[1])
	s, _ = read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(flood...)...), small)
	if n := s.Drops["ip"]["fragment_evicted"]; s.Queries != 0 || n < 500 || n > 650 {
		t.Errorf("from 1000 sources: %+v; want the oldest to go, about 580 of them", s)
	}
}

func TestManyTinyFragmentsOfOneDatagramAreRefused(t *testing.T) {
	eth := udp(t, server4, client4, 53, 40000, large(t, 7, 3000))
	parts := fragmented(eth, 9, 8)
	s, _ := read(t, pcapFile(t, layers.LinkTypeEthernet, inOrder(parts...)...), nil)
	if n := uint64(len(parts)); n < 129 || s.DNSMessages != 0 || s.Drops["ip"]["fragment_malformed"] != n {
		t.Errorf("%d fragments: %+v", n, s)
	}
}
