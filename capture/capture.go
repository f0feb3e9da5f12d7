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
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
	"go.uber.org/zap"
)

// Config says what of a capture is read.
type Config struct {
	// Ports are the UDP and TCP ports that speak DNS. Default: 53.
	Ports []uint16 `yaml:"ports"`
	// PairTimeout is how long, in the time of the packets, a query waits for
	// its response; then it counts as unanswered. Default: 5s.
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
}

// The least sizes let the largest single thing be put together within the share
// of one source.
const (
	minFragmentBytes = 1 << 20
	minStreamBytes   = 2 << 20
)

// DefaultConfig is what a Config says by default.
func DefaultConfig() Config {
	return Config{
		Ports: []uint16{53}, PairTimeout: 5 * time.Second, MaxPending: 1 << 16,
		FragmentBytes: 16 << 20, FragmentTimeout: 30 * time.Second,
		StreamBytes: 32 << 20, StreamIdle: time.Minute,
	}
}

// Validate says everything that is wrong with c.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Ports) == 0 {
		errs = append(errs, errors.New("ports: must name at least one port"))
	}
	for i, p := range c.Ports {
		if p == 0 {
			errs = append(errs, fmt.Errorf("ports[%d]: must not be 0", i))
		}
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
	return errors.Join(errs...)
}

// Inspector judges. Both methods are called by the one goroutine that reads,
// once for each transaction, when it is complete.
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
	Log      *zap.Logger
	Registry prometheus.Registerer
}

// Capture reads captures, one at a time. It starts no goroutine.
type Capture struct {
	cfg     Config
	deps    Deps
	pending *pairs
	counts  counters
	slabs   slabs
	streams *streams

	// Memory that is used again for every packet.
	decoder decoder
	message message
	tx      detect.Transaction // what the sinks are handed
	handing bool               // a message is with inspector and sinks

	servers map[netip.Addr]string
}

// New checks the configuration and registers the metrics.
func New(cfg Config, deps Deps) (*Capture, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("capture: %w", err)
	}
	c := &Capture{
		cfg:     cfg,
		deps:    deps,
		pending: newPairs(cfg.MaxPending, cfg.PairTimeout),
		servers: map[netip.Addr]string{},
	}
	c.decoder.ports = make(map[uint16]bool, len(cfg.Ports))
	for _, p := range cfg.Ports {
		c.decoder.ports[p] = true
	}
	c.reset()
	if err := c.counts.register(deps.Registry); err != nil {
		return nil, fmt.Errorf("capture: metrics: %w", err)
	}
	return c, nil
}

// reset begins with empty tables.
func (c *Capture) reset() {
	c.decoder.fragments = newFragments(c.cfg.FragmentBytes, c.cfg.FragmentTimeout, &c.counts, &c.slabs)
	c.streams = newStreams(c.cfg.StreamBytes, c.cfg.StreamIdle, c.decoder.ports, &c.counts, &c.slabs, c.overTCP)
}

// FileError says where in a capture reading came to an end. What was read until
// then has gone to the sinks.
type FileError struct {
	File   string
	Packet uint64 // the first one that was not read, from 1; 0 if the file's header was not read
	Err    error
}

func (e *FileError) Error() string {
	if e.Packet == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s: packet %d: %v", e.File, e.Packet, e.Err)
}

// Unwrap is the cause.
func (e *FileError) Unwrap() error { return e.Err }

// ReadFile reads the capture at path, or those in the folder at path.
func (c *Capture) ReadFile(ctx context.Context, path string) error {
	defer c.finish()
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return c.readFolder(ctx, path)
	}
	return c.readFile(ctx, path)
}

// readFolder reads the files of a folder in the order of their names, which is
// that of time where a program writes one after the other; so what waits at the
// end of one goes on in the next. Files that are no captures are passed over,
// and one that is damaged does not keep those behind it from being read.
func (c *Capture) readFolder(ctx context.Context, path string) error {
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		switch err := c.readFile(ctx, filepath.Join(path, e.Name())); {
		case ctx.Err() != nil:
			return errors.Join(append(errs, err)...)
		case errors.Is(err, ErrFormat):
			c.deps.Log.Warn("passed over a file that is no capture", zap.Error(err))
		default:
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Capture) readFile(ctx context.Context, path string) error {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err // it names the file
	}
	defer func() { _ = f.Close() }() // it was only read
	return c.read(ctx, path, f)
}

