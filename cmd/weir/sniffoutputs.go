package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns"
	"github.com/weirdns/weir/reputation"
	"go.uber.org/zap"
)

// outputs opens what was asked for and returns the sinks.
func (s *sniffer) outputs() ([]detect.Sink, error) {
	c := s.cmd
	sinks := []detect.Sink{s.detection.detector}
	if err := c.distinct(); err != nil {
		return nil, exitWith(exitUsage, err)
	}
	if c.Transactions != "" {
		f, err := s.open.create("--transactions", c.Transactions, s.std.out)
		if err != nil {
			return nil, err
		}
		w := pdns.NewTransactionWriter(f, c.Format, s.privacy, nil)
		known, err := s.known()
		if err != nil {
			return nil, err
		}
		w.EnrichWith(known)
		sinks = append(sinks, s.open.writer(f, w))
	}
	if c.COF != "" {
		f, err := s.open.create("--cof", c.COF, s.std.out)
		if err != nil {
			return nil, err
		}
		w := pdns.NewCOFWriter(f, s.cfg.Records.COF, s.privacy, s.cfg.Records.SensorID)
		sinks = append(sinks, s.open.writer(f, w))
	}
	if c.Findings != "" {
		f, err := s.open.create("--findings", c.Findings, s.std.out)
		if err != nil {
			return nil, err
		}
		w := pdns.NewFindingWriter(f, s.privacy)
		s.told = append(s.told, w)
		f.lines = w
	}
	if c.Unusual != "" {
		var err error
		if s.ranked, err = s.open.create("--unusual", c.Unusual, s.std.out); err != nil {
			return nil, err
		}
		if s.unusual, err = unusualOf(s.cfg, s.privacy, s.detection.detector); err != nil {
			return nil, err
		}
		sinks = append(sinks, s.unusual)
	}
	if c.Summary != "" {
		var err error
		if s.summary, err = s.open.create("--summary", c.Summary, s.std.out); err != nil {
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

// account says what became of the packets, where no summary was asked for.
func (s *sniffer) account(sum *capture.Summary) {
	if sum.Packets == 0 {
		s.log.Warn("no packet was read", zap.Strings("from", s.cmd.Read))
		return
	}
	if s.summary != nil {
		return
	}
	s.log.Info("capture read; --summary says why packets are dropped", zap.Uint64("packets", sum.Packets),
		zap.Uint64("dns_messages", sum.DNSMessages), zap.Uint64("transactions", sum.Transactions), zap.Uint64("dropped", dropped(sum)))
}

// dropped is how many packets were, for whatever reason.
func dropped(sum *capture.Summary) (n uint64) {
	for _, reasons := range sum.Drops {
		for _, of := range reasons {
			n += of
		}
	}
	return n
}

// summarize writes the ranking and the summary where they are asked for, after
// all else: then it is known what was lost.
func (s *sniffer) summarize(c *capture.Capture) error {
	errs := []error{s.open.finish()}
	if s.unusual != nil {
		lost, err := writeRankings(s.ranked, s.unusual)
		s.ranked.lost = lost
		errs = append(errs, s.ranked.named(err))
	}
	if s.summary == nil {
		return errors.Join(errs...)
	}
	sum := c.Summary()
	if s.findings != nil { // those of behaviour, too, and none that is muted
		sum.Findings = s.findings.told()
	}
	if lost := s.open.lost(); len(lost) > 0 {
		sum.Drops["sink"] = lost
	}
	enc := json.NewEncoder(s.summary)
	enc.SetIndent("", "  ")
	return errors.Join(append(errs, s.summary.named(enc.Encode(&sum)))...)
}

// distinct refuses outputs that are the same file, or one of what is read: one
// would overwrite the other.
func (c *sniffCmd) distinct() error {
	type named struct {
		flag, path string
		info       os.FileInfo // nil: there is no such file yet
	}
	var seen []named
	for _, path := range c.Read {
		info, _ := os.Stat(path) // missing is fine here
		if path != "-" {
			seen = append(seen, named{"-r", path, info})
		}
	}
	for _, n := range []named{{flag: "--transactions", path: c.Transactions}, {flag: "--cof", path: c.COF}, {flag: "--findings", path: c.Findings}, {flag: "--unusual", path: c.Unusual}, {flag: "--summary", path: c.Summary}} {
		if n.path == "" || n.path == "-" {
			continue
		}
		n.info, _ = os.Stat(n.path) // missing is fine here, too
		dir, err := os.Stat(filepath.Dir(n.path))
		for _, o := range seen {
			if err == nil && o.info != nil && o.info.IsDir() && os.SameFile(dir, o.info) {
				return fmt.Errorf("%s is in the folder that is read, %s", n.flag, o.path)
			}
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
