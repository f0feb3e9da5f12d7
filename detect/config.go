package detect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/detect/lookalike"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Modes of a list, the model or an answer check.
const (
	ModeOff     = "off"     // not asked at all
	ModeAuto    = "auto"    // of rebinding alone: see AnswersConfig
	ModeMonitor = "monitor" // judged, counted and recorded, nothing else happens
	ModeShadow  = "shadow"  // of a list: the same as monitor
	ModeEnforce = "enforce" // the action is carried out
)

// Config is the policy: what is judged, and what should follow.
type Config struct {
	// OwnZones are the site's own zones. Names in them get no score, and
	// answers for them may point into private address space.
	OwnZones []string `yaml:"own_zones"`
	// Block is what an enforced verdict answers, unless a list says otherwise.
	Block BlockConfig `yaml:"block"`
	// Model is the detector of generated names.
	Model ModelConfig `yaml:"model"`
	// Popularity has names that the model's and look-alikes' detections only
	// watch, as lists of URLs do.
	Popularity PopularityConfig `yaml:"popularity"`
	// Lookalike is the detector of names that imitate a brand.
	Lookalike LookalikeConfig `yaml:"lookalike"`
	// Answers says what of an answer is checked before the client gets it.
	Answers AnswersConfig `yaml:"answers"`
	// Groups are clients for whom something else holds. Default none.
	Groups []GroupConfig `yaml:"groups"`
	// Schedules are times of the week for lists and groups. Default none.
	Schedules []ScheduleConfig `yaml:"schedules"`
}

// BlockConfig shapes the answers of enforced verdicts.
type BlockConfig struct {
	// Action: nxdomain, nodata, zero_ip (0.0.0.0 and ::), sinkhole (the
	// addresses below), refuse, drop or truncate. Default zero_ip.
	Action string `yaml:"action"`
	// TTL of what we answer ourselves. Short, so that an allow entry works
	// soon. Default 10s.
	TTL time.Duration `yaml:"ttl"`
	// SinkholeIPv4 and SinkholeIPv6 are the addresses of the action sinkhole.
	SinkholeIPv4 []string `yaml:"sinkhole_ipv4"`
	SinkholeIPv6 []string `yaml:"sinkhole_ipv6"`
}

// ModelConfig says how the model's scores are used.
type ModelConfig struct {
	// Mode: off, monitor or enforce. Default monitor.
	Mode string `yaml:"mode"`
	// Path is a folder with a model to use instead of the built-in one.
	Path string `yaml:"path"`
	// ShadowPath is a folder with a model on trial: it is asked too, recorded
	// and counted, and never enforced. Empty: none.
	ShadowPath string `yaml:"shadow_path"`
	// Level from which a score counts as a detection: low, medium or high. The
	// model's card states the false positive rate of each. Default high.
	Level string `yaml:"level"`
	// MaxRate, "1/100000", makes a detection of a score that at most one in so
	// many of this site's own names reaches, 1/100 to 1/1000000, if it is of
	// level low at least. It counts once three times as many names were seen;
	// until then Level does. Empty: Level alone.
	MaxRate string `yaml:"max_rate"`
	// Action overrides block.action for the model's detections.
	Action string `yaml:"action"`
	// CacheEntries is how many registered domains keep their score, 8 octets
	// each, and how many names all that was found out about them, 16 octets
	// each. Memory is taken as they come. Default 262144.
	CacheEntries int `yaml:"cache_entries"`
}

// AnswersConfig says how answers are checked. In each, enforce means: as the
// list that was hit says.
type AnswersConfig struct {
	// CNAME: targets of CNAME, SVCB and HTTPS records against the lists.
	// Default enforce.
	CNAME string `yaml:"cname"`
	// Address: addresses in answers, and in the hints of SVCB and HTTPS
	// records, against the lists. Default monitor, since one bad site on a shared host would take its neighbours with it.
	Address string `yaml:"address"`
	// Rebinding: private addresses for public names: off, monitor, enforce or
	// auto, which is for the program to turn into one of the others, and here
	// the same as monitor. Default auto.
	Rebinding string `yaml:"rebinding"`
	// RebindingAllow are zones that may point into private address space. Default:
	// services known to do so by design, which are those of DefaultRebindingAllow.
	RebindingAllow []string `yaml:"rebinding_allow"`
}

// ListPolicy is what a hit in one list means.
type ListPolicy struct {
	// Mode: monitor (or shadow, the same) or enforce. Default enforce, since a
	// list works only where somebody named it.
	Mode string `yaml:"mode"`
	// Action overrides block.action for this list, and what its entries
	// themselves want (RPZ actions). Empty: as they want, else block.action.
	Action string `yaml:"action"`
	// EDE is the Extended DNS Error to answer with (RFC 8914): 15 blocked by
	// the operator, 16 censored by order from outside, 17 filtered at the
	// user's own wish. Default 15.
	EDE int `yaml:"ede"`
	// Schedule names when the list applies; at other times it is as if it were
	// not there. Empty: always.
	Schedule string `yaml:"schedule"`
}

