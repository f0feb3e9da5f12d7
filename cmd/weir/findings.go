package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/detect/behaviour"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
	"go.uber.org/zap"
)

// findings are the detections that no single query shows, and who is told.
type findings struct {
	all   *detect.Findings
	entry detect.FindingSink // before all: where findings are brought
	watch *behaviour.Watcher
	// suspects is how findings come into verdicts.
	suspects *detect.Suspects
	tasks    []task // that bring findings somewhere
}

// findingSinks are who is told of findings while weir goes on. Whoever keeps
// something of clients does so by the guard.
func findingSinks(cfg *config, guard *privacy.Guard, log *zap.Logger, reg prometheus.Registerer, stateless bool) (sinks []detect.FindingSink, tasks []task, err error) {
	if cfg.Records.Findings.Enabled && !stateless {
		file, err := pdns.NewFindingLog(cfg.Records, guard, log.Named("findings"), reg)
		if err != nil {
			return nil, nil, fmt.Errorf("records: %w", err)
		}
		sinks, tasks = append(sinks, file), append(tasks, task{"findings", file.Run})
	}
	return sinks, tasks, nil
}

// newFindings watches for what goes on. What anybody may send meets sketches
// with a secret.
//
// known says what is known of clients and names beside, no more of clients than
// guard lets be kept; nil: nothing is.
func newFindings(cfg *config, judge *detect.Detector, reg prometheus.Registerer, live bool, sinks []detect.FindingSink, known pdns.Enricher, guard *privacy.Guard) (*findings, error) {
	f := &findings{suspects: judge.Suspects()}
	f.all = detect.NewFindings(cfg.Detect.Behaviour.Mute, reg, append(sinks, f.suspects)...)
	f.entry = f.all
	if known != nil {
		f.entry = pdns.NewFindingContexts(known, guard, f.all)
	}
	var key behaviour.Key
	if live {
		var b [16]byte
		_, _ = rand.Read(b[:]) // cannot fail
		key = behaviour.Key{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
	}
	var err error
	f.watch, err = behaviour.New(cfg.Detect.Behaviour, behaviour.Deps{
		Registry: reg, Findings: f.entry, Key: key, Capture: !live, Tail: judge.Tail, Popular: judge.Popular, Brand: judge.Brand,
	})
	return f, exitWith(exitConfig, err)
}

// keep has what the watcher knows outlive a restart, and what it has found of
// domains.
func (f *findings) keep(cfg *config, log *zap.Logger, reg prometheus.Registerer) {
	suspects := newSuspectKeeper(cfg.StateDir, f.suspects, log.Named("behaviour"), reg)
	f.judge(cfg) // the configuration may be another than it was
	f.tasks = append(f.tasks, task{"suspects", suspects.run})
	if cfg.Detect.Behaviour.Infected.Mode != detect.ModeOff {
		k := newWatchKeeper(cfg.StateDir, f.watch, log.Named("behaviour"), reg)
		f.tasks = append(f.tasks, task{"behaviour", k.run})
	}
}

// told is how many findings were, by kind; nil if there are none.
func (f *findings) told() map[string]uint64 {
	var told map[string]uint64
	for k := range detect.FindingKinds {
		n := f.all.Told(k)
		if n == 0 {
			continue
		}
		if told == nil {
			told = map[string]uint64{}
		}
		told[k.String()] = n
	}
	return told
}

// reload takes what of a new configuration needs no start.
func (f *findings) reload(cfg *config) {
	f.all.SetMutes(cfg.Detect.Behaviour.Mute)
	f.watch.Reload(cfg.Detect.Behaviour)
	f.judge(cfg)
}

// judge has suspects be what a configuration says of them.
func (f *findings) judge(cfg *config) {
	f.suspects.Keep(func(one *detect.Finding) (enforce, ok bool) {
		_, enforce = cfg.Detect.Behaviour.EnforcedFrom(one.Kind)
		return enforce, !f.all.Muted(one)
	})
}

// watchQueue bounds what waits for the watchers, in octets.
const watchQueue = 4 << 20

// watchers are those that look at every transaction and only count: the
// watcher of clients' behaviour and, where they are not nil, ranked and others.
func (f *findings) watchers(ranked *unusual.Tracker, others ...pdns.Output) pdns.QueuedOutput {
	all := append([]pdns.Output{f.watch}, others...)
	if ranked != nil {
		all = append(all, rankedOutput{ranked})
	}
	return pdns.QueuedOutput{Output: pdns.Together("watch", all...), QueueBytes: watchQueue, Bare: true}
}

// watchers are who looks at every transaction and only counts.
func (s *service) watchers() pdns.QueuedOutput {
	if s.unusual != nil {
		s.findings.tasks = append(s.findings.tasks, tendUnusual(s.unusual, s.log.Named("unusual")))
	}
	if s.history != nil {
		return s.findings.watchers(s.unusual, s.history.tally)
	}
	return s.findings.watchers(s.unusual)
}
