package behaviour

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/lookalike"
)

// Config says what is watched for, from when on it is told, and how much is
// remembered. A detection whose mode is enforce has the registered domain blocked
// that it is about, for as long as Repeat; nothing else blocks anything.
type Config struct {
	// Repeat is how long the same finding is not told again unless its level
	// rises, and how long it stands in the verdicts on the domain that it is about. In
	// the time of the data. Default: 24h.
	Repeat time.Duration `yaml:"repeat"`
	// MaxPairs bounds the pairs of a client and a registered domain that are
	// remembered, of a client and a name, and of names; the least used go. A pair
	// takes about 350 octets, the others 250. (start)
	// Default: 32768.
	MaxPairs int `yaml:"max_pairs"`
	// MaxClients bounds the clients that are remembered; the least used go. A
	// client takes about 500 octets, and 2 KiB once names speak against it.
	// (start) Default: 16384.
	MaxClients int `yaml:"max_clients"`
	// Mute keeps findings from being told for a while. Default: none.
	Mute []detect.MuteConfig `yaml:"mute"`
	// Rebinding tells of answers that point a public name into private address
	// space, where detect.answers.rebinding is not off.
	Rebinding Switch `yaml:"rebinding"`
	// Tunnels are data moved in names.
	Tunnels TunnelsConfig `yaml:"tunnels"`
	// Infected are clients that ask for names as infected ones do.
	Infected InfectedConfig `yaml:"infected"`
	// NXDOMAINBursts are clients that ask for many domains which do not exist.
	NXDOMAINBursts BurstsConfig `yaml:"nxdomain_bursts"`
	// Beacons are names asked for by the clock.
	Beacons BeaconsConfig `yaml:"beacons"`
	// FastFlux are names that point to many networks for a short time each.
	FastFlux FluxConfig `yaml:"fast_flux"`
	// NewDomains are registered domains that nobody here has asked for before.
	NewDomains NewDomainsConfig `yaml:"new_domains"`
	// Lookalikes are new domains that stand near a brand.
	Lookalikes LookalikesConfig `yaml:"lookalikes"`
	// UpstreamBlocks are answers that an upstream made by a policy of its own.
	UpstreamBlocks Switch `yaml:"upstream_blocks"`
	// SilentClients are clients that asked every day and ask no more.
	SilentClients SilentConfig `yaml:"silent_clients"`
}

// Switch is a detection without any other setting.
type Switch struct {
	// Mode: off or monitor. Default: monitor.
	Mode string `yaml:"mode"`
}

func (s *Switch) on() bool { return s.Mode != detect.ModeOff }

// TunnelsConfig says how much may be said in the names below a domain.
type TunnelsConfig struct {
	// Mode: off, monitor, or enforce: the client gets no more answers below the
	// domain. Default: monitor.
	Mode string `yaml:"mode"`
	// Level from which enforce blocks: low, medium or high. Default: high.
	Level string `yaml:"level"`
	// Hour and Day are how much information one client may exchange with one
	// registered domain in an hour and in a day: the entropy of different names
	// below it, and of what answers to such names carry. What has the shape of a
	// tunnel counts two or four times. Octets. Default: 2048 and 8192.
	Hour int `yaml:"hour"`
	Day  int `yaml:"day"`
	// HarmlessFactor is how many times as much is allowed for domains that are
	// known to be spoken to in this way: reputation services, block lists of mail
	// servers, telemetry. Default: 32.
	HarmlessFactor int `yaml:"harmless_factor"`
	// Harmless are further such domains. Default: none.
	Harmless []string `yaml:"harmless"`
}

func (c *TunnelsConfig) on() bool { return c.Mode != detect.ModeOff }

// InfectedConfig says when a client counts as infected.
type InfectedConfig struct {
	// Mode: off or monitor. Default: monitor.
	Mode string `yaml:"mode"`
	// OneIn, N, makes infected what one client in N a day reaches at this site
	// while nothing is wrong, once 3 N client-days were seen; suspicious is what ten
	// times as many reach. 100 to 100000. Default: 1000.
	OneIn int `yaml:"one_in"`
	// Threshold is the evidence that makes a client infected until then, and within
	// half and twice of it what the site itself says. Default: 10.
	Threshold float64 `yaml:"threshold"`
	// Window is how long evidence counts: half of it is gone after half of that
	// time. Default: 24h.
	Window time.Duration `yaml:"window"`
}

func (c *InfectedConfig) on() bool { return c.Mode != detect.ModeOff }

// BurstsConfig says how many domains that do not exist are too many.
type BurstsConfig struct {
	// Mode: off or monitor. Default: monitor.
	Mode string `yaml:"mode"`
	// Hour is how many different ones in an hour are told, and Times how many times
	// as many as the client's own usual they must be. Default: 50 and 5.
	Hour  int     `yaml:"hour"`
	Times float64 `yaml:"times"`
}

