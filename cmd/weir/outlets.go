package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/pdns/outlet"
	"github.com/weirdns/weir/pdns/outlet/clickhouse"
	"github.com/weirdns/weir/pdns/outlet/dnstap"
	"github.com/weirdns/weir/pdns/outlet/httpout"
	"github.com/weirdns/weir/pdns/outlet/kafka"
	"github.com/weirdns/weir/pdns/outlet/parquetout"
	"github.com/weirdns/weir/pdns/outlet/postgres"
	"github.com/weirdns/weir/pdns/outlet/syslog"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

// outletsConfig are the services that transactions are sent to, by kind.
type outletsConfig struct {
	HTTP       []httpOutlet       `yaml:"http"`
	Kafka      []kafkaOutlet      `yaml:"kafka"`
	ClickHouse []clickhouseOutlet `yaml:"clickhouse"`
	Postgres   []postgresOutlet   `yaml:"postgres"`
	Syslog     []syslogOutlet     `yaml:"syslog"`
	Dnstap     []dnstapOutlet     `yaml:"dnstap"`
	Parquet    []parquetOutlet    `yaml:"parquet"`
}

// httpOutlet knows the defaults of an element, as the YAML reader wants it.
type httpOutlet struct {
	httpout.Config `yaml:",inline"`
}

func (c *httpOutlet) setDefaults() { c.Config = httpout.DefaultConfig() }

type kafkaOutlet struct {
	kafka.Config `yaml:",inline"`
}

func (c *kafkaOutlet) setDefaults() { c.Config = kafka.DefaultConfig() }

type clickhouseOutlet struct {
	clickhouse.Config `yaml:",inline"`
}

func (c *clickhouseOutlet) setDefaults() { c.Config = clickhouse.DefaultConfig() }

type postgresOutlet struct {
	postgres.Config `yaml:",inline"`
}

func (c *postgresOutlet) setDefaults() { c.Config = postgres.DefaultConfig() }

type syslogOutlet struct {
	syslog.Config `yaml:",inline"`
}

func (c *syslogOutlet) setDefaults() { c.Config = syslog.DefaultConfig() }

type dnstapOutlet struct {
	dnstap.Config `yaml:",inline"`
}

func (c *dnstapOutlet) setDefaults() { c.Config = dnstap.DefaultConfig() }

type parquetOutlet struct {
	parquetout.Config `yaml:",inline"`
}

func (c *parquetOutlet) setDefaults() { c.Config = parquetout.DefaultConfig() }

// outletDeps are what sinks are made with.
type outletDeps struct {
	guard  *privacy.Guard // writes clients that are kept as they may be
	sensor string         // names this instance in rows
	dir    string         // of all spools
}

// outletKind is an outlet of any kind.
type outletKind struct {
	at       string // its path in the configuration
	common   outlet.Config
	validate func() error
	files    func() []string
	sink     func(outletDeps) (outlet.Sink, error)
	folders  func() []string // of others that it writes to; nil: none
}

