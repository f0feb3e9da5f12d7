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
	"go.uber.org/zap"
)

// findings are the detections that no single query shows, and who is told.
type findings struct {
	all   *detect.Findings
	watch *behaviour.Watcher
	tasks []task // that bring findings somewhere
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
func newFindings(cfg *config, judge *detect.Detector, reg prometheus.Registerer, live bool, sinks []detect.FindingSink) (*findings, error) {
	f := &findings{all: detect.NewFindings(cfg.Detect.Behaviour.Mute, reg, sinks...)}
	var key behaviour.Key
	if live {
		var b [16]byte
		_, _ = rand.Read(b[:]) // cannot fail
		key = behaviour.Key{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint64(b[8:])}
	}
	var err error
	f.watch, err = behaviour.New(cfg.Detect.Behaviour, behaviour.Deps{
		Registry: reg, Findings: f.all, Key: key, Capture: !live, Tail: judge.Tail, Popular: judge.Popular,
	})
	return f, exitWith(exitConfig, err)
}

// keep has what the watcher knows outlive a restart.
func (f *findings) keep(cfg *config, log *zap.Logger, reg prometheus.Registerer) {
	if cfg.Detect.Behaviour.Infected.Mode != detect.ModeOff {
		k := newWatchKeeper(cfg.StateDir, f.watch, log.Named("behaviour"), reg)
		f.tasks = append(f.tasks, task{"behaviour", k.run})
	}
}

// reload takes what of a new configuration needs no start.
func (f *findings) reload(cfg *config) {
	f.all.SetMutes(cfg.Detect.Behaviour.Mute)
	f.watch.Reload(cfg.Detect.Behaviour)
}

// watchQueue bounds what waits to be watched, in octets.
const watchQueue = 4 << 20

// output is the watcher beside the records.
func (f *findings) output() pdns.QueuedOutput {
	return pdns.QueuedOutput{Output: f.watch, QueueBytes: watchQueue, Bare: true}
}
