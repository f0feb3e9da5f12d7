package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/enrich"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/pdns/store"
	"github.com/weirdns/weir/resolver"
	"github.com/weirdns/weir/rpz"
	"github.com/weirdns/weir/sandbox"
	"github.com/weirdns/weir/unusual"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap/zapcore"

	_ "embed"
)

// config is the whole configuration: the packages' own, side by side.
type config struct {
	// Log is weir's own log, on standard error.
	Log logConfig `yaml:"log"`
	// StateDir holds records and the last good copies of lists. Default: the
	// service manager's, /var/lib/weir for root, else ~/.local/state/weir.
	StateDir string          `yaml:"state_dir"`
	Resolver resolver.Config `yaml:"resolver"`
	Detect   detectConfig    `yaml:"detect"`
	// ListDefaults hold for each list that says nothing of its own.
	ListDefaults blocklist.Defaults `yaml:"list_defaults"`
	Lists        []listConfig       `yaml:"lists"`
	Records      pdns.Config        `yaml:"records"`
	// Privacy is how much of clients anything keeps. (start)
	Privacy privacy.Config `yaml:"privacy"`
	// Enrich is what is known of addresses beside.
	Enrich enrich.Config `yaml:"enrich"`
	// Reputation is what others think of names. (start)
	Reputation reputationConfig `yaml:"reputation"`
	// Unusual ranks what is least usual of a day. (start)
	Unusual unusual.Config `yaml:"unusual"`
	// RPZOut is the zone file for other servers. (start)
	RPZOut rpz.Config `yaml:"rpz_out"`
	// Store is the passive DNS database that weir query asks.
	Store store.Config `yaml:"store"`
	// Outlets are where transactions go beside files and database. (start)
	Outlets outletsConfig `yaml:"outlets"`
	// Alerts says what is worth one, and who is told. (start)
	Alerts  alertsConfig   `yaml:"alerts"`
	Capture capture.Config `yaml:"capture"`
	Admin   web.Config     `yaml:"admin"`
	Sandbox sandbox.Config `yaml:"sandbox"`

	// The servers are those of the system, since the file names none.
	systemServers bool
	// The user chose these folders, so weir must not do without them.
	explicitState, explicitRecords, explicitStore bool
	doc                                           *document // where each setting stands; nil: nowhere
}

// forwarding is what the resolver is told. The site's own zones exist, so
// upstreams are asked about them, whatever such names are elsewhere.
func (c *config) forwarding() resolver.Config {
	out := c.Resolver
	out.SpecialExcept = slices.Concat(c.Resolver.SpecialExcept, c.Detect.OwnZones)
	return out
}

// detectConfig is what is judged of a query, and beside it what is watched for
// in many.
type detectConfig struct {
	detect.Config `yaml:",inline"`
	Behaviour     behaviour.Config `yaml:"behaviour"`
}

// judging is what the detector is told. Private addresses for public names are
// refused (auto) where that cannot hide a site's own names: servers that the user
// chose, in public address space or on this machine. A resolver of the local
// network, or the one that the system came with, may well know names that lead
// inside; and who sends a zone to servers of its own knows where it leads.
func (c *config) judging() detect.Config {
	out := c.Detect.Config
	if out.Answers.Rebinding != detect.ModeAuto {
		return out
	}
	out.Answers.Rebinding = detect.ModeMonitor
	if !c.systemServers && c.Resolver.Upstream.AsksOutside() {
		out.Answers.Rebinding = detect.ModeEnforce
	}
	for _, z := range c.Resolver.Upstream.Zones {
		if !z.Disabled {
			out.Answers.RebindingAllow = slices.Concat(out.Answers.RebindingAllow, z.Zones)
		}
	}
	return out
}

type logConfig struct {
	// Level: debug, info, warn or error. Names and clients are in none of
	// them. Default info.
	Level string `yaml:"level"`
}

// listConfig is one list: where it comes from, and what a hit means.
type listConfig struct {
	blocklist.Config  `yaml:",inline"`
	detect.ListPolicy `yaml:",inline"`
}

// setDefaults leaves the source alone: there an empty field means its default.
func (c *listConfig) setDefaults() { c.ListPolicy = detect.DefaultListPolicy() }