func (c *outletsConfig) all() (out []outletKind) {
	for i := range c.HTTP {
		o := &c.HTTP[i].Config
		out = append(out, outletKind{fmt.Sprintf("outlets.http[%d]", i), o.Config, o.Validate, o.Files,
			func(d outletDeps) (outlet.Sink, error) { return httpout.New(*o, d.guard) }, nil})
	}
	for i := range c.Kafka {
		o := &c.Kafka[i].Config
		out = append(out, outletKind{fmt.Sprintf("outlets.kafka[%d]", i), o.Config, o.Validate, o.Files,
			func(d outletDeps) (outlet.Sink, error) { return kafka.New(*o, d.guard) }, nil})
	}
	for i := range c.ClickHouse {
		o := &c.ClickHouse[i].Config
		out = append(out, outletKind{fmt.Sprintf("outlets.clickhouse[%d]", i), o.Config, o.Validate, o.Files,
			func(d outletDeps) (outlet.Sink, error) { return clickhouse.New(*o, d.sensor, d.guard) }, nil})
	}
	for i := range c.Postgres {
		o := &c.Postgres[i].Config
		out = append(out, outletKind{fmt.Sprintf("outlets.postgres[%d]", i), o.Config, o.Validate, o.Files,
			func(d outletDeps) (outlet.Sink, error) { return postgres.New(*o, d.sensor, d.guard) }, nil})
	}
	for i := range c.Syslog {
		o := &c.Syslog[i].Config
		out = append(out, outletKind{fmt.Sprintf("outlets.syslog[%d]", i), o.Config, o.Validate, o.Files,
			func(d outletDeps) (outlet.Sink, error) { return syslog.New(*o, d.guard) }, nil})
	}
	for i := range c.Dnstap {
		o := &c.Dnstap[i].Config
		out = append(out, outletKind{fmt.Sprintf("outlets.dnstap[%d]", i), o.Config, o.Validate, o.ReadFiles,
			func(outletDeps) (outlet.Sink, error) { return dnstap.New(*o, "weir "+buildVersion()) }, o.Folders})
	}
	for i := range c.Parquet {
		o := &c.Parquet[i].Config
		out = append(out, outletKind{fmt.Sprintf("outlets.parquet[%d]", i), o.Config, o.Validate, o.Files,
			func(d outletDeps) (outlet.Sink, error) {
				// No outlet's name has a dot, so the folder is nobody's spool.
				work := filepath.Join(d.dir, o.Name+".work")
				return parquetout.New(*o, d.guard, parquetout.Deps{Work: work, Sensor: d.sensor})
			}, nil})
	}
	return out
}

// check adds what is wrong with the outlets to doc.
func (c *outletsConfig) check(doc *document) {
	names := map[string]bool{}
	for _, o := range c.all() {
		doc.add(o.at, o.validate())
		if names[o.common.Name] && o.common.Name != "" {
			doc.add(o.at, fmt.Errorf("name: %q is used by an earlier outlet", o.common.Name))
		}
		names[o.common.Name] = true
	}
}

// files are those that enabled outlets read.
func (c *outletsConfig) files() (out []string) {
	for _, o := range c.all() {
		if !o.common.Disabled {
			out = append(out, o.files()...)
		}
	}
	return out
}

// folders are those that enabled outlets write to, beside their spools.
func (c *outletsConfig) folders() (out []string) {
	for _, o := range c.all() {
		if !o.common.Disabled && o.folders != nil {
			out = append(out, o.folders()...)
		}
	}
	return out
}

// rehearse reads what the outlets would.
func (c *outletsConfig) rehearse() error {
	var errs []error
	for _, o := range c.all() {
		if o.common.Disabled || o.validate() != nil {
			continue // said already
		}
		sink, err := o.sink(outletDeps{guard: privacy.Plain(privacy.None)})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%w", o.at, err))
			continue
		}
		if err := sink.Close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.at, err))
		}
	}
	return errors.Join(errs...)
}

// outletsFolder is the folder of all spools in the state folder.
const outletsFolder = "outlets"

// open makes the enabled outlets. They connect to nobody before they run.
func (c *outletsConfig) open(cfg *config, guard *privacy.Guard, log *zap.Logger, reg prometheus.Registerer) (open openOutlets, err error) {
	deps := outletDeps{guard: privacy.Kept(cfg.Privacy), sensor: cfg.Records.SensorID, dir: filepath.Join(cfg.StateDir, outletsFolder)}
	var errs []error
	for _, o := range c.all() {
		if o.common.Disabled {
			continue
		}
		sink, err := o.sink(deps)
		if err != nil {
			errs = append(errs, exitWith(exitConfig, fmt.Errorf("%s.%w", o.at, err)))
			continue
		}
		out, err := outlet.New(o.common, sink, outlet.Deps{
			Dir: filepath.Join(deps.dir, o.common.Name), Log: log.Named("outlets"), Registry: reg, Privacy: guard,
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		kind, _, _ := strings.Cut(strings.TrimPrefix(o.at, "outlets."), "[")
		open = append(open, openOutlet{out, o.common.Name, kind, o.common.QueueBytes})
	}
	return open, errors.Join(errs...)
}
