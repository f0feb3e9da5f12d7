package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/enrich"
	"github.com/weirdns/weir/incident"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/inherit"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/live"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/resolver"
	"github.com/weirdns/weir/resolver/upstream"
	"github.com/weirdns/weir/rpz"
	"github.com/weirdns/weir/unusual"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

type serveCmd struct {
	Conf     *string  `short:"c" name:"config" placeholder:"FILE" help:"Configuration file. Without one the built-in defaults serve; weir defaults prints them."`
	Listen   []string `placeholder:"ADDR" sep:"none" help:"Address for UDP and TCP, IP:port; may be repeated. Overrides resolver.listen."`
	Upstream []string `placeholder:"ADDR" sep:"none" help:"Upstream server, IP or IP:port; may be repeated. Overrides resolver.upstream.servers."`
	Admin    *string  `placeholder:"ADDR" help:"Address for metrics and health; empty switches them off. Overrides admin.listen."`
	State    string   `placeholder:"DIR" help:"State folder. Overrides state_dir."`
}

// Validate checks the flags, for kong: a mistake in them is one of usage.
func (c *serveCmd) Validate() error {
	var errs []error
	if c.Conf != nil && *c.Conf == "" {
		errs = append(errs, errors.New("--config: which file?"))
	}
	for _, addr := range c.Listen {
		if _, err := netip.ParseAddrPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("--listen: must be IP:port, got %q", addr))
		}
	}
	if c.Admin != nil && *c.Admin != "" {
		if _, err := netip.ParseAddrPort(*c.Admin); err != nil {
			errs = append(errs, fmt.Errorf("--admin: must be IP:port, or empty to switch it off, got %q", *c.Admin))
		}
	}
	if len(c.Upstream) > 0 {
		up := upstream.DefaultConfig()
		up.Servers = c.Upstream
		for _, err := range split(up.Validate()) {
			errs = append(errs, fmt.Errorf("--upstream: %w", err))
		}
	}
	return errors.Join(errs...)
}

// file is the configuration's, empty for none.
func (c *serveCmd) file() string {
	if c.Conf == nil {
		return ""
	}
	return *c.Conf
}

// load reads the configuration, flags on top.
func (c *serveCmd) load() (*config, error) {
	return loadServeConfig(c.file(), func(cfg *config) {
		if len(c.Listen) > 0 {
			cfg.Resolver.Listen = c.Listen
		}
		if len(c.Upstream) > 0 {
			cfg.Resolver.Upstream.Servers = c.Upstream
		}
		if c.Admin != nil {
			cfg.Admin.Listen = *c.Admin
		}
		if c.State != "" {
			cfg.StateDir = c.State
		}
	})
}

// Run serves until SIGTERM or SIGINT. SIGHUP reloads.
func (c *serveCmd) Run(std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log, err := newLogger(cfg.Log, std)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }() // standard error may not know how
	// What a library says by itself, as of socket buffers, is an event like others.
	if undo, err := zap.RedirectStdLogAt(log.Named("library"), zapcore.WarnLevel); err == nil {
		defer undo()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)

	s, err := newService(cfg, log)
	if err != nil {
		return err
	}
	// Said before the lists are read: until then queries wait in the sockets.
	s.announce()
	s.warnFeeds(cfg)
	if err := restrict(cfg, c.file(), log.Named("sandbox")); err != nil {
		s.resolver.Close()
		s.admin.Close()
		return err
	}
	if err := s.detection.load(); err != nil {
		s.resolver.Close()
		s.admin.Close()
		return err
	}
	log.Info("weir serves", zap.Duration("start", time.Since(s.began)))
	debug.FreeOSMemory() // what only the start needed
	return s.run(ctx, hup, c.load)
}

// newLogger logs JSON, one line an event. Names and clients are in no event.
func newLogger(cfg logConfig, std stdio) (*zap.Logger, error) {
	level, err := zapcore.ParseLevel(cfg.Level)
	if err != nil {
		return nil, exitWith(exitConfig, fmt.Errorf("log.level: %w", err))
	}
	enc := zap.NewProductionEncoderConfig()
	enc.TimeKey, enc.EncodeTime = "time", zapcore.RFC3339NanoTimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(enc), zapcore.Lock(zapcore.AddSync(std.err)), level)), nil
}