func defaultConfig() config {
	records := pdns.DefaultConfig()
	records.Dir = "" // below StateDir, once that is known
	return config{
		Log:      logConfig{Level: "info"},
		Resolver: resolver.DefaultConfig(),
		Detect:   detectConfig{detect.DefaultConfig(), behaviour.DefaultConfig()},
		Records:  records,
		Privacy:  privacy.DefaultConfig(),
		Enrich:   enrich.DefaultConfig(),
		Unusual:  unusual.DefaultConfig(),
		RPZOut:   rpz.DefaultConfig(),
		Store:    store.DefaultConfig(),
		Alerts:   defaultAlerts(),
		Capture:  capture.DefaultConfig(),
		Admin:    web.DefaultConfig(),
	}
}

// loadConfig reads a file, or takes the defaults if there is none, for a
// command that asks no upstream.
func loadConfig(file string) (*config, error) { return loadConfigWith(file, func(*config) {}) }

// loadConfigWith is loadConfig with the flags of a command on top.
func loadConfigWith(file string, change func(*config)) (*config, error) {
	cfg, doc, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	change(cfg)
	if len(cfg.Resolver.Upstream.Servers) == 0 {
		cfg.Resolver.Upstream.Servers, cfg.systemServers = []string{"127.0.0.1"}, true // valid, and never asked
	}
	return cfg, checkConfig(cfg, doc)
}

// loadServeConfig is loadConfig for the resolver: what the file leaves open is
// filled in from the system.
func loadServeConfig(file string, change func(*config)) (*config, error) {
	cfg, doc, err := readConfig(file)
	if err != nil {
		return nil, err
	}
	change(cfg)
	if len(cfg.Resolver.Upstream.Servers) == 0 {
		servers, err := systemResolvers(resolvConf, cfg.Resolver.Listen)
		if err != nil {
			doc.add("", fmt.Errorf("resolver.upstream.servers: none given, and the system's cannot be used: %w", err))
		}
		cfg.Resolver.Upstream.Servers, cfg.systemServers = servers, true
	}
	return cfg, checkConfig(cfg, doc)
}

// resolvConf is where the system keeps its resolvers.
const resolvConf = "/etc/resolv.conf"

// readConfig reads a file without judging its values.
func readConfig(file string) (*config, *document, error) {
	cfg := defaultConfig()
	doc := &document{}
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, exitWith(exitConfig, fmt.Errorf("configuration: %w", err))
		}
		doc = decodeYAML(file, data, &cfg)
	}
	return &cfg, doc, nil
}

// checkConfig completes cfg and reports everything that is wrong with it.
func checkConfig(cfg *config, doc *document) error {
	cfg.doc = doc
	cfg.explicitState = cfg.StateDir != ""
	if !cfg.explicitState {
		cfg.StateDir = defaultStateDir()
	}
	if cfg.explicitRecords = cfg.Records.Dir != ""; !cfg.explicitRecords {
		cfg.Records.Dir = filepath.Join(cfg.StateDir, "records")
	}
	if cfg.explicitStore = cfg.Store.Dir != ""; !cfg.explicitStore {
		cfg.Store.Dir = filepath.Join(cfg.StateDir, storeFolder)
	}
	if _, err := zapcore.ParseLevel(cfg.Log.Level); err != nil {
		doc.add("", fmt.Errorf("log.level: must be debug, info, warn or error, got %q", cfg.Log.Level))
	}
	doc.add("resolver", cfg.Resolver.Validate())
	doc.add("detect", cfg.Detect.Config.Validate())
	doc.add("detect.behaviour", cfg.Detect.Behaviour.Validate())
	doc.add("list_defaults", cfg.ListDefaults.Validate())
	doc.add("records", cfg.Records.Validate())
	doc.add("privacy", cfg.Privacy.Validate())
	doc.add("enrich", cfg.Enrich.Validate())
	doc.add("unusual", cfg.Unusual.Validate())
	cfg.Outlets.check(doc)
	cfg.Alerts.check(cfg, doc)
	doc.add("store", cfg.Store.Validate())
	doc.add("capture", cfg.Capture.Validate())
	doc.add("rpz_out", cfg.RPZOut.Validate())
	doc.add("admin", cfg.Admin.Validate())
	doc.add("sandbox", cfg.Sandbox.Validate())
	names := map[string]bool{}
	for i := range cfg.Lists {
		l, at := &cfg.Lists[i], fmt.Sprintf("lists[%d]", i)
		doc.add(at, l.Config.Validate())
		doc.add(at, l.ListPolicy.Validate())
		p := l.ListPolicy
		p.Schedule = ""
		if l.Kind == blocklist.Allow && p != detect.DefaultListPolicy() {
			doc.add(at, errors.New("kind: an allow list passes names; mode, action and ede mean nothing for it"))
		}
		if names[l.Name] && l.Name != "" {
			doc.add(at, fmt.Errorf("name: %q is used by an earlier list", l.Name))
		}
		names[l.Name] = true
	}
	reputations := cfg.Reputation.all()
	doc.add("reputation", reputations.Validate(slices.Sorted(maps.Keys(names))))
	for i, name := range cfg.RPZOut.Lists {
		if !names[name] {
			doc.add("rpz_out", fmt.Errorf("lists[%d]: no list is named %q", i, name))
		}
	}
	if len(doc.errs) == 0 {
		for _, err := range split(detect.CheckPolicy(cfg.Detect.Config, cfg.policies())) {
			doc.add("", cfg.placed(err))
		}
	}
	return exitWith(exitConfig, doc.err())
}

