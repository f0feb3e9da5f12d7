package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/weirdns/weir/rpz"
	"go.uber.org/zap"
)

type listsExportCmd struct {
	Format string   `default:"rpz" enum:"rpz" help:"rpz, the text form of a response policy zone."`
	Conf   string   `short:"c" name:"config" placeholder:"FILE" required:"" help:"Configuration whose lists and policy are written."`
	Origin string   `placeholder:"NAME" help:"The zone's name. Default: rpz_out.origin."`
	List   []string `placeholder:"LIST" sep:"none" help:"List to write; may be repeated. Default: rpz_out.lists, and if that is empty all."`
}

// Run writes the zone to standard output, with the lists as they are on this
// machine: inline entries, files, and the last good copies of URLs.
func (c *listsExportCmd) Run(std stdio) error {
	cfg, err := loadConfig(c.Conf)
	if err != nil {
		return err
	}
	out := cfg.RPZOut
	if c.Origin != "" {
		out.Origin = c.Origin
	}
	if len(c.List) > 0 {
		out.Lists = c.List
	}
	if err := out.Validate(); err != nil {
		return exitWith(exitUsage, err)
	}
	for _, name := range out.Lists {
		if _, ok := cfg.policies()[name]; !ok {
			return exitWith(exitUsage, fmt.Errorf("no list is named %q", name))
		}
	}
	d, err := newDetection(cfg, zap.NewNop(), newRegistry(), nil)
	if err != nil {
		return err
	}
	if err := d.load(); err != nil {
		return err
	}
	now := time.Now()
	zone := rpz.Zone{
		Origin: out.Origin, TTL: out.TTL, Serial: uint32(now.Unix()), Now: now,
		Inspector: d.detector, Snapshot: d.lists.Snapshot(), Lists: out.Lists,
	}
	counts, err := zone.Write(std.out)
	if err != nil {
		return err
	}
	if counts.Long > 0 {
		fmt.Fprintf(std.err, "weir: %d entries left out: too long below %s\n", counts.Long, out.Origin)
	}
	if counts.Rules == counts.Passes {
		return exitWith(exitIntegrity, errors.New("no list has anything that is enforced"))
	}
	return nil
}