// service is the resolver with all that it stands on.
type service struct {
	began     time.Time
	cfg       atomic.Pointer[config] // the latest; a reload replaces it
	started   *config                // whose listeners, limits and files are in use
	log       *zap.Logger
	registry  *prometheus.Registry
	detection *detection
	site      *siteKeeper // nil: there is no place to keep it
	records   *pdns.Recorder
	privacy   *privacy.Guard
	findings  *findings
	context   *enrich.Enricher
	unusual   *unusual.Tracker // nil: off
	outlets   openOutlets
	alerts    *alerting      // nil: off, or no place for it
	history   *history       // nil: off, or no place for it
	live      *live.Feed     // nil: there is no dashboard
	door      *web.Door      // the same
	found     *live.Findings // the same
	played    *playedAnswers // nil: this is no demo

	incidents        *incident.Book // nil: no place for it
	incidentsRefused prometheus.Counter

	upstreams *upstreams
	resolver  *resolver.Resolver
	admin     *web.Server
	reloads   *reloader
	lock      *os.File // of the state folder
	stateless error    // why there is no place for state
	sinks     []detect.Sink
	zone      *rpz.Writer // nil: none is written

	allows        *allow.Book
	allowsRefused prometheus.Counter
}

// newService builds everything and binds every address. It starts nothing.
func newService(cfg *config, log *zap.Logger) (_ *service, err error) {
	s := &service{began: time.Now(), started: cfg, log: log, registry: newRegistry()}
	s.cfg.Store(cfg)
	s.reloads = newReloader(log, s.registry)
	if s.stateless = makeStateDir(cfg); s.stateless == nil {
		// Never given back: the lock is the process's.
		if s.lock, err = lockState(cfg.StateDir); err != nil {
			return nil, err
		}
	} else if cfg.explicitState {
		return nil, s.stateless
	}
	s.allows = s.openAllows()
	if s.detection, err = newDetection(cfg, log, s.registry, s.allows); err != nil {
		return nil, err
	}
	if s.upstreams, err = newUpstreams(cfg.Resolver.Upstream, log, s.registry); err != nil {
		return nil, exitWith(exitConfig, err)
	}
	sinks := []detect.Sink{s.detection.detector}
	if s.stateless == nil {
		s.site = newSiteKeeper(cfg.StateDir, s.detection.detector.Site(), log.Named("detect"), s.registry)
		s.openIncidents(cfg.StateDir)
		if err := s.openDoor(cfg); err != nil {
			return nil, err
		}
	}
	if err := s.openRecords(cfg); err != nil {
		return nil, err
	}
	sinks = append(sinks, s.records)
	if cfg.RPZOut.Path != "" {
		s.zone = rpz.New(cfg.RPZOut, rpz.Deps{
			Log: log.Named("rpz"), Registry: s.registry, Detector: s.detection.detector, Lists: s.detection.lists, Allows: s.allows,
		})
		sinks = append(sinks, s.zone)
	}
	s.sinks = sinks
	sockets, err := inherit.FromEnv(os.Getenv, os.Getpid())
	if err != nil {
		return nil, exitWith(exitBind, err)
	}
	defer sockets.Close() // those that nobody took
	s.resolver, err = resolver.New(cfg.forwarding(), resolver.Deps{
		Log: log.Named("resolver"), Registry: s.registry, Detector: s.detection.detector, Upstream: s.upstreams, Sinks: sinks,
		Suffixes: dnsname.DefaultSuffixes(), CacheFile: s.cachePath(), Inherited: sockets,
	})
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	s.admin = web.New(cfg.Admin, web.Deps{
		Log: log.Named("admin"), Gatherer: s.registry, Registry: s.registry, Ready: s.missing, Socket: s.socketPath(), Control: s.routes(), Door: s.door,
	})
	if err := s.admin.Listen(); err != nil {
		return nil, exitWith(exitBind, err)
	}
	if err := s.resolver.Listen(); err != nil {
		s.admin.Close()
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: ports below 1024 need root or CAP_NET_BIND_SERVICE, see docs/operations.md", err)
		}
		return nil, exitWith(exitBind, err)
	}
	for _, addr := range sockets.Left() {
		log.Warn("an inherited socket is not used: its address stands in no listen setting", zap.String("address", addr))
	}
	return s, nil
}

