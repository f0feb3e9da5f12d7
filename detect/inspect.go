package detect

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
	"go.uber.org/zap"
)

// Lists is where the current lists come from; blocklist.Lists is one.
type Lists interface {
	Snapshot() *blocklist.Snapshot
}

// Deps is what a Detector works with.
type Deps struct {
	Log      *zap.Logger
	Registry prometheus.Registerer
	Lists    Lists
	Suffixes *dnsname.Suffixes
	// Allows are names that are let through for a while; nil: none.
	Allows *allow.Book
	// Suspects are domains that findings speak against; nil: nobody finds any.
	Suspects *Suspects
}

// Detector judges names and answers. It is safe for use by many goroutines;
// Swap replaces policy and model under their feet.
type Detector struct {
	deps    Deps
	state   atomic.Pointer[state]
	metrics *metrics
	site    Site
}

// state is what one query is judged by, from its first step to its last.
type state struct {
	policy  *policy
	model   *Model      // nil: none, and names go unscored
	scores  *scores     // of this model
	whys    *whys       // of this model
	known   *known      // by this policy and model
	shadow  *shadow     // nil: no model is on trial
	popular *Popularity // nil: nobody said
}

// New makes a Detector. model may be nil: names are then "not judged".
func New(cfg Config, lists map[string]ListPolicy, model *Model, deps Deps) (*Detector, error) {
	d := &Detector{deps: deps}
	d.metrics = newMetrics(deps.Registry, &d.site)
	deps.Registry.MustRegister(hitsCollector{d})
	return d, d.Swap(cfg, lists, model)
}

// Swap replaces policy and model at once. An error leaves the old ones.
func (d *Detector) Swap(cfg Config, lists map[string]ListPolicy, model *Model) error {
	p, err := newPolicy(&cfg, lists)
	if err != nil {
		return err
	}
	next := &state{policy: p, model: model, known: newKnown(cfg.Model.CacheEntries)}
	old := d.state.Load()
	if old == nil {
		p.keepHits(nil)
	} else {
		p.keepHits(old.policy)
		p.revision = old.policy.revision + 1
		next.shadow = old.shadow.resized(cfg.Model.CacheEntries)
		next.popular = old.popular
	}
	if old != nil && old.model == model && model != nil && cfg.Model.CacheEntries <= len(old.scores.sets)*ways {
		next.scores, next.whys = old.scores, old.whys
	} else if model != nil {
		next.scores, next.whys = newScores(cfg.Model.CacheEntries), newWhys()
	}
	if model != nil {
		d.site.use(model.manifest)
	}
	d.state.Store(next)
	d.metrics.setModels(model, next.shadow.which())
	return nil
}

// Model is the model in use, nil if there is none.
func (d *Detector) Model() *Model { return d.state.Load().model }

// Inspect judges a query, in this order:
//
//  1. an allow list passes it, or an operator for a while, and the model is not
//     asked;
//  2. the block lists, every one, so that the record names all that would have
//     caught it; within a list exceptions come before blocks, as
//     blocklist.Hit.Overruled says, and let the name pass that list only;
//  3. the model, on the registered domain;
//  4. the brands, whether the name imitates one;
//  5. what findings have against the domain;
//  6. policy takes the action of the first enforced hit, in this order; if none
//     is enforced, that of the first hit, to be recorded only.
//
// v is overwritten; its Matches keep their memory. Nothing in v may be used
// longer than q.Name, except Matches' strings. A panic on the way leaves the
// query "not judged" and is counted.
func (d *Detector) Inspect(q *Query, v *Verdict) {
	*v = Verdict{Unscored: NotAsked, Matches: v.Matches[:0]}
	defer d.notJudged(v)
	st := d.state.Load()
	w := st.policy.viewOf(q.Client, q.Time)
	if !d.lists(w, q, v) {
		d.judge(st, w, q, v)
	}
}

// InspectLists is Inspect without the model.
func (d *Detector) InspectLists(q *Query, v *Verdict) {
	*v = Verdict{Unscored: NotAsked, Matches: v.Matches[:0]}
	defer d.notJudged(v)
	d.lists(d.state.Load().policy.viewOf(q.Client, q.Time), q, v)
}

