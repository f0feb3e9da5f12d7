package behaviour

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
)

// Standing is what is thought of a client.
type Standing uint8

// Standings.
const (
	Clean Standing = iota
	Suspicious
	Infected
)

var standingNames = [...]string{Clean: "clean", Suspicious: "suspicious", Infected: "infected"}

func (s Standing) String() string { return standingNames[s] }

// account is what speaks for a client being infected.
type account struct {
	at       int64   // Unix seconds to which sum has decayed
	sum      float64 // of all evidence, less what benign names give
	peak     float64 // of sum in this day
	active   bool    // asked for a new name in this day
	standing Standing
	since    int64 // Unix seconds at which standing began
	known    sketch
	patterns *patterns // nil: none yet
	evidence []evidence
}

// evidence is one name of an account.
type evidence struct {
	name   string
	at     int64
	weight float64
	nx     bool
}

const (
	maxEvidence = 10
	minNames    = 3 // without which nobody is suspected: one odd name is one odd name
	// Of scores only those count that at most every 20th benign name reaches, by
	// the logarithm of how much rarer they are.
	countsFrom = 0.05
	// A name that resolves was registered by somebody: most that a bot asks for
	// are not.
	resolvingWeight = 0.3
	// What a benign new name gives on average: -ln(u/0.05) over a uniform u below
	// 0.05 is 0.05, and most resolve. It is taken off, so that a client that asks
	// for much is not infected for that.
	benignDrift = 0.05 * resolvingWeight
	// What one name gives at most: rarer than this no site can tell.
	maxWeight = 10
)

// infected adds a transaction to what speaks for its client being infected.
func (w *Watcher) infected(e *event) {
	if e.Verdict.Unscored != detect.Scored || !e.fresh || w.deps.Popular(e.registered) {
		return
	}
	a := w.account(e.client)
	if a.known.novelty(e.domain) == 0 {
		return // this client's name already, or one that shares its place
	}
	nx := e.said.missing
	x := min(max(0, math.Log(countsFrom/w.deps.Tail(&e.Verdict))), maxWeight)
	if nx {
		if a.patterns == nil {
			a.patterns = new(patterns)
		}
		x += a.patterns.add(w, e.registered)
	} else {
		x *= resolvingWeight
	}
	a.decay(e.at, w.cfg.Infected.Window)
	a.active = true
	a.sum = max(0, a.sum+x-benignDrift)
	a.peak = max(a.peak, a.sum)
	if x > 0 {
		a.keep(evidence{e.registered.String(), e.at, x, nx})
	}
	w.judge(e, a)
}

// account is that of a client, found again after a restart.
func (w *Watcher) account(client netip.Addr) *account {
	a, fresh := w.accounts.put(client)
	if fresh && len(w.returning) > 0 {
		octets := client.As16()
		hash := w.hash(octets[:])
		if was, ok := w.returning[hash]; ok {
			*a = *was
			delete(w.returning, hash)
		}
	}
	return a
}

// decay lets evidence grow old: half of it is gone after half of the window.
func (a *account) decay(at int64, window time.Duration) {
	if a.at == 0 {
		a.at = at
	}
	if past := at - a.at; past > 0 {
		a.sum *= math.Exp2(-2 * float64(past) / window.Seconds())
		a.at = at
	}
}

// keep keeps the evidence that says most.
func (a *account) keep(e evidence) {
	at, _ := slices.BinarySearchFunc(a.evidence, e, func(a, b evidence) int { return cmp.Compare(b.weight, a.weight) })
	if at == maxEvidence {
		return
	}
	if len(a.evidence) == maxEvidence {
		a.evidence = a.evidence[:maxEvidence-1]
	}
	a.evidence = slices.Insert(a.evidence, at, e)
}

