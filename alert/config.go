package alert

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Config says what is worth an alert.
type Config struct {
	// Enabled evaluates rules. Default true; without receivers, alerts are only
	// listed, counted and logged.
	Enabled bool `yaml:"enabled"`
	// Builtin adds the rules that weir comes with; one of Rules with the name of
	// such a rule takes its place. Default true.
	Builtin bool `yaml:"builtin"`
	// Host is what notifications call this weir. Default empty: the machine's name.
	Host string `yaml:"host"`
	// MaxKeys bounds what is remembered of clients, networks and names that have
	// not fired: the ones not seen for longest go. Default 16384.
	MaxKeys int `yaml:"max_keys"`
	// MaxAlerts bounds the alerts that fire at a time, and those that are over and
	// still listed. Default 1000.
	MaxAlerts int `yaml:"max_alerts"`
	// Subject and Body are Go templates (text/template) of what is told; a rule may
	// have its own. Default empty: weir's own, docs/alerts.md has them.
	Subject string `yaml:"subject"`
	Body    string `yaml:"body"`
	// Rules, beside those built in.
	Rules []Rule `yaml:"rules"`
}

// Rule says what fires and who is told.
type Rule struct {
	// Name of the rule: lower-case letters, digits, - and _, 48 at most. It is a
	// label in metrics.
	Name string `yaml:"name"`
	// Disabled takes the rule out, one built in too. Default false.
	Disabled bool `yaml:"disabled"`
	// Severity: info, warning or critical. Default warning.
	Severity Severity `yaml:"severity"`
	// Match says which transactions or findings are events of this rule.
	Match Match `yaml:"match"`
	// By has an alert for each client, network (/24, /48) or name (registered
	// domain). Default empty: one for all.
	By string `yaml:"by"`
	// First fires only for a client, network or name that this rule has not met
	// for Forget. Default false.
	First  bool          `yaml:"first"`
	Forget time.Duration `yaml:"forget"` // Default 720h.
	// Count is how many events within Window it takes. Default 1.
	Count int `yaml:"count"`
	// Distinct counts different names (registered domains) instead of events, up to
	// 1000. Default false.
	Distinct bool `yaml:"distinct"`
	// Window is the time that Count is for, in tenths of which it moves. Default 1h.
	Window time.Duration `yaml:"window"`
	// ResolveAfter is how long without an event until it is over. Default 1h.
	ResolveAfter time.Duration `yaml:"resolve_after"`
	// Repeat is when an alert that still fires is told again, and how long one that
	// comes back is held back. Default 24h; 0s: it is told once, and anew each time
	// that it comes back.
	Repeat time.Duration `yaml:"repeat"`
	// Quiet names a schedule of detect.schedules in which nothing is told: what
	// still fires at its end is told then. Default empty: never.
	Quiet string `yaml:"quiet"`
	// Receivers that are told. Default empty: all that are not only_named.
	Receivers []string `yaml:"receivers"`
	// Escalate names who is told, in addition, when nobody acknowledges it.
	Escalate []Step `yaml:"escalate"`
	// Subject and Body instead of those of all rules. Default empty.
	Subject string `yaml:"subject"`
	Body    string `yaml:"body"`
}

// Match is what an event must be: all that is set, and one of each list. With
// Findings it is about findings, else about transactions.
type Match struct {
	// Findings are kinds of findings, or all.
	Findings []string `yaml:"findings"`
	// Origins of verdicts: blocklist, model, lookalike, rebinding, allowlist, ...
	Origins []string `yaml:"origins"`
	// Lists that were hit.
	Lists []string `yaml:"lists"`
	// Level that the model's score, or the finding, has at least: low, medium or
	// high.
	Level string `yaml:"level"`
	// Actions that policy wants: nxdomain, zero_ip, sinkhole, ...
	Actions []string `yaml:"actions"`
	// Mode: enforced or monitored. Empty: both.
	Mode string `yaml:"mode"`
	// Clients are networks and addresses, Groups are names of detect.groups.
	Clients []string `yaml:"clients"`
	Groups  []string `yaml:"groups"`
	// Names are patterns of qnames: * is any text, ? any character.
	Names []string `yaml:"names"`
}

// Step is one step of an escalation.
type Step struct {
	// After is the time since the alert was first told.
	After time.Duration `yaml:"after"`
	// Events that the alert must have by then. Default 0.
	Events uint64 `yaml:"events"`
	// Receivers that are told.
	Receivers []string `yaml:"receivers"`
}

// By says what an alert is for.
const (
	ByClient  = "client"
	ByNetwork = "network"
	ByName    = "name"
)

// Modes of Match.
const (
	modeEnforced  = "enforced"
	modeMonitored = "monitored"
)

// allFindings stands for every kind.
const allFindings = "all"

// DefaultConfig evaluates the rules built in and tells nobody.
func DefaultConfig() Config {
	return Config{Enabled: true, Builtin: true, MaxKeys: 16384, MaxAlerts: 1000}
}

// DefaultRule has what a rule leaves out.
func DefaultRule() Rule {
	return Rule{Severity: Warning, Forget: 720 * time.Hour, Count: 1, Window: time.Hour, ResolveAfter: time.Hour, Repeat: 24 * time.Hour}
}