// lists holds a query's name against the lists and says whether it is allowed.
func (d *Detector) lists(w *view, q *Query, v *Verdict) (allowed bool) {
	var buf [4]blocklist.Hit
	hits := d.deps.Lists.Snapshot().MatchFrom(buf[:0], q.Name, q.Client)
	allowed = d.timedAllow(q, q.Name, v, MatchName)
	for i := range hits {
		hit := &hits[i]
		r := w.list(hit.List.Name)
		switch {
		case !r.applies(q.Time):
		case hit.List.Kind == blocklist.Allow:
			v.add(Match{List: hit.List.Name, Rule: hit.Rule, Info: hit.Info, Effect: EffectPass})
			allowed = true
		default:
			v.hit(r, hit, MatchName, true)
		}
	}
	if allowed {
		v.pass()
	}
	return allowed
}

// timedAllow says whether an operator lets a name through at the moment.
func (d *Detector) timedAllow(q *Query, name dnsname.Name, v *Verdict, kind MatchKind) bool {
	rule, reason, ok := d.deps.Allows.Match(name, q.Client, q.Time)
	if ok {
		v.add(Match{List: allow.List, Rule: rule, Info: reason, Kind: kind, Effect: EffectPass})
	}
	return ok
}

// Record counts the final verdict of a transaction: a Detector is a Sink, so
// that each query counts once, with what its answer added. Domains whose score
// is new are counted for Site as well.
func (d *Detector) Record(t *Transaction) {
	d.metrics.count(&t.Verdict)
	if len(t.Verdict.Matches) > 0 {
		d.state.Load().policy.countHits(t)
	}
	if m := t.Verdict.fresh; m != nil && m == d.state.Load().model {
		d.site.note(t)
	}
}

// Suspects are the domains that findings speak against; nil if the Detector was
// made without any.
func (d *Detector) Suspects() *Suspects { return d.deps.Suspects }

// Site is how the names of this site score.
func (d *Detector) Site() *Site { return &d.site }

// judge fills in what the model and the finder of look-alikes say.
func (d *Detector) judge(st *state, w *view, q *Query, v *Verdict) {
	noModel := st.model == nil || w.modelOff
	if noModel {
		v.Unscored = NoModel
	}
	suspects := d.deps.Suspects.any()
	if q.Class != dnswire.ClassIN || noModel && st.policy.imitations == nil && !suspects {
		return
	}
	n, ok := st.known.get(q.Name)
	if !ok {
		n = d.learn(st, w, q.Name, v)
	}
	var registered dnsname.Name
	if n.start != noDomain {
		registered = q.Name[n.start:]
	}
	if !noModel {
		v.Registered, v.Unscored = registered, n.unscored
		if n.unscored == Scored {
			d.scored(st, w, unquantize(n.score), q.Name, v)
		}
	}
	if n.lookalike != 0 {
		st.imitates(registered, st.policy.imitations.index.Unpack(n.lookalike), v)
	}
	if suspects && registered != nil && n.unscored != OwnZone {
		d.suspected(st, q, registered, v)
	}
}

// learn finds out all that known keeps of a name, and keeps it, unless the model
// failed or is not to be asked for this client.
func (d *Detector) learn(st *state, w *view, name dnsname.Name, v *Verdict) knownName {
	split := d.deps.Suffixes.Split(name)
	n := knownName{start: noDomain, unscored: classifyName(name, split, st.policy.ownZones)}
	if split.Registered != nil {
		n.start = uint8(len(name) - len(split.Registered))
	}
	if n.unscored == Scored {
		if i := st.policy.imitations; i != nil {
			n.lookalike = i.ask(name, split)
		}
		switch {
		case st.model == nil:
			n.unscored = NoModel
		case w.modelOff:
			return n
		default:
			n.score, n.unscored, v.fresh = d.score(st, split)
		}
	}
	if n.unscored != Failed {
		st.known.put(name, n)
	}
	return n
}

