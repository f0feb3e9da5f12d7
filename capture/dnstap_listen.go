package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// DnstapConfig says where dnstap is taken.
type DnstapConfig struct {
	// Listen are addresses that resolvers connect to: unix:PATH or tcp:IP:PORT.
	// Default: none.
	Listen []string `yaml:"listen"`
	// MaxConnections bounds them; one more is closed at once. Default: 64.
	MaxConnections int `yaml:"max_connections"`
}

// DefaultDnstapConfig is what a DnstapConfig says by default.
func DefaultDnstapConfig() DnstapConfig { return DnstapConfig{MaxConnections: 64} }

const (
	maxDnstapListeners = 16
	handshakeTime      = 10 * time.Second
)

func (c *DnstapConfig) validate() (errs []error) {
	if len(c.Listen) > maxDnstapListeners {
		errs = append(errs, fmt.Errorf("dnstap.listen: must be at most %d, got %d", maxDnstapListeners, len(c.Listen)))
	}
	for i, addr := range c.Listen {
		kind, rest, _ := strings.Cut(addr, ":")
		_, err := netip.ParseAddrPort(rest)
		if kind != "unix" && kind != "tcp" || kind == "unix" && rest == "" || kind == "tcp" && err != nil {
			errs = append(errs, fmt.Errorf("dnstap.listen[%d]: must be unix:PATH or tcp:IP:PORT, got %q", i, addr))
		}
	}
	if c.MaxConnections < 1 || c.MaxConnections > 4096 {
		errs = append(errs, fmt.Errorf("dnstap.max_connections: must be 1 to 4096, got %d", c.MaxConnections))
	}
	return errs
}

// Dnstap takes dnstap from resolvers: what they are asked and answer, over
// encrypted transports too.
type Dnstap struct {
	capture   *Capture
	listeners []net.Listener

	mu      sync.Mutex // guards the worker, and what is below
	last    time.Time  // when the last frame came
	clients map[net.Conn]bool
}

// OpenDnstap binds the configured addresses.
func (c *Capture) OpenDnstap() (_ *Dnstap, err error) {
	d := &Dnstap{capture: c, clients: map[net.Conn]bool{}}
	defer func() {
		if err != nil {
			d.Close()
		}
	}()
	for _, addr := range c.cfg.Dnstap.Listen {
		network, address, _ := strings.Cut(addr, ":")
		if network == "unix" {
			if err := removeStale(address); err != nil {
				return nil, err
			}
		}
		l, err := net.Listen(network, address)
		if err != nil {
			return nil, fmt.Errorf("listen for dnstap: %w", err)
		}
		d.listeners = append(d.listeners, l)
		if network == "unix" {
			// The resolver has a user of its own: it is let in by the group.
			if err := os.Chmod(address, 0o660); err != nil {
				return nil, err
			}
		}
	}
	return d, nil
}

// removeStale removes a socket that a process left behind, and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil // there is none, or Listen says what is wrong
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close() // nothing was said
		return fmt.Errorf("listen for dnstap: %s: another process listens there", path)
	}
	return os.Remove(path)
}

// Addrs are the addresses that are listened on.
func (d *Dnstap) Addrs() []string {
	var out []string
	for _, l := range d.listeners {
		out = append(out, l.Addr().Network()+":"+l.Addr().String())
	}
	return out
}

// Close gives the addresses back. After Run there is nothing left to close.
func (d *Dnstap) Close() {
	for _, l := range d.listeners {
		_ = l.Close() // nothing is lost
	}
}

// Run takes connections until ctx ends; then frames that have come are read to
// their end, and what waits is given up.
func (d *Dnstap) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, len(d.listeners))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for i, l := range d.listeners {
		wg.Go(func() {
			if errs[i] = d.accept(ctx, l); errs[i] != nil {
				stop()
			}
		})
	}
	wg.Go(func() { d.tend(ctx) })
	<-ctx.Done()
	d.Close()
	d.mu.Lock()
	for conn := range d.clients {
		_ = conn.SetReadDeadline(time.Now().Add(ringGrace)) // what is on its way may still come
	}
	d.mu.Unlock()
	wg.Wait()
	d.capture.first().finish()
	return errors.Join(errs...)
}

// ringGrace is how long after the end a connection is still read.
const ringGrace = 100 * time.Millisecond

func (d *Dnstap) accept(ctx context.Context, l net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("dnstap: %w", err)
			}
			pause(ctx) // out of file descriptors, perhaps
			continue
		}
		d.mu.Lock()
		full := len(d.clients) >= d.capture.cfg.Dnstap.MaxConnections || ctx.Err() != nil
		if !full {
			d.clients[conn] = true
		}
		d.mu.Unlock()
		if full {
			d.capture.refused.Add(1)
			_ = conn.Close() // nothing was said
			continue
		}
		wg.Go(func() { d.serve(ctx, conn) })
	}
}

// serve reads one connection to its end.
func (d *Dnstap) serve(ctx context.Context, conn net.Conn) {
	defer func() {
		_ = conn.Close() // it was read
		d.mu.Lock()
		delete(d.clients, conn)
		d.mu.Unlock()
	}()
	f := newFrames(bufio.NewReaderSize(conn, readBuffer), conn)
	_ = conn.SetDeadline(time.Now().Add(handshakeTime)) // a socket takes any
	err := f.start()
	if err == nil {
		d.mu.Lock()
		if ctx.Err() == nil {
			_ = conn.SetDeadline(time.Time{})
		}
		d.mu.Unlock()
		for err == nil {
			var frame []byte
			if frame, err = f.next(); err == nil {
				d.take(frame)
			}
		}
	}
	switch {
	case errors.Is(err, io.EOF), ctx.Err() != nil:
	case errors.Is(err, io.ErrUnexpectedEOF):
		d.mu.Lock()
		w := d.capture.first()
		w.counts.packets.Add(1)
		w.counts.drop(dropCut)
		d.mu.Unlock()
	default:
		d.capture.deps.Log.Warn("dnstap connection ends", zap.Error(err))
	}
}

func (d *Dnstap) take(frame []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capture.first().tapFrame(frame)
	d.last = time.Now()
}

// tend lets time pass where no frame comes: that of the senders, whose clock
// may be another.
func (d *Dnstap) tend(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			d.mu.Lock()
			if w := d.capture.first(); !d.last.IsZero() {
				w.tick(w.decoder.now.Add(now.Sub(d.last)))
				d.last = now
			}
			d.mu.Unlock()
		}
	}
}
