package main

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/enrich"
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
