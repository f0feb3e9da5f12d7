package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/weirdns/weir/capture"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/replay"
	"github.com/weirdns/weir/unusual"
	"go.uber.org/zap"
)

// replayCmd says what a configuration would have done with past traffic.
type replayCmd struct {
	Files         []string     `arg:"" name:"file" help:"Captures (as for sniff), or DNS logs of weir (transactions in any format), Zeek (TSV, JSON) or Suricata (EVE), plain, gzip or zstd, or folders of them, in any mix; \"-\" is standard input. What cannot be read is told, and the report is of the rest."`
	Conf          string       `short:"c" name:"config" placeholder:"FILE" help:"Configuration whose lists, model and policy judge."`
	Compare       string       `placeholder:"FILE" help:"Another configuration: say what it would have done otherwise."`
	Model         string       `placeholder:"DIR" help:"Folder of a model that judges instead of the configuration's."`
	CompareModel  string       `placeholder:"DIR" help:"Folder of another model: say what it would have done otherwise, with the configuration of --compare or the same."`
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
	if readsStdinTwice(c.Files) {
		return errors.New("standard input (-) can be read once")
	}
	if c.Unusual < 0 || c.Unusual > maxRanking {
		return fmt.Errorf("--unusual: must be 0 to %d, got %d", maxRanking, c.Unusual)
	}
	return nil
}

// judge is one detection under trial.
type judge struct {
	name      string // its configuration, and its model
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
	// NoData are lists that judged nothing, since nothing of them is on this
	// machine.
	NoData   []string          `json:"lists_without_data,omitempty"`
	Unusual  []unusual.Ranking `json:"unusual,omitempty"`
	Captures *capture.Summary  `json:"captures,omitempty"`
	Logs     *replay.Stats     `json:"logs,omitempty"`
}

// Run replays the files. Where one cannot be read, or the run is interrupted,
// the report is of what was read until then.
func (c *replayCmd) Run(std stdio) error {
	first, cfg, err := c.judge(c.Conf, c.Model)
	if err != nil {
		return err
	}
	r := &replayer{cmd: c, first: first}
	if c.Compare != "" || c.CompareModel != "" {
		if r.second, _, err = c.judge(cmp.Or(c.Compare, c.Conf), c.CompareModel); err != nil {
			if c.CompareModel != "" {
				return prefixed("--compare-model", err)
			}
			return prefixed("--compare", err)
		}
		r.difference = replay.NewDifference()
	}
	bar := newProgress(std.err)
	if r.log, err = newLogger(cfg.Log, stdio{err: bar}); err != nil {
		return err
	}
	defer brokenPipes()()
	ctx, stop := untilSignal(r.log)
	defer stop()
	r.inputs = &inputs{ctx: ctx, stdin: std.in, bar: bar}
	if r.captures, err = capture.New(cfg.Capture, capture.Deps{Sinks: []detect.Sink{r}, Open: r.inputs.open, Log: r.log, Registry: newRegistry()}); err != nil {
		return err
	}
	sources, failed := r.sources(c.Files)
	bar.begin(std.in, sources)
	for _, file := range sources {
		if err := r.source(ctx, file); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	bar.end()
	err = ended(errors.Join(failed...), errors.New("interrupted: the report is of what was read until then"))
	switch {
	case err != nil && first.report.Queries == 0:
		return err
	case err != nil && len(c.Files) > 1 && ctx.Err() == nil:
		err = errors.Join(err, errors.New("not all could be read: the report is of the rest"))
	case first.report.Queries == 0:
		r.log.Warn("no query was read", zap.Strings("from", c.Files))
	}
	if failed := r.write(std.out); failed != nil {
		err = errors.Join(err, fmt.Errorf("standard output: the report is lost: %w", failed))
	}
	return err
}

// judge makes the detection of a configuration, with another model if that is
// not "".
func (c *replayCmd) judge(conf, model string) (*judge, *config, error) {
	cfg, err := loadConfigWith(conf, func(cfg *config) {
		if model != "" {
			cfg.Detect.Model.Path = model
		}
	})
	if err != nil {
		return nil, nil, err
	}
	if model != "" && !cfg.Detect.UsesModel() {
		return nil, nil, exitWith(exitConfig, fmt.Errorf("detect.model.mode: off, so that the model in %s would judge nothing", model))
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
	j := &judge{name: cmp.Or(conf, "the defaults"), detection: d, report: replay.NewReport(guard.Text)}
	for i := range cfg.Lists { // one that was never hit was there, too
		j.report.Lists[cfg.Lists[i].Name] = new(replay.ListCount)
	}
	if m := d.models.live; m != nil {
		j.name += fmt.Sprintf(", model %s %s", m.Info().Name, m.Info().Version)
	}
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
	log           *zap.Logger
	inputs        *inputs
	logs          replay.Stats
	found         []string // files that nobody named, but their folder
	anyCapture    bool
	anyLog        bool
}

// Record judges t as the resolver would have.
func (r *replayer) Record(t *detect.Transaction) {
	r.inputs.bar.Record(t)
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
	all := replayed{Report: r.first.finish(r.cmd.Top), Difference: r.difference, NoData: r.first.detection.withoutData()}
	if r.second != nil {
		all.Compared = r.second.finish(r.cmd.Top)
		r.difference.Finish(r.cmd.Top)
		for _, list := range r.second.detection.withoutData() {
			if !slices.Contains(all.NoData, list) {
				all.NoData = append(all.NoData, list)
			}
		}
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
	return r.text(out, &all)
}

// text writes the report for people.
func (r *replayer) text(out io.Writer, all *replayed) error {
	b := bufio.NewWriter(out)
	if r.second != nil {
		fmt.Fprintf(b, "--- first: %s\n\n", r.first.name)
	}
	errs := []error{all.Report.Text(b)}
	if r.second != nil {
		fmt.Fprintf(b, "\n--- second: %s\n\n", r.second.name)
		errs = append(errs, all.Compared.Text(b))
		fmt.Fprintf(b, "\n--- difference\n\n")
		errs = append(errs, r.difference.Text(b))
	}
	for i := range all.Unusual {
		fmt.Fprintln(b)
		errs = append(errs, rankingText(b, &all.Unusual[i]))
	}
	for _, list := range all.NoData {
		fmt.Fprintf(b, "\nlist %s judged nothing: nothing of it is on this machine. Its URL is asked by weir serve, which keeps a copy in state_dir\n", list)
	}
	if s := all.Logs; s != nil {
		if s.Bad > 0 {
			fmt.Fprintf(b, "\n%d of %d lines of logs could not be read\n", s.Bad, s.Lines)
		}
		if s.Networks > 0 {
			fmt.Fprintf(b, "\n%d queries name the network of a client instead of its address: they were judged as those of its first address\n", s.Networks)
		}
	}
	return errors.Join(append(errs, b.Flush())...)
}
