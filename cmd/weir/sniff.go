package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/enrich"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/unusual"
	"go.uber.org/zap"
)

// sniffCmd reads captures or interfaces. Its outputs are files, or standard
// output for "-"; from interfaces, without any, the records of the
// configuration.
type sniffCmd struct {
	Read          []string      `short:"r" placeholder:"FILE" sep:"none" help:"Capture to read, or a folder of them: pcap, pcapng, snoop, ERF or frames of dnstap, plain, gzip, zstd or LZ4; \"-\" is standard input; may be repeated. Several are read in the order given, as if they were one."`
	Input         []string      `arg:"" optional:"" name:"file" help:"The same, without the flag."`
	Interface     []string      `short:"i" placeholder:"NAME" sep:"none" help:"Interface to read, until SIGTERM or SIGINT (Ctrl-C); may be repeated. Overrides capture.live.interfaces."`
	Dnstap        []string      `placeholder:"ADDR" sep:"none" help:"Take dnstap from resolvers at unix:PATH or tcp:IP:PORT; may be repeated. Overrides capture.dnstap.listen."`
	Follow        bool          `short:"f" help:"Read the file as it grows, or new files of the folder as they come, until SIGTERM or SIGINT (Ctrl-C)."`
	Conf          string        `short:"c" name:"config" placeholder:"FILE" help:"Configuration whose lists, model and policy judge."`
	Transactions  string        `type:"once" placeholder:"FILE" help:"Write one JSON line for each query and its outcome; \"-\" is standard output."`
	COF           string        `name:"cof" type:"once" placeholder:"FILE" help:"Write passive DNS lines in the Common Output Format; \"-\" is standard output."`
	Findings      string        `type:"once" placeholder:"FILE" help:"Look for encrypted DNS, bypassed resolvers, answers that contradict each other, and what detect.behaviour watches for, and write one JSON line for each; \"-\" is standard output."`
	Unusual       string        `type:"once" placeholder:"FILE" help:"Write what is least usual of each day at the end, one JSON object a day; \"-\" is standard output."`
	Summary       string        `type:"once" placeholder:"FILE" help:"Write counts of packets, messages, drops and lost lines as one JSON object at the end; \"-\" is standard output, the default for captures if no other output is asked for."`
	Format        encode.Format `default:"native" placeholder:"native|zeek|zeek_json|eve|ecs|ocsf|spot|csv" help:"Form of the transactions."`
	ClientAddress privacy.Mode  `default:"truncated" placeholder:"truncated|none|hash|ipcrypt|full" help:"How much of clients' addresses transactions and findings hold. The keys of hash and ipcrypt are in privacy.key_file; without it hash has one that is forgotten at the end."`
	Admin         *string       `placeholder:"ADDR" help:"While it goes on (interfaces, dnstap, --follow): address for metrics and health; empty switches them off. Overrides admin.listen."`
	State         string        `placeholder:"DIR" help:"State folder: of records and of what is known of clients while it goes on, and of the copies of lists that weir serve fetched. Overrides state_dir."`
}

// Validate checks the flags against each other, for kong.
func (c *sniffCmd) Validate() error {
	if c.Format != encode.Native && c.Transactions == "" {
		return errors.New("--format is the form of the transactions: --transactions FILE, or - for standard output, is missing")
	}
	outs := 0
	for _, out := range []string{c.Transactions, c.COF, c.Findings, c.Unusual, c.Summary} {
		if out == "-" {
			outs++
		}
	}
	if outs > 1 {
		return errors.New("only one of --transactions, --cof, --findings, --unusual and --summary can be standard output")
	}
	c.Read, c.Input = append(c.Read, c.Input...), nil
	sources := 0
	for _, given := range []bool{len(c.Read) > 0, len(c.Interface) > 0, len(c.Dnstap) > 0} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return errors.New("only one of --read, --interface and --dnstap")
	}
	if c.Follow && (len(c.Read) != 1 || c.Read[0] == "-") {
		return errors.New("--follow: which file or folder? It takes one")
	}
	if readsStdinTwice(c.Read) {
		return errors.New("standard input (-) can be read once")
	}
	if c.Admin != nil && *c.Admin != "" && len(c.Read) > 0 && !c.Follow {
		return errors.New("--admin is for what goes on (--interface, --dnstap, --follow): a capture is read to its end")
	}
	if c.Admin != nil && *c.Admin != "" {
		if _, err := netip.ParseAddrPort(*c.Admin); err != nil {
			return fmt.Errorf("--admin: must be IP:port, or empty to switch it off, got %q", *c.Admin)
		}
	}
	return nil
}

