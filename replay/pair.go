package replay

import (
	"slices"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// Bounds of EVE. Several threads write one log, each at its own pace, so that
// what belongs together may be far apart, and the answer before its query.
const (
	maxHeld  = 1 << 16          // queries and answers that wait, or had their other half
	pairWait = 10 * time.Second // from query to answer, by the log's own time, as for captures
	maxTries = 16               // of what waits with the same key
)

// eveKey is what a query and its answer have in common in EVE.
type eveKey struct {
	flow, id uint64
	name     string // "" where only the flow and the ID are meant
}

func (k eveKey) nameless() eveKey { return eveKey{flow: k.flow, id: k.id} }

// held is a query or an answer that waits, or did.
type held struct {
	entry
	done bool      // it has the other half
	at   time.Time // of the answer
}

// equals are the queries and answers with one key.
type equals struct {
	held    int     // how many of them are held
	queries []*held // without an answer, the oldest first
	answers []*held // without a query, the oldest first
	told    bool    // an alert told of the first query, and no event of DNS did so far
}

// pairing turns entries into transactions.
type pairing struct {
	do     func(*detect.Transaction)
	byKey  map[eveKey]*equals
	latest map[eveKey]*held // the last query of each flow and ID
	order  []*held          // all that are held, the oldest first

	// An answer of version 1 that may have more records, and its query.
	partial      *entry
	partialQuery *held

	networks uint64 // transactions of which the client's network is known alone

	tx   detect.Transaction
	name [dnsname.MaxWire]byte
	wire []byte
}

func newPairing(do func(*detect.Transaction)) *pairing {
	return &pairing{do: do, byKey: map[eveKey]*equals{}, latest: map[eveKey]*held{}}
}

// take takes an entry; an error says that it cannot be a transaction.
func (p *pairing) take(e *entry) error {
	if !e.half {
		return p.record(e)
	}
	if _, err := dnsname.AppendParse(p.name[:0], e.name); err != nil {
		return err
	}
	for len(p.order) >= maxHeld {
		p.release()
	}
	if e.one {
		return p.one(e)
	}
	p.flush()
	if !e.answered {
		return p.query(e)
	}
	same := p.same(e.key)
	if q := match(&same.queries, func(q *held) bool { return paired(q.time, e.time) }); q != nil {
		return p.answer(q, e)
	}
	if e.qtype == 0 {
		return errField // neither it nor a query says
	}
	same.answers = append(same.answers, p.hold(same, e))
	return nil
}

// same are the halves with a key, of which one is about to be held.
func (p *pairing) same(k eveKey) *equals {
	same := p.byKey[k]
	if same == nil {
		same = new(equals)
		p.byKey[k] = same
	}
	return same
}

func (p *pairing) hold(same *equals, e *entry) *held {
	h := &held{entry: *e}
	same.held++
	p.order = append(p.order, h)
	return h
}

// query holds a query, if it is not one that is held already: an alert and the
// event of DNS tell of the same one.
func (p *pairing) query(e *entry) error {
	known := p.byKey[e.key] != nil
	same := p.same(e.key)
	switch {
	case known && e.alert:
		return nil
	case same.told:
		same.told = false
		return nil
	}
	same.told = e.alert
	q := p.hold(same, e)
	p.latest[e.key.nameless()] = q
	if a := match(&same.answers, func(a *held) bool { return paired(e.time, a.time) }); a != nil {
		return p.answer(q, &a.entry)
	}
	same.queries = append(same.queries, q)
	return nil
}

// paired says whether a query and an answer may belong together by their times.
func paired(query, answer time.Time) bool {
	d := answer.Sub(query)
	return d >= 0 && d <= pairWait
}

// match takes the first that fits out of what waits. What has waited for another
// half stays until it is released.
func match(waiting *[]*held, fits func(*held) bool) *held {
	for i, h := range (*waiting)[:min(len(*waiting), maxTries)] {
		if fits(h) {
			*waiting = slices.Delete(*waiting, i, i+1)
			h.done = true
			return h
		}
	}
	return nil
}

// answer records an answer with its query, nil if that was not seen.
func (p *pairing) answer(q *held, e *entry) error {
	if q != nil {
		q.done, q.at = true, e.time
		e.latency = max(0, e.time.Sub(q.time))
		e.time, e.client, e.server, e.name, e.qtype = q.time, q.client, q.server, q.name, q.qtype
	}
	if e.qtype == 0 {
		return errField // neither it nor its query says
	}
	return p.record(e)
}

// one takes one record of an answer of version 1.
func (p *pairing) one(e *entry) error {
	if p.partial != nil && p.partial.key.nameless() == e.key.nameless() && p.partial.time.Equal(e.time) {
		p.partial.answers = append(p.partial.answers, e.answers...)
		return nil
	}
	p.flush()
	q := p.latest[e.key.nameless()]
	if q != nil && q.done {
		if q.at.Equal(e.time) {
			return nil // of an answer that is recorded: another thread wrote in between
		}
		q = nil
	}
	if q == nil && e.qtype == 0 {
		return errField
	}
	if q != nil {
		q.done, q.at = true, e.time
		same := p.byKey[q.key]
		same.queries = slices.DeleteFunc(same.queries, func(h *held) bool { return h == q })
	}
	kept := *e
	p.partial, p.partialQuery = &kept, q
	return nil
}

// flush records the answer of version 1 that has no more records.
func (p *pairing) flush() {
	if p.partial != nil {
		_ = p.answer(p.partialQuery, p.partial) // one has looked
		p.partial, p.partialQuery = nil, nil
	}
}

// release lets go of the oldest, and records it if it had no other half.
func (p *pairing) release() {
	h := p.order[0]
	p.order = p.order[1:]
	same := p.byKey[h.key]
	if same.held--; same.held == 0 {
		delete(p.byKey, h.key)
	}
	if p.latest[h.key.nameless()] == h {
		delete(p.latest, h.key.nameless())
	}
	if h.done {
		return
	}
	if h.answered {
		same.answers = same.answers[1:]
	} else {
		same.queries = same.queries[1:]
	}
	_ = p.record(&h.entry) // its name was read before
}

// finish records what still waits.
func (p *pairing) finish() {
	p.flush()
	for len(p.order) > 0 {
		p.release()
	}
}

func (p *pairing) record(e *entry) error {
	name, err := dnsname.AppendParse(p.name[:0], e.name)
	if err != nil {
		return err
	}
	client, network := address(e.client)
	if network {
		p.networks++
	}
	t := &p.tx
	*t = detect.Transaction{
		Query:   detect.Query{Time: e.time, Name: name, Type: e.qtype, Class: e.class, Transport: detect.Pcap, Client: client},
		Verdict: detect.Verdict{Matches: t.Verdict.Matches[:0]}, Upstream: e.server, Latency: e.latency,
	}
	if e.answered {
		t.Source, t.Rcode, t.Response = detect.FromWire, e.rcode, p.response(e, name)
	}
	p.do(t)
	return nil
}
