package main

import (
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"
)

type checkCmd struct {
	Conf string `short:"c" name:"config" placeholder:"FILE" help:"Configuration file to check."`
	File string `arg:"" optional:"" help:"The same, without the flag."`
}

// Validate wants one file, for kong.
func (c *checkCmd) Validate() error {
	if (c.Conf == "") == (c.File == "") {
		return errors.New("which file? weir check -c FILE")
	}
	c.Conf += c.File
	return nil
}

// Run loads everything that serve would, short of binding an address.
func (c *checkCmd) Run(std stdio) error {
	cfg, err := loadServeConfig(c.Conf, func(*config) {})
	if cfg == nil {
		return err
	}
	if err != nil {
		// Whoever corrects the values need not come again for the files.
		return cfg.sorted(exitWith(exitConfig, errors.Join(unwrapExit(err), errors.Join(cfg.unreadable()...))))
	}
	if err := rehearse(cfg); err != nil {
		return err
	}
	for _, w := range cfg.feedsThroughUs(resolvConf) {
		fmt.Fprintln(std.err, "weir: warning:", w)
	}
	fmt.Fprintf(std.out, "%s: ok\n", c.Conf)
	return nil
}

// unreadable are the files that cannot be read, of a configuration that has other
// mistakes too and so cannot be rehearsed.
func (c *config) unreadable() (errs []error) {
	add := func(setting string, err error) {
		for _, e := range split(err) {
			errs = append(errs, unwrapExit(c.located(fmt.Errorf("%s%w", setting, e))))
		}
	}
	for _, l := range c.Lists {
		if l.File == "" || l.Disabled {
			continue
		}
		if _, err := os.Stat(l.File); err != nil {
			add("", fmt.Errorf("list %s: file %s: %w", l.Name, l.File, errors.Unwrap(err)))
		}
	}
	if c.Resolver.TLS.CertFile != "" && c.Resolver.TLS.KeyFile != "" {
		add("resolver.", c.Resolver.CheckFiles())
	}
	add("privacy.", c.Privacy.CheckFiles())
	return errs
}

// sorted is err with its problems in the order of the file.
func (c *config) sorted(err error) error {
	if err == nil || c.doc == nil {
		return err
	}
	code := exitFailure
	if coded, ok := errors.AsType[*exitError](err); ok {
		code = coded.code
	}
	c.doc.errs = split(unwrapExit(err))
	return exitWith(code, c.doc.err())
}

// rehearse builds what serve would build, short of sockets and folders, and
// reports everything that is wrong with it.
func rehearse(cfg *config) error {
	log, reg := zap.NewNop(), newRegistry()
	var errs []error
	d, err := newDetection(cfg, log, reg, nil)
	if err == nil {
		err = d.load()
	}
	code := exitConfig
	if coded, ok := errors.AsType[*exitError](err); ok {
		code = coded.code // a damaged list or model is no mistake in the configuration
	}
	errs = append(errs, unwrapExit(err))
	late := func(setting string, err error) {
		for _, e := range split(unwrapExit(err)) {
			errs = append(errs, unwrapExit(cfg.located(fmt.Errorf("%s%w", setting, e))))
		}
	}
	late("resolver.", cfg.Resolver.CheckFiles())
	_, err = newUpstreams(cfg.Resolver.Upstream, log, reg)
	late("", err)
	late("", cfg.Outlets.rehearse())
	late("", cfg.Alerts.rehearse())
	late("privacy.", cfg.Privacy.CheckFiles())
	if tables, err := loadContext(cfg); err == nil {
		late("enrich: ", tables.Close())
	} else {
		late("", err)
	}
	if cfg.explicitState {
		late("state_dir: ", canMake(cfg.StateDir))
	}
	if cfg.Store.Enabled {
		_, err := readToken(cfg.Store.TokenFile)
		late("", err)
		if cfg.explicitState || cfg.explicitStore {
			late("store.dir: ", canMake(cfg.Store.Dir))
		}
	}
	if cfg.Records.COF.Enabled || cfg.Records.Transactions.Enabled {
		if cfg.explicitState || cfg.explicitRecords {
			late("records.dir: ", canMake(cfg.Records.Dir))
		}
	}
	return cfg.sorted(exitWith(code, errors.Join(errs...)))
}
