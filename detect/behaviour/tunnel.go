package behaviour

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// flowKey is a client and a registered domain, by hash.
type flowKey struct {
	client netip.Addr
	domain uint64
}

// flow is what a client and a registered domain said to each other of late.
type flow struct{ hour, day window }

// window is a stretch of time and the one before it.
type window struct {
	number     int64 // of the stretch: Unix seconds by its length
	seen       sketch
	this, last volume
}

// volume is what was said in names that were new.
type volume struct {
	names    float64 // different ones
	up, down float64 // information, bits
	odd      float64 // names asked for with a type that carries data
}

const (
	hourSeconds = 3600
	daySeconds  = 24 * hourSeconds
)

// tunnel adds a transaction to what its client and its domain said.
//
// It follows the idea of information-based heavy hitters (Ozery, Nadler,
// Shabtai: arXiv 2307.02614): what counts is not how many names there are, but
// how much they can say. A name counts once in a stretch of time, and so does
// its answer: what is asked again and again moves nothing.
func (w *Watcher) tunnel(e *event) {
	domain, hash := e.registered, e.domain
	if !e.known {
		// Without a public suffix there is no domain: all such names belong
		// together, below the root.
		domain = e.Query.Name[len(e.Query.Name)-1:]
		hash = w.hash(domain)
	}
	below := e.Query.Name[:len(e.Query.Name)-len(domain)]
	if domain == nil || len(below) == 0 || staysHere(e.Verdict.Unscored) {
		return
	}
	name := w.hash(e.Query.Name)
	f, _ := w.flows.put(flowKey{e.client, hash})
	said := volume{names: 1, up: entropy(below), down: carried(e)}
	if carrier(e.Query.Type) {
		said.odd = 1
	}
	f.hour.add(e.at, hourSeconds, name, said)
	f.day.add(e.at, daySeconds, name, said)

	factor := 1.0
	if w.isHarmless(domain) {
		factor = float64(w.cfg.Tunnels.HarmlessFactor)
	}
	hour, day := f.hour.sum(e.at, hourSeconds), f.day.sum(e.at, daySeconds)
	over := max(hour.octets()*hour.shape()/float64(w.cfg.Tunnels.Hour), day.octets()*day.shape()/float64(w.cfg.Tunnels.Day)) / factor
	if over < 1 {
		return
	}
	level := detect.LevelLow
	switch {
	case over >= 4:
		level = detect.LevelHigh
	case over >= 2:
		level = detect.LevelMedium
	}
	w.tell(detect.Tunnel, level, e.Query.Time, e.client, domain,
		detect.Fact{Key: "example", Value: example(e.Query.Name)},
		detect.Fact{Key: "names_hour", Value: strconv.Itoa(int(hour.names))},
		detect.Fact{Key: "octets_hour", Value: strconv.Itoa(int(hour.octets()))},
		detect.Fact{Key: "octets_day", Value: strconv.Itoa(int(day.octets()))},
		detect.Fact{Key: "octets_per_name", Value: fmt.Sprintf("%.1f", day.octets()/max(1, day.names))},
		detect.Fact{Key: "carrier_types", Value: fmt.Sprintf("%.0f%%", 100*day.odd/max(1, day.names))},
		detect.Fact{Key: "qtype", Value: dnswire.TypeString(e.Query.Type)},
	)
}

// staysHere says whether names never leave the site, by why they have no score.
func staysHere(r detect.Reason) bool {
	return r == detect.OwnZone || r == detect.SpecialUse || r == detect.SingleLabel
}

// example is a name that fits into a line.
func example(n dnsname.Name) string {
	const most = 120
	if s := n.String(); len(s) > most {
		return s[:most] + "..."
	}
	return n.String()
}

// octets is the information in both directions.
func (v *volume) octets() float64 { return (v.up + v.down) / 8 }

// shape is how many times what was said counts: twice where names or answers
// are as dense as no host name is, twice where most are asked for with a type
// that browsers do not use.
func (v *volume) shape() float64 {
	times := 1.0
	if v.names < shapeNames {
		return times
	}
	if v.octets() >= denseOctets*v.names {
		times *= 2
	}
	if v.odd >= v.names/2 {
		times *= 2
	}
	return times
}

const (
	shapeNames  = 16 // from how many names a shape is one
	denseOctets = 30 // of information a name; host names of CDNs have up to 20 or so
)

func (v *volume) add(o volume, times float64) {
	v.names += times * o.names
	v.up += times * o.up
	v.down += times * o.down
	v.odd += times * o.odd
}

// add adds what a name said if it is new in this stretch. Time that goes back a
// little counts for the newest stretch; a clock that was put back begins anew.
func (w *window) add(at, length int64, name uint64, said volume) {
	if n := at / length; n > w.number || n < w.number-1 {
		last := w.this
		if n != w.number+1 {
			last = volume{}
		}
		*w = window{number: n, last: last}
	}
	if times := w.seen.novelty(name); times > 0 {
		w.this.add(said, times)
	}
}

// sum is what was said in the last length seconds, as if the stretch before had
// been even.
func (w *window) sum(at, length int64) volume {
	v := w.this
	if left := 1 - float64(at-w.number*length)/float64(length); left > 0 && left <= 1 {
		v.add(w.last, left)
	}
	return v
}

// entropy is the information in octets, bits: that of their distribution, times
// their number. "www" has none, 32 random hex digits have about 120.
func entropy(octets []byte) float64 {
	var count [256]uint8 // a name has no more than 255 octets
	for _, c := range octets {
		count[c]++
	}
	bits := plogp(len(octets))
	for _, c := range octets {
		if n := count[c]; n > 0 {
			bits -= plogp(int(n))
			count[c] = 0
		}
	}
	return bits
}

func plogp(n int) float64 { return float64(n) * math.Log2(float64(n)) }

// carrier says whether answers of a type can carry what their owner likes.
func carrier(qtype uint16) bool {
	switch qtype {
	case dnswire.TypeTXT, typeNULL, typeKEY, dnswire.TypeCNAME, dnswire.TypeMX, typeSRV:
		return true
	}
	return qtype >= firstPrivate && qtype < lastPrivate
}

const (
	typeNULL = 10
	typeKEY  = 25
	typeSRV  = 33
	// RFC 6895, section 3.1: types for private use, iodine's among them.
	firstPrivate, lastPrivate = 65280, 65535
)

// carried is the information in an answer of the type that was asked for, bits.
// What the client did not ask for is a CDN's chain.
func carried(e *event) (bits float64) {
	if !carrier(e.Query.Type) || !e.Answered() {
		return 0
	}
	_, walk, err := dnswire.WalkMessage(e.Response)
	for r := (dnswire.Record{}); err == nil && walk.Next(&r) && r.Section == dnswire.Answer; {
		if r.Type == e.Query.Type {
			for data := e.Response[r.Data:r.End]; len(data) > 0; {
				n := min(len(data), 255)
				bits += entropy(data[:n])
				data = data[n:]
			}
		}
	}
	return bits
}