// load reads the configuration, with what flags say instead.
func (c *sniffCmd) load() (*config, error) {
	return loadConfigWith(c.Conf, func(cfg *config) {
		if len(c.Interface) > 0 {
			cfg.Capture.Live.Interfaces, cfg.Capture.Dnstap.Listen = c.Interface, nil
		}
		if len(c.Dnstap) > 0 {
			cfg.Capture.Live.Interfaces, cfg.Capture.Dnstap.Listen = nil, c.Dnstap
		}
		if c.Admin != nil {
			cfg.Admin.Listen = *c.Admin
		}
		if c.State != "" {
			cfg.StateDir = c.State
		}
	})
}

// Run reads through the detection of the configuration, as the resolver would
// have judged it.
func (c *sniffCmd) Run(std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	named := len(c.Read)
	var unreadable error
	switch live, taps := len(cfg.Capture.Live.Interfaces) > 0, len(cfg.Capture.Dnstap.Listen) > 0; {
	case len(c.Read) > 0:
		if unreadable = c.keepReadable(); len(c.Read) == 0 {
			return unreadable
		}
	case live && taps:
		return exitWith(exitConfig, errors.New("capture: only one of live.interfaces and dnstap.listen"))
	case !live && !taps:
		return exitWith(exitUsage, errors.New("what is to be read? A capture (weir sniff FILE), --interface NAME or --dnstap ADDR"))
	}
	bar := newProgress(std.err)
	log, err := newLogger(cfg.Log, stdio{err: bar})
	if err != nil {
		return err
	}
	defer brokenPipes()()
	signalled, stop := untilSignal(log)
	defer stop()
	ctx, giveUp := context.WithCancel(signalled)
	defer giveUp()
	s := &sniffer{cmd: c, cfg: cfg, log: log, registry: newRegistry(), std: std, bar: bar}
	s.open.none = giveUp
	if s.detection, err = newDetection(cfg, log, s.registry, nil); err != nil {
		return err
	}
	if err := s.detection.load(); err != nil {
		return err
	}
	if s.privacy, err = cfg.privacyFor(c.ClientAddress); err != nil {
		return err
	}
	if s.context, err = newContext(cfg, s.registry); err != nil {
		return err
	}
	defer func() { _ = s.context.Close() }() // read only: nothing to lose
	if len(c.Read) == 0 || c.Follow {
		return s.watch(ctx)
	}
	s.several, s.unreadable = named > 1, unreadable
	return s.read(ctx, signalled)
}

// keepReadable says what is wrong with what is to be read, before anything is
// made, and keeps the rest.
func (c *sniffCmd) keepReadable() error {
	var good []string
	var errs []error
	for _, path := range c.Read {
		if err := readable(path, c.Follow); err != nil {
			errs = append(errs, err)
			continue
		}
		good = append(good, path)
	}
	c.Read = good
	return errors.Join(errs...)
}

func readable(path string, grows bool) error {
	if path == "-" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isInterface(path):
		return fmt.Errorf("%s: no such file; for the interface of that name: weir sniff --interface %s", path, path)
	case err != nil:
		return fmt.Errorf("%s: %w", path, errors.Unwrap(err))
	case info.Mode().IsRegular() && info.Size() == 0 && !grows:
		return fmt.Errorf("%s: the file is empty", path)
	case !info.Mode().IsRegular() && !info.IsDir():
		return nil // a pipe is opened once
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return f.Close()
}