func (c *BurstsConfig) on() bool { return c.Mode != detect.ModeOff }

// BeaconsConfig says what is regular.
type BeaconsConfig struct {
	// Mode: off, monitor, or enforce: the client gets no more answers below the
	// domain. Default: monitor.
	Mode string `yaml:"mode"`
	// Level from which enforce blocks: low or medium. Default: medium.
	Level string `yaml:"level"`
	// Intervals is how many must have been seen, 8 at least. Default: 24.
	Intervals int `yaml:"intervals"`
	// Score is how regular they must be, 0 to 1. Default: 0.95.
	Score float64 `yaml:"score"`
	// Least is the shortest period that counts. Default: 30s.
	Least time.Duration `yaml:"least"`
}

func (c *BeaconsConfig) on() bool { return c.Mode != detect.ModeOff }

// FluxConfig is about names that point to many networks.
type FluxConfig struct {
	// Mode: off, monitor, or enforce: nobody gets answers below the domain. Default:
	// monitor.
	Mode string `yaml:"mode"`
}

func (c *FluxConfig) on() bool { return c.Mode != detect.ModeOff }

// NewDomainsConfig says when a domain is worth telling as new.
type NewDomainsConfig struct {
	// Mode: off, monitor, or enforce: nobody gets answers below the domain, but for
	// the first, by which it was found. Default: monitor.
	Mode string `yaml:"mode"`
	// Level from which enforce blocks: low, or medium, what the model scores medium
	// or high. Default: medium.
	Level string `yaml:"level"`
	// LearnDays is how many days of the data the site is watched before anything
	// counts as new. Default: 7.
	LearnDays int `yaml:"learn_days"`
	// PerDay bounds what is told in a day; the rest is counted. Default: 100.
	PerDay int `yaml:"per_day"`
}

func (c *NewDomainsConfig) on() bool { return c.Mode != detect.ModeOff }

// LookalikesConfig says which imitations of brands are told. detect.lookalike says
// which brands there are.
type LookalikesConfig struct {
	// Mode: off, monitor, or enforce: nobody gets answers below the domain, but for
	// the first, by which it was found. Default: monitor.
	Mode string `yaml:"mode"`
	// Grade from which an imitation is told: low, medium or high. Default: medium.
	Grade string `yaml:"grade"`
	// Level from which enforce blocks, which is the grade's name. Default: high.
	Level string `yaml:"level"`
}

func (c *LookalikesConfig) on() bool { return c.Mode != detect.ModeOff }

// SilentConfig says who is missed.
type SilentConfig struct {
	// Mode: off or monitor. Default: monitor.
	Mode string `yaml:"mode"`
	// Days is on how many days in a row a client asked, Queries how often on each at
	// least, before a day (UTC) without any is told. Default: 7 and 50.
	Days    int `yaml:"days"`
	Queries int `yaml:"queries"`
}

func (c *SilentConfig) on() bool { return c.Mode != detect.ModeOff }

// DefaultConfig is what a Config says by default.
func DefaultConfig() Config {
	return Config{
		Repeat: 24 * time.Hour, MaxPairs: 1 << 15, MaxClients: 1 << 14,
		Rebinding: Switch{Mode: detect.ModeMonitor},
		Tunnels:   TunnelsConfig{Mode: detect.ModeMonitor, Level: detect.LevelHigh.String(), Hour: 2 << 10, Day: 8 << 10, HarmlessFactor: 32},
		Infected:  InfectedConfig{Mode: detect.ModeMonitor, OneIn: 1000, Threshold: 10, Window: 24 * time.Hour},

		NXDOMAINBursts: BurstsConfig{Mode: detect.ModeMonitor, Hour: 50, Times: 5},
		Beacons:        BeaconsConfig{Mode: detect.ModeMonitor, Level: detect.LevelMedium.String(), Intervals: 24, Score: 0.95, Least: 30 * time.Second},
		FastFlux:       FluxConfig{Mode: detect.ModeMonitor},
		NewDomains:     NewDomainsConfig{Mode: detect.ModeMonitor, Level: detect.LevelMedium.String(), LearnDays: 7, PerDay: 100},
		Lookalikes:     LookalikesConfig{Mode: detect.ModeMonitor, Grade: lookalike.GradeMedium.String(), Level: detect.LevelHigh.String()},
		UpstreamBlocks: Switch{Mode: detect.ModeMonitor},
		SilentClients:  SilentConfig{Mode: detect.ModeMonitor, Days: 7, Queries: 50},
	}
}