// DefaultRebindingAllow are public names that honestly lead into private address
// space: home servers that are found by a public name, what Windows looks up to see
// whether DNS works, and lists of addresses and
// names whose answers are codes (RFC 5782).
func DefaultRebindingAllow() []string {
	return []string{
		"plex.direct", "quickconnect.to", "msftncsi.com",
		"spamhaus.org", "spamhaus.net", "surbl.org", "uribl.com", "spamcop.net", "barracudacentral.org", "dnswl.org", "mailspike.net", "abuse.ch", "senderscore.com",
	}
}

// DefaultConfig is the policy without any configuration.
func DefaultConfig() Config {
	return Config{
		Block:      BlockConfig{Action: ZeroIP.String(), TTL: 10 * time.Second},
		Model:      ModelConfig{Mode: ModeMonitor, Level: LevelHigh.String(), CacheEntries: 1 << 18},
		Popularity: PopularityConfig{Top: 100_000},
		Lookalike:  LookalikeConfig{Mode: ModeMonitor, Grade: lookalike.GradeHigh.String(), Builtin: true},
		Answers:    AnswersConfig{CNAME: ModeEnforce, Address: ModeMonitor, Rebinding: ModeAuto, RebindingAllow: DefaultRebindingAllow()},
	}
}

// DefaultListPolicy is what a list's hits mean without configuration.
func DefaultListPolicy() ListPolicy {
	return ListPolicy{Mode: ModeEnforce, EDE: int(dnswire.EDEBlocked)}
}

// UsesModel says whether the model is asked for anybody.
func (c *Config) UsesModel() bool {
	return c.Model.Mode != ModeOff || slices.ContainsFunc(c.Groups, func(g GroupConfig) bool {
		return !g.Disabled && g.ModelMode != "" && g.ModelMode != ModeOff
	})
}

// What a site can say of itself: 3 * maxRate names fit into half of siteFull, so
// that halving its counts does not unsay it.
const (
	minRate = 100
	maxRate = 1_000_000
)

const maxTTL = 7 * 24 * time.Hour

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	_, err := newPolicy(c, nil)
	return err
}

// Validate says everything that is wrong with p.
func (p *ListPolicy) Validate() error {
	var errs []error
	checkMode(&errs, "mode", p.Mode, ModeMonitor, ModeShadow, ModeEnforce)
	if p.Action != "" {
		parseAction(&errs, "action", p.Action)
	}
	if p.EDE < int(dnswire.EDEBlocked) || p.EDE > int(dnswire.EDEFiltered) {
		errs = append(errs, fmt.Errorf("ede: must be 15 (blocked), 16 (censored) or 17 (filtered), got %d", p.EDE))
	}
	return errors.Join(errs...)
}

func checkMode(errs *[]error, field, mode string, allowed ...string) {
	if !slices.Contains(allowed, mode) {
		*errs = append(*errs, fmt.Errorf("%s: must be one of %q, got %q", field, allowed, mode))
	}
}

func parseAction(errs *[]error, field, s string) Action {
	for a := NXDOMAIN; int(a) < len(actionNames); a++ {
		if actionNames[a] == s {
			return a
		}
	}
	*errs = append(*errs, fmt.Errorf("%s: must be one of %q, got %q", field, actionNames[NXDOMAIN:], s))
	return Pass
}

func parseLevel(errs *[]error, field, s string) Level {
	for l := LevelLow; l <= LevelHigh; l++ {
		if levelNames[l] == s {
			return l
		}
	}
	*errs = append(*errs, fmt.Errorf("%s: must be one of %q, got %q", field, levelNames[LevelLow:], s))
	return LevelHigh
}

// parseRate gives N of "1/N", 0 for no rate.
func parseRate(errs *[]error, field, s string) uint32 {
	if s == "" {
		return 0
	}
	denominator, ok := strings.CutPrefix(s, "1/")
	n, err := strconv.ParseUint(denominator, 10, 32)
	if !ok || err != nil || n < minRate || n > maxRate {
		*errs = append(*errs, fmt.Errorf(`%s: must be "1/N" with N from %d to %d, got %q`, field, minRate, maxRate, s))
		return 0
	}
	return uint32(n)
}

func parseAddrs(errs *[]error, field string, in []string, want4 bool) (out []netip.Addr) {
	for i, s := range in {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Is4() != want4 || a.Zone() != "" {
			family := map[bool]string{true: "IPv4", false: "IPv6"}[want4]
			*errs = append(*errs, fmt.Errorf("%s[%d]: must be an %s address, got %q", field, i, family, s))
			continue
		}
		out = append(out, a)
	}
	return out
}

func parseZones(errs *[]error, field string, in []string) (out []dnsname.Name) {
	for i, s := range in {
		n, err := dnsname.ParseHost(s)
		if err != nil {
			*errs = append(*errs, fmt.Errorf("%s[%d]: %q is not a domain name: %w", field, i, s, err))
			continue
		}
		if split := dnsname.DefaultSuffixes().Split(n); split.Registered == nil && split.Known || n.IsRoot() {
			*errs = append(*errs, fmt.Errorf("%s[%d]: %s is a public suffix: everybody's names are in it", field, i, s))
			continue
		}
		out = append(out, n)
	}
	return out
}