// Builtin are the rules that weir comes with.
func Builtin() []Rule {
	rule := func(name string, s Severity, by string, m Match, change func(*Rule)) Rule {
		r := DefaultRule()
		r.Name, r.Severity, r.By, r.Match = name, s, by, m
		if change != nil {
			change(&r)
		}
		return r
	}
	return []Rule{
		// The day's count of what was detected, whoever asked.
		rule("detections", Info, "", Match{Origins: []string{"model", "lookalike"}}, func(r *Rule) {
			r.Window, r.ResolveAfter = 24*time.Hour, 24*time.Hour
		}),
		// One generated name may be a false alarm; five of one client hardly are.
		rule("generated-names", Warning, ByClient, Match{Origins: []string{"model"}}, func(r *Rule) {
			r.Count, r.Distinct = 5, true
		}),
		rule("findings", Warning, ByClient, Match{Findings: []string{allFindings}, Level: "medium"}, nil),
	}
}

// rules are those in use: the built-in ones that no rule replaces, and the others.
func (c *Config) rules() (out []Rule) {
	own := map[string]bool{}
	for _, r := range c.Rules {
		own[r.Name] = true
	}
	if c.Builtin {
		for _, r := range Builtin() {
			if !own[r.Name] {
				out = append(out, r)
			}
		}
	}
	for _, r := range c.Rules {
		if !r.Disabled {
			out = append(out, r)
		}
	}
	return out
}

// Bounds of the configuration.
const (
	maxRules    = 256
	maxCount    = 1_000_000
	maxDistinct = 1000
	maxWindow   = 31 * 24 * time.Hour
	maxForget   = 366 * 24 * time.Hour
	minKeys     = 16
	maxKeys     = 1 << 20
	maxAlerts   = 100_000
	maxPatterns = 1024 // of one rule
)

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,47}$`)

// Validate says everything that is wrong with c. What it refers to (receivers,
// schedules, lists, groups) is New's to judge.
func (c *Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.MaxKeys < minKeys || c.MaxKeys > maxKeys {
		fail("max_keys: must be %d to %d, got %d", minKeys, maxKeys, c.MaxKeys)
	}
	if c.MaxAlerts < 1 || c.MaxAlerts > maxAlerts {
		fail("max_alerts: must be 1 to %d, got %d", maxAlerts, c.MaxAlerts)
	}
	if len(c.Rules) > maxRules {
		fail("rules: at most %d, got %d", maxRules, len(c.Rules))
	}
	if _, err := parseTemplates(c.Subject, c.Body); err != nil {
		errs = append(errs, err)
	}
	seen := map[string]bool{}
	for i := range c.Rules {
		r, at := &c.Rules[i], fmt.Sprintf("rules[%d].", i)
		for _, err := range r.problems() {
			fail("%s%w", at, err)
		}
		if seen[r.Name] {
			fail("%sname: %q is used by an earlier rule", at, r.Name)
		}
		seen[r.Name] = true
	}
	return errors.Join(errs...)
}

func (r *Rule) problems() (errs []error) {
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !nameForm.MatchString(r.Name) {
		fail("name: must be up to 48 lower-case letters, digits, - and _, got %q", r.Name)
	}
	if int(r.Severity) >= len(severityNames) {
		fail("severity: must be info, warning or critical, got %d", r.Severity)
	}
	switch r.By {
	case "", ByClient, ByNetwork, ByName:
	default:
		fail("by: must be client, network, name or empty, got %q", r.By)
	}
	if r.First && r.By == "" {
		fail("first: needs by: the first of which kind?")
	}
	if r.First && r.Count > 1 {
		fail("first: with count %d it would never fire", r.Count)
	}
	within := func(field string, d, least, most time.Duration) {
		if d < least || d > most {
			fail("%s: must be %v to %v, got %v", field, least, most, d)
		}
	}
	within("window", r.Window, time.Second, maxWindow)
	within("resolve_after", r.ResolveAfter, time.Second, maxWindow)
	within("repeat", r.Repeat, 0, maxForget)
	within("forget", r.Forget, time.Minute, maxForget)
	if r.Count < 1 || r.Count > maxCount {
		fail("count: must be 1 to %d, got %d", maxCount, r.Count)
	} else if r.Distinct && r.Count > maxDistinct {
		fail("count: with distinct at most %d, got %d", maxDistinct, r.Count)
	}
	for i, s := range r.Escalate {
		if s.After < 0 || s.After > maxWindow {
			fail("escalate[%d].after: must be 0s to %v, got %v", i, maxWindow, s.After)
		}
		if len(s.Receivers) == 0 {
			fail("escalate[%d].receivers: who?", i)
		}
	}
	if _, err := newMatcher(&r.Match); err != nil {
		errs = append(errs, prefixed("match.", err)...)
	}
	if _, err := parseTemplates(r.Subject, r.Body); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// prefixed puts a path in front of each of joined errors.
func prefixed(path string, err error) (out []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			out = append(out, prefixed(path, e)...)
		}
		return out
	}
	return []error{fmt.Errorf("%s%w", path, err)}
}
