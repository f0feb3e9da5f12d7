package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/klauspost/compress/gzip"
	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/replay"
	"github.com/weirdns/weir/unusual"
	"go.uber.org/zap"
)

// replayCmd says what a configuration would have done with past traffic.
type replayCmd struct {
	Files         []string     `arg:"" name:"file" help:"Captures, or DNS logs of weir, Zeek (TSV, JSON) or Suricata (EVE), plain or gzip; \"-\" is standard input, read as a capture."`
	Conf          string       `short:"c" name:"config" placeholder:"FILE" help:"Configuration whose lists, model and policy judge."`
	Compare       string       `placeholder:"FILE" help:"Another configuration: say what it would have done otherwise."`
	Top           int          `default:"50" help:"How many names are listed."`
	Unusual       int          `placeholder:"N" help:"List the N least usual of each day, too."`
	JSON          bool         `name:"json" help:"Write one JSON object instead of text."`
	ClientAddress privacy.Mode `default:"truncated" placeholder:"truncated|none|hash|ipcrypt|full" help:"How much of clients' addresses the report holds."`
}

// Validate checks the flags, for kong.
func (c *replayCmd) Validate() error {
	if c.Top < 0 {
		return fmt.Errorf("--top: must not be below 0, got %d", c.Top)
	}
	if c.Unusual < 0 || c.Unusual > maxRanking {
		return fmt.Errorf("--unusual: must be 0 to %d, got %d", maxRanking, c.Unusual)
	}
	return nil
}

// judge is one detection under trial.
type judge struct {
	detection *detection
	findings  *findings
	unusual   *unusual.Tracker
	report    *replay.Report
	verdict   detect.Verdict
}

// replayed is the report as JSON.
type replayed struct {
	Report     *replay.Report     `json:"report"`
	Compared   *replay.Report     `json:"compared,omitempty"`
	Difference *replay.Difference `json:"difference,omitempty"`
	Unusual    []unusual.Ranking  `json:"unusual,omitempty"`
	Captures   *capture.Summary   `json:"captures,omitempty"`
	Logs       *replay.Stats      `json:"logs,omitempty"`
}

// Run replays the files.
func (c *replayCmd) Run(std stdio) error {
	first, cfg, err := c.judge(c.Conf)
	if err != nil {
		return err
	}
	r := &replayer{cmd: c, first: first}
	if c.Compare != "" {
		if r.second, _, err = c.judge(c.Compare); err != nil {
			return err
		}
		r.difference = replay.NewDifference()
	}
	log, err := newLogger(cfg.Log, std)
	if err != nil {
		return err
	}
	if r.captures, err = capture.New(cfg.Capture, capture.Deps{Sinks: []detect.Sink{r}, Log: log, Registry: newRegistry()}); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	bar := newProgress(std.err, c.Files)
	for _, file := range c.Files {
		if err := r.file(ctx, file, std.in, bar); err != nil {
			bar.end()
			return err
		}
	}
	bar.end()
	return r.write(std.out)
}

func (c *replayCmd) judge(conf string) (*judge, *config, error) {
	cfg, err := loadConfig(conf)
	if err != nil {
		return nil, nil, err
	}
	reg := newRegistry()
	d, err := newDetection(cfg, zap.NewNop(), reg, nil)
	if err != nil {
		return nil, nil, err
	}
	guard, err := cfg.privacyFor(c.ClientAddress)
	if err != nil {
		return nil, nil, err
	}
	j := &judge{detection: d, report: replay.NewReport(guard.Text)}
	if j.findings, err = newFindings(cfg, d.detector, reg, false, []detect.FindingSink{j.report}, nil, guard); err != nil {
		return nil, nil, err
	}
	if c.Unusual > 0 {
		if j.unusual, err = unusualOf(cfg, guard, d.detector); err != nil {
			return nil, nil, err
		}
	}
	return j, cfg, d.load()
}

// replayer has every transaction judged. It is the sink of the captures.
type replayer struct {
	cmd           *replayCmd
	first, second *judge // second may be nil
	difference    *replay.Difference
	captures      *capture.Capture
	logs          replay.Stats
	anyCapture    bool
	anyLog        bool
}

// Record judges t as the resolver would have.
func (r *replayer) Record(t *detect.Transaction) {
	r.first.judge(t)
	if r.second != nil {
		r.second.judge(t)
		r.difference.Add(&t.Query, &r.first.verdict, &r.second.verdict)
	}
}

