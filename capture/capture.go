// Package capture turns captured packets into transactions: it reads a file,
// takes DNS messages out of the packets, pairs questions with answers, and has
// the same detector judge them that judges queries in the resolver. Nothing is
// enforced; a verdict's action says what would have happened.
//
// Every packet is accounted for: it is a DNS message, or a segment or fragment
// of what was put together, or a drop with its stage and reason; see Summary. DNS
// itself is read by internal/dnswire, which keeps the good part of a broken
// message. The package refuses to read a clock: time is the packets' own, so
// that a file gives the same records every time. It refuses to remember without
// bound: what waits for its other half, be it a query, a fragment or a segment,
// is bounded, and the oldest has to go.
package capture

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"go.uber.org/zap"
)

// Config says what of a capture is read.
type Config struct {
	// Ports are the UDP and TCP ports that speak DNS. Default: 53.
	Ports []uint16 `yaml:"ports"`
	// AnyPort says whether datagrams on other ports are read too if they are
	// DNS beyond doubt: one question, flags that go together, and room for the
	// records. In captures only; an interface's filter lets by what Ports says.
	// Default: true.
	AnyPort bool `yaml:"any_port"`
	// Multicast is what is done with mDNS and LLMNR: off, count or record.
	// Default: count.
	Multicast Multicast `yaml:"multicast"`
	// DuplicateWindow is how far apart in time two sightings of one UDP packet
	// may be, as a mirror port of both directions shows it; the second is
	// counted and not recorded again. 0s: every packet counts. Default: 20ms.
	DuplicateWindow time.Duration `yaml:"duplicate_window"`
	// PairTimeout is how long, in the time of the packets, a query waits for
	// its response; then it counts as unanswered. Default: 10s.
	PairTimeout time.Duration `yaml:"pair_timeout"`
	// MaxPending bounds the queries that wait at the same time; the oldest goes
	// first, as unanswered. A query takes about 450 bytes. Default: 65536.
	MaxPending int `yaml:"max_pending"`
	// FragmentBytes bounds the memory of IP fragments that wait for the rest of
	// their datagram; one source may have a quarter of it. The oldest datagram
	// goes first. Default: 16 MiB; at least 1 MiB.
	FragmentBytes int64 `yaml:"fragment_bytes"`
	// FragmentTimeout is how long, in the time of the packets, they wait from
	// the first that came. Default: 30s.
	FragmentTimeout time.Duration `yaml:"fragment_timeout"`
	// StreamBytes bounds the memory of TCP connections; one client may have a
	// quarter of it. The one that was silent longest goes first. Default:
	// 32 MiB; at least 2 MiB.
	StreamBytes int64 `yaml:"stream_bytes"`
	// StreamIdle is how long, in the time of the packets, a connection is
	// remembered after its last segment. Default: 60s.
	StreamIdle time.Duration `yaml:"stream_idle"`
	// Live is how interfaces are read.
	Live LiveConfig `yaml:"live"`
	// Findings are what is looked for beyond single transactions.
	Findings FindingsConfig `yaml:"findings"`
	// Dnstap is where resolvers bring what they are asked.
	Dnstap DnstapConfig `yaml:"dnstap"`
}

// The least sizes let the largest single thing be put together within the share
// of one source.
const (
	minFragmentBytes = 1 << 20
	minStreamBytes   = 2 << 20
)

// maxPorts keeps the filter for interfaces within the size that the kernel takes.
const maxPorts = 64

