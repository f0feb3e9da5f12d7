package behaviour

import (
	"net/netip"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// brandPlaces are where a brand's own names pointed of late: networks of /24 and
// /48, by hash.
type brandPlaces struct {
	networks [32]uint64 // a ring
	next     uint8
}

// maxBrands bounds the brands whose places are remembered, 270 octets each.
const maxBrands = 1024

// imitation tells of a name that stands near a brand, exists, and that nobody here
// asked for before: distance alone is no offence. What is popular, points to where
// the brand's own names point, or into the brand's own domain, is let be.
func (w *Watcher) imitation(e *event) {
	if e.registered == nil || !e.said.exists {
		return
	}
	m := &e.Verdict.Lookalike
	if m.Grade == lookalike.GradeNone {
		w.brandPoints(e)
		return
	}
	grade, err := lookalike.ParseGrade(w.cfg.Lookalikes.Grade)
	if err != nil || m.Grade < grade || !w.begins(e) || w.deps.Popular(e.registered) || w.belongs(e, m.Brand) {
		return
	}
	level := detect.LevelLow
	switch m.Grade {
	case lookalike.GradeHigh:
		level = detect.LevelHigh
	case lookalike.GradeMedium:
		level = detect.LevelMedium
	}
	facts := append([]detect.Fact{{Key: "brand", Value: m.Brand}, {Key: "how", Value: m.Kind.String()}, {Key: "grade", Value: m.Grade.String()}}, e.marks()...)
	w.tell(detect.Imitation, level, e.Query.Time, e.client, e.registered, facts...)
}

// brandPoints remembers where a brand's own name points.
func (w *Watcher) brandPoints(e *event) {
	if e.said.count == 0 || !w.deps.Brand(e.registered) {
		return
	}
	places, _ := w.brands.put(e.domain)
	for _, a := range e.said.addresses[:e.said.count] {
		hash := w.network(a)
		if !places.has(hash) {
			places.networks[int(places.next)%len(places.networks)] = hash
			places.next++
		}
	}
}

func (p *brandPlaces) has(hash uint64) bool {
	for _, n := range p.networks {
		if n == hash {
			return true
		}
	}
	return false
}

// network is the hash of an address' /24 or /48.
func (w *Watcher) network(a netip.Addr) uint64 {
	bits := 24
	if a.Is6() {
		bits = 48
	}
	network, _ := a.Prefix(bits)
	octets := network.Addr().As16()
	return w.hash(octets[:])
}

// belongs says whether an answer shows that its name is the brand's own.
func (w *Watcher) belongs(e *event, brand string) bool {
	domain, err := dnsname.ParseHost(brand)
	if err != nil {
		return false
	}
	if places := w.brands.get(w.hash(domain)); places != nil {
		for _, a := range e.said.addresses[:e.said.count] {
			if places.has(w.network(a)) {
				return true
			}
		}
	}
	_, walk, err := dnswire.WalkMessage(e.Response)
	if err != nil {
		return false
	}
	var buf [dnsname.MaxWire]byte
	for r := (dnswire.Record{}); walk.Next(&r) && r.Section <= dnswire.Authority; {
		var to dnsname.Name
		var err error
		switch {
		case r.Type == dnswire.TypeCNAME:
			to, err = r.Target(buf[:0], e.Response)
		case r.Section == dnswire.Authority && (r.Type == dnswire.TypeNS || r.Type == dnswire.TypeSOA):
			to, _, err = dnswire.ReadCanonical(buf[:0], e.Response, r.Data)
		default:
			continue
		}
		if err == nil && to.Within(domain) {
			return true
		}
	}
	return false
}
