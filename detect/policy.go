package detect

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// policy is a Config that was checked and made ready to use. It is immutable.
type policy struct {
	view // of clients that are in no group

	revision       uint64      // how many policies there were before
	groups         *groupTable // nil: there are none
	schedules      map[string]*schedule
	hits           map[string]*listHits // of each configured list; nil in a policy that is only checked
	ownZones       []dnsname.Name
	rebindingAllow []dnsname.Name
	cacheEntries   int
	rebinding      rule
	suspected      rule
	cname, address string
	rebindingMode  string
	imitations     *imitations // nil: nobody looks for them
}

// view is what of a policy may be another for some clients.
type view struct {
	group      string // its name, "" for none
	lists      map[string]rule
	fallback   rule // for a list that the policy does not know (yet)
	model      rule
	modelOff   bool
	modelLevel Level
	maxRate    uint32 // a detection is at most one in so many; 0: by modelLevel
}

// rule is what one kind of hit leads to.
type rule struct {
	action   Action
	enforced bool
	off      bool      // as if the list were not there
	when     *schedule // at other times, too
	explicit bool      // a list's own action, which its entries do not change
	answer   *BlockAnswer
}

// applies says whether the rule holds at t.
func (r *rule) applies(t time.Time) bool { return !r.off && r.when.active(t) }

func newPolicy(c *Config, lists map[string]ListPolicy) (*policy, error) {
	var errs []error
	action := parseAction(&errs, "block.action", c.Block.Action)
	if c.Block.TTL < 0 || c.Block.TTL > maxTTL {
		errs = append(errs, fmt.Errorf("block.ttl: must be 0s to %s, got %s", maxTTL, c.Block.TTL))
	}
	answer := BlockAnswer{
		TTL: c.Block.TTL,
		V4:  parseAddrs(&errs, "block.sinkhole_ipv4", c.Block.SinkholeIPv4, true),
		V6:  parseAddrs(&errs, "block.sinkhole_ipv6", c.Block.SinkholeIPv6, false),
		EDE: dnswire.EDEBlocked,
	}
	p := &policy{
		ownZones:       parseZones(&errs, "own_zones", c.OwnZones),
		rebindingAllow: parseZones(&errs, "answers.rebinding_allow", c.Answers.RebindingAllow),
		cname:          c.Answers.CNAME,
		address:        c.Answers.Address,
		rebindingMode:  c.Answers.Rebinding,
		schedules:      newSchedules(&errs, c.Schedules),
	}
	p.lists = make(map[string]rule, len(lists))
	checkMode(&errs, "model.mode", c.Model.Mode, ModeOff, ModeMonitor, ModeEnforce)
	checkMode(&errs, "answers.cname", c.Answers.CNAME, ModeOff, ModeMonitor, ModeEnforce)
	checkMode(&errs, "answers.address", c.Answers.Address, ModeOff, ModeMonitor, ModeEnforce)
	checkMode(&errs, "answers.rebinding", c.Answers.Rebinding, ModeOff, ModeMonitor, ModeEnforce, ModeAuto)
	if p.rebindingMode == ModeAuto {
		p.rebindingMode = ModeMonitor
	}
	p.modelLevel = parseLevel(&errs, "model.level", c.Model.Level)
	p.maxRate = parseRate(&errs, "model.max_rate", c.Model.MaxRate)
	p.modelOff = c.Model.Mode == ModeOff
	p.cacheEntries = c.Model.CacheEntries
	if c.Model.CacheEntries < minScoreEntries || c.Model.CacheEntries > maxScoreEntries {
		errs = append(errs, fmt.Errorf("model.cache_entries: must be %d to %d, got %d", minScoreEntries, maxScoreEntries, c.Model.CacheEntries))
	}
	c.Popularity.parse(&errs)
	ruleFor := func(field, own, mode string, ede uint16) rule {
		r := rule{action: action, enforced: mode == ModeEnforce}
		if own != "" {
			r.action = parseAction(&errs, field, own)
		} else {
			field = "block.action"
		}
		if r.action == Sinkhole && len(answer.V4)+len(answer.V6) == 0 {
			errs = append(errs, fmt.Errorf("%s: sinkhole needs block.sinkhole_ipv4 or block.sinkhole_ipv6", field))
		}
		a := answer
		a.EDE = ede
		r.answer = &a
		return r
	}
	p.fallback = ruleFor("block.action", "", ModeMonitor, dnswire.EDEBlocked)
	p.model = ruleFor("model.action", c.Model.Action, c.Model.Mode, dnswire.EDEBlocked)
	p.rebinding = ruleFor("block.action", "", c.Answers.Rebinding, dnswire.EDEBlocked)
	p.suspected = ruleFor("block.action", "", ModeEnforce, dnswire.EDEBlocked)
	p.imitations = newImitations(&errs, &c.Lookalike, ruleFor("lookalike.action", c.Lookalike.Action, c.Lookalike.Mode, dnswire.EDEBlocked))
	for name, l := range lists {
		r := ruleFor("lists."+name+".action", l.Action, l.Mode, uint16(l.EDE))
		r.explicit = l.Action != ""
		r.when = p.schedule(&errs, "lists."+name+".schedule", l.Schedule)
		p.lists[name] = r
	}
	p.newGroups(&errs, c, lists)
	return p, dedupe(errs)
}

