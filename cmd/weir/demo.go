package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/weirdns/weir/blocklist"
	"github.com/weirdns/weir/demo"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
	"github.com/weirdns/weir/pdns/privacy"
	"go.uber.org/zap"
)

type demoCmd struct {
	Listen   string `default:"127.0.0.1:0" placeholder:"ADDR" help:"Address for DNS, IP:port. Default: a free port on loopback."`
	Admin    string `default:"127.0.0.1:0" placeholder:"ADDR" help:"Address for the dashboard, IP:port. Default: a free port on loopback."`
	ReadOnly bool   `help:"Let nothing be changed on the dashboard."`
	Verbose  bool   `short:"v" help:"Print weir's own log."`
}

// Validate checks the flags, for kong.
func (c *demoCmd) Validate() error {
	var errs []error
	for flag, addr := range map[string]string{"--listen": c.Listen, "--admin": c.Admin} {
		if _, err := netip.ParseAddrPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("%s: must be IP:port, got %q", flag, addr))
		}
	}
	return errors.Join(errs...)
}

// demoSeed makes each demo the same.
const demoSeed = 1

// How long the network of a demo has been there, and how long not well.
const (
	demoPast     = 24 * time.Hour
	demoInfected = 3 * time.Hour
)

// Run serves a made-up network until it is told to stop, and leaves nothing
// behind.
func (c *demoCmd) Run(std stdio) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP) // its terminal may be closed
	defer stop()
	dir, err := os.MkdirTemp("", "weir-demo-*") // nobody else can enter it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log := zap.NewNop()
	if c.Verbose {
		if log, err = newLogger(logConfig{Level: "info"}, std); err != nil {
			return err
		}
	}
	up := demo.NewUpstream()
	if err := up.Listen(); err != nil {
		return exitWith(exitBind, err)
	}
	now := time.Now()
	network := demo.NewNetwork(demoSeed, now, now.Add(-demoInfected))
	player, err := demo.NewPlayer(network)
	if err != nil {
		up.Close()
		return exitWith(exitBind, err)
	}
	s, err := c.service(dir, up.Addr(), player.Proxied(), log)
	if err != nil {
		up.Close()
		player.Close()
		return err
	}
	server, err := netip.ParseAddrPort(s.resolver.Addrs()[0])
	if err != nil {
		return err
	}
	front := []task{
		{"play", func(ctx context.Context) error {
			if err := s.pretend(ctx, network, up, now); err != nil {
				player.Close()
				return err
			}
			return player.Run(ctx, now, server)
		}},
		{"weir", func(ctx context.Context) error {
			return s.run(ctx, nil, nil)
		}},
	}
	if err := c.greet(std, s, dir); err != nil {
		return err
	}
	err = runStages(ctx, front, []task{{"upstream", up.Run}})
	fmt.Fprintln(std.out, "\nThe demo is over; nothing stays behind.")
	return err
}

// service is a weir with its state in dir that asks the upstream of the demo.
func (c *demoCmd) service(dir, upstream string, proxied bool, log *zap.Logger) (*service, error) {
	feed := filepath.Join(dir, "urlhaus.csv")
	if err := os.WriteFile(feed, []byte(demo.Feed), 0o600); err != nil {
		return nil, err
	}
	cfg := defaultConfig()
	cfg.StateDir = filepath.Join(dir, "state")
	cfg.Resolver.Listen = []string{c.Listen}
	cfg.Resolver.Upstream.Servers = []string{upstream}
	if proxied {
		cfg.Resolver.ProxyProtocol = []string{demo.Proxy.String() + "/32"}
	}
	cfg.Admin.Listen, cfg.Admin.Dashboard.ReadOnly = c.Admin, c.ReadOnly
	// Nobody real is in it, so all of it may be shown.
	cfg.Privacy.ClientAddress, cfg.Store.Clients = privacy.Full, true
	cfg.Detect.Model.Mode = detect.ModeEnforce
	list := listConfig{Config: blocklist.Config{Name: "urlhaus", File: feed, Format: "urlhaus"}, ListPolicy: detect.DefaultListPolicy()}
	cfg.Lists = []listConfig{list}
	if err := checkConfig(&cfg, &document{}); err != nil {
		return nil, err
	}
	s, err := newService(&cfg, log)
	if err != nil {
		return nil, err
	}
	s.played = &playedAnswers{counts: map[answerKind]float64{}}
	if err := s.detection.load(); err != nil {
		s.resolver.Close()
		s.admin.Close()
		return nil, err
	}
	return s, nil
}