// score is the quantized score of a registered domain, or why it has none.
// fresh is the model if it was asked just now.
func (d *Detector) score(st *state, split dnsname.Split) (score uint32, unscored Reason, fresh *Model) {
	if score, ok := st.scores.load(split.Registered); ok {
		return score, Scored, nil
	}
	if r := classifyDomain(split.Registered); r != Scored {
		return 0, r, nil
	}
	began := time.Now() // for a metric only: no verdict depends on it
	raw, err := st.model.Score(split)
	if err != nil {
		d.metrics.failed.Add(1)
		return 0, Failed, nil
	}
	score = quantize(raw)
	st.scores.store(split.Registered, score)
	d.metrics.scored(unquantize(score), time.Since(began))
	return score, Scored, st.model
}

// scored fills in what follows from a score.
func (d *Detector) scored(st *state, w *view, score float64, name dnsname.Name, v *Verdict) {
	v.Score, v.Level, v.Probability = score, st.model.Level(score), st.model.Probability(score)
	if st.shadow != nil {
		d.askShadow(st.shadow, name, v)
	}
	if v.Origin == OriginNone {
		v.Origin = OriginModel
	}
	v.OneIn = d.site.oneIn(score)
	if w.detects(&d.site, v) {
		v.Why = st.whys.of(st.model, d.deps.Suffixes.Split(name))
		v.Popular = st.popular.Has(v.Registered)
		w.model.apply(v, OriginModel, !v.Popular)
	}
}

// InspectAnswer judges what an answer points to: the targets of its CNAME, SVCB
// and HTTPS records and its addresses, hints too, against the lists, and
// private addresses for public names. It adds to v, the verdict of the query,
// and may give it an enforced action that it had not. response is a whole
// message; one that cannot be read adds nothing.
func (d *Detector) InspectAnswer(q *Query, response []byte, v *Verdict) {
	if v.Origin == OriginAllowList || v.Blocks() {
		return
	}
	defer d.notJudged(v)
	st := d.state.Load()
	_, walk, err := dnswire.WalkMessage(response)
	if err != nil {
		return
	}
	a := answer{d: d, st: st, w: st.policy.viewOf(q.Client, q.Time), snapshot: d.deps.Lists.Snapshot(), q: q, v: v}
	for r := (dnswire.Record{}); walk.Next(&r) && r.Section == dnswire.Answer; {
		switch r.Type {
		case dnswire.TypeCNAME:
			a.alias(&r, response)
		case dnswire.TypeA, dnswire.TypeAAAA:
			a.address(r.Address(response))
		case dnswire.TypeSVCB, dnswire.TypeHTTPS:
			a.service(&r, response)
		}
	}
}

// InspectAddress judges what the lists have about an address, as if an answer to
// q held it and nothing else were known.
func (d *Detector) InspectAddress(q *Query, addr netip.Addr, v *Verdict) {
	*v = Verdict{Unscored: NotAsked, Matches: v.Matches[:0]}
	defer d.notJudged(v)
	st := d.state.Load()
	a := answer{d: d, st: st, w: st.policy.viewOf(q.Client, q.Time), snapshot: d.deps.Lists.Snapshot(), q: q, v: v}
	a.listed(addr)
}

// public says whether a name belongs to the public DNS, so that an address of
// the local network has no business in its answer.
func (d *Detector) public(st *state, n dnsname.Name) bool {
	if within(n, st.policy.rebindingAllow) {
		return false
	}
	split := d.deps.Suffixes.Split(n)
	switch classify(n, split, st.policy.ownZones) {
	case Scored, IDN, ServiceLabel:
		return split.Known // a top label that nobody knows is some site's own
	}
	return false
}

// private says whether an address belongs to no public host: loopback, RFC
// 1918, RFC 6598, link-local, RFC 4193. The unspecified address is what other
// resolvers block with, and attacks nobody.
func private(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || sharedSpace.Contains(a)
}

// sharedSpace is carrier grade NAT (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// notJudged turns a panic into "not judged". It must be deferred directly.
func (d *Detector) notJudged(v *Verdict) {
	if recover() != nil {
		*v = Verdict{Unscored: Failed, Matches: v.Matches[:0]}
		d.metrics.failed.Add(1)
		// The stack and not the value, which may hold parts of the name.
		d.deps.Log.Error("inspection panicked, query passed without a verdict", zap.Stack("stack"))
	}
}