// schedule is the one that a field names, nil for none.
func (p *policy) schedule(errs *[]error, field, name string) *schedule {
	s := p.schedules[name]
	if s == nil && name != "" {
		*errs = append(*errs, fmt.Errorf("%s: no schedule is named %q", field, name))
	}
	return s
}

// Revision tells the policy for clients in no group at one moment from that at
// another: it changes with a reload, and when a list's schedule begins or ends.
func (d *Detector) Revision(t time.Time) string {
	p := d.state.Load().policy
	out := []byte(strconv.FormatUint(p.revision, 10))
	for _, name := range slices.Sorted(maps.Keys(p.lists)) {
		if r := p.lists[name]; r.when != nil {
			out = strconv.AppendBool(out, r.applies(t))
		}
	}
	return string(out)
}

// dedupe joins errs, each text once: several rules share one field.
func dedupe(errs []error) error {
	seen := map[string]bool{}
	var out []error
	for _, err := range errs {
		if !seen[err.Error()] {
			seen[err.Error()] = true
			out = append(out, err)
		}
	}
	return errors.Join(out...)
}

// list is what a hit in a list leads to.
func (w *view) list(name string) rule {
	if r, ok := w.lists[name]; ok {
		return r
	}
	return w.fallback
}

func within(n dnsname.Name, zones []dnsname.Name) bool {
	for _, z := range zones {
		if n.Within(z) {
			return true
		}
	}
	return false
}

// apply gives v the action of r, if nothing that counts more has: an enforced
// action beats one that is only watched, and among equals the first wins.
func (r rule) apply(v *Verdict, origin Origin, enforce bool) {
	enforced := r.enforced && enforce
	if v.Action != Pass && (v.Enforced || !enforced) {
		return
	}
	v.Origin, v.Action, v.Enforced, v.Answer = origin, r.action, enforced, r.answer
	v.Decider = max(len(v.Matches)-1, 0) // a match is added just before its rule is applied
}

// detects says whether the score in v is a detection: by how rare it is on the
// site if that was asked for and enough was seen, else by its level. What the
// card calls ordinary is none, however rare: else whoever fills the site's
// figures with dull names could have the others blocked.
func (w *view) detects(site *Site, v *Verdict) bool {
	if w.maxRate == 0 || !site.knows(w.maxRate) {
		return v.Level >= w.modelLevel
	}
	v.BySite = true
	return v.Level > LevelNone && v.OneIn >= w.maxRate
}

// ownActions is what entries with a mind of their own ask for.
var ownActions = [...]Action{
	blocklist.NXDOMAIN: NXDOMAIN, blocklist.NODATA: NODATA, blocklist.Refuse: Refuse,
	blocklist.Drop: Drop, blocklist.TCPOnly: Truncate, blocklist.LocalData: Sinkhole,
}

// hit records what met a block list and applies the list's rule: its action if
// one is configured, else the entry's own, else the common one. What another
// entry of the list overrules, and what lets a name pass, does nothing of its
// own.
func (v *Verdict) hit(r rule, h *blocklist.Hit, kind MatchKind, enforce bool) {
	m := Match{List: h.List.Name, Rule: h.Rule, Info: h.Info, Kind: kind}
	switch {
	case h.Overruled:
		m.Effect = EffectOverruled
	case h.Policy == blocklist.Passthru:
		m.Effect = EffectPass
	case h.ObserveOnly:
		m.Effect = EffectObserve
	case r.enforced && enforce:
		m.Effect = EffectEnforce
	}
	v.add(m)
	if m.Effect == EffectOverruled || m.Effect == EffectPass {
		return
	}
	if h.Policy != blocklist.AsList && !r.explicit {
		r.action = ownActions[h.Policy]
		if h.Policy == blocklist.LocalData {
			r.answer = localAnswer(r.answer, h.Local)
		}
	}
	r.apply(v, OriginBlockList, m.Effect == EffectEnforce)
}

// maxMatches bounds what is recorded of one query: an answer may have thousands
// of addresses. What comes later still counts for the action.
const maxMatches = 64

func (v *Verdict) add(m Match) {
	if len(v.Matches) < maxMatches {
		v.Matches = append(v.Matches, withoutClient(m))
	}
}

// pass makes an allowed query of v: whatever else was hit does nothing.
func (v *Verdict) pass() {
	v.Origin, v.Unscored, v.Action, v.Enforced, v.Answer = OriginAllowList, Allowed, Pass, false, nil
	for i := range v.Matches {
		if v.Matches[i].Effect != EffectPass {
			v.Matches[i].Effect = EffectOverruled
		}
	}
}

// localAnswer is a with the addresses of one entry. It allocates, for this kind
// of hit only, since an answer is shared and immutable.
func localAnswer(a *BlockAnswer, l *blocklist.Local) *BlockAnswer {
	return &BlockAnswer{TTL: a.TTL, V4: l.V4, V6: l.V6, EDE: a.EDE}
}

// CheckPolicy says whether c and the lists' policies fit together.
func CheckPolicy(c Config, lists map[string]ListPolicy) error {
	_, err := newPolicy(&c, lists)
	return err
}