func (j *judge) judge(t *detect.Transaction) {
	d := j.detection.detector
	d.Inspect(&t.Query, &j.verdict)
	if t.Response != nil {
		d.InspectAnswer(&t.Query, t.Response, &j.verdict)
	}
	judged := *t
	judged.Verdict = j.verdict
	d.Record(&judged)
	j.findings.watch.Record(&judged)
	if j.unusual != nil {
		j.unusual.Record(&judged)
	}
	j.report.Add(&t.Query, &j.verdict)
}

// file replays one file: a log if it begins like one, else a capture.
func (r *replayer) file(ctx context.Context, path string, stdin io.Reader, bar *progress) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		r.anyCapture = true
		return r.captures.ReadFile(ctx, path)
	}
	in := stdin
	if path != "-" {
		f, err := os.Open(filepath.Clean(path))
		if err != nil {
			return err
		}
		defer f.Close()
		in = bar.read(f)
	}
	in = &interruptible{ctx, in}
	b := bufio.NewReaderSize(in, 64<<10)
	plain, isLog, err := asLog(b)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if !isLog {
		r.anyCapture = true
		err := r.captures.Read(ctx, b)
		var at *capture.FileError
		if errors.As(err, &at) {
			at.File = path
		}
		return err
	}
	r.anyLog = true
	s, err := replay.Read(plain, r.Record)
	r.logs.Lines += s.Lines
	r.logs.Records += s.Records
	r.logs.Other += s.Other
	r.logs.Bad += s.Bad
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// interruptible ends a read between two when ctx ends.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i *interruptible) Read(b []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(b)
}

// asLog looks whether a file begins as a log does, below gzip if need be; b is
// left as it was for a capture.
func asLog(b *bufio.Reader) (io.Reader, bool, error) {
	text := func(head []byte) bool { return len(head) > 0 && (head[0] == '{' || head[0] == '#') }
	head, err := b.Peek(2)
	if err != nil || head[0] != 0x1f || head[1] != 0x8b {
		return b, text(head), nil
	}
	// Enough of it to see the first octet; the file itself is read from its
	// beginning by whoever it is for.
	start, _ := b.Peek(b.Size())
	z, err := gzip.NewReader(&prefixReader{start})
	if err != nil {
		return nil, false, fmt.Errorf("gzip: %w", err)
	}
	var first [1]byte
	if _, err := io.ReadFull(z, first[:]); err != nil || !text(first[:]) {
		return b, false, nil
	}
	whole, err := gzip.NewReader(b)
	if err != nil {
		return nil, false, fmt.Errorf("gzip: %w", err)
	}
	return whole, true, nil
}

type prefixReader struct{ b []byte }

func (p *prefixReader) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b)
	p.b = p.b[n:]
	return n, nil
}

// finish works out a judge's report.
func (j *judge) finish(top int) *replay.Report {
	var thresholds []detect.Threshold
	if m := j.detection.models.live; m != nil {
		info := m.Info()
		thresholds = info.Thresholds[:]
	}
	j.report.Finish(thresholds, top)
	return j.report
}

func (r *replayer) write(out io.Writer) error {
	all := replayed{Report: r.first.finish(r.cmd.Top), Difference: r.difference}
	if r.second != nil {
		all.Compared = r.second.finish(r.cmd.Top)
		r.difference.Finish(r.cmd.Top)
	}
	if r.first.unusual != nil {
		var err error
		if all.Unusual, err = rankings(r.first.unusual, r.cmd.Unusual); err != nil {
			return err
		}
	}
	if r.anyCapture {
		s := r.captures.Summary()
		all.Captures = &s
	}
	if r.anyLog {
		all.Logs = &r.logs
	}
	if r.cmd.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(all)
	}
	b := bufio.NewWriter(out)
	errs := []error{all.Report.Text(b)}
	if r.second != nil {
		fmt.Fprintf(b, "\n--- %s\n\n", r.cmd.Compare)
		errs = append(errs, all.Compared.Text(b))
		fmt.Fprintf(b, "\n--- difference\n\n")
		errs = append(errs, r.difference.Text(b))
	}
	for i := range all.Unusual {
		fmt.Fprintln(b)
		errs = append(errs, rankingText(b, &all.Unusual[i]))
	}
	if r.anyLog && r.logs.Bad > 0 {
		fmt.Fprintf(b, "\n%d of %d lines of logs could not be read\n", r.logs.Bad, r.logs.Lines)
	}
	return errors.Join(append(errs, b.Flush())...)
}
