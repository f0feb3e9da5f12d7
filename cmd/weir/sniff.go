package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"go.uber.org/zap"
)

// sniffCmd reads a capture. Its outputs are files, or standard output for "-".
type sniffCmd struct {
	Read          string             `short:"r" required:"" placeholder:"FILE" help:"Capture to read, or a folder of them: pcap or pcapng, plain, gzip or zstd; \"-\" is standard input."`
	Conf          string             `short:"c" name:"config" placeholder:"FILE" help:"Configuration whose lists, model and policy judge."`
	Transactions  string             `placeholder:"FILE" help:"Write one JSON line for each query and its outcome; \"-\" is standard output."`
	COF           string             `name:"cof" placeholder:"FILE" help:"Write passive DNS lines in the Common Output Format; \"-\" is standard output."`
	Summary       string             `placeholder:"FILE" help:"Write counts of packets, messages and drops as one JSON object; \"-\" is standard output, the default if no other output is asked for."`
	ClientAddress pdns.ClientAddress `default:"truncated" placeholder:"full|truncated|none" help:"How much of clients' addresses the transactions hold."`
}

// Validate checks the flags against each other, for kong.
func (c *sniffCmd) Validate() error {
	outs := 0
	for _, out := range []string{c.Transactions, c.COF, c.Summary} {
		if out == "-" {
			outs++
		}
	}
	if outs > 1 {
		return errors.New("only one of --transactions, --cof and --summary can be standard output")
	}
	return nil
}

// Run reads the capture through the detection of the configuration, as the
// resolver would have judged it.
func (c *sniffCmd) Run(std stdio) error {
	cfg, err := loadConfig(c.Conf)
	if err != nil {
		return err
	}
	log, err := newLogger(cfg.Log, std)
	if err != nil {
		return err
	}
	registry := newRegistry()
	d, err := newDetection(cfg, log, registry)
	if err != nil {
		return err
	}
	if err := d.load(); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return c.sniff(ctx, sniffParts{
		capture: cfg.Capture, cof: cfg.Records.COF, sensorID: cfg.Records.SensorID,
		inspector: d.detector, sinks: []detect.Sink{d.detector}, log: log, registry: registry, in: std.in, out: std.out,
	})
}

// sniffParts are what a sniffer is put together from.
type sniffParts struct {
	capture   capture.Config
	cof       pdns.COFConfig
	sensorID  string
	inspector capture.Inspector
	sinks     []detect.Sink // in front of the files
	log       *zap.Logger
	registry  prometheus.Registerer
	in        io.Reader
	out       io.Writer
}

// sniff reads the capture and writes what was asked for. Where reading fails,
// what was read until then is written, and the summary says how much; where the
// capture cannot even be opened, no output is touched.
func (c *sniffCmd) sniff(ctx context.Context, p sniffParts) (err error) {
	if c.Transactions == "" && c.COF == "" && c.Summary == "" {
		c.Summary = "-"
	}
	if err := c.distinct(); err != nil {
		return exitWith(exitUsage, err)
	}
	if _, err := os.Stat(c.Read); err != nil && c.Read != "-" {
		return err
	}
	var open outputs
	defer func() { err = errors.Join(err, open.close()) }()
	if c.Transactions != "" {
		f, err := open.create(c.Transactions, p.out)
		if err != nil {
			return err
		}
		w := pdns.NewTransactionWriter(f, c.ClientAddress, nil)
		p.sinks = append(p.sinks, w)
		open.flush(c.Transactions, w)
	}
	if c.COF != "" {
		f, err := open.create(c.COF, p.out)
		if err != nil {
			return err
		}
		w := pdns.NewCOFWriter(f, p.cof, p.sensorID)
		p.sinks = append(p.sinks, w)
		open.flush(c.COF, w)
	}
	var summary io.Writer
	if c.Summary != "" {
		if summary, err = open.create(c.Summary, p.out); err != nil {
			return err
		}
	}
	reader, err := capture.New(p.capture, capture.Deps{Inspector: p.inspector, Sinks: p.sinks, Log: p.log, Registry: p.registry})
	if err != nil {
		return err
	}
	if c.Read == "-" {
		err = reader.Read(ctx, p.in)
	} else {
		err = reader.ReadFile(ctx, c.Read)
	}
	if summary != nil && !errors.Is(err, capture.ErrFormat) {
		enc := json.NewEncoder(summary)
		enc.SetIndent("", "  ")
		err = errors.Join(err, enc.Encode(reader.Summary()))
	}
	return err
}

// distinct refuses outputs that are the same file, or the capture itself: one
// would overwrite the other.
func (c *sniffCmd) distinct() error {
	type named struct {
		flag, path string
		info       os.FileInfo // nil: there is no such file yet
	}
	var seen []named
	for _, n := range []named{{flag: "-r", path: c.Read}, {flag: "--transactions", path: c.Transactions}, {flag: "--cof", path: c.COF}, {flag: "--summary", path: c.Summary}} {
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

// outputs are open files, and what has to be flushed into them before they are
// closed.
type outputs struct{ closers []func() error }

func (o *outputs) create(path string, stdout io.Writer) (io.Writer, error) {
	if path == "-" {
		return stdout, nil
	}
	// Transactions say who asked for what: not for everybody to read.
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return nil, err
	}
	o.closers = append(o.closers, f.Close)
	return f, nil
}

func (o *outputs) flush(path string, w *pdns.Writer) {
	o.closers = append(o.closers, func() error {
		if err := w.Close(); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

// close flushes before it closes: in the opposite order of opening.
func (o *outputs) close() error {
	var errs []error
	for i := len(o.closers) - 1; i >= 0; i-- {
		errs = append(errs, o.closers[i]())
	}
	return errors.Join(errs...)
}
