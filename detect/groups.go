package detect

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/gaissmai/bart"
)

// GroupConfig is clients for whom the policy is another than for the rest.
type GroupConfig struct {
	// Name is what weir explain shows.
	Name string `yaml:"name"`
	// Disabled takes the group out. Default false.
	Disabled bool `yaml:"disabled"`
	// Clients are networks and addresses. Where groups overlap, the longest
	// prefix counts, and for the same one the group that comes first.
	Clients []string `yaml:"clients"`
	// Schedule names when the group exists; at other times its clients belong
	// to the next that has them. Empty: always.
	Schedule string `yaml:"schedule"`
	// Lists are the lists that apply, allow lists too; others are as if they
	// were not there. Empty: all.
	Lists []string `yaml:"lists"`
	// ListsMode: off, monitor or enforce instead of what each list says.
	// Default empty: as each list says.
	ListsMode string `yaml:"lists_mode"`
	// ModelMode instead of model.mode. Default empty: the same.
	ModelMode string `yaml:"model_mode"`
	// ModelLevel instead of model.level. Default empty: the same.
	ModelLevel string `yaml:"model_level"`
}

const (
	maxGroups       = 1024
	maxGroupClients = 1 << 16 // of all groups together
)

// group is a GroupConfig made ready to use.
type group struct {
	view
	when *schedule
}

// groupTable finds the groups of a client: those whose networks have it,
// longest prefix first, up to the first that exists at any time.
type groupTable struct{ bart.Table[[]*group] }

// viewOf is what holds for a client at a moment.
func (p *policy) viewOf(client netip.Addr, t time.Time) *view {
	if p.groups == nil {
		return &p.view
	}
	groups, _ := p.groups.Lookup(client.Unmap().WithZone(""))
	for _, g := range groups {
		if g.when.active(t) {
			return &g.view
		}
	}
	return &p.view
}

// newGroups makes the groups of a policy whose own view and schedules are ready.
// lists has the configured ones; nil: they are not known here.
func (p *policy) newGroups(errs *[]error, c *Config, lists map[string]ListPolicy) {
	if len(c.Groups) > maxGroups {
		*errs = append(*errs, fmt.Errorf("groups: at most %d, got %d", maxGroups, len(c.Groups)))
		return
	}
	members := map[netip.Prefix][]*group{}
	names := map[string]bool{}
	total := 0
	for i := range c.Groups {
		gc, at := &c.Groups[i], fmt.Sprintf("groups[%d].", i)
		bad := func(format string, args ...any) { *errs = append(*errs, fmt.Errorf(at+format, args...)) }
		if gc.Name == "" {
			bad("name: must not be empty")
		} else if names[gc.Name] {
			bad("name: %q is used by an earlier group", gc.Name)
		}
		names[gc.Name] = true
		g := &group{when: p.schedule(errs, at+"schedule", gc.Schedule)}
		g.view = p.viewFor(errs, at, gc, lists)
		prefixes := parseNetworks(errs, at+"clients", gc.Clients)
		if len(gc.Clients) == 0 {
			bad("clients: must name a network or address")
		}
		if total += len(prefixes); total > maxGroupClients {
			bad("clients: all groups together may name %d networks", maxGroupClients)
			return
		}
		if gc.Disabled {
			continue
		}
		for _, prefix := range prefixes {
			if own := members[prefix]; len(own) == 0 || own[len(own)-1] != g {
				members[prefix] = append(own, g)
			}
		}
	}
	if len(members) == 0 {
		return
	}
	p.groups = &groupTable{}
	// Shorter prefixes first: each then finds those around it in the table.
	for _, prefix := range slices.SortedFunc(maps.Keys(members), func(a, b netip.Prefix) int { return a.Bits() - b.Bits() }) {
		around, _ := p.groups.Lookup(prefix.Addr())
		all := slices.Concat(members[prefix], around)
		if i := slices.IndexFunc(all, func(g *group) bool { return g.when == nil }); i >= 0 {
			all = all[:i+1]
		}
		p.groups.Insert(prefix, all)
	}
}

// viewFor is the policy's own view with what a group changes.
func (p *policy) viewFor(errs *[]error, at string, gc *GroupConfig, lists map[string]ListPolicy) view {
	v := p.view
	v.group = gc.Name
	v.lists = maps.Clone(p.lists)
	if gc.ListsMode != "" {
		checkMode(errs, at+"lists_mode", gc.ListsMode, ModeOff, ModeMonitor, ModeEnforce)
	}
	for i, name := range gc.Lists {
		if _, ok := lists[name]; !ok && lists != nil {
			*errs = append(*errs, fmt.Errorf("%slists[%d]: no list is named %q", at, i, name))
		}
	}
	change := func(name string, r rule) rule {
		switch {
		case gc.ListsMode == ModeOff, len(gc.Lists) > 0 && !slices.Contains(gc.Lists, name):
			r.off = true
		case gc.ListsMode != "":
			r.enforced = gc.ListsMode == ModeEnforce
		}
		return r
	}
	for name, r := range v.lists {
		v.lists[name] = change(name, r)
	}
	v.fallback = change("", v.fallback)
	if gc.ModelMode != "" {
		checkMode(errs, at+"model_mode", gc.ModelMode, ModeOff, ModeMonitor, ModeEnforce)
		v.modelOff = gc.ModelMode == ModeOff
		v.model.enforced = gc.ModelMode == ModeEnforce
	}
	if gc.ModelLevel != "" {
		v.modelLevel = parseLevel(errs, at+"model_level", gc.ModelLevel)
	}
	return v
}

// parseNetworks reads networks and single addresses; two ways to write one
// network are the same.
func parseNetworks(errs *[]error, field string, in []string) (out []netip.Prefix) {
	for i, s := range in {
		p, err := netip.ParsePrefix(s)
		if addr, aerr := netip.ParseAddr(s); err != nil && aerr == nil && addr.Zone() == "" {
			p, err = addr.Unmap().Prefix(addr.Unmap().BitLen())
		}
		if err != nil || p.Addr().Is4In6() {
			*errs = append(*errs, fmt.Errorf("%s[%d]: must be an address or a network like 192.168.0.0/16, got %q", field, i, s))
			continue
		}
		out = append(out, p.Masked())
	}
	return out
}
