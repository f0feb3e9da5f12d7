package main

import (
	"errors"
	"fmt"

	"github.com/weirdns/weir/alert"
	"github.com/weirdns/weir/alert/notify"
	"github.com/weirdns/weir/detect"
)

// alertsConfig is what is worth an alert, and who is told.
type alertsConfig struct {
	alertRules `yaml:",inline"`
	// Receivers that rules name.
	Receivers []alertReceiver `yaml:"receivers"`
}

// alertRules is alert.Config, which has the meanings, with rules that know their
// defaults.
type alertRules struct {
	Enabled   bool        `yaml:"enabled"`
	Builtin   bool        `yaml:"builtin"`
	Host      string      `yaml:"host"`
	MaxKeys   int         `yaml:"max_keys"`
	MaxAlerts int         `yaml:"max_alerts"`
	Subject   string      `yaml:"subject"`
	Body      string      `yaml:"body"`
	Rules     []alertRule `yaml:"rules"`
}

// alertRule knows the defaults of an element, as the YAML reader wants it.
type alertRule struct {
	alert.Rule `yaml:",inline"`
}

func (r *alertRule) setDefaults() { r.Rule = alert.DefaultRule() }

// alertReceiver is the same for receivers.
type alertReceiver struct {
	notify.Config `yaml:",inline"`
}

func (r *alertReceiver) setDefaults() { r.Config = notify.DefaultConfig() }

func defaultAlerts() alertsConfig {
	d := alert.DefaultConfig()
	return alertsConfig{alertRules: alertRules{Enabled: d.Enabled, Builtin: d.Builtin, MaxKeys: d.MaxKeys, MaxAlerts: d.MaxAlerts}}
}

// engine is the configuration of the rules.
func (c *alertRules) engine() alert.Config {
	out := alert.Config{
		Enabled: c.Enabled, Builtin: c.Builtin, Host: c.host(), MaxKeys: c.MaxKeys, MaxAlerts: c.MaxAlerts, Subject: c.Subject, Body: c.Body,
	}
	for _, r := range c.Rules {
		out.Rules = append(out.Rules, r.Rule)
	}
	return out
}

// host is what notifications call this weir.
func (c *alertRules) host() string {
	if c.Host == "" {
		return notify.Host()
	}
	return c.Host
}

// check adds what is wrong with alerts to doc.
func (c *alertsConfig) check(cfg *config, doc *document) {
	rules := c.engine()
	err := rules.Validate()
	doc.add("alerts", err)
	names := map[string]bool{}
	var enabled []string
	for i := range c.Receivers {
		r, at := &c.Receivers[i].Config, fmt.Sprintf("alerts.receivers[%d]", i)
		doc.add(at, r.Validate())
		if names[r.Name] && r.Name != "" {
			doc.add(at, fmt.Errorf("name: %q is used by an earlier receiver", r.Name))
		}
		names[r.Name] = true
		if r.Kind == notify.Exec && cfg.Sandbox.Enabled && !r.Disabled {
			doc.add(at, errors.New("kind: exec does not go with sandbox.enabled, which lets no program run; a webhook to a program of yours does"))
		}
		if !r.Disabled {
			enabled = append(enabled, r.Name)
		}
	}
	if err != nil {
		return
	}
	schedules, err := detect.ParseSchedules(cfg.Detect.Schedules)
	if err != nil {
		return // said with detect
	}
	doc.add("alerts", alert.Check(&rules, enabled, schedules))
	groups := map[string]bool{}
	for _, g := range cfg.Detect.Groups {
		groups[g.Name] = true
	}
	lists := map[string]bool{}
	for _, l := range cfg.Lists {
		lists[l.Name] = true
	}
	for i, r := range rules.Rules {
		if r.Disabled {
			continue
		}
		for j, g := range r.Match.Groups {
			if !groups[g] {
				doc.add("alerts", fmt.Errorf("rules[%d].match.groups[%d]: no group is named %q", i, j, g))
			}
		}
		for j, l := range r.Match.Lists {
			if !lists[l] {
				doc.add("alerts", fmt.Errorf("rules[%d].match.lists[%d]: no list is named %q", i, j, l))
			}
		}
	}
}

// files are those that enabled receivers read.
func (c *alertsConfig) files() (out []string) {
	for i := range c.Receivers {
		if r := &c.Receivers[i].Config; !r.Disabled && c.Enabled {
			out = append(out, r.Files()...)
		}
	}
	return out
}

// rehearse reads what the receivers would.
func (c *alertsConfig) rehearse() error {
	var errs []error
	for i := range c.Receivers {
		r := c.Receivers[i].Config
		if r.Disabled || r.Validate() != nil {
			continue // said already
		}
		if _, err := notify.New(r); err != nil {
			errs = append(errs, fmt.Errorf("alerts.receivers[%d].%w", i, err))
		}
	}
	return errors.Join(errs...)
}
