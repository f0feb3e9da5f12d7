package unusual

import (
	"math"
	"time"
)

// The parts of a word, in the order of Spot's.
const (
	partStanding = iota
	partFrame
	partHour
	partLength
	partEntropy
	partLabels
	partQtype
	partRcode
	parts
)

// partValues is how many values a part has; of types and rcodes, how many are told
// apart.
var partValues = [parts]int{3, 17, 24, 9, entropyBins, 8, 256, 64}

// values are the parts as indexes.
func (w *word) values() [parts]uint16 {
	return [parts]uint16{
		uint16(w.standing), uint16(w.frame), uint16(w.hour), uint16(w.length), uint16(w.entropy), uint16(w.labels), w.qtype, w.rcode,
	}
}

// prior is what each value of a part counts before it was seen.
const prior = 0.5

// profile is what is usual: sums over words of each client and of the network, and
// over the parts of words. What is old counts less: every observation weighs
// 2^(age of the profile / half-life), so that nothing has to be aged but by what is
// new; sums are scaled down when that grows large.
type profile struct {
	halfLife time.Duration
	seed     uint64
	epoch    int64    // Unix seconds at which an observation weighs 1
	clients  counters // by client, and by client and word
	words    counters // by word, of the network
	network  tally
	parts    [parts]map[uint16]float64
}

// tally is the sum over all words, and over those that were new when they came: how
// often a new one is to be expected.
type tally struct{ All, New float64 }

func newProfile(halfLife time.Duration, memory int64, seed uint64) *profile {
	p := &profile{halfLife: halfLife, seed: seed, clients: newCounters(memory * 7 / 8), words: newCounters(memory / 8)}
	for i := range p.parts {
		p.parts[i] = map[uint16]float64{}
	}
	return p
}

// maxWeight is where sums are scaled down: a float32 has room for as much again.
const maxWeight = 1 << 16

// weight is what an observation at that time counts. Time may go back a little.
func (p *profile) weight(at int64) float64 {
	if p.epoch == 0 {
		p.epoch = at
	}
	w := math.Exp2(float64(at-p.epoch) / p.halfLife.Seconds())
	if w <= maxWeight {
		return w
	}
	p.scale(1 / w)
	p.epoch = at
	return 1
}

func (p *profile) scale(by float64) {
	p.clients.scale(by)
	p.words.scale(by)
	p.network.All *= by
	p.network.New *= by
	for i := range p.parts {
		for v := range p.parts[i] {
			p.parts[i][v] *= by
		}
	}
}

// The keys of a client's sums.
func (p *profile) allKey(client uint64) uint64 { return both(client^p.seed, 1) }
func (p *profile) newKey(client uint64) uint64 { return both(client^p.seed, 2) }

func (p *profile) wordKey(w *word) uint64 {
	k := w.key()
	return hash64(p.seed, k[:])
}

// observe adds a word of a client.
func (p *profile) observe(client uint64, w *word, at int64) {
	weight := p.weight(at)
	key := p.wordKey(w)
	p.clients.add(p.allKey(client), weight)
	if p.clients.add(both(client, key), weight) == 0 {
		p.clients.add(p.newKey(client), weight)
	}
	p.network.All += weight
	if p.words.add(key, weight) == 0 {
		p.network.New += weight
	}
	for i, v := range w.values() {
		m := p.parts[i]
		if _, ok := m[v]; !ok && len(m) >= partValues[i] {
			continue // one of the types that nobody has heard of
		}
		m[v] += weight
	}
}

// own is the weight of what was observed at that time.
func (p *profile) own(at int64) float64 {
	return math.Exp2(float64(at-p.epoch) / p.halfLife.Seconds())
}

// surprise is −log2 P(word | client), bits. The observation in question, of the time
// at, is left out: a word is not usual for having been seen just now.
//
// P(word | client) backs off to P(word | network), and that to the product of the
// parts, each by how often something new comes (Witten and Bell's method).
func (p *profile) surprise(client uint64, w *word, at int64) float64 {
	own := p.own(at)
	key := p.wordKey(w)
	product := 1.0
	for i, v := range w.values() {
		product *= p.share(i, v, own)
	}
	likely := backOff(p.words.get(key), p.network.All, p.network.New, own, product)
	if client != 0 {
		likely = backOff(p.clients.get(both(client, key)), p.clients.get(p.allKey(client)), p.clients.get(p.newKey(client)), own, likely)
	}
	return -math.Log2(max(likely, math.SmallestNonzeroFloat64))
}

// share is how many of the network's words have this value of a part.
func (p *profile) share(part int, v uint16, own float64) float64 {
	seen := max(p.parts[part][v]-own, 0)
	return (seen + prior) / (max(p.network.All-own, 0) + prior*float64(partValues[part]))
}

// backOff is Witten and Bell's estimate without the observation of weight own: seen
// of all, and where there is little of it what is said elsewhere, by the share of
// what was new.
func backOff(seen, all, fresh, own, elsewhere float64) float64 {
	seen, all = seen-own, all-own
	if seen < own/1000 { // float32 has rounded what should be nothing
		seen, fresh = 0, fresh-own // it is a new one itself
	}
	if all < own/1000 {
		return elsewhere
	}
	fresh = max(fresh, own/1000)
	return (min(seen, all) + fresh*elsewhere) / (all + fresh)
}
