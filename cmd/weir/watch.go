package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"

	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/web"
	"go.uber.org/zap"
)

// watch reads what goes on until ctx ends. Whatever it needs is open before it
// drops its privileges, and it reads nothing before that.
func (s *sniffer) watch(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.open.close()) }()
	s.open.log, s.open.waits = s.log, true
	sinks, err := s.outputs()
	if err != nil {
		return err
	}
	if err := s.open.register(s.registry); err != nil {
		return err
	}
	back := []task{{"outputs", s.open.tend}, {"privacy of outputs", s.privacy.Run}}
	records := "files"
	if s.cmd.Transactions == "" && s.cmd.COF == "" {
		recorder, tasks, senders, err := s.recorder()
		if err != nil {
			return err
		}
		records = s.cfg.Records.Dir
		s.open.left.Add(1) // they are written, whatever becomes of a file
		sinks = append(sinks, recorder)
		back = append(back, task{"records", func(ctx context.Context) error {
			return runStages(ctx, []task{{"transactions", recorder.Run}}, append(senders, s.findings.tasks...))
		}})
		back = append(back, tasks...)
	} else {
		known, err := s.known()
		if err != nil {
			return err
		}
		if s.findings, err = newFindings(s.cfg, s.detection.detector, s.registry, true, s.told, known, s.privacy); err != nil {
			return err
		}
		sinks = append(sinks, s.findings.watch)
	}
	reader, err := capture.New(s.cfg.Capture, capture.Deps{
		Inspector: s.detection.detector, Sinks: sinks, Findings: s.packetFindings(), Log: s.log.Named("capture"), Registry: s.registry,
	})
	if err != nil {
		return err
	}
	admin := web.New(s.cfg.Admin, web.Deps{
		Log: s.log.Named("admin"), Gatherer: s.registry, Registry: s.registry, Ready: func() []string { return nil },
		Socket: s.socketPath(), Control: s.routes(),
	})
	if err := admin.Listen(); err != nil {
		return exitWith(exitBind, err)
	}
	from, front, err := s.source(reader)
	if err != nil {
		admin.Close()
		return err
	}
	if err := dropPrivileges(); errors.Is(err, syscall.ENOTSUP) {
		s.log.Warn("capabilities are kept: this binary was built with cgo")
	} else if err != nil {
		front.close()
		admin.Close()
		return exitWith(exitBind, fmt.Errorf("dropping capabilities: %w", err))
	}
	if err := s.open.begin(); err != nil {
		front.close()
		admin.Close()
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	reloads := newReloader(s.log, s.registry)
	s.log.Info("weir sniffs", zap.String("version", buildVersion()), zap.Strings("from", from),
		zap.String("records", records), zap.String("metrics", admin.Addr()))
	err = runStages(ctx, []task{{"capture", front.run}, {"admin", admin.Run}, {"lists", s.detection.lists.Run},
		{"reload", func(ctx context.Context) error { return reloads.run(ctx, hup, s.reload) }}}, back)
	sum := reader.Summary()
	say := s.log.Info
	if len(sum.Drops["kernel"]) > 0 {
		say = s.log.Warn
	}
	say("weir stopped", zap.Uint64("packets", sum.Packets), zap.Uint64("dns_messages", sum.DNSMessages), zap.Uint64("transactions", sum.Transactions),
		zap.Uint64("dropped", dropped(&sum)), zap.Uint64("dropped_by_kernel", sum.Drops["kernel"]["ring_full"]), zap.Error(err))
	return errors.Join(err, s.summarize(reader))
}

// reload puts a new configuration's lists, model and policy in place. What is
// read and written stays.
func (s *sniffer) reload() ([]zap.Field, error) {
	next, err := s.cmd.load()
	if err != nil {
		return nil, err
	}
	tables, err := loadContext(next)
	if err != nil {
		return nil, next.located(err)
	}
	judging, err := s.detection.prepare(next)
	var alerts *alertsChange
	if err == nil && s.alerts != nil && next.Alerts.Enabled {
		alerts, err = s.alerts.prepare(next)
	}
	if err == nil {
		if err = s.detection.replace(judging); err != nil {
			alerts.giveUp()
		}
	}
	if err != nil {
		return nil, next.located(errors.Join(err, tables.Close()))
	}
	if alerts != nil {
		if err := s.alerts.commit(alerts); err != nil {
			return nil, err
		}
	}
	s.findings.reload(next)
	replaceContext(s.context, tables, s.log)
	warnFixed(s.log, []fixedSetting{
		{"log", s.cfg.Log != next.Log},
		{"state_dir", s.cfg.StateDir != next.StateDir},
		{"capture", !reflect.DeepEqual(s.cfg.Capture, next.Capture)},
		{"privacy", !reflect.DeepEqual(s.cfg.Privacy, next.Privacy)},
		{"records", !reflect.DeepEqual(s.cfg.Records, next.Records)},
		{"store", !reflect.DeepEqual(s.cfg.Store, next.Store)},
		{"reputation", !reflect.DeepEqual(s.cfg.Reputation, next.Reputation)},
		{"unusual", s.cfg.Unusual != next.Unusual},
		{"alerts.enabled", s.cfg.Alerts.Enabled != next.Alerts.Enabled},
		{"admin", !reflect.DeepEqual(s.cfg.Admin, next.Admin)},
	})
	return []zap.Field{zap.Int("lists", len(next.Lists))}, nil
}

