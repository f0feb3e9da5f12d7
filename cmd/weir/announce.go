package main

import "go.uber.org/zap"

// announce is the first line of the log: where weir listens, forwards, records
// and shows its metrics. Lists are read after it, so it does not say that weir has
// started.
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
	s.log.Info("weir starts",
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
