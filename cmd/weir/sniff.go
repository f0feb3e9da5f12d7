package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/enrich"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/pdns/encode"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/reputation"
	"github.com/weirdns/weir/unusual"
	"go.uber.org/zap"
)

// sniffCmd reads captures or interfaces. Its outputs are files, or standard
// output for "-"; from interfaces, without any, the records of the
// configuration.
type sniffCmd struct {
	Read          string        `short:"r" placeholder:"FILE" help:"Capture to read, or a folder of them: pcap, pcapng, snoop or ERF, plain, gzip, zstd or LZ4; \"-\" is standard input."`
	Input         string        `arg:"" optional:"" name:"file" help:"The same, without the flag."`
	Interface     []string      `short:"i" placeholder:"NAME" sep:"none" help:"Interface to read; may be repeated. Overrides capture.live.interfaces."`
	Dnstap        []string      `placeholder:"ADDR" sep:"none" help:"Take dnstap from resolvers at unix:PATH or tcp:IP:PORT; may be repeated. Overrides capture.dnstap.listen."`
	Follow        bool          `short:"f" help:"Read the file as it grows, or new files of the folder as they come, until SIGTERM."`
	Conf          string        `short:"c" name:"config" placeholder:"FILE" help:"Configuration whose lists, model and policy judge."`
	Transactions  string        `placeholder:"FILE" help:"Write one JSON line for each query and its outcome; \"-\" is standard output."`
	COF           string        `name:"cof" placeholder:"FILE" help:"Write passive DNS lines in the Common Output Format; \"-\" is standard output."`
	Findings      string        `placeholder:"FILE" help:"Look for encrypted DNS, bypassed resolvers, answers that contradict each other, and what detect.behaviour watches for, and write one JSON line for each; \"-\" is standard output."`
	Unusual       string        `placeholder:"FILE" help:"Write what is least usual of each day at the end, one JSON object a day; \"-\" is standard output."`
	Summary       string        `placeholder:"FILE" help:"Write counts of packets, messages and drops as one JSON object; \"-\" is standard output, the default for captures if no other output is asked for."`
	Format        encode.Format `default:"native" placeholder:"native|zeek|zeek_json|eve|ecs|ocsf|spot|csv" help:"Form of the transactions."`
	ClientAddress privacy.Mode  `default:"truncated" placeholder:"truncated|none|hash|ipcrypt|full" help:"How much of clients' addresses transactions and findings hold. The keys of hash and ipcrypt are in privacy.key_file; without it hash has one that is forgotten at the end."`
	Admin         *string       `placeholder:"ADDR" help:"While it goes on (interfaces, dnstap, --follow): address for metrics and health; empty switches them off. Overrides admin.listen."`
	State         string        `placeholder:"DIR" help:"While it goes on: state folder. Overrides state_dir."`
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
	if c.Read != "" && c.Input != "" {
		return errors.New("only one of --read and FILE")
	}
	c.Read += c.Input
	sources := 0
	for _, given := range []bool{c.Read != "", len(c.Interface) > 0, len(c.Dnstap) > 0} {
		if given {
			sources++
		}
	}
	if sources > 1 {
		return errors.New("only one of --read, --interface and --dnstap")
	}
	if c.Follow && (c.Read == "" || c.Read == "-") {
		return errors.New("--follow: which file or folder?")
	}
	if c.Admin != nil && *c.Admin != "" && c.Read != "" && !c.Follow {
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
	switch live, taps := len(cfg.Capture.Live.Interfaces) > 0, len(cfg.Capture.Dnstap.Listen) > 0; {
	case c.Read != "":
		if err := c.readable(); err != nil {
			return err
		}
	case live && taps:
		return exitWith(exitConfig, errors.New("capture: only one of live.interfaces and dnstap.listen"))
	case !live && !taps:
		return exitWith(exitUsage, errors.New("what is to be read? A capture (weir sniff FILE), --interface NAME or --dnstap ADDR"))
	}
	log, err := newLogger(cfg.Log, std)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	s := &sniffer{cmd: c, cfg: cfg, log: log, registry: newRegistry(), std: std}
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
	if c.Read == "" || c.Follow {
		return s.watch(ctx)
	}
	return s.read(ctx)
}

// readable says what is wrong with what is to be read, before anything is made.
func (c *sniffCmd) readable() error {
	if c.Read == "-" {
		return nil
	}
	info, err := os.Stat(c.Read)
	switch {
	case errors.Is(err, fs.ErrNotExist) && isInterface(c.Read):
		return fmt.Errorf("%s: no such file; for the interface of that name: weir sniff --interface %s", c.Read, c.Read)
	case err != nil:
		return fmt.Errorf("%s: %w", c.Read, errors.Unwrap(err))
	case info.Mode().IsRegular() && info.Size() == 0 && !c.Follow:
		return fmt.Errorf("%s: the file is empty", c.Read)
	case !info.Mode().IsRegular() && !info.IsDir():
		return nil // a pipe is opened once
	}
	f, err := os.Open(filepath.Clean(c.Read))
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
	open      outputs
	privacy   *privacy.Guard       // of the files that were asked for
	summary   io.Writer            // nil: not asked for
	told      []detect.FindingSink // who was asked for
	findings  *findings
	context   *enrich.Enricher
	ranked    io.Writer        // what unusual is written to; nil: not asked for
	unusual   *unusual.Tracker // for ranked
	alerts    *alerting        // nil: off, or what passed goes to files
	lock      *os.File         // of the state folder
	history   *history         // nil: off, or what passed goes to files
}

// outputs opens what was asked for and returns the sinks.
func (s *sniffer) outputs() ([]detect.Sink, error) {
	c := s.cmd
	sinks := []detect.Sink{s.detection.detector}
	if err := c.distinct(); err != nil {
		return nil, exitWith(exitUsage, err)
	}
	if c.Transactions != "" {
		f, err := s.open.create(c.Transactions, s.std.out)
		if err != nil {
			return nil, err
		}
		w := pdns.NewTransactionWriter(f, c.Format, s.privacy, nil)
		known, err := s.known()
		if err != nil {
			return nil, err
		}
		w.EnrichWith(known)
		sinks = append(sinks, s.open.writer(c.Transactions, w))
	}
	if c.COF != "" {
		f, err := s.open.create(c.COF, s.std.out)
		if err != nil {
			return nil, err
		}
		w := pdns.NewCOFWriter(f, s.cfg.Records.COF, s.privacy, s.cfg.Records.SensorID)
		sinks = append(sinks, s.open.writer(c.COF, w))
	}
	if c.Findings != "" {
		f, err := s.open.create(c.Findings, s.std.out)
		if err != nil {
			return nil, err
		}
		w := pdns.NewFindingWriter(f, s.privacy)
		s.told = append(s.told, w)
		s.open.closes(c.Findings, w)
	}
	if c.Unusual != "" {
		var err error
		if s.ranked, err = s.open.create(c.Unusual, s.std.out); err != nil {
			return nil, err
		}
		if s.unusual, err = unusualOf(s.cfg, s.privacy, s.detection.detector); err != nil {
			return nil, err
		}
		sinks = append(sinks, s.unusual)
	}
	if c.Summary != "" {
		var err error
		if s.summary, err = s.open.create(c.Summary, s.std.out); err != nil {
			return nil, err
		}
	}
	return sinks, nil
}

// known says what is known beside what was read. Services are not asked: what is
// read is past.
func (s *sniffer) known() (pdns.Enricher, error) {
	return reputation.New(reputation.Config{Lists: s.cfg.Reputation.Lists}, s.context, prometheus.NewRegistry())
}

// packetFindings are who is told what packets show, where that was asked for:
// the kernel's filter then lets more through.
func (s *sniffer) packetFindings() []detect.FindingSink {
	if s.cmd.Findings == "" {
		return nil
	}
	return []detect.FindingSink{s.findings.entry}
}

// readGCPercent lets garbage grow to twice of what is in use before it is
// collected: less of the processor's time for a capture, at below 100 MB. Who
// watches for weeks keeps to Go's 100.
const readGCPercent = 200

// read reads the capture and writes what was asked for. Where reading fails,
// what was read until then is written, and the summary says how much; where the
// capture cannot even be opened, no output is touched.
func (s *sniffer) read(ctx context.Context) (err error) {
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
	reader, err := capture.New(s.cfg.Capture, capture.Deps{Inspector: s.detection.detector, Sinks: sinks, Findings: s.packetFindings(), Log: s.log, Registry: s.registry})
	if err != nil {
		return err
	}
	if c.Read == "-" {
		err = reader.Read(ctx, s.std.in)
	} else {
		err = reader.ReadFile(ctx, c.Read)
	}
	if errors.Is(err, capture.ErrFormat) {
		return err
	}
	s.account(reader.Summary())
	return errors.Join(err, s.summarize(reader))
}

// account says what became of the packets, where no summary was asked for.
func (s *sniffer) account(sum capture.Summary) {
	if sum.Packets == 0 {
		s.log.Warn("no packet was read", zap.String("from", s.cmd.Read))
		return
	}
	if s.summary != nil {
		return
	}
	dropped := uint64(0)
	for _, reasons := range sum.Drops {
		for _, n := range reasons {
			dropped += n
		}
	}
	s.log.Info("capture read; --summary says why packets are dropped", zap.Uint64("packets", sum.Packets),
		zap.Uint64("dns_messages", sum.DNSMessages), zap.Uint64("transactions", sum.Transactions), zap.Uint64("dropped", dropped))
}

// summarize writes the summary and the ranking where they are asked for.
func (s *sniffer) summarize(c *capture.Capture) error {
	if s.unusual != nil {
		if err := writeRankings(s.ranked, s.unusual); err != nil {
			return err
		}
	}
	if s.summary == nil {
		return nil
	}
	enc := json.NewEncoder(s.summary)
	enc.SetIndent("", "  ")
	return enc.Encode(c.Summary())
}

// distinct refuses outputs that are the same file, or the capture itself: one
// would overwrite the other.
func (c *sniffCmd) distinct() error {
	type named struct {
		flag, path string
		info       os.FileInfo // nil: there is no such file yet
	}
	var seen []named
	for _, n := range []named{{flag: "-r", path: c.Read}, {flag: "--transactions", path: c.Transactions}, {flag: "--cof", path: c.COF}, {flag: "--findings", path: c.Findings}, {flag: "--unusual", path: c.Unusual}, {flag: "--summary", path: c.Summary}} {
		if n.path == "" || n.path == "-" {
			continue
		}
		n.info, _ = os.Stat(n.path) // missing is fine here
		if len(seen) > 0 && seen[0].info != nil && seen[0].info.IsDir() {
			if dir, err := os.Stat(filepath.Dir(n.path)); err == nil && os.SameFile(dir, seen[0].info) {
				return fmt.Errorf("%s is in the folder that is read, %s", n.flag, c.Read)
			}
		}
		for _, o := range seen {
			same := filepath.Clean(n.path) == filepath.Clean(o.path) ||
				n.info != nil && o.info != nil && n.info.Mode().IsRegular() && os.SameFile(n.info, o.info)
			if same {
				return fmt.Errorf("%s and %s are the same file, %s", o.flag, n.flag, n.path)
			}
		}
		seen = append(seen, n)
	}
	return nil
}