// DefaultConfig is what a Config says by default.
func DefaultConfig() Config {
	return Config{
		Ports: []uint16{53}, AnyPort: true, Multicast: MulticastCount, DuplicateWindow: 20 * time.Millisecond, PairTimeout: 10 * time.Second, MaxPending: 1 << 16,
		FragmentBytes: 16 << 20, FragmentTimeout: 30 * time.Second,
		StreamBytes: 32 << 20, StreamIdle: time.Minute, Live: DefaultLiveConfig(), Dnstap: DefaultDnstapConfig(), Findings: DefaultFindingsConfig(),
	}
}

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Ports) == 0 {
		errs = append(errs, errors.New("ports: must name at least one port"))
	}
	if len(c.Ports) > maxPorts {
		errs = append(errs, fmt.Errorf("ports: must be at most %d, got %d", maxPorts, len(c.Ports)))
	}
	for i, p := range c.Ports {
		if p == 0 {
			errs = append(errs, fmt.Errorf("ports[%d]: must not be 0", i))
		}
	}
	errs = append(errs, c.Multicast.validate())
	if c.DuplicateWindow < 0 || c.DuplicateWindow > time.Second {
		errs = append(errs, fmt.Errorf("duplicate_window: must be 0s to 1s, got %v", c.DuplicateWindow))
	}
	if c.PairTimeout <= 0 {
		errs = append(errs, fmt.Errorf("pair_timeout: must be over 0s, got %v", c.PairTimeout))
	}
	if c.MaxPending < 1 {
		errs = append(errs, fmt.Errorf("max_pending: must be at least 1, got %d", c.MaxPending))
	}
	if c.FragmentBytes < minFragmentBytes {
		errs = append(errs, fmt.Errorf("fragment_bytes: must be at least %d, got %d", minFragmentBytes, c.FragmentBytes))
	}
	if c.FragmentTimeout <= 0 {
		errs = append(errs, fmt.Errorf("fragment_timeout: must be over 0s, got %v", c.FragmentTimeout))
	}
	if c.StreamBytes < minStreamBytes {
		errs = append(errs, fmt.Errorf("stream_bytes: must be at least %d, got %d", minStreamBytes, c.StreamBytes))
	}
	if c.StreamIdle <= 0 {
		errs = append(errs, fmt.Errorf("stream_idle: must be over 0s, got %v", c.StreamIdle))
	}
	errs = append(errs, c.Live.validate()...)
	errs = append(errs, c.Dnstap.validate()...)
	errs = append(errs, c.Findings.validate()...)
	return errors.Join(errs...)
}

// Inspector judges. Both methods are called once for each transaction, when it
// is complete, by the goroutine that reads a file, or by one for each worker
// that reads interfaces.
type Inspector interface {
	// Inspect judges the query. v comes empty, with Unscored NotAsked and
	// perhaps with room in Matches.
	Inspect(q *detect.Query, v *detect.Verdict)
	// InspectAnswer adds to v what the response says of the query: names on
	// its CNAME chain, addresses.
	InspectAnswer(q *detect.Query, response []byte, v *detect.Verdict)
}

// Deps are what a Capture works with.
type Deps struct {
	Inspector Inspector // nil: nothing is judged, and verdicts say so
	// Sinks take every transaction. One that must lose nothing may block.
	Sinks    []detect.Sink
	Findings []detect.FindingSink // none: findings are not looked for
	// Open opens a file for ReadFile and ReadFiles; its error names the file. nil:
	// os.Open.
	Open     func(path string) (io.ReadCloser, error)
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Capture reads captures, one at a time, or interfaces.
type Capture struct {
	cfg  Config
	deps Deps
	// workers are replaced when interfaces are opened: files need one. What was
	// counted before would be lost, so that is refused.
	workers atomic.Pointer[[]*worker]
	live    atomic.Bool   // they are those of interfaces
	watch   *watcher      // nil: nobody takes findings
	refused atomic.Uint64 // connections for dnstap
}

// New checks the configuration and registers the metrics. It starts nothing.
func New(cfg Config, deps Deps) (*Capture, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	c := &Capture{cfg: cfg, deps: deps, watch: newWatcher(&cfg.Findings, deps.Findings)}
	c.workers.Store(&[]*worker{newWorker(&c.cfg, &c.deps, c.watch)})
	if err := c.register(deps.Registry); err != nil {
		return nil, fmt.Errorf("capture: metrics: %w", err)
	}
	return c, nil
}

// first is the worker of files.
func (c *Capture) first() *worker { return (*c.workers.Load())[0] }
