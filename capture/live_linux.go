package capture

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// pollEvery is how long a worker waits for packets before it looks after
	// what expires, and whether it is to end.
	pollEvery = 100 * time.Millisecond
	// countEvery is how old the kernel's count of drops may get.
	countEvery = time.Second
	// settle is how long after the filter was shut a block may still come.
	settle = 5 * ringRetire
)

// Live reads interfaces through rings that are shared with the kernel: each
// worker has one on every interface, so that the two directions of a tap meet.
type Live struct {
	capture *Capture
	rings   [][]*ring // by worker
	log     *zap.Logger
	downs   sync.Map // interface name: it is known to be down
}

// OpenLive opens the configured interfaces. It needs CAP_NET_RAW, and Run
// nothing; what was read before is no longer counted. From here on packets wait
// in the rings.
func (c *Capture) OpenLive() (_ *Live, err error) {
	cfg := &c.cfg.Live
	if len(cfg.Interfaces) == 0 {
		return nil, errors.New("live.interfaces: which?")
	}
	n := cfg.workerCount()
	l := &Live{capture: c, rings: make([][]*ring, n), log: c.deps.Log}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	ports := c.cfg.Ports
	if c.cfg.Multicast != MulticastOff {
		ports = append(slices.Clone(ports), portMDNS, portLLMNR)
	}
	pass, err := filter(filterSpec{ports: ports, tunnels: cfg.Tunnels, encrypted: c.watch != nil}, bpf.LoadExtension{Num: bpf.ExtProto}, 0)
	if err != nil {
		return nil, err
	}
	blocks := int(cfg.RingBytes / int64(n) / ringBlock)
	for _, name := range cfg.Interfaces {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return nil, fmt.Errorf("interface %s: %w", name, err)
		}
		var group *fanout
		if n > 1 {
			group = new(fanout)
		}
		for i := range n {
			r, err := openRing(ifi, blocks, cfg.Promiscuous, group)
			if err != nil {
				if errors.Is(err, os.ErrPermission) {
					err = fmt.Errorf("%w: reading interfaces needs root or CAP_NET_RAW, see docs/operations.md", err)
				}
				return nil, err
			}
			l.rings[i] = append(l.rings[i], r)
		}
	}
	c.split(n)
	// Only now that all of a group are there is each packet one's alone.
	for _, rings := range l.rings {
		for _, r := range rings {
			if _, _, err := r.statistics(); err != nil { // what the closed filter let by is none of ours
				return nil, err
			}
			if err := r.filter(pass); err != nil {
				return nil, fmt.Errorf("%s: filter: %w", r.name, err)
			}
		}
	}
	return l, nil
}

// Run reads until ctx ends, then what is in the rings, and returns when all
// workers have. An interface that goes down is waited for; one that goes away
// ends all.
func (l *Live) Run(ctx context.Context) error {
	defer l.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(l.rings))
	var wg sync.WaitGroup
	for i, w := range *l.capture.workers.Load() {
		wg.Go(func() {
			if errs[i] = l.work(ctx, w, l.rings[i]); errs[i] != nil {
				stop()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close gives the rings back. After Run there is nothing left to close.
func (l *Live) Close() {
	for _, rings := range l.rings {
		for _, r := range rings {
			r.close()
		}
	}
	l.rings = nil
}

// work is one worker from its first packet to its last.
func (l *Live) work(ctx context.Context, w *worker, rings []*ring) (err error) {
	fds := make([]unix.PollFd, len(rings))
	for i, r := range rings {
		fds[i] = unix.PollFd{Fd: int32(r.fd), Events: unix.POLLIN | unix.POLLERR}
	}
	counted := time.Now()
	for ctx.Err() == nil && err == nil {
		busy := false
		for _, r := range rings {
			if r.ready() {
				r.take(w.packet)
				busy = true
			}
		}
		if now := time.Now(); now.Sub(counted) >= countEvery {
			counted = now
			err = w.countKernel(rings)
		}
		if busy {
			continue
		}
		err = errors.Join(err, l.wait(fds, rings))
		w.tick(time.Now())
	}
	for _, r := range rings {
		err = errors.Join(err, r.shut())
	}
	for last := time.Now(); time.Since(last) < settle; {
		busy := false
		for _, r := range rings {
			if r.ready() {
				r.take(w.packet)
				busy = true
			}
		}
		if busy {
			last = time.Now()
		} else if _, pollErr := unix.Poll(fds, int(ringRetire.Milliseconds())); pollErr != nil && !errors.Is(pollErr, unix.EINTR) {
			break // settle is long enough without
		}
	}
	err = errors.Join(err, w.countKernel(rings))
	w.finish()
	return err
}

// wait waits for packets.
func (l *Live) wait(fds []unix.PollFd, rings []*ring) error {
	n, err := unix.Poll(fds, int(pollEvery.Milliseconds()))
	if errors.Is(err, unix.EINTR) || err == nil && n == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	for i := range fds {
		if fds[i].Revents&unix.POLLERR == 0 {
			if fds[i].Revents != 0 {
				l.downs.Delete(rings[i].name)
			}
			continue
		}
		err := rings[i].failure()
		switch {
		case errors.Is(err, unix.ENETDOWN):
			if _, gone := net.InterfaceByName(rings[i].name); gone != nil {
				return fmt.Errorf("interface %s: %w", rings[i].name, gone)
			}
			if _, known := l.downs.LoadOrStore(rings[i].name, true); !known {
				l.log.Warn("interface is down, waiting for it", zap.String("interface", rings[i].name))
			}
		case err != nil:
			return fmt.Errorf("interface %s: %w", rings[i].name, err)
		}
	}
	return nil
}

// countKernel takes over what the kernel has counted. A drop of its is a packet
// seen and lost.
func (w *worker) countKernel(rings []*ring) error {
	var errs []error
	for _, r := range rings {
		received, dropped, err := r.statistics()
		errs = append(errs, err)
		w.counts.received.Add(received)
		w.counts.packets.Add(dropped)
		w.counts.drops[dropKernel].Add(dropped)
	}
	return errors.Join(errs...)
}