// Bounds of the tables.
const (
	minEntries   = 16
	maxEntries   = 1 << 24
	minOneIn     = 100
	minIntervals = 8
	maxOneIn     = 100_000
)

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	oneOf := func(field, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			bad("%s: must be one of %q, got %q", field, allowed, value)
		}
	}
	mode := func(field, mode string) { oneOf(field+".mode", mode, detect.ModeOff, detect.ModeMonitor) }
	enforceable := func(field, mode string) {
		oneOf(field+".mode", mode, detect.ModeOff, detect.ModeMonitor, detect.ModeEnforce)
	}
	level := func(field, level string, most detect.Level) {
		var allowed []string
		for l := detect.LevelLow; l <= most; l++ {
			allowed = append(allowed, l.String())
		}
		oneOf(field+".level", level, allowed...)
	}
	positive := func(field string, n int) {
		if n < 1 {
			bad("%s: must be at least 1, got %d", field, n)
		}
	}
	if c.Repeat < time.Minute {
		bad("repeat: must be at least 1m, got %v", c.Repeat)
	}
	if c.MaxPairs < minEntries || c.MaxPairs > maxEntries {
		bad("max_pairs: must be %d to %d, got %d", minEntries, maxEntries, c.MaxPairs)
	}
	if c.MaxClients < minEntries || c.MaxClients > maxEntries {
		bad("max_clients: must be %d to %d, got %d", minEntries, maxEntries, c.MaxClients)
	}
	for i := range c.Mute {
		for _, err := range unjoin(c.Mute[i].Validate()) {
			bad("mute[%d].%w", i, err)
		}
	}
	mode("nxdomain_bursts", c.NXDOMAINBursts.Mode)
	positive("nxdomain_bursts.hour", c.NXDOMAINBursts.Hour)
	if !(c.NXDOMAINBursts.Times >= 1) {
		bad("nxdomain_bursts.times: must be at least 1, got %v", c.NXDOMAINBursts.Times)
	}
	enforceable("beacons", c.Beacons.Mode)
	level("beacons", c.Beacons.Level, detect.LevelMedium)
	if c.Beacons.Intervals < minIntervals {
		bad("beacons.intervals: must be at least %d, got %d", minIntervals, c.Beacons.Intervals)
	}
	if !(c.Beacons.Score > 0 && c.Beacons.Score <= 1) {
		bad("beacons.score: must be above 0 and at most 1, got %v", c.Beacons.Score)
	}
	if c.Beacons.Least < beaconSame*time.Second {
		bad("beacons.least: must be at least %ds, got %v", beaconSame, c.Beacons.Least)
	}
	enforceable("fast_flux", c.FastFlux.Mode)
	enforceable("new_domains", c.NewDomains.Mode)
	level("new_domains", c.NewDomains.Level, detect.LevelMedium)
	positive("new_domains.learn_days", c.NewDomains.LearnDays)
	positive("new_domains.per_day", c.NewDomains.PerDay)
	enforceable("lookalikes", c.Lookalikes.Mode)
	level("lookalikes", c.Lookalikes.Level, detect.LevelHigh)
	if _, err := lookalike.ParseGrade(c.Lookalikes.Grade); err != nil {
		bad("lookalikes.grade: %w", err)
	}
	mode("upstream_blocks", c.UpstreamBlocks.Mode)
	mode("silent_clients", c.SilentClients.Mode)
	positive("silent_clients.days", c.SilentClients.Days)
	positive("silent_clients.queries", c.SilentClients.Queries)
	mode("infected", c.Infected.Mode)
	if c.Infected.OneIn < minOneIn || c.Infected.OneIn > maxOneIn {
		bad("infected.one_in: must be %d to %d, got %d", minOneIn, maxOneIn, c.Infected.OneIn)
	}
	if !(c.Infected.Threshold >= 1 && c.Infected.Threshold <= 100) {
		bad("infected.threshold: must be 1 to 100, got %v", c.Infected.Threshold)
	}
	if c.Infected.Window < time.Hour {
		bad("infected.window: must be at least 1h, got %v", c.Infected.Window)
	}
	mode("rebinding", c.Rebinding.Mode)
	enforceable("tunnels", c.Tunnels.Mode)
	level("tunnels", c.Tunnels.Level, detect.LevelHigh)
	positive("tunnels.hour", c.Tunnels.Hour)
	positive("tunnels.day", c.Tunnels.Day)
	positive("tunnels.harmless_factor", c.Tunnels.HarmlessFactor)
	for i, s := range c.Tunnels.Harmless {
		if _, err := parseDomain(s); err != nil {
			bad("tunnels.harmless[%d]: %q is not a domain name: %w", i, s, err)
		}
	}
	return errors.Join(errs...)
}

// unjoin takes joined errors apart.
func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}