// greet says what there is to see, and how.
func (c *demoCmd) greet(std stdio, s *service, dir string) error {
	if s.door == nil {
		return errors.New("no dashboard")
	}
	link, err := s.dashboardLink(nil)
	if err != nil {
		return err
	}
	addr, _ := netip.ParseAddrPort(s.resolver.Addrs()[0]) // it is bound
	fmt.Fprintf(std.out, `A made-up network, on this machine alone. Its last day is played in a few seconds,
then it goes on: ordinary clients, %s is infected, %s leaks a file,
%s clicks on a forged name, %s loads malware.

  dashboard  %s
  ask        dig @%s -p %d %s
  explain    weir explain --state %s paypal-login.com

The link logs in once; for another: weir dashboard --state %s
Ctrl-C ends it, and nothing stays behind.
`, demo.Infected, demo.Leaking, demo.Clicked, demo.Loaded, link.(dashboardLink).URL, addr.Addr(), addr.Port(), demo.Generated(0), s.started.StateDir, s.started.StateDir)
	return nil
}

// pretend gives weir what the network asked for in the day before now, with the
// times of then. It goes no faster than the records can be kept.
func (s *service) pretend(ctx context.Context, network *demo.Network, up *demo.Upstream, now time.Time) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for at := now.Add(-demoPast).Truncate(time.Minute); at.Add(time.Minute).Before(now); at = at.Add(time.Minute) {
		for _, e := range network.Minute(at) {
			s.pretendOne(&e, up)
		}
		if at.Minute()%10 != 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return nil
}

// pretendOne is what the resolver does with a query, short of a network.
func (s *service) pretendOne(e *demo.Event, up *demo.Upstream) {
	t := detect.Transaction{Query: detect.Query{Time: e.At, Client: e.Client, Name: e.Name, Type: e.Type, Class: dnswire.ClassIN}}
	s.detection.detector.Inspect(&t.Query, &t.Verdict)
	if t.Verdict.Blocks() {
		t.Source = detect.FromPolicy
	} else {
		t.Source, t.Upstream, t.Latency = detect.FromUpstream, up.Addr(), 8*time.Millisecond
		t.Response = up.Answer(demo.Query(e, 0))
		h, _ := dnswire.ReadHeader(t.Response) // it is our own
		t.Rcode = h.Rcode()
		s.detection.detector.InspectAnswer(&t.Query, t.Response, &t.Verdict)
	}
	s.played.count(&t)
	for _, sink := range s.sinks {
		sink.Record(&t)
	}
}

// playedAnswers counts the answers of the demo's past, which the resolver has not
// given, so that the overview has answers for what was judged.
type playedAnswers struct {
	mu     sync.Mutex
	counts map[answerKind]float64
}

type answerKind struct{ rcode, source string }

func (p *playedAnswers) count(t *detect.Transaction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[answerKind{dnswire.RcodeString(t.Rcode), t.Source.String()}]++
}

// addTo adds what was played to what the resolver has answered.
func (p *playedAnswers) addTo(answers []answerCount) []answerCount {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := maps.Clone(p.counts)
	for i := range answers {
		kind := answerKind{answers[i].Rcode, answers[i].Source}
		answers[i].Count += rest[kind]
		delete(rest, kind)
	}
	for kind, n := range rest {
		answers = append(answers, answerCount{kind.rcode, kind.source, n})
	}
	return answers
}
