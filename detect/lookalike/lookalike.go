// Package lookalike tells which protected brand a registered domain imitates,
// and how: by glyphs that look alike, by a slip of the fingers, by a flipped
// bit, by words put beside the brand, by another suffix. It is dnstwist turned
// round: instead of making every permutation of every brand, it takes the name
// that was asked for and looks for brands near it.
//
// It judges one string. A brand's neighbour may be somebody's honest name, so
// every match is graded, and nothing here should block by itself: whether the
// name is new, unpopular or the brand's own is for the caller to know.
package lookalike

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// Brand is a name to protect.
type Brand struct {
	// Domain is the registered domain that people mean: "paypal.com".
	Domain string
	// Owned are further registered domains of the same owner, and public suffixes
	// under which it gives names out (github.io): no name of theirs is a
	// look-alike of this brand nor of any other.
	Owned []string
	// Everyday: the label is a word that honest names have in them (office,
	// orange), so that other words beside it say little.
	Everyday bool
}

// Kind is how a name imitates a brand.
type Kind uint8

// Kinds. Those of dnstwist keep its words.
const (
	KindNone          Kind = iota
	KindHomoglyph          // other characters that look alike: paypa1, раураl, rnicrosoft
	KindTransposition      // two neighbours changed places
	KindOmission           // a character is missing
	KindRepetition         // a character is doubled
	KindInsertion          // a character of a neighbouring key slipped in
	KindReplacement        // a character became one of a neighbouring key
	KindVowelSwap          // a vowel became another
	KindBitsquat           // one bit of a character flipped
	KindHyphenation        // a hyphen slipped in, or fell out
	KindAddition           // a character was put after it
	KindPlural             // an s or es slipped in
	KindEdit               // one character is another, is too many or too few, and no kind above explains it
	KindSubdomain          // a dot slipped in, or the whole brand stands left of a foreign domain
	KindCombo              // the brand with words beside it
	KindTLDSwap            // the brand under another public suffix
	Kinds                  // how many there are
)

var kindNames = [Kinds]string{
	"none", "homoglyph", "transposition", "omission", "repetition", "insertion", "replacement", "vowel swap",
	"bitsquatting", "hyphenation", "addition", "plural", "edit", "subdomain", "combo", "tld swap",
}

func (k Kind) String() string {
	if k < Kinds {
		return kindNames[k]
	}
	return "unknown"
}

// Grade is how much a match says. The false alarms of each on popular names are
// in docs/detections.md.
type Grade uint8

// Grades.
const (
	GradeNone   Grade = iota
	GradeLow          // distance alone: many an honest name stands as near
	GradeMedium       // few honest names stand so near a brand of this length
	GradeHigh         // hard to explain otherwise
)

var gradeNames = [...]string{"none", "low", "medium", "high"}

// ErrGrade is a text that names no grade.
var ErrGrade = errors.New(`must be "low", "medium" or "high"`)

// ParseGrade reads low, medium or high.
func ParseGrade(s string) (Grade, error) {
	for g := GradeLow; g <= GradeHigh; g++ {
		if gradeNames[g] == s {
			return g, nil
		}
	}
	return GradeHigh, fmt.Errorf("%w, got %q", ErrGrade, s)
}

func (g Grade) String() string {
	if int(g) < len(gradeNames) {
		return gradeNames[g]
	}
	return "unknown"
}

// Match is what a name imitates. Brand is the brand's domain.
type Match struct {
	Brand string
	Kind  Kind
	Grade Grade

	id uint32 // the brand's in its index
}

func (m Match) String() string {
	return fmt.Sprintf("looks like %s (%s, %s)", m.Brand, m.Kind, m.Grade)
}

const (
	// maxBrands bounds the memory of an Index: about 400 octets a brand.
	maxBrands = 1<<packedBrand - 1
	// minCombo is the shortest brand that is looked for inside longer labels
	// without a hyphen beside it.
	minCombo = 5
	maxLabel = dnsname.MaxLabel
)