// openRecords makes what takes transactions off the answer path. Without a place
// for state nothing is kept, and what can be found without is found.
func (s *service) openRecords(cfg *config) error {
	kept, recorded, dir := cfg.Privacy, cfg.Records, cfg.StateDir
	var outputs []pdns.QueuedOutput
	var err error
	if s.stateless != nil {
		dir, recorded.COF.Enabled, recorded.Transactions.Enabled = "", false, false
		if kept.ClientAddress == privacy.IPCrypt && kept.KeyFile == "" {
			kept.ClientAddress = privacy.None // there is no place for a key
		}
	}
	if s.privacy, err = privacy.New(kept, privacy.Deps{Dir: dir, Log: s.log.Named("privacy")}); err != nil {
		return exitWith(exitConfig, err)
	}
	if s.context, err = newContext(cfg, s.registry); err != nil {
		return err
	}
	reputations, asking, err := newReputation(cfg, s.context, s.registry)
	if err != nil {
		return err
	}
	if s.stateless == nil {
		if outputs, err = s.outputs(cfg); err != nil {
			return err
		}
		if s.unusual, err = openUnusual(cfg, dir, s.privacy, s.detection.detector, s.log.Named("unusual"), s.registry); err != nil {
			return err
		}
	}
	sinks, tasks, err := findingSinks(cfg, s.privacy, s.log, s.registry, s.stateless != nil)
	if err != nil {
		return err
	}
	if s.alerts != nil {
		sinks = append(sinks, s.alerts.engine)
	}
	if s.door != nil {
		sinks = append(sinks, s.openFound(cfg))
	}
	if s.findings, err = newFindings(cfg, s.detection.detector, s.registry, true, sinks, reputations, s.privacy); err != nil {
		return err
	}
	s.findings.tasks = append(tasks, asking...)
	if s.stateless == nil {
		s.findings.keep(cfg, s.log, s.registry)
	}
	outputs = append(outputs, s.watchers())
	s.records, err = pdns.New(recorded, pdns.Deps{
		Log: s.log.Named("records"), Registry: s.registry, Privacy: s.privacy, Outputs: outputs, Enrich: reputations,
	})
	if err != nil {
		return fmt.Errorf("records: %w", err)
	}
	return nil
}

// liveQueue bounds what waits to be shown, in octets.
const liveQueue = 1 << 20

// outputs are where records go beside their files.
func (s *service) outputs(cfg *config) (out []pdns.QueuedOutput, err error) {
	if cfg.Store.Enabled {
		if s.history, err = openHistory(cfg, s.privacy, s.log, s.registry); err != nil {
			return nil, err
		}
		out = append(out, s.history.output())
	}
	if s.door != nil {
		s.live = live.New(s.privacy, s.registry)
		out = append(out, pdns.QueuedOutput{Output: s.live, QueueBytes: liveQueue})
	}
	s.alerts, err = openAlerts(cfg, alertingDeps{cfg.StateDir, s.log, s.registry, s.privacy, s.detection.detector})
	if err != nil {
		return nil, err
	}
	if s.alerts != nil {
		out = append(out, s.alerts.output())
	}
	s.outlets, err = cfg.Outlets.open(cfg, s.privacy, s.log, s.registry)
	return append(out, s.outlets.outputs()...), err
}

// missing is what keeps weir from being ready.
func (s *service) missing() []string {
	if s.upstreams.Up() == 0 {
		return []string{"no upstream answers"}
	}
	return nil
}

// run serves until ctx ends. On hup it reloads what load returns.
func (s *service) run(ctx context.Context, hup <-chan os.Signal, load func() (*config, error)) error {
	front := []task{
		{"resolver", s.resolver.Run},
		{"admin", s.admin.Run},
		{"lists", s.detection.lists.Run},
		{"reload", func(ctx context.Context) error {
			return s.reloads.run(ctx, hup, func() ([]zap.Field, error) { return s.reload(load) })
		}},
	}
	if s.zone != nil {
		front = append(front, task{"rpz", s.zone.Run})
	}
	// The upstreams outlive the resolver: queries under way at the end still
	// get their answers.
	back := []task{{"upstreams", s.upstreams.run}}
	if s.site != nil {
		back = append(back, task{"site scores", s.site.run})
	}
	back = append(back, task{"records", s.runRecords}, task{"privacy", s.privacy.Run})
	if s.alerts != nil {
		back = append(back, task{"alerts", s.alerts.run})
	}
	err := runStages(ctx, front, back)
	s.log.Info("weir stopped", zap.Error(err))
	return err
}

// runRecords runs who takes transactions, and outlives them by who is told of
// findings, and by the outlets: those of the last queries go out too.
func (s *service) runRecords(ctx context.Context) error {
	return runStages(ctx, []task{{"transactions", s.records.Run}}, append(s.outlets.tasks(), s.findings.tasks...))
}
