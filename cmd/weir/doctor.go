package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/doctor"
	"github.com/weirdns/weir/pdns/tally"
)

type doctorCmd struct {
	Conf    string `short:"c" name:"config" placeholder:"FILE" help:"Configuration file to look at. Default: the built-in defaults."`
	State   string `placeholder:"DIR" help:"State folder to look at, and to find the running weir by. Overrides state_dir."`
	Socket  string `placeholder:"PATH" help:"Control socket of the running weir. Default: weir.sock in the state folder."`
	JSON    bool   `name:"json" help:"Print one JSON array."`
	Offline bool   `help:"Ask nobody over the network."`
}

// doctorTimeout bounds all that is asked over the network.
const doctorTimeout = 30 * time.Second

// Run looks at the machine, the configuration and the running weir, if there is
// one, and exits with 1 if something does not work.
func (c *doctorCmd) Run(std stdio) error {
	ctx, cancel := context.WithTimeout(context.Background(), doctorTimeout)
	defer cancel()
	results := c.examine(ctx)
	if c.JSON {
		if err := json.NewEncoder(std.out).Encode(results); err != nil {
			return err
		}
	} else if err := printResults(std.out, results); err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.Grade == doctor.Fail {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(results))
	}
	return nil
}

func printResults(out io.Writer, results []doctor.Result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.Grade, r.Check, r.Text)
		if r.Fix != "" {
			fmt.Fprintf(w, "\t\tfix: %s\n", r.Fix)
		}
	}
	return w.Flush()
}

// examine runs all checks.
func (c *doctorCmd) examine(ctx context.Context) (out []doctor.Result) {
	cfg, err := loadServeConfig(c.Conf, func(cfg *config) {
		if c.State != "" {
			cfg.StateDir = c.State
		}
	})
	out = append(out, configResults(c.Conf, cfg, err)...)
	if err != nil {
		return out // what is to be looked at is not known
	}
	system := doctor.System{UID: os.Geteuid()}
	running := c.running(ctx, cfg)
	var pid int
	servers := cfg.Resolver.Upstream.Servers
	listen := addrPorts(cfg.Resolver.Listen, cfg.Resolver.ListenTLS, cfg.Resolver.ListenHTTPS, cfg.Resolver.ListenQUIC)
	if running != nil {
		pid = running.PID
		out = append(out, running.results()...)
		listen = addrPorts(running.Listen, running.ListenTLS, running.ListenHTTPS, running.ListenQUIC)
		cfg.StateDir, servers = running.StateDir, running.servers() // its flags may say otherwise than the file
	} else {
		out = append(out, doctor.Result{Check: "weir", Grade: doctor.Skip, Text: "none is running that this user can ask: what only a running one knows is left out"},
			system.Capabilities(listen))
	}
	out = append(out, system.Ports(listen, pid)...)
	out = append(out, system.Resolved(listen)...)
	out = append(out, system.Sandbox(cfg.Sandbox.Enabled))
	if cfg.StateDir != "" {
		out = append(out, doctor.Disk(cfg.StateDir, doctor.DefaultDiskLimits(), time.Now)...)
	}
	out = append(out, cfg.keyResults(system)...)
	if c.Offline {
		return append(out, doctor.Result{Check: "upstream", Grade: doctor.Skip, Text: "--offline: nobody is asked"})
	}
	out = append(out, doctor.DefaultNetwork().Upstreams(ctx, plainServers(servers), time.Now())...)
	if where := cfg.feedURL(); where != "" {
		out = append(out, doctor.Date(ctx, http.DefaultClient, where, time.Now))
	}
	return out
}

// configResults are a line for each mistake.
func configResults(file string, cfg *config, err error) (out []doctor.Result) {
	if err == nil {
		err = rehearse(cfg)
	}
	if file == "" {
		file = "the built-in defaults"
	}
	if err == nil {
		return []doctor.Result{{Check: "config", Grade: doctor.OK, Text: file + ": weir would start with it"}}
	}
	for _, e := range split(unwrapExit(err)) {
		out = append(out, doctor.Result{Check: "config", Grade: doctor.Fail, Text: e.Error(), Fix: "correct the line; weir check says whether all is well"})
	}
	return out
}

func addrPorts(lists ...[]string) (out []netip.AddrPort) {
	for _, list := range lists {
		for _, s := range list {
			if a, err := netip.ParseAddrPort(s); err == nil {
				out = append(out, a)
			}
		}
	}
	return out
}

// plainServers are the upstreams over plain DNS, whose answers anybody on the way
// may write.
func plainServers(servers []string) (out []netip.AddrPort) {
	for _, s := range servers {
		s = strings.TrimPrefix(s, "tcp://")
		if a, err := netip.ParseAddrPort(s); err == nil {
			out = append(out, a)
		} else if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
			out = append(out, netip.AddrPortFrom(a, 53))
		}
	}
	return out
}

// feedURL is a list's, the first: weir asks its host anyhow. Not of one that is
// asked with a key in its address.
func (c *config) feedURL() string {
	for _, l := range c.Lists {
		if l.URL == "" || l.Disabled || strings.Contains(l.URL, "{key}") {
			continue
		}
		if u, err := url.Parse(l.URL); err == nil && u.Host != "" && u.User == nil {
			return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}).String()
		}
	}
	return ""
}

