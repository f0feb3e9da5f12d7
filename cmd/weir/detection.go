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
	"github.com/weirdns/weir/detect/allow"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// detection is what judges names, as every command uses it: the resolver, the
// sniffer and score differ only in where the names come from.
type detection struct {
	lists    *blocklist.Lists
	models   models
	detector *detect.Detector
	cfg      *config // that load reads the lists of
}

// newDetection loads the model and makes the lists, which load fills. allows may
// be nil.
func newDetection(cfg *config, log *zap.Logger, reg prometheus.Registerer, allows *allow.Book) (*detection, error) {
	d, err := buildDetection(cfg, log, reg, allows)
	return d, cfg.located(err)
}

func buildDetection(cfg *config, log *zap.Logger, reg prometheus.Registerer, allows *allow.Book) (*detection, error) {
	models, err := loadModels(&cfg.Detect.Config, models{})
	if err != nil {
		return nil, err
	}
	copies := ""
	if cfg.StateDir != "" {
		copies = filepath.Join(cfg.StateDir, "lists")
	}
	// A list that could block the servers that weir asks would stop it.
	var own []dnsname.Name
	for _, host := range cfg.Resolver.Upstream.HostNames() {
		if name, err := dnsname.Parse(host); err == nil {
			own = append(own, name)
		}
	}
	lists, err := blocklist.New(cfg.sources(), blocklist.Deps{Log: log.Named("lists"), Registry: reg, Dir: copies, Protected: own})
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	d, err := detect.New(cfg.judging(), cfg.policies(), models.live, detect.Deps{
		Log: log.Named("detect"), Registry: reg, Lists: lists, Suffixes: dnsname.DefaultSuffixes(), Allows: allows,
		Suspects: detect.NewSuspects(dnsname.DefaultSuffixes(), reg),
	})
	if err != nil {
		return nil, exitWith(exitConfig, err)
	}
	popular, err := loadPopularity(cfg)
	if err != nil {
		return nil, err
	}
	d.SetShadow(models.shadow)
	d.SetPopularity(popular)
	lists.SetPopular(popular)
	return &detection{lists: lists, models: models, detector: d, cfg: cfg}, nil
}

// judging is what a new configuration judges by, and not yet in place.
type judging struct {
	cfg     *config
	models  models
	popular *detect.Popularity
}

// prepare loads what next judges by. Nothing changes yet.
func (d *detection) prepare(next *config) (*judging, error) {
	models, err := loadModels(&next.Detect.Config, d.models)
	if err != nil {
		return nil, err
	}
	popular, err := loadPopularity(next)
	return &judging{next, models, popular}, err
}

// replace puts j in place. An error leaves what was before.
func (d *detection) replace(j *judging) error {
	if err := d.lists.Reload(j.cfg.sources()); err != nil {
		return err
	}
	// From here on nothing fails: every value was validated when it was read.
	if err := d.detector.Swap(j.cfg.judging(), j.cfg.policies(), j.models.live); err != nil {
		return err
	}
	d.detector.SetShadow(j.models.shadow)
	d.detector.SetPopularity(j.popular)
	d.lists.SetPopular(j.popular)
	d.models = j.models
	return nil
}

// load reads whatever of the lists is at hand: inline entries, files, and the
// last good copies of URLs. It asks no network.
func (d *detection) load() error {
	return d.cfg.located(exitWith(exitIntegrity, d.lists.Load()))
}

// withoutData are the lists that judge nothing, since nothing of them is at hand.
func (d *detection) withoutData() (names []string) {
	for _, l := range d.lists.Status() {
		if l.Loaded.IsZero() {
			names = append(names, l.Name)
		}
	}
	return names
}

// models are those of a configuration. Either may be nil.
type models struct{ live, shadow *detect.Model }

// loadModels loads the configured model or the built-in one, and the one on
// trial. A model that is loaded already, by its SHA-256, is taken from old, so
// that its scores stay cached.
func loadModels(policy *detect.Config, old models) (m models, err error) {
	if !policy.UsesModel() {
		return m, nil
	}
	cfg := &policy.Model
	if cfg.Path == "" {
		m.live, err = detect.EmbeddedModel()
		err = exitWith(exitIntegrity, err)
	} else {
		m.live, err = loadModel("detect.model.path", cfg.Path)
	}
	if err == nil && cfg.ShadowPath != "" {
		m.shadow, err = loadModel("detect.model.shadow_path", cfg.ShadowPath)
	}
	if err != nil {
		return models{}, err
	}
	m.live, m.shadow = sameModel(m.live, old.live), sameModel(m.shadow, old.shadow)
	return m, nil
}

// sameModel is old if it is the same model as next.
func sameModel(next, old *detect.Model) *detect.Model {
	if next != nil && old != nil && next.Info().SHA256 == old.Info().SHA256 {
		return old
	}
	return next
}

// loadModel loads the model in a folder that the configuration names.
func loadModel(setting, path string) (*detect.Model, error) {
	m, err := detect.LoadModel(os.DirFS(path))
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, detect.ErrModelIntegrity) {
		return nil, exitWith(exitConfig, fmt.Errorf("%s: %s: %w", setting, path, err))
	}
	if err != nil {
		return nil, exitWith(exitIntegrity, fmt.Errorf("%s: %s: %w", setting, path, err))
	}
	return m, nil
}

func loadPopularity(cfg *config) (*detect.Popularity, error) {
	p, err := detect.LoadPopularity(cfg.Detect.Popularity, dnsname.DefaultSuffixes())
	if err != nil {
		return nil, exitWith(exitIntegrity, fmt.Errorf("detect.popularity.files: %w", err))
	}
	return p, nil
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
