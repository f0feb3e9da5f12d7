package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/alert/notify"
	"github.com/weirdns/weir/alert/outbox"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

const (
	// alertsFolder is the folder of alerts in the state folder.
	alertsFolder = "alerts"
	// alertsQueue bounds what waits to be looked at by rules, in octets.
	alertsQueue = 1 << 20
)

// alerting is the rules and who is told, behind a resolver or a sniffer.
type alerting struct {
	engine  *alert.Engine
	deps    alertingDeps
	changed chan struct{} // 1: boxes are others

	mu    sync.Mutex
	host  string
	boxes []*outbox.Outbox // as configured
}

// alertingDeps are what an alerting works with.
type alertingDeps struct {
	dir      string // the state folder
	log      *zap.Logger
	registry prometheus.Registerer
	privacy  *privacy.Guard
	detector *detect.Detector
}

// alertsChange is a configuration of alerts that is made ready: put in place by
// commit, or given up.
type alertsChange struct {
	rules     alert.Config
	schedules map[string]*detect.Schedule
	receivers []alert.Receiver
	boxes     []*outbox.Outbox
	opened    []*outbox.Outbox // of boxes
	reset     []func()         // others of boxes to their new setup
}

// openAlerts makes the rules and, of those that are enabled, the receivers. It
// connects to nobody. Nil: alerts are off.
func openAlerts(cfg *config, deps alertingDeps) (*alerting, error) {
	if !cfg.Alerts.Enabled {
		return nil, nil
	}
	deps.log = deps.log.Named("alerts")
	a := &alerting{deps: deps, changed: make(chan struct{}, 1)}
	next, err := a.prepare(cfg)
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	a.engine, err = alert.New(next.rules, alert.Deps{
		Dir: filepath.Join(deps.dir, alertsFolder), Log: deps.log, Registry: deps.registry, Privacy: deps.privacy,
		Receivers: next.receivers, Schedules: next.schedules,
		Group: func(client netip.Addr, t time.Time) string { return deps.detector.Group(client, t) },
		Now:   time.Now,
	})
	if err != nil {
		next.giveUp()
		return nil, err
	}
	a.boxes, a.host = next.boxes, next.rules.Host
	return a, nil
}

// prepare makes ready what a configuration says, and changes nothing. A receiver
// of a name that there is goes on with what waits for it.
func (a *alerting) prepare(cfg *config) (*alertsChange, error) {
	var err error
	next := &alertsChange{rules: cfg.Alerts.engine()}
	if next.schedules, err = detect.ParseSchedules(cfg.Detect.Schedules); err != nil {
		return nil, err
	}
	names := []string{}
	for i := range cfg.Alerts.Receivers {
		r := cfg.Alerts.Receivers[i].Config
		if r.Disabled {
			continue
		}
		names = append(names, r.Name)
		if err := a.receiver(next, r); err != nil {
			next.giveUp()
			return nil, fmt.Errorf("alerts.receivers[%d].%w", i, err)
		}
	}
	if err := alert.Check(&next.rules, names, next.schedules); err != nil {
		next.giveUp()
		return nil, fmt.Errorf("alerts.%w", err)
	}
	return next, nil
}

// receiver adds one to next.
func (a *alerting) receiver(next *alertsChange, r notify.Config) error {
	sender, err := notify.New(r)
	if err != nil {
		return err
	}
	setup := outbox.Config{Name: r.Name, Timeout: r.Timeout, RetryMax: r.RetryMax, MaxWaiting: r.MaxWaiting, MaxAge: r.MaxAge}
	var box *outbox.Outbox
	now := a.outboxes()
	if i := slices.IndexFunc(now, func(b *outbox.Outbox) bool { return b.Name() == r.Name }); i >= 0 {
		box = now[i]
		next.reset = append(next.reset, func() { box.Reload(setup, sender) })
	} else {
		box, err = outbox.New(setup, sender, outbox.Deps{
			Dir: filepath.Join(a.deps.dir, alertsFolder, "outbox", r.Name), Log: a.deps.log, Registry: a.deps.registry,
		})
		if err != nil {
			return err
		}
		next.opened = append(next.opened, box)
	}
	next.boxes = append(next.boxes, box)
	next.receivers = append(next.receivers, alert.Receiver{
		Name: r.Name, MinSeverity: r.MinSeverity, OnlyNamed: r.OnlyNamed, Resolved: r.Resolved, Put: box.Put,
	})
	return nil
}

// giveUp leaves everything as it was.
func (c *alertsChange) giveUp() {
	if c == nil {
		return
	}
	for _, box := range c.opened {
		box.Close()
	}
}

// commit puts next in place. What fires, is silenced, was counted or waits stays.
func (a *alerting) commit(next *alertsChange) error {
	if err := a.engine.Reload(next.rules, next.receivers, next.schedules); err != nil {
		next.giveUp()
		return err
	}
	for _, reset := range next.reset {
		reset()
	}
	a.mu.Lock()
	a.boxes, a.host = next.boxes, next.rules.Host
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
	return nil
}

// outboxes are those of the receivers that there are now.
func (a *alerting) outboxes() []*outbox.Outbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.boxes
}

// calledAs is what notifications call this weir now.
func (a *alerting) calledAs() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.host
}

// output is the rules beside the records.
func (a *alerting) output() pdns.QueuedOutput {
	return pdns.QueuedOutput{Output: a.engine, QueueBytes: alertsQueue, Bare: true}
}

// run delivers to the receivers that there are, until ctx ends.
func (a *alerting) run(ctx context.Context) error {
	type runner struct {
		cancel context.CancelFunc
		done   chan error
	}
	running := map[*outbox.Outbox]runner{}
	stop := func(box *outbox.Outbox) error {
		r := running[box]
		delete(running, box)
		r.cancel()
		return <-r.done
	}
	var errs []error
	for ctx.Err() == nil {
		boxes := a.outboxes()
		for box := range running {
			if !slices.Contains(boxes, box) {
				errs = append(errs, stop(box))
				box.Close()
			}
		}
		for _, box := range boxes {
			if _, ok := running[box]; ok {
				continue
			}
			own, cancel := context.WithCancel(ctx)
			r := runner{cancel, make(chan error, 1)}
			go func() { r.done <- box.Run(own) }()
			running[box] = r
		}
		select {
		case <-ctx.Done():
		case <-a.changed:
		}
	}
	for box := range running {
		errs = append(errs, stop(box))
	}
	return errors.Join(errs...)
}