func isInterface(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// sniffer is a sniff under way.
type sniffer struct {
	cmd       *sniffCmd
	cfg       *config
	log       *zap.Logger
	registry  *prometheus.Registry
	detection *detection
	std       stdio
	bar       *progress // of captures that are read to their end
	several   bool      // were named, of which
	// unreadable says what is wrong with those that are not even tried.
	unreadable error
	open       outputs
	privacy    *privacy.Guard       // of the files that were asked for
	summary    *output              // nil: not asked for
	told       []detect.FindingSink // who was asked for
	findings   *findings
	context    *enrich.Enricher
	ranked     *output          // what unusual is written to; nil: not asked for
	unusual    *unusual.Tracker // for ranked
	alerts     *alerting        // nil: off, or what passed goes to files
	lock       *os.File         // of the state folder
	history    *history         // nil: off, or what passed goes to files
}

// readGCPercent lets garbage grow to twice of what is in use before it is
// collected: less of the processor's time for a capture, at below 100 MB. Who
// watches for weeks keeps to Go's 100.
const readGCPercent = 200

// read reads the captures and writes what was asked for. Where reading fails, or
// a signal ends it, what was read until then is written, and the summary says how
// much; where nothing can even be opened, no output is touched.
func (s *sniffer) read(ctx, signalled context.Context) (err error) {
	if os.Getenv("GOGC") == "" {
		defer debug.SetGCPercent(debug.SetGCPercent(readGCPercent))
	}
	c := s.cmd
	if c.Transactions == "" && c.COF == "" && c.Findings == "" && c.Unusual == "" && c.Summary == "" {
		c.Summary = "-"
	}
	defer func() { err = errors.Join(err, s.open.close()) }()
	sinks, err := s.outputs()
	if err != nil {
		return err
	}
	if missing := s.detection.withoutData(); len(missing) > 0 {
		s.log.Warn("lists judge nothing: nothing of them is on this machine", zap.Strings("lists", missing))
	}
	if len(s.told) > 0 {
		known, err := s.known()
		if err != nil {
			return err
		}
		if s.findings, err = newFindings(s.cfg, s.detection.detector, s.registry, false, s.told, known, s.privacy); err != nil {
			return err
		}
		sinks = append(sinks, s.findings.watch)
	}
	if s.shows() {
		s.bar.begin(s.std.in, c.Read)
		sinks = append(sinks, s.bar)
	}
	in := &inputs{ctx: ctx, stdin: s.std.in, bar: s.bar}
	reader, err := capture.New(s.cfg.Capture, capture.Deps{
		Inspector: s.detection.detector, Sinks: sinks, Findings: s.packetFindings(), Open: in.open, Log: s.log, Registry: s.registry,
	})
	if err != nil {
		return err
	}
	err = errors.Join(s.unreadable, namedStdin(reader.ReadFiles(ctx, c.Read...)))
	s.bar.end()
	if err != nil && s.several && ctx.Err() == nil {
		err = errors.Join(err, errors.New("not all could be read: what was written is of the rest"))
	}
	early := errors.New("no output is left that can be written: the rest was not read")
	if signalled.Err() != nil {
		early = errors.New("interrupted: what was written is of what was read until then")
	}
	err = ended(err, early)
	sum := reader.Summary()
	if errors.Is(err, capture.ErrFormat) && sum.Packets == 0 {
		return err
	}
	s.account(&sum)
	return errors.Join(err, s.summarize(reader))
}

// shows says whether a bar is of use: not between lines on the same terminal.
func (s *sniffer) shows() bool {
	c := s.cmd
	return c.Transactions != "-" && c.COF != "-" && c.Findings != "-" || !isTerminal(s.std.out)
}