// Read reads a capture from r: pcap or pcapng in either byte order, or one of
// them in gzip or zstd, by magic number. At its end, and at an error, queries that
// still wait are unanswered. A capture that ends inside of a packet, as one
// does whose writer was stopped, is no error: what is missing counts as one
// packet, dropped. Read returns between two packets when ctx ends; it cannot
// end a wait for r.
func (c *Capture) Read(ctx context.Context, r io.Reader) error {
	defer c.finish()
	return c.read(ctx, "input", r)
}

func (c *Capture) read(ctx context.Context, name string, r io.Reader) error {
	src, err := openSource(r)
	if err != nil {
		return &FileError{File: name, Err: err}
	}
	for n := uint64(1); ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := src.next()
		switch {
		case err == nil:
			c.packet(&p)
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			c.counts.packets.Add(1)
			c.counts.drop(dropCut)
			c.deps.Log.Warn("capture ends inside of a packet", zap.String("file", name), zap.Uint64("packet", n))
			return nil
		default:
			return &FileError{File: name, Packet: n, Err: err}
		}
	}
}

// finish ends all waiting.
func (c *Capture) finish() {
	c.finishTables()
	for {
		p := c.pending.oldest()
		if p == nil {
			return
		}
		c.unanswered(p)
	}
}

func (c *Capture) finishTables() {
	defer c.rescue(new(drop))
	c.decoder.fragments.finish()
	c.streams.finish()
}

// packet counts one packet exactly once, whatever happens to it; one that waits
// is counted when its wait is over.
func (c *Capture) packet(p *packet) {
	c.counts.packets.Add(1)
	c.counts.seen(p.time)
	switch why := c.decode(p); why {
	case 0:
		c.counts.messages.Add(1)
		c.expire()
		if c.decoder.quoting {
			c.counts.quoted.Add(1)
			return
		}
		c.handle(&c.decoder.datagram)
	case counted:
	default:
		c.counts.drop(why)
	}
}

// decode finds the message in a packet. A panic there is a bug, and the next
// packet is not to pay for it.
func (c *Capture) decode(p *packet) (why drop) {
	defer c.rescue(&why)
	d := &c.decoder
	d.now = p.time
	d.fragments.expire(p.time)
	c.streams.expire(p.time)
	if why := d.decode(p); why != 0 {
		return why
	}
	if d.tcp {
		c.streams.add(&d.segment, p.time)
		return counted
	}
	if !c.message.read(d.datagram.payload) {
		return dropDNSShort
	}
	return 0
}

// overTCP takes a message out of a connection; it has a header.
func (c *Capture) overTCP(d *datagram) {
	c.message.read(d.payload)
	c.counts.messages.Add(1)
	c.counts.tcpMessages.Add(1)
	c.handing = true
	c.expire()
	c.handle(d)
	c.handing = false
}

// expire ends the wait of queries whose time is over.
func (c *Capture) expire() {
	for p := c.pending.expired(c.decoder.now); p != nil; p = c.pending.expired(c.decoder.now) {
		c.unanswered(p)
	}
}

// rescue recovers from a panic of ours; one of a sink is not ours to hide. The
// tables may be broken: they begin anew, and what was in them counts under the
// panic, with the packet that met it.
func (c *Capture) rescue(why *drop) {
	r := recover()
	if r == nil {
		return
	}
	if c.handing {
		panic(r)
	}
	c.panicked(r)
	c.reset()
	c.counts.waiting.Store(0)
	c.counts.drops[dropPanic].Add(c.counts.packets.Load() - c.counts.accounted())
	*why = counted
}

func (c *Capture) panicked(value any) {
	c.counts.panics.Add(1)
	c.deps.Log.Error("panic while reading a capture", zap.Any("panic", value), zap.Stack("stack"))
}