// recorder is the records of the configuration, in a state folder that nobody
// else writes to, what has to run beside it, and what sends what it recorded.
func (s *sniffer) recorder() (_ *pdns.Recorder, beside, senders []task, _ error) {
	if err := makeStateDir(s.cfg); err != nil {
		return nil, nil, nil, err
	}
	// Never given back: the lock is the process's.
	var err error
	if s.lock, err = lockState(s.cfg.StateDir); err != nil {
		return nil, nil, nil, err
	}
	guard, err := privacy.New(s.cfg.Privacy, privacy.Deps{Dir: s.cfg.StateDir, Log: s.log.Named("privacy")})
	if err != nil {
		return nil, nil, nil, exitWith(exitConfig, err)
	}
	outlets, err := s.cfg.Outlets.open(s.cfg, guard, s.log, s.registry)
	if err != nil {
		return nil, nil, nil, err
	}
	sinks, told, err := findingSinks(s.cfg, guard, s.log, s.registry, false)
	if err != nil {
		return nil, nil, nil, err
	}
	if s.alerts, err = openAlerts(s.cfg, alertingDeps{s.cfg.StateDir, s.log, s.registry, guard, s.detection.detector}); err != nil {
		return nil, nil, nil, err
	}
	beside = []task{{"privacy", guard.Run}}
	outputs := outlets.outputs()
	var sums []pdns.Output
	if s.cfg.Store.Enabled {
		if s.history, err = openHistory(s.cfg, guard, s.log, s.registry); err != nil {
			return nil, nil, nil, err
		}
		outputs, sums = append(outputs, s.history.output()), append(sums, s.history.tally)
	}
	if !s.cmd.Follow { // which goes on where it was
		watched := newWatchedKeeper(s.cfg.StateDir, s.log.Named("capture"), s.registry)
		beside = append(beside, task{"until when was watched", watched.run})
	}
	if s.alerts != nil {
		sinks, outputs = append(sinks, s.alerts.engine), append(outputs, s.alerts.output())
		beside = append(beside, task{"alerts", s.alerts.run})
	}
	reputations, asking, err := newReputation(s.cfg, s.context, s.registry)
	if err != nil {
		return nil, nil, nil, err
	}
	if s.findings, err = newFindings(s.cfg, s.detection.detector, s.registry, true, append(s.told, sinks...), reputations, guard); err != nil {
		return nil, nil, nil, err
	}
	s.findings.tasks = append(told, asking...)
	ranking, err := openUnusual(s.cfg, s.cfg.StateDir, guard, s.detection.detector, s.log.Named("unusual"), s.registry)
	if err != nil {
		return nil, nil, nil, err
	}
	if ranking != nil {
		s.findings.tasks = append(s.findings.tasks, tendUnusual(ranking, s.log.Named("unusual")))
	}
	s.findings.keep(s.cfg, s.log, s.registry)
	r, err := pdns.New(s.cfg.Records, pdns.Deps{
		Log: s.log.Named("records"), Registry: s.registry, Privacy: guard, Outputs: append(outputs, s.findings.watchers(ranking, sums...)), Enrich: reputations,
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("records: %w", err)
	}
	return r, beside, outlets.tasks(), nil
}

// socketPath is where the sniffer can be asked for its history; "" if it has none.
func (s *sniffer) socketPath() string {
	if s.history == nil {
		return ""
	}
	return filepath.Join(s.cfg.StateDir, sniffSocketName)
}

// routes are what it can be asked.
func (s *sniffer) routes() []web.Route {
	if s.history == nil {
		return nil
	}
	return s.history.routes()
}

// opened is a source that is open: run it, or close it.
type opened struct {
	run   func(context.Context) error
	close func()
}

// source opens what is to be read, and says what that is.
func (s *sniffer) source(c *capture.Capture) ([]string, opened, error) {
	switch {
	case s.cmd.Follow:
		note := ""
		if s.lock != nil { // records are added to what is there, so the reading goes on too
			note = filepath.Join(s.cfg.StateDir, "follow.json")
		}
		run := func(ctx context.Context) error { return c.Follow(ctx, s.cmd.Read[0], note) }
		return s.cmd.Read, opened{run, func() {}}, nil
	case len(s.cfg.Capture.Dnstap.Listen) > 0:
		d, err := c.OpenDnstap()
		if err != nil {
			return nil, opened{}, exitWith(exitBind, err)
		}
		return d.Addrs(), opened{d.Run, d.Close}, nil
	}
	for _, name := range s.cfg.Capture.Live.Interfaces {
		if err := knownInterface(name); err != nil {
			return nil, opened{}, exitWith(exitBind, err)
		}
	}
	live, err := c.OpenLive()
	if err != nil {
		return nil, opened{}, exitWith(exitBind, err)
	}
	return s.cfg.Capture.Live.Interfaces, opened{live.Run, live.Close}, nil
}

// knownInterface says which interfaces there are where name is none.
func knownInterface(name string) error {
	if isInterface(name) {
		return nil
	}
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	var names []string
	for i := range all {
		names = append(names, all[i].Name)
	}
	return fmt.Errorf("interface %s: there is none of that name; there are %s", name, strings.Join(names, ", "))
}
