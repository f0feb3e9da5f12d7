package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/pdns/privacy"
	"github.com/weirdns/weir/pdns/query"
	"github.com/weirdns/weir/pdns/store"
	"github.com/weirdns/weir/pdns/tally"
	"github.com/weirdns/weir/web"
)

// recordRoutes are the operations on what passed.
func (s *service) recordRoutes() []web.Route {
	if s.history == nil {
		return nil
	}
	return s.history.routes()
}

var errWhat = errors.New("a client's address or a name is needed")

// lookInto investigates a client or a name: one of the two is not empty. The
// guard knows how clients are written now; without one they are looked for as
// they are given.
func lookInto(ctx context.Context, r *store.Reader, guard *privacy.Guard, client, name string) (any, error) {
	if (client == "") == (name == "") {
		return nil, errWhat
	}
	if name != "" {
		n, err := dnsname.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", errWhat, name, err)
		}
		return query.Name(ctx, r, n, dnsname.DefaultSuffixes().Split(n).Registered)
	}
	// The store may have kept less of the address than is asked for.
	var last *query.ClientReport
	for _, text := range clientTexts(guard, client) {
		report, err := query.Client(ctx, r, text)
		if err != nil {
			return nil, err
		}
		if last = report; len(report.Names) > 0 {
			break
		}
	}
	return last, nil
}

func clientTexts(guard *privacy.Guard, client string) (out []string) {
	addr, err := netip.ParseAddr(client)
	if err != nil {
		return []string{client}
	}
	if guard != nil {
		out = append(out, guard.Text(addr))
	}
	return append(out, privacy.Plain(privacy.Full).Text(addr), privacy.Plain(privacy.Truncated).Text(addr))
}

// storeFolder is the database's folder in the state folder.
const storeFolder = "pdns"

