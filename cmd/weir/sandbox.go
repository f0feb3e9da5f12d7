package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/weirdns/weir/sandbox"
	"go.uber.org/zap"
)

// restrict puts the process into its sandbox, if that is wanted: all addresses
// are bound, and what is read from now on is named in the configuration.
func restrict(cfg *config, configFile string, log *zap.Logger) error {
	if !cfg.Sandbox.Enabled {
		return nil
	}
	done, err := sandbox.Apply(cfg.Sandbox, cfg.paths(configFile))
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	log.Info("sandboxed",
		zap.Bool("landlock", done.Landlock), zap.Bool("seccomp", done.Seccomp),
		zap.Bool("capabilities_dropped", done.Capabilities), zap.Bool("user_changed", done.User),
		zap.Strings("missing", done.Missing))
	return nil
}

// paths are what serve reads and writes. A reload may name others only in the
// same folders, or in sandbox.read.
func (c *config) paths(configFile string) (p sandbox.Paths) {
	read := []string{
		configFile, c.Resolver.TLS.CertFile, c.Resolver.TLS.KeyFile, c.Resolver.Upstream.CAFile,
		c.Detect.Model.Path, c.Detect.Model.ShadowPath, c.Store.TokenFile, c.Privacy.KeyFile,
	}
	read = append(append(read, c.Outlets.files()...), slices.Concat(c.Enrich.Paths(), c.Reputation.files())...)
	read = append(read, c.Alerts.files()...)
	for _, l := range c.Lists {
		read = append(read, l.File, l.AuthKeyFile)
	}
	read = append(read, c.Detect.Popularity.Paths()...)
	for _, f := range read {
		if f != "" {
			p.Read = append(p.Read, f)
		}
	}
	own := []string{c.StateDir}
	if c.Records.COF.Enabled || c.Records.Transactions.Enabled || c.Records.Findings.Enabled {
		own = append(own, c.Records.Dir)
	}
	if c.Store.Enabled {
		own = append(own, c.Store.Dir)
	}
	for _, o := range c.Outlets.Parquet {
		if !o.Disabled {
			own = append(own, o.Folder) // a lake of its own: made where it is missing
		}
	}
	for _, dir := range own {
		if dir != "" {
			p.Own = append(p.Own, dir)
		}
	}
	if c.RPZOut.Path != "" {
		p.Write = append(p.Write, filepath.Dir(c.RPZOut.Path)) // where other servers' files may lie
	}
	p.Write = append(p.Write, c.Outlets.folders()...)
	return p
}
