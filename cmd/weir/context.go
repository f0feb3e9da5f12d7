package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/enrich"
	"github.com/weirdns/weir/reputation"
	"go.uber.org/zap"
)

// loadContext reads the files that say what is known of addresses.
func loadContext(cfg *config) (*enrich.Tables, error) {
	tables, err := enrich.Load(cfg.Enrich)
	if err == nil {
		return tables, nil
	}
	var errs []error
	for _, e := range split(err) {
		errs = append(errs, fmt.Errorf("enrich.%w", e))
	}
	return nil, exitWith(exitConfig, errors.Join(errs...))
}

// newContext is loadContext and an Enricher that has it.
func newContext(cfg *config, reg prometheus.Registerer) (*enrich.Enricher, error) {
	tables, err := loadContext(cfg)
	if err != nil {
		return nil, cfg.located(err)
	}
	return enrich.New(tables, reg)
}

// replaceContext puts tables in the place of those that e has. What goes wrong with
// the old ones is no reason to keep them.
func replaceContext(e *enrich.Enricher, tables *enrich.Tables, log *zap.Logger) {
	var err error
	if e != nil {
		err = e.Swap(tables)
	} else {
		err = tables.Close()
	}
	if err != nil {
		log.Warn("a file of addresses cannot be closed", zap.Error(err))
	}
}

// reputationConfig are those who are asked about names.
type reputationConfig struct {
	// Lists are lists whose hits are a reputation.
	Lists []reputation.ListConfig `yaml:"lists"`
	// HTTP are services that are asked about detections.
	HTTP []httpReputation `yaml:"http"`
}

// httpReputation knows the defaults of an element, as the YAML reader wants it.
type httpReputation struct {
	reputation.HTTPConfig `yaml:",inline"`
}

func (c *httpReputation) setDefaults() { c.HTTPConfig = reputation.DefaultHTTPConfig() }

// all is c as its package has it.
func (c *reputationConfig) all() reputation.Config {
	out := reputation.Config{Lists: c.Lists}
	for _, h := range c.HTTP {
		out.HTTP = append(out.HTTP, h.HTTPConfig)
	}
	return out
}

// files are those that are read.
func (c *reputationConfig) files() []string {
	all := c.all()
	return all.Files()
}

// newReputation adds what others think of names to what e knows. Its task asks them;
// there is none where nobody is to be asked.
func newReputation(cfg *config, e *enrich.Enricher, reg prometheus.Registerer) (*reputation.Enricher, []task, error) {
	all := cfg.Reputation.all()
	r, err := reputation.New(all, e, reg)
	if err != nil {
		var errs []error
		for _, one := range split(err) {
			errs = append(errs, fmt.Errorf("reputation.%w", one))
		}
		return nil, nil, exitWith(exitConfig, cfg.located(errors.Join(errs...)))
	}
	if !slices.ContainsFunc(all.HTTP, func(h reputation.HTTPConfig) bool { return !h.Disabled }) {
		return r, nil, nil
	}
	return r, []task{{"reputation", r.Run}}, nil
}