// writeIndented prints v as one JSON object.
func writeIndented(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// storeFlags find the passive DNS database: a running weir's, or its files.
type storeFlags struct {
	controlFlags
}

// ask calls online with the running weir, or offline with the files if none
// runs.
func (f *storeFlags) ask(online func(*controlClient) error, offline func(*store.Reader) error) error {
	client, err := f.connectHistory()
	if err == nil {
		return online(client)
	}
	if !errors.Is(err, errNoDaemon) || f.Socket != "" {
		return err
	}
	dirs, dirErr := f.folders()
	if dirErr != nil {
		return dirErr
	}
	for _, dir := range dirs {
		r, openErr := store.OpenReader(dir)
		if errors.Is(openErr, fs.ErrNotExist) {
			continue
		}
		if openErr != nil {
			return openErr
		}
		return errors.Join(offline(r), r.Close())
	}
	return fmt.Errorf("%w, and there is no passive DNS database in %s", err, strings.Join(dirs, " or "))
}

// folders are where the database may be.
func (f *storeFlags) folders() ([]string, error) {
	if f.Conf != "" && f.State == "" {
		cfg, err := loadConfig(f.Conf)
		if err != nil {
			return nil, err
		}
		return []string{cfg.Store.Dir}, nil
	}
	sockets, err := f.paths()
	var out []string
	for _, path := range sockets {
		out = append(out, filepath.Join(filepath.Dir(path), storeFolder))
	}
	return out, err
}

type queryCmd struct {
	storeFlags
	What    string   `arg:"" help:"Name, address or network; with --rdata any rdata."`
	Subtree bool     `help:"Also all names below."`
	Rdata   bool     `help:"Find the records that have it as their rdata, or as a name in it."`
	Type    []string `placeholder:"TYPE" help:"Only this type: A, MX, TYPE65; may be repeated."`
	Since   string   `placeholder:"TIME" help:"Seen since: 2026-03-01, 2026-03-01T12:00:00Z, Unix seconds, or how long ago: 90m, 24h, 7d."`
	Until   string   `placeholder:"TIME" help:"Seen until, in the same forms."`
	Limit   int      `default:"1000" help:"At most so many records."`
	Format  string   `default:"text" enum:"cof,json,csv,text" help:"cof, json, csv or text."`
}

func (c *queryCmd) params() query.Params {
	return query.Params{
		What: c.What, Rdata: c.Rdata, Subtree: c.Subtree, Types: c.Type, Since: c.Since, Until: c.Until, Limit: c.Limit, Format: c.Format,
	}
}

// Validate checks the question, for kong.
func (c *queryCmd) Validate() error {
	if !c.Rdata && strings.Contains(c.What, "/") {
		if addr, _, _ := strings.Cut(c.What, "/"); isAddress(addr) {
			if _, err := netip.ParsePrefix(c.What); err != nil {
				return fmt.Errorf("%q is no network: the number behind the slash is not one of its address's", c.What)
			}
		}
	}
	p := c.params()
	_, err := p.Compile(time.Now())
	return err
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

// lineWriter counts the lines that pass.
type lineWriter struct {
	w     io.Writer
	lines int
}

func (l *lineWriter) Write(b []byte) (int, error) {
	n, err := l.w.Write(b)
	l.lines += bytes.Count(b[:n], []byte("\n"))
	return n, err
}

// Run prints the records as they come.
func (c *queryCmd) Run(std stdio) error {
	p := c.params()
	lines := &lineWriter{w: std.out}
	out := bufio.NewWriter(lines)
	var truncated bool
	err := c.ask(func(client *controlClient) (err error) {
		truncated, err = client.stream(context.Background(), p.URL(), out)
		return err
	}, func(r *store.Reader) (err error) {
		truncated, err = p.Run(context.Background(), r, time.Now(), query.NewWriter(out, p.Format, ""))
		return err
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	header := 0
	if p.Format == query.FormatCSV {
		header = 1
	}
	switch {
	case truncated:
		fmt.Fprintf(std.err, "weir: only the first %d records are shown; see --limit\n", p.Limit)
	case lines.lines <= header:
		fmt.Fprintln(std.err, "weir: no such records")
	}
	return nil
}

// stream copies an answer as it comes. truncated is what its trailer says.
func (c *controlClient) stream(ctx context.Context, path string, w io.Writer) (truncated bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://weir"+path, nil)
	if err != nil {
		return false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, fmt.Errorf("control socket %s: %w", c.path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false, c.refusal(resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return false, fmt.Errorf("control socket %s: the answer ends early: %w", c.path, err)
	}
	return resp.Trailer.Get(query.TruncatedTrailer) != "", nil
}

type investigateCmd struct {
	storeFlags
	What string `arg:"" help:"A client's address (where store.clients is on), or a name."`
	Kind string `default:"" enum:",client,name" help:"client or name, where it is not plain which."`
	JSON bool   `name:"json" help:"Print the report as one JSON object."`
}

// Run prints what is known of a client or a name, as a tree.
func (c *investigateCmd) Run(std stdio) error {
	client, name := "", c.What
	_, addrErr := netip.ParseAddr(c.What)
	if _, err := netip.ParsePrefix(c.What); c.Kind == "client" || c.Kind == "" && (addrErr == nil || err == nil) {
		client, name = c.What, ""
	}
	var clientReport *query.ClientReport
	var nameReport *query.Report
	err := c.ask(func(ctl *controlClient) error {
		v := url.Values{"client": {client}, "name": {name}}
		var into any = &nameReport
		if client != "" {
			into = &clientReport
		}
		return ctl.call(context.Background(), http.MethodGet, "/api/v1/investigate?"+v.Encode(), nil, into)
	}, func(r *store.Reader) error {
		report, err := lookInto(context.Background(), r, nil, client, name)
		clientReport, _ = report.(*query.ClientReport)
		nameReport, _ = report.(*query.Report)
		return err
	})
	switch {
	case err != nil:
		return err
	case c.JSON && clientReport != nil:
		return writeIndented(std.out, clientReport)
	case c.JSON:
		return writeIndented(std.out, nameReport)
	}
	out := bufio.NewWriter(std.out)
	if clientReport != nil {
		clientReport.Print(out)
	} else {
		nameReport.Print(out)
	}
	return out.Flush()
}

type statsCmd struct {
	controlFlags
	JSON bool `name:"json" help:"Print the answer as it comes, one JSON object."`
}

// Run asks the running weir what passes now.
func (c *statsCmd) Run(std stdio) error {
	client, err := c.connectHistory()
	if err != nil {
		return err
	}
	var r tally.Report
	if err := client.call(context.Background(), http.MethodGet, "/api/v1/stats", nil, &r); err != nil {
		return err
	}
	if c.JSON {
		return writeIndented(std.out, &r)
	}
	w := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MINUTE (UTC)\tQUERIES\tBLOCKED\tFLAGGED")
	for _, m := range r.Minutes[max(len(r.Minutes)-10, 0):] {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", time.Unix(m.Time, 0).UTC().Format("15:04"), m.Queries, m.Blocked, m.Flagged)
	}
	counts := func(title string, all []tally.Count) {
		fmt.Fprintf(w, "\n%s\tCOUNT\n", title)
		for _, n := range all {
			fmt.Fprintf(w, "%s\t%d\n", n.Name, n.Count)
		}
	}
	counts("RESPONSE CODE", r.Rcodes)
	counts("REGISTERED DOMAIN", r.Domains)
	if r.Clients != nil {
		counts("CLIENT", r.Clients)
	} else {
		fmt.Fprintln(w, "\nclients are not counted (store.clients)")
	}
	return w.Flush()
}