// keyResults look at files with secrets, and at feeds that want a key and have
// none.
func (c *config) keyResults(system doctor.System) (out []doctor.Result) {
	for i, l := range c.Lists {
		at := fmt.Sprintf("lists[%d].auth_key_file", i)
		switch u, err := url.Parse(l.URL); {
		case l.Disabled:
		case l.AuthKeyFile != "":
			out = append(out, system.Secret(at, l.AuthKeyFile))
		case err == nil && strings.HasSuffix(u.Hostname(), ".abuse.ch") && (l.Format == blocklist.FormatURLhaus || l.Format == blocklist.FormatThreatFox):
			out = append(out, doctor.Result{Check: "feed key", Grade: doctor.Warn, Text: fmt.Sprintf("lists[%d] (%s) is of abuse.ch, who want a key, and has none", i, l.Name),
				Fix: "get one (abuse.ch: https://auth.abuse.ch/), put it into a file, and name that in " + at})
		}
	}
	for setting, file := range map[string]string{"store.token_file": c.Store.TokenFile, "privacy.key_file": c.Privacy.KeyFile, "resolver.tls.key_file": c.Resolver.TLS.KeyFile} {
		if file != "" {
			out = append(out, system.Secret(setting, file))
		}
	}
	for i, r := range c.Alerts.Receivers {
		for setting, file := range map[string]string{"url_file": r.URLFile, "token_file": r.TokenFile, "mail.password_file": r.Mail.PasswordFile} {
			if file != "" && !r.Disabled {
				out = append(out, system.Secret(fmt.Sprintf("alerts.receivers[%d].%s", i, setting), file))
			}
		}
	}
	return out
}

// runningWeir is what a running weir says of itself.
type runningWeir struct {
	statusReport
	stats   tally.Report
	noStats error
	metrics string // "": none
}

// running asks the running weir; nil: there is none, or it does not let us.
func (c *doctorCmd) running(ctx context.Context, cfg *config) *runningWeir {
	flags := controlFlags{Socket: c.Socket, State: cfg.StateDir}
	client, err := flags.connect()
	if err != nil {
		return nil
	}
	r := &runningWeir{}
	if err := client.call(ctx, http.MethodGet, "/api/v1/status", nil, &r.statusReport); err != nil {
		return nil
	}
	r.noStats = client.call(ctx, http.MethodGet, "/api/v1/stats", nil, &r.stats)
	if r.Admin != "" {
		r.metrics, _ = scrape(ctx, r.Admin) // "" is said
	}
	return r
}

// servers are those that it asks.
func (r *runningWeir) servers() (out []string) {
	for _, u := range r.Upstreams {
		out = append(out, u.Server)
	}
	return out
}

// maxScrape bounds what is read of metrics, octets.
const maxScrape = 16 << 20

func scrape(ctx context.Context, admin string) (text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxScrape))
	return string(data), err
}

// results are the checks that only a running weir can answer.
func (r *runningWeir) results() (out []doctor.Result) {
	add := func(check string, g doctor.Grade, fix, format string, args ...any) {
		out = append(out, doctor.Result{Check: check, Grade: g, Text: fmt.Sprintf(format, args...), Fix: fix})
	}
	if len(r.Missing) > 0 {
		add("weir", doctor.Fail, "see what upstream says below", "process %d is not ready: %s", r.PID, strings.Join(r.Missing, "; "))
	} else {
		add("weir", doctor.OK, "", "process %d is ready", r.PID)
	}
	for _, u := range r.Upstreams {
		if !u.Up {
			add("upstream", doctor.Warn, "see what upstream says below", "%s is down, says the running weir", u.Server)
		}
	}
	if r.Lists.Failing > 0 {
		add("lists", doctor.Warn, "weir lists status says why", "%d of %d lists could not be refreshed", r.Lists.Failing, r.Lists.Lists)
	}
	if r.RefusedReload != nil {
		add("reload", doctor.Warn, "weir status says why", "the newest configuration was refused: an older one serves")
	}
	var clients []doctor.Client
	var total uint64
	for _, m := range r.stats.Minutes {
		total += m.Queries
	}
	if r.stats.Clients != nil {
		clients = []doctor.Client{}
	}
	for _, n := range r.stats.Clients {
		clients = append(clients, doctor.Client{Name: n.Name, Count: n.Count})
	}
	if r.noStats == nil {
		out = append(out, doctor.Clients(clients, total))
	}
	for _, m := range []struct{ check, metric, what, fix string }{
		{"ring", `weir_capture_dropped_total{reason="ring_full",stage="kernel"}`, "packets found the ring full", "a larger capture.live.ring_bytes, or more workers"},
		{"records", `weir_sink_dropped_total`, "transactions were not recorded", "a faster disk, or larger queue_bytes"},
		{"panics", `weir_panics_recovered_total`, "bugs on the query path", "please report them: the log has where"},
	} {
		switch n, there := sumMetric(r.metrics, m.metric); {
		case !there:
		case n > 0:
			add(m.check, doctor.Warn, m.fix, "%.0f %s", n, m.what)
		default:
			add(m.check, doctor.OK, "", "0 %s", m.what)
		}
	}
	return out
}

// sumMetric adds up the series of a metric whose text begins with series.
func sumMetric(text, series string) (sum float64, there bool) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, series+" ") && !strings.HasPrefix(line, series+"{") {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(line[strings.LastIndexByte(strings.TrimSpace(line), ' ')+1:], &v); err == nil {
			sum, there = sum+v, true
		}
	}
	return sum, there
}
