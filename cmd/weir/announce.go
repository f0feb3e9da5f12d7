package main

import (
	"errors"
	"fmt"

	"go.uber.org/zap"
)

// announce is the first line of the log: where weir listens, forwards, records
// and shows its metrics.
func (s *service) announce() {
	cfg := s.cfg.Load()
	records, metrics, dashboard := "nowhere", "nowhere", "nowhere"
	if r := cfg.Records; s.stateless == nil && (r.COF.Enabled || r.Transactions.Enabled) {
		records = r.Dir
	}
	if addr := s.admin.Addr(); addr != "" {
		metrics = "http://" + addr + "/metrics"
		if s.door != nil {
			dashboard = "http://" + addr + "/ (weir dashboard --state " + cfg.StateDir + " prints a link to log in)"
		}
	}
	model := "none"
	if s.detection.models.live != nil {
		info := s.detection.models.live.Info()
		model = info.Name + " " + info.Version + " (" + cfg.Detect.Model.Mode + ")"
	}
	s.log.Info("weir started",
		zap.String("version", buildVersion()),
		zap.Strings("listen", s.resolver.Addrs()),
		zap.Strings("tls", s.resolver.AddrsTLS()),
		zap.Strings("https", s.resolver.AddrsHTTPS()),
		zap.Strings("quic", s.resolver.AddrsQUIC()),
		zap.Strings("forward", cfg.Resolver.Upstream.Servers),
		zap.String("records", records),
		zap.String("metrics", metrics),
		zap.String("dashboard", dashboard),
		zap.String("control", s.admin.Socket()),
		zap.String("model", model),
		zap.Int("lists", len(cfg.Lists)),
	)
	s.warnOfRace(cfg)
	if s.stateless != nil {
		s.log.Warn("no place for state: nothing is recorded, and lists are not kept across restarts", zap.Error(s.stateless))
	}
}

// warnOfRace says what two kinds of upstream may do to each other's names.
func (s *service) warnOfRace(cfg *config) {
	if cfg.Resolver.Upstream.RacesStrangers() {
		s.log.Warn("resolver.upstream.servers has servers in private address space and public ones, and strategy race asks both: where they know different names, chance decides; use failover, or zones for the names of one")
	}
}

// rehearse builds what serve would build, short of sockets and folders, and
// reports everything that is wrong with it.
func rehearse(cfg *config) error {
	log, reg := zap.NewNop(), newRegistry()
	var errs []error
	d, err := newDetection(cfg, log, reg, nil)
	if err == nil {
		err = d.load()
	}
	code := exitConfig
	if coded, ok := errors.AsType[*exitError](err); ok {
		code = coded.code // a damaged list or model is no mistake in the configuration
	}
	errs = append(errs, unwrapExit(err))
	late := func(setting string, err error) {
		for _, e := range split(unwrapExit(err)) {
			errs = append(errs, unwrapExit(cfg.located(fmt.Errorf("%s%w", setting, e))))
		}
	}
	late("resolver.", cfg.Resolver.CheckFiles())
	_, err = newUpstreams(cfg.Resolver.Upstream, log, reg)
	late("", err)
	late("", cfg.Outlets.rehearse())
	late("", cfg.Alerts.rehearse())
	late("privacy.", cfg.Privacy.CheckFiles())
	if tables, err := loadContext(cfg); err == nil {
		late("enrich: ", tables.Close())
	} else {
		late("", err)
	}
	if cfg.explicitState {
		late("state_dir: ", canMake(cfg.StateDir))
	}
	if cfg.Store.Enabled {
		_, err := readToken(cfg.Store.TokenFile)
		late("", err)
		if cfg.explicitState || cfg.explicitStore {
			late("store.dir: ", canMake(cfg.Store.Dir))
		}
	}
	if cfg.Records.COF.Enabled || cfg.Records.Transactions.Enabled {
		if cfg.explicitState || cfg.explicitRecords {
			late("records.dir: ", canMake(cfg.Records.Dir))
		}
	}
	return exitWith(code, errors.Join(errs...))
}
