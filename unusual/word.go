package unusual

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// noRcode is the rcode of a query without a response.
const noRcode = math.MaxUint16

// Headers in front of a DNS message in a frame: Ethernet, IP and UDP. Spot measures
// frames.
const (
	headers4 = 14 + 20 + 8
	headers6 = 14 + 40 + 8
)

// Entropy is cut every 0.3 bits from 0 to 5.4, as by Spot.
const (
	entropyStep = 0.3
	entropyBins = 20
)

// word is what Spot makes of an event: how it looks, without who and what.
type word struct {
	standing detect.Standing // of the name: own, popular, other
	frame    uint8           // ⌊log2⌋ of the frame's octets
	hour     uint8           // of the day, UTC
	length   uint8           // ⌊log2⌋ of the subdomain's characters, 0 for none
	entropy  uint8           // bin of the subdomain's entropy
	labels   uint8           // ⌊log2⌋ of the name's labels
	qtype    uint16
	rcode    uint16 // noRcode: there is no response
}

// makeWord reads t. The subdomain is what stands left of the registered domain, by
// the public suffix list; of a name without one it is all but the last label.
func makeWord(t *detect.Transaction, standing detect.Standing, registered dnsname.Name) word {
	w := word{standing: standing, hour: uint8(t.Query.Time.UTC().Hour()), qtype: t.Query.Type, rcode: noRcode} //nolint:gosec // 0 to 23
	frame := headers4
	if a := t.Query.Client; a.Is6() && !a.Is4In6() {
		frame = headers6
	}
	if len(t.Response) > 0 {
		frame += len(t.Response)
		w.rcode = t.Rcode
	} else {
		frame += dnswire.HeaderLen + len(t.Query.Name) + 4 // the question alone
	}
	w.frame = log2(frame)
	sub := t.Query.Name[:max(len(t.Query.Name)-len(registered), 0)]
	labels := 0
	for n := t.Query.Name; len(n) > 1; n = n.Parent() {
		labels++
	}
	w.labels = log2(labels)
	// In wire form each label has an octet in front where text has a dot behind.
	w.length = log2(len(sub) - 1)
	w.entropy = entropyBin(sub)
	return w
}

// log2 is ⌊log2 n⌋, 0 for what is not positive.
func log2(n int) uint8 {
	if n <= 0 {
		return 0
	}
	return uint8(bits.Len(uint(n)) - 1) //nolint:gosec // 63 at most
}

// entropyBin counts the characters of labels, and the dots between them.
func entropyBin(sub dnsname.Name) uint8 {
	var counts [256]int
	n := 0
	for len(sub) > 0 {
		size := int(sub[0])
		if size == 0 || len(sub) < size+1 {
			break
		}
		if n > 0 {
			counts['.']++
			n++
		}
		for _, c := range sub[1 : size+1] {
			counts[c]++
		}
		n, sub = n+size, sub[size+1:]
	}
	if n == 0 {
		return 0
	}
	h := 0.0
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / float64(n)
			h -= p * math.Log2(p)
		}
	}
	// The bin is how many cuts lie below.
	return uint8(min(math.Ceil(h/entropyStep), entropyBins-1)) //nolint:gosec // 0 to 19
}

// key is the word as octets, the same at every time.
func (w *word) key() (k [10]byte) {
	k[0], k[1], k[2], k[3], k[4], k[5] = byte(w.standing), w.frame, w.hour, w.length, w.entropy, w.labels
	binary.LittleEndian.PutUint16(k[6:], w.qtype)
	binary.LittleEndian.PutUint16(k[8:], w.rcode)
	return k
}

// wordOf reads what key wrote.
func wordOf(k []byte) (w word, ok bool) {
	if len(k) != 10 || detect.Standing(k[0]) > detect.StandingOwn || k[1] > 63 || k[2] > 23 || k[3] > 63 || k[4] >= entropyBins || k[5] > 63 {
		return w, false
	}
	return word{
		standing: detect.Standing(k[0]), frame: k[1], hour: k[2], length: k[3], entropy: k[4], labels: k[5],
		qtype: binary.LittleEndian.Uint16(k[6:]), rcode: binary.LittleEndian.Uint16(k[8:]),
	}, true
}

// isName says whether b is a name in wire form.
func isName(b []byte) bool {
	for len(b) > 0 {
		size := int(b[0])
		if size == 0 {
			return len(b) == 1
		}
		if size > 63 || len(b) <= size {
			return false
		}
		b = b[size+1:]
	}
	return false
}