// judge changes what is thought of a client, and tells of the worse.
func (w *Watcher) judge(e *event, a *account) {
	infected, suspicious := w.thresholds()
	next := Clean
	switch {
	case len(a.evidence) < minNames:
	case a.sum >= infected:
		next = Infected
	case a.sum >= suspicious:
		next = Suspicious
	}
	if next <= a.standing {
		return // an operator says when it is over: reset
	}
	a.standing, a.since = next, e.at
	level := detect.LevelMedium
	if next == Infected {
		level = detect.LevelHigh
	}
	facts := []detect.Fact{
		{Key: "standing", Value: next.String()},
		{Key: "evidence", Value: fmt.Sprintf("%.1f", a.sum)},
		{Key: "threshold", Value: fmt.Sprintf("%.1f", infected)},
		{Key: "names", Value: a.names()},
	}
	if like := a.like(); like != "" {
		facts = append(facts, detect.Fact{Key: "alike", Value: like})
	}
	w.tell(detect.InfectedClient, level, e.Query.Time, e.client, nil, facts...)
}

// names are those of the evidence.
func (a *account) names() string {
	var names []string
	for _, e := range a.evidence {
		names = append(names, e.name)
	}
	return strings.Join(names, " ")
}

// like says what most names of the evidence share, "" if nothing.
func (a *account) like() string {
	if len(a.evidence) < 4 {
		return ""
	}
	most := len(a.evidence)*3/4 + 1
	length, suffix, hex := map[int]int{}, map[string]int{}, 0
	for _, e := range a.evidence {
		label, rest, _ := strings.Cut(e.name, ".")
		length[len(label)]++
		suffix[rest]++
		if strings.Trim(label, "0123456789abcdef") == "" {
			hex++
		}
	}
	var said []string
	for n, count := range length {
		if count >= most {
			said = append(said, fmt.Sprintf("%d characters", n))
		}
	}
	if hex >= most {
		said = append(said, "hexadecimal")
	}
	for s, count := range suffix {
		if count >= most {
			said = append(said, "."+s)
		}
	}
	if a.patterns != nil && int(a.patterns.shared) >= most {
		said = append(said, "shared words")
	}
	return strings.Join(said, ", ")
}

// patterns counts what the names of a client that do not exist have in common,
// in constant memory: a place is taken over by what comes last.
type patterns struct {
	words  [128]count // runs of wordRun letters
	shapes [32]count  // suffix and length
	shared uint16     // names that shared a word
}

type count struct {
	what uint32 // part of a hash
	n    uint8
}

const (
	wordRun     = 5 // letters that are taken for a word
	wordWeight  = 1.0
	shapeWeight = 0.5
	maxRepeats  = 3 // that count of what a name shares
)

// add counts a registered domain and says what speaks for it: that names before
// it had words of it, or its length and suffix.
func (p *patterns) add(w *Watcher, registered dnsname.Name) float64 {
	label := registered.Label()
	repeats := uint8(0)
	for i := 0; i+wordRun <= len(label); i++ {
		run := label[i : i+wordRun]
		if bytes.ContainsAny(run, "0123456789-_") {
			continue
		}
		hash := w.hash(run)
		repeats = max(repeats, p.words[hash%uint64(len(p.words))].repeat(hash))
	}
	if repeats > 0 && p.shared < math.MaxUint16 {
		p.shared++
	}
	shape := w.hash(registered.Parent()) ^ uint64(len(label))*0x9e3779b97f4a7c15
	alike := p.shapes[shape%uint64(len(p.shapes))].repeat(shape)
	return wordWeight*float64(min(repeats, maxRepeats)) + shapeWeight*float64(min(alike, maxRepeats))
}

// repeat counts a hash and says how often it was there before.
func (c *count) repeat(hash uint64) (before uint8) {
	what := uint32(hash >> 32)
	if c.what != what || c.n == 0 {
		*c = count{what, 1}
		return 0
	}
	before = c.n
	if c.n < math.MaxUint8 {
		c.n++
	}
	return before
}
