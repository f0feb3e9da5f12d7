package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// detection is what judges names, as every command uses it: the resolver, the
// sniffer and score differ only in where the names come from.
type detection struct {
	lists    *blocklist.Lists
	model    *detect.Model
	detector *detect.Detector
}

// newDetection loads the model and makes the lists, which load fills.
func newDetection(cfg *config, log *zap.Logger, reg prometheus.Registerer) (*detection, error) {
	model, err := loadModel(&cfg.Detect.Model)
	if err != nil {
		return nil, err
	}
	copies := ""
	if cfg.StateDir != "" {
		copies = filepath.Join(cfg.StateDir, "lists")
	}
	lists, err := blocklist.New(cfg.sources(), blocklist.Deps{Log: log.Named("lists"), Registry: reg, Dir: copies})
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	d, err := detect.New(cfg.Detect, cfg.policies(), model, detect.Deps{
		Log: log.Named("detect"), Registry: reg, Lists: lists, Suffixes: dnsname.DefaultSuffixes(),
	})
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	return &detection{lists: lists, model: model, detector: d}, nil
}

// load reads whatever of the lists is at hand: inline entries, files, and the
// last good copies of URLs. It asks no network.
func (d *detection) load() error { return exitWith(exitIntegrity, d.lists.Load()) }

// loadModel loads the configured model, or the built-in one.
func loadModel(cfg *detect.ModelConfig) (*detect.Model, error) {
	if cfg.Mode == detect.ModeOff {
		return nil, nil
	}
	if cfg.Path == "" {
		m, err := detect.EmbeddedModel()
		return m, exitWith(exitIntegrity, err)
	}
	m, err := detect.LoadModel(os.DirFS(cfg.Path))
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, detect.ErrModelIntegrity) {
		return nil, exitWith(exitConfig, fmt.Errorf("detect.model.path: %s: %w", cfg.Path, err))
	}
	if err != nil {
		return nil, exitWith(exitIntegrity, fmt.Errorf("detect.model.path: %s: %w", cfg.Path, err))
	}
	return m, nil
}

// newRegistry is a registry of our own, with what Go and the system say of the
// process.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "weir_build_info", Help: "The version that runs; the value is always 1.",
			ConstLabels: prometheus.Labels{"version": buildVersion()},
		}, func() float64 { return 1 }),
	)
	return reg
}
