package unusual

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
)

// entry is a client and a registered domain of a day, and the least usual of what
// the one asked about the other.
type entry struct {
	client      netip.Addr // as much of it as may be kept
	domain      string     // registered domain, wire form
	name        string     // the name that was asked for, wire form
	ident       uint64     // of the client in profiles; 0: not known
	word        word
	seen        int64   // Unix seconds at which it was observed
	score       float64 // when it was last worked out, bits
	reasons     []Part  // of a finished day
	first, last int64   // Unix seconds of the first and the last query
	queries     uint64
}

// at is one client and one registered domain.
type at struct {
	client netip.Addr
	domain string
}

// day is a list under way, or one that is finished and ranked.
type day struct {
	number   int64 // days since 1970, UTC
	queries  uint64
	entries  map[at]*entry
	finished bool
}

func newDay(number int64) *day { return &day{number: number, entries: map[at]*entry{}} }

const secondsADay = 24 * 60 * 60

// dayOf is the day of a time.
func dayOf(unix int64) int64 {
	n := unix / secondsADay
	if unix%secondsADay < 0 {
		n--
	}
	return n
}

// dayText is a day as 2006-01-02.
func dayText(number int64) string {
	return time.Unix(number*secondsADay, 0).UTC().Format(time.DateOnly)
}

// ParseDay reads 2006-01-02.
func ParseDay(s string) (int64, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, errDay
	}
	return dayOf(t.Unix()), nil
}

// note adds an observation to d, and keeps it as the entry's if it is less usual than
// what the entry has. Of a bound of entries twice as many are kept for a while, so
// that those to go are looked for once in a while only.
func (d *day) note(p *profile, o *observation, most int) {
	key := at{o.client, string(o.domain)}
	e := d.entries[key]
	if e == nil {
		if len(d.entries) >= 2*most {
			d.prune(p, most)
		}
		e = &entry{client: o.client, domain: key.domain, first: o.at, last: o.at}
		d.entries[key] = e
	} else if p.surprise(e.ident, &e.word, e.seen) >= p.surprise(o.ident, &o.word, o.at) {
		return
	}
	e.name, e.ident, e.word, e.seen = string(o.name), o.ident, o.word, o.at
}

// count adds a query to the entry that there is.
func (d *day) count(o *observation) {
	d.queries++
	if e := d.entries[at{o.client, string(o.domain)}]; e != nil {
		e.queries++
		e.first, e.last = min(e.first, o.at), max(e.last, o.at)
	}
}

// rank works out the scores of a day under way, and orders its entries, the least
// usual first.
func (d *day) rank(p *profile) []*entry {
	out := make([]*entry, 0, len(d.entries))
	for _, e := range d.entries {
		if !d.finished {
			e.score = p.surprise(e.ident, &e.word, e.seen)
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.first, b.first), cmp.Compare(a.domain, b.domain), a.client.Compare(b.client))
	})
	return out
}

// prune keeps the most unusual entries.
func (d *day) prune(p *profile, most int) {
	ranked := d.rank(p)
	for _, e := range ranked[min(most, len(ranked)):] {
		delete(d.entries, at{e.client, e.domain})
	}
}

// finish ranks d for good: what comes on later days changes nothing of it.
func (d *day) finish(p *profile, most int) {
	if !d.finished {
		d.prune(p, most)
		for _, e := range d.rank(p) {
			e.reasons = p.reasons(&e.word, e.seen)
		}
		d.finished = true
	}
}

// Part is one part of what an event looks like.
type Part struct {
	Part  string `json:"part"`
	Value string `json:"value"`
	// OneIn is how rare the value is in the network: one event in so many has it.
	OneIn float64 `json:"one_in"`
	Text  string  `json:"text"`
}

// rareShare is below what share of the network's events a part is a reason.
const rareShare = 0.05

// reasons are the rare parts of a word, the rarest first. Where no part is rare by
// itself, it is that they come together.
func (p *profile) reasons(w *word, at int64) []Part {
	own := p.own(at)
	out := []Part{}
	for i, v := range w.values() {
		if share := p.share(i, v, own); share < rareShare {
			out = append(out, describe(i, w, 1/share))
		}
	}
	slices.SortStableFunc(out, func(a, b Part) int { return cmp.Compare(b.OneIn, a.OneIn) })
	if len(out) == 0 {
		out = append(out, Part{Part: "combination", Value: "", OneIn: 1, Text: "each part is common, the combination is not"})
	}
	return out
}

func text(wire string) string { return dnsname.Name(wire).String() }

func round1(f float64) float64 { return math.Round(f*10) / 10 }
