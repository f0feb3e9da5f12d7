package behaviour

import (
	"math"
	"net/netip"
	"strconv"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// flux is where a name pointed in the last day.
type flux struct {
	day       int64
	addresses sketch
	networks  sketch
	count     float64 // of different addresses
	nets      float64 // of different networks
	ttl       uint32  // the longest
	answers   uint8   // that led to a network which was not there before
}

const (
	// The flux score of Holz, Gorecki, Rieck and Freiling (NDSS 2008): so much for an
	// address, so much for a network, and what is above the sum is fast flux. They
	// counted autonomous systems; networks of /16 and /32 stand for them here.
	fluxAddress = 1.32
	fluxNetwork = 18.54
	fluxSum     = 142.38
	// Many addresses in a few networks are a content network.
	fluxNetworks = 5
	fluxTTL      = 1800 // seconds; names that keep their addresses for longer are none
	// Flux is change: what one answer of each family holds, and another pair, is a
	// content network's whole list.
	fluxAnswers = 5
)

// volunteers are zones whose names point to whoever lends a hand, by design.
var volunteers = wireSet("pool.ntp.org ntppool.org")

// fastFlux follows where names of domains point that were new here when it began:
// names of known content networks point to as many places.
func (w *Watcher) fastFlux(e *event) {
	if e.registered == nil || e.said.count == 0 || w.deps.Popular(e.registered) || belowAny(e.Query.Name, volunteers) {
		return
	}
	hash := w.hash(e.Query.Name)
	f := w.fluxes.get(hash)
	if f == nil {
		if !w.begins(e) {
			return
		}
		f, _ = w.fluxes.put(hash)
	}
	if day := e.at / daySeconds; day != f.day {
		*f = flux{day: day}
	}
	f.ttl = max(f.ttl, e.said.ttl)
	nets := f.nets
	for _, a := range e.said.addresses[:e.said.count] {
		octets := a.As16()
		f.count += f.addresses.novelty(w.hash(octets[:]))
		bits := 16
		if a.Is6() {
			bits = 32
		}
		network, _ := a.Prefix(bits)
		octets = network.Addr().As16()
		f.nets += f.networks.novelty(w.hash(octets[:]))
	}
	if f.nets > nets && f.answers < math.MaxUint8 {
		f.answers++
	}
	score := fluxAddress*f.count + fluxNetwork*f.nets
	if score <= fluxSum || f.nets < fluxNetworks || f.answers < fluxAnswers || f.ttl >= fluxTTL {
		return
	}
	w.tell(detect.FastFlux, detect.LevelMedium, e.Query.Time, netip.Addr{}, dnsname.Name(e.Query.Name), append([]detect.Fact{
		{Key: "score", Value: strconv.FormatFloat(score, 'f', 1, 64)},
		{Key: "addresses", Value: strconv.Itoa(int(f.count))},
		{Key: "networks", Value: strconv.Itoa(int(f.nets))},
		{Key: "answers", Value: strconv.Itoa(int(f.answers))},
		{Key: "ttl", Value: strconv.FormatUint(uint64(f.ttl), 10)},
	}, e.marks()...)...)
}
