package lookalike

import (
	"bytes"
	_ "embed"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// words are what forgers put beside a brand: it is a person's wish or fear.
//
//go:embed words.txt
var words string

func newWords() map[string]bool {
	m := make(map[string]bool)
	alarm := false
	for line := range strings.Lines(words) {
		if strings.HasPrefix(line, "#") {
			alarm = !alarm // the first group is that of alarm
			continue
		}
		for w := range strings.FieldsSeq(line) {
			m[w] = alarm
		}
	}
	return m
}

// combo finds brands inside the label with words beside them: paypal-login,
// securepaypal, login-paypal-support.
func (q *query) combo() {
	n := len(q.label)
	for i := range n {
		for set := q.x.lengthsBetween(3, min(n-i, n-1)); set != 0; set &= set - 1 {
			size := lowest(set)
			for it := q.x.exact.find(q.h.part(i, i+size)); it.next(); {
				b := &q.x.brands[it.id]
				if b.label == string(q.label[i:i+size]) {
					q.beside(it.id, q.label[:i], q.label[i+size:])
				}
			}
		}
	}
}

// beside grades a brand by what stands before and after it.
func (q *query) beside(id uint32, before, after []byte) {
	b := &q.x.brands[id]
	n := len(b.label)
	apart := (len(before) == 0 || before[len(before)-1] == '-') && (len(after) == 0 || after[0] == '-')
	if n < minCombo && !apart || len(before) > 0 && len(after) > 0 && !apart {
		return // inside other letters: somebody's name
	}
	known, alarm := q.read(before, b)
	known2, alarm2 := q.read(after, b)
	known, alarm = known && known2, alarm || alarm2
	grade := GradeLow
	switch {
	case b.common && !apart || n < minCombo:
	case known && alarm && !b.common:
		grade = GradeHigh
	case known && alarm || alarm && apart:
		grade = GradeMedium
	}
	q.offer(id, KindCombo, byLength(n, grade))
}

// read tells whether all that stands beside the brand is words of the list,
// or the brand's own suffix (paypal-com), and whether one is a word of alarm.
// Proxies and content networks write their customers' names so: under a private
// suffix it says nothing.
func (q *query) read(side []byte, b *brand) (known, alarm bool) {
	known = true
	for len(side) > 0 {
		var part []byte
		part, side, _ = bytes.Cut(side, []byte{'-'})
		if len(part) == 0 {
			continue
		}
		cry, word := q.x.words[string(part)]
		own := !word && !q.private && isSuffix(part, b.suffix)
		known, alarm = known && (word || own), alarm || cry || own
	}
	return known, alarm
}

// isSuffix tells whether part is the public suffix, wire form, with its dots
// left out: com, or couk.
func isSuffix(part []byte, suffix string) bool {
	for len(suffix) > 1 {
		n := int(suffix[0])
		label := suffix[1 : 1+n]
		if len(part) < n || string(part[:n]) != label {
			return false
		}
		part, suffix = part[n:], suffix[1+n:]
	}
	return len(part) == 0
}

// below looks at the labels left of the registered domain: a dot that slipped
// into the brand (pay.pal.com), and the whole brand before a foreign domain
// (paypal.com.example.net).
func (q *query) below(name dnsname.Name, split dnsname.Split) {
	left := name[:len(name)-len(split.Registered)]
	if len(left) == 0 {
		return
	}
	var labels [128]uint8 // where each label begins
	count := 0
	for at := 0; at < len(left); at += 1 + int(left[at]) {
		labels[count] = uint8(at)
		count++
	}
	// Joined: the last label left of the domain, and the domain's own.
	last := left[labels[count-1]+1:]
	if n := len(last) + len(q.raw); n <= maxLabel && len(q.raw) > 1 {
		var buf [maxLabel]byte
		joined := append(append(buf[:0], last...), q.raw...)
		for it := q.x.exact.find(hashOf(joined)); it.next(); {
			if b := &q.x.brands[it.id]; b.label == string(joined) && b.suffix == string(split.Suffix) {
				q.offer(it.id, KindSubdomain, byLength(len(b.label), GradeMedium))
			}
		}
	}
	for i := range count {
		at := int(labels[i])
		label := left[at+1 : at+1+int(left[at])]
		for it := q.x.exact.find(hashOf(label)); it.next(); {
			b := &q.x.brands[it.id]
			rest := b.suffix[:len(b.suffix)-1] // less the root's octet
			if b.label == string(label) && bytes.HasPrefix(left[at+1+len(label):], []byte(rest)) {
				q.offer(it.id, KindSubdomain, GradeHigh)
			}
		}
	}
}