// ErrBrand is wrapped by the errors of New.
var ErrBrand = errors.New("brand")

type brand struct {
	domain string // registered domain in text
	label  string // its first label
	skel   []byte // the label in classes of glyphs
	suffix string // its public suffix, wire form
	common bool   // Everyday
}

// Index finds the brand that a name imitates. It is immutable and safe for use
// by many goroutines.
type Index struct {
	brands  []brand
	owned   map[string]struct{} // registered domains and suffixes, wire form
	runes   *runeTable
	words   map[string]bool // true: of alarm
	exact   table           // hash of a label
	deletes table           // hash of a label less one character
	glyphs  table           // hash of what glyph changes cannot touch
	lengths uint64
}

// New makes an index of brands. It names every brand that it cannot use.
func New(brands []Brand) (*Index, error) {
	if len(brands) > maxBrands {
		return nil, fmt.Errorf("%w: %d of them, at most %d", ErrBrand, len(brands), maxBrands)
	}
	x := &Index{owned: make(map[string]struct{}), runes: newRuneTable(), words: newWords()}
	var errs []error
	suffixes := dnsname.DefaultSuffixes()
	for _, b := range brands {
		split, err := registered(suffixes, b.Domain)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, twice := x.owned[string(split.Registered)]; !twice {
			x.add(split, b.Everyday)
		}
		x.owned[string(split.Registered)] = struct{}{}
		for _, o := range b.Owned {
			other, err := dnsname.ParseHost(o)
			if err != nil {
				errs = append(errs, fmt.Errorf("%w %q: owned %q: %w", ErrBrand, b.Domain, o, err))
				continue
			}
			x.owned[string(other)] = struct{}{}
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	x.build()
	return x, nil
}

// registered reads a registered domain, no more and no less.
func registered(suffixes *dnsname.Suffixes, domain string) (dnsname.Split, error) {
	name, err := dnsname.ParseHost(domain)
	if err != nil {
		return dnsname.Split{}, fmt.Errorf("%w %q: %w", ErrBrand, domain, err)
	}
	split := suffixes.Split(name)
	if split.Registered == nil {
		return dnsname.Split{}, fmt.Errorf("%w %q: a public suffix has no owner", ErrBrand, domain)
	}
	if !split.Registered.Equal(name) {
		return dnsname.Split{}, fmt.Errorf("%w %q: the registered domain is wanted, %s", ErrBrand, domain, split.Registered)
	}
	return split, nil
}

// Owned says whether a registered domain is a brand's or stands among what else its
// owner has.
func (x *Index) Owned(registered dnsname.Name) bool {
	_, ok := x.owned[string(registered)]
	return ok
}

func (x *Index) add(split dnsname.Split, common bool) {
	label := string(split.Registered.Label())
	if ascii, ok := x.runes.reduce(make([]byte, 0, maxLabel), []byte(label)); ok && strings.HasPrefix(label, "xn--") {
		label = string(ascii) // a brand with an accent is imitated without it
	}
	x.brands = append(x.brands, brand{
		domain: split.Registered.String(), label: label,
		skel: classes(nil, []byte(label)), suffix: string(split.Suffix), common: common,
	})
}

func (x *Index) build() {
	n := len(x.brands)
	letters := 0
	for _, b := range x.brands {
		letters += len(b.label) + 1
	}
	x.exact, x.deletes, x.glyphs = newTable(n), newTable(letters), newTable(n)
	var h hashes
	for i, b := range x.brands {
		id := uint32(i)
		h.of([]byte(b.label))
		x.exact.put(h.whole(), id)
		x.lengths |= 1 << (len(b.label) & 63)
		x.deletes.put(h.whole(), id)
		for at := range b.label {
			// Of equal neighbours one deletion is enough.
			if at == 0 || b.label[at] != b.label[at-1] {
				x.deletes.put(h.without(at), id)
			}
		}
		x.glyphs.put(glyphKey(b.skel), id)
	}
}

// Len is the number of brands.
func (x *Index) Len() int { return len(x.brands) }

// Match finds the brand that name imitates, and how; split is name cut at its
// public suffix. Where several could be meant it is the one with the highest
// grade, then the plainest kind. It does not allocate.
func (x *Index) Match(name dnsname.Name, split dnsname.Split) (Match, bool) {
	if split.Registered == nil || len(x.brands) == 0 {
		return Match{}, false
	}
	for _, own := range [...]dnsname.Name{split.Registered, split.Suffix} {
		if _, ok := x.owned[string(own)]; ok {
			return Match{}, false
		}
	}
	q := query{x: x, private: split.Private, raw: split.Registered.Label()}
	var buf, skel [maxLabel * 2]byte
	label, ok := x.runes.reduce(buf[:0], q.raw)
	if ok && len(label) > 1 && len(label) <= maxLabel {
		q.label = label
		q.idn = len(q.raw) > 4 && string(q.raw[:4]) == "xn--"
		q.h.of(label)
		q.same()
		q.skel = classes(skel[:0], label)
		q.glyph()
		q.edits()
		q.combo()
	}
	q.below(name, split)
	if q.best.grade == GradeNone {
		return Match{}, false
	}
	return x.match(q.best), true
}

func (x *Index) match(f found) Match {
	return Match{Brand: x.brands[f.brand].domain, Kind: f.kind, Grade: f.grade, id: f.brand}
}

// A packed Match has the grade in its lowest 2 bits, then 4 of the kind, then
// the brand.
const (
	packedGrade = 2
	packedKind  = 4
	packedBrand = 18
)

// Pack makes 24 bits of a match of this index, 0 of none, for a cache.
func (x *Index) Pack(m Match) uint32 {
	return uint32(m.Grade) | uint32(m.Kind)<<packedGrade | m.id<<(packedGrade+packedKind)
}

// Unpack is the match that Pack was given.
func (x *Index) Unpack(w uint32) Match {
	f := found{brand: w >> (packedGrade + packedKind), kind: Kind(w >> packedGrade & (1<<packedKind - 1)), grade: Grade(w & (1<<packedGrade - 1))}
	if f.grade == GradeNone || int(f.brand) >= len(x.brands) {
		return Match{}
	}
	return x.match(f)
}

// query is one name on its way through the steps, on the stack.
type query struct {
	x       *Index
	raw     []byte // the registered label as it was asked for
	label   []byte // and in ASCII look-alikes
	skel    []byte // and in classes of glyphs
	idn     bool
	private bool // the public suffix is somebody's platform
	h       hashes
	best    found
}

type found struct {
	brand uint32
	kind  Kind
	grade Grade
}

func (q *query) offer(id uint32, kind Kind, grade Grade) {
	if grade > q.best.grade || grade == q.best.grade && kind < q.best.kind {
		q.best = found{id, kind, grade}
	}
}

// same finds the brand's very label: under another suffix, or, where it was
// written in other scripts, as a homograph.
func (q *query) same() {
	for it := q.x.exact.find(q.h.whole()); it.next(); {
		b := &q.x.brands[it.id]
		switch {
		case b.label != string(q.label):
		case q.idn:
			q.offer(it.id, KindHomoglyph, byLength(len(b.label), GradeHigh))
		default:
			q.offer(it.id, KindTLDSwap, GradeLow)
		}
	}
}

// byLength lowers a grade for brands so short that honest names meet them by
// chance.
func byLength(n int, g Grade) Grade {
	switch {
	case n <= 3:
		return GradeLow
	case n <= 5 && g > GradeLow:
		return g - 1
	}
	return g
}

// lengthsBetween is the set of brand lengths from least to most, a bit each.
func (x *Index) lengthsBetween(least, most int) uint64 {
	set := x.lengths
	if most < 63 {
		set &= 1<<(most+1) - 1
	}
	return set >> least << least
}

func lowest(set uint64) int { return bits.TrailingZeros64(set) }
