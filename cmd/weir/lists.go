package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/weirdns/weir/blocklist"
)

// listsCmd is what can be asked of lists.
type listsCmd struct {
	Status  listsStatusCmd  `cmd:"" help:"Say how the lists of a running weir are: entries, age, hits, refused lines, errors."`
	Refresh listsRefreshCmd `cmd:"" help:"Have a running weir refresh lists now, and say what came of each."`
	Export  listsExportCmd  `cmd:"" help:"Write what lists block as a response policy zone, for BIND, Unbound or PowerDNS."`
	Check   listsCheckCmd   `cmd:"" help:"Read a list file and print what it would give, and each line that it would not take."`
}

type listsCheckCmd struct {
	File   string `arg:"" help:"List to read, plain or gzip; \"-\" is standard input."`
	Format string `default:"auto" placeholder:"FORMAT" help:"auto, domains, hosts, adblock, regex, rpz, dnsmasq, unbound, bind, urlhaus or threatfox."`
	Kind   string `default:"block" placeholder:"KIND" help:"block or allow."`
	Match  string `default:"auto" placeholder:"MODE" help:"auto, exact or subtree."`
	JSON   bool   `name:"json" help:"Print one JSON object for each refused line, and one for the list at the end."`
}

// refusedLine is a line of output for a line of a list.
type refusedLine struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// listReport is the last line of output.
type listReport struct {
	File      string         `json:"file"`
	OK        bool           `json:"ok"`
	Error     string         `json:"error,omitempty"`
	Format    string         `json:"format"`
	Lines     int            `json:"lines"`
	Names     int            `json:"names"`
	Addresses int            `json:"addresses"`
	Patterns  int            `json:"patterns"`
	Passes    int            `json:"exceptions"`
	Bytes     int64          `json:"bytes"`
	Refused   map[string]int `json:"refused"`
}

var errNoEntries = errors.New("no entries: as a URL's list it would be refused")

// Run reads the list through the code that serves it.
func (c *listsCheckCmd) Run(std stdio) error {
	cfg := blocklist.Config{
		Name: "check", File: c.File,
		Format: blocklist.Format(c.Format), Kind: blocklist.Kind(c.Kind), Match: blocklist.MatchMode(c.Match),
	}
	if err := cfg.Validate(); err != nil {
		return exitWith(exitUsage, err)
	}
	in := std.in
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	out := bufio.NewWriterSize(std.out, 64<<10)
	err := c.check(in, out, &cfg)
	return errors.Join(err, out.Flush())
}

func (c *listsCheckCmd) check(in io.Reader, out io.Writer, cfg *blocklist.Config) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	// Failures to write are found by Flush.
	report, err := blocklist.Check(in, cfg, func(l blocklist.RefusedLine) {
		if c.JSON {
			_ = enc.Encode(refusedLine{l.Number, l.Reason.String(), l.Text})
			return
		}
		fmt.Fprintf(out, "%s:%d: %s: %+q\n", c.File, l.Number, l.Reason.Text(), l.Text)
	})
	if err == nil && report.Entries+report.Addresses+report.Patterns == 0 {
		err = errNoEntries
	}
	r := listReport{
		File: c.File, OK: err == nil, Format: string(report.Format), Lines: report.Lines,
		Names: report.Entries, Addresses: report.Addresses, Patterns: report.Patterns, Passes: report.Passes,
		Bytes: report.Memory, Refused: map[string]int{},
	}
	for reason, n := range report.Rejected {
		if n > 0 {
			r.Refused[blocklist.Reason(reason).String()] = n
		}
	}
	if err != nil {
		r.Error = err.Error()
	}
	if c.JSON {
		_ = enc.Encode(&r)
	} else {
		c.print(out, &r, report)
	}
	if err != nil {
		return exitWith(exitIntegrity, fmt.Errorf("%s: %w", c.File, err))
	}
	return nil
}

// print writes the report for people.
func (c *listsCheckCmd) print(out io.Writer, r *listReport, report *blocklist.Report) {
	how := "as told"
	if c.Format == string(blocklist.FormatAuto) {
		how = "detected"
	}
	fmt.Fprintf(out, "%s: format %s (%s), %d lines: %d names, %d addresses, %d patterns, of these %d exceptions; %d octets\n",
		r.File, r.Format, how, r.Lines, r.Names, r.Addresses, r.Patterns, r.Passes, r.Bytes)
	for reason, n := range report.Rejected {
		if n > 0 {
			fmt.Fprintf(out, "  refused %d: %s (%s)\n", n, blocklist.Reason(reason), blocklist.Reason(reason).Text())
		}
	}
}