// privacyFor is the privacy of a command that is told how much to keep and has
// no state folder.
func (c *config) privacyFor(m privacy.Mode) (*privacy.Guard, error) {
	p := c.Privacy
	p.ClientAddress = m
	if m != privacy.Hash && m != privacy.IPCrypt {
		p.KeyFile = "" // that of another mode
	}
	g, err := privacy.New(p, privacy.Deps{})
	return g, exitWith(exitConfig, err)
}

// placed gives an error of the policy its path in the file: detect knows lists
// by their names, the file by their numbers.
func (c *config) placed(err error) error {
	for i, l := range c.Lists {
		if rest, ok := strings.CutPrefix(err.Error(), "lists."+l.Name+"."); ok {
			return fmt.Errorf("lists[%d].%s", i, rest)
		}
	}
	return fmt.Errorf("detect.%w", err)
}

// located gives each problem that shows only when what the file names is loaded
// (lists, models, certificates, folders) the line that names it.
func (c *config) located(err error) error {
	if err == nil || c.doc == nil {
		return err
	}
	code := exitFailure
	if coded, ok := errors.AsType[*exitError](err); ok {
		code = coded.code
	}
	var out []error
	for _, e := range split(unwrapExit(err)) {
		path, rest, _ := strings.Cut(e.Error(), ": ")
		if name, ok := strings.CutPrefix(path, "list "); ok {
			path = c.pathOf(name, rest)
		}
		if c.doc.line(path) > 0 {
			e = fmt.Errorf("%s%w", c.doc.at(path), e)
		}
		out = append(out, e)
	}
	return exitWith(code, errors.Join(out...))
}

// pathOf is the setting of a list that is at fault, by what is said of it.
func (c *config) pathOf(name, what string) string {
	setting, _, _ := strings.Cut(strings.TrimSpace(what), " ")
	for i, l := range c.Lists {
		if l.Name == name {
			return fmt.Sprintf("lists[%d].%s", i, strings.TrimSuffix(setting, ":"))
		}
	}
	return ""
}

// sources are the lists without their policies.
func (c *config) sources() []blocklist.Config {
	var out []blocklist.Config
	for _, l := range c.Lists {
		c.ListDefaults.Apply(&l.Config)
		out = append(out, l.Config)
	}
	return out
}

// policies are what a hit in each list means.
func (c *config) policies() map[string]detect.ListPolicy {
	out := map[string]detect.ListPolicy{}
	for _, l := range c.Lists {
		out[l.Name] = l.ListPolicy
	}
	return out
}

// systemStateDir is where a weir of the system keeps its state.
const systemStateDir = "/var/lib/weir"

// defaultStateDir follows the service manager (systemd's StateDirectory), then
// the file hierarchy for root, then the XDG base directories for users.
func defaultStateDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return systemStateDir
	}
	if dir := os.Getenv("XDG_STATE_HOME"); dir != "" {
		return filepath.Join(dir, "weir")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // nowhere; a shared place like /tmp could be made by anybody
	}
	return filepath.Join(home, ".local", "state", "weir")
}

// defaultsYAML is the annotated default configuration. A test holds it against
// defaultConfig, field by field.
//
//go:embed defaults.yaml
var defaultsYAML []byte

type defaultsCmd struct{}

// Run prints the defaults as a file to start from.
func (defaultsCmd) Run(std stdio) error {
	_, err := std.out.Write(defaultsYAML)
	return err
}
