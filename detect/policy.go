package detect

import (
	"errors"
	"fmt"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// policy is a Config that was checked and made ready to use. It is immutable.
type policy struct {
	ownZones       []dnsname.Name
	rebindingAllow []dnsname.Name
	model          rule
	modelOff       bool
	modelLevel     Level
	cacheEntries   int
	rebinding      rule
	cname, address string
	rebindingMode  string
	lists          map[string]rule
	fallback       rule // for a list that the policy does not know (yet)
}

// rule is what one kind of hit leads to.
type rule struct {
	action   Action
	enforced bool
	explicit bool // a list's own action, which its entries do not change
	answer   *BlockAnswer
}

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
		lists:          make(map[string]rule, len(lists)),
	}
	checkMode(&errs, "model.mode", c.Model.Mode, ModeOff, ModeMonitor, ModeEnforce)
	checkMode(&errs, "answers.cname", c.Answers.CNAME, ModeOff, ModeMonitor, ModeEnforce)
	checkMode(&errs, "answers.address", c.Answers.Address, ModeOff, ModeMonitor, ModeEnforce)
	checkMode(&errs, "answers.rebinding", c.Answers.Rebinding, ModeOff, ModeMonitor, ModeEnforce)
	p.modelLevel = parseLevel(&errs, "model.level", c.Model.Level)
	p.modelOff = c.Model.Mode == ModeOff
	p.cacheEntries = c.Model.CacheEntries
	if c.Model.CacheEntries < minScoreEntries || c.Model.CacheEntries > maxScoreEntries {
		errs = append(errs, fmt.Errorf("model.cache_entries: must be %d to %d, got %d", minScoreEntries, maxScoreEntries, c.Model.CacheEntries))
	}
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
	for name, l := range lists {
		r := ruleFor("lists."+name+".action", l.Action, l.Mode, uint16(l.EDE))
		r.explicit = l.Action != ""
		p.lists[name] = r
	}
	return p, dedupe(errs)
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

func (p *policy) list(name string) rule {
	if r, ok := p.lists[name]; ok {
		return r
	}
	return p.fallback
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

// ownActions is what entries with a mind of their own ask for.
var ownActions = [...]Action{
	blocklist.NXDOMAIN: NXDOMAIN, blocklist.NODATA: NODATA, blocklist.Refuse: Refuse,
	blocklist.Drop: Drop, blocklist.TCPOnly: Truncate, blocklist.LocalData: Sinkhole,
}

// hit applies the rule of the list that was hit: its action if one is
// configured, else the entry's own, else the common one. What another entry of
// the list overrules, and what lets a name pass, does nothing of its own.
func (p *policy) hit(v *Verdict, h *blocklist.Hit, enforce bool) {
	if h.Overruled || h.Policy == blocklist.Passthru {
		return
	}
	r := p.list(h.List.Name)
	if h.Policy != blocklist.AsList && !r.explicit {
		r.action = ownActions[h.Policy]
		if h.Policy == blocklist.LocalData {
			r.answer = localAnswer(r.answer, h.Local)
		}
	}
	r.apply(v, OriginBlockList, enforce && !h.ObserveOnly)
}

// answerHits applies what one target or address of an answer hit. If an allow
// list has it, that one is fine, and the rest of the answer is still looked at.
func (p *policy) answerHits(v *Verdict, hits []blocklist.Hit, kind MatchKind, mode string) {
	for i := range hits {
		if hits[i].List.Kind == blocklist.Allow {
			return
		}
	}
	for i := range hits {
		hit := &hits[i]
		v.Matches = append(v.Matches, Match{List: hit.List.Name, Rule: hit.Rule, Info: hit.Info, Kind: kind})
		p.hit(v, hit, mode == ModeEnforce)
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
