package capture

import (
	"errors"
	"fmt"
	"runtime"
)

// LiveConfig says how interfaces are read.
type LiveConfig struct {
	// Interfaces are those that are read when none is named otherwise. Both
	// directions of a tap may come in on two of them. Default: none.
	Interfaces []string `yaml:"interfaces"`
	// Promiscuous takes what is not addressed to the interface, as a mirror
	// port sends it. Default: true.
	Promiscuous bool `yaml:"promiscuous"`
	// Tunnels lets through the kernel's filter what may be a tunnel (IP in IP,
	// GRE, VXLAN, Geneve, GTP-U, Teredo, MPLS, PPPoE), all of it. Default: true.
	Tunnels bool `yaml:"tunnels"`
	// Workers share the packets, by the addresses of both ends; 0 is one for
	// each processor. Default: 0.
	Workers int `yaml:"workers"`
	// RingBytes is the memory that the kernel fills with packets, for each
	// interface, split among the workers. What finds it full is dropped and
	// counted. Default: 32 MiB; at least 2 MiB a worker.
	RingBytes int64 `yaml:"ring_bytes"`
}

const (
	maxWorkers      = 256
	maxInterfaces   = 64
	minRingBlocks   = 2
	maxRingBytes    = 4 << 30
	workerRingLeast = minRingBlocks << 20
)

// DefaultLiveConfig is what a LiveConfig says by default.
func DefaultLiveConfig() LiveConfig {
	return LiveConfig{Promiscuous: true, Tunnels: true, RingBytes: 32 << 20}
}

func (c *LiveConfig) validate() (errs []error) {
	if c.Workers < 0 || c.Workers > maxWorkers {
		errs = append(errs, fmt.Errorf("live.workers: must be 0 to %d, got %d", maxWorkers, c.Workers))
	}
	if c.RingBytes < workerRingLeast*int64(max(1, c.Workers)) || c.RingBytes > maxRingBytes {
		errs = append(errs, fmt.Errorf("live.ring_bytes: must be at least %d for each worker and at most %d, got %d", workerRingLeast, int64(maxRingBytes), c.RingBytes))
	}
	if len(c.Interfaces) > maxInterfaces {
		errs = append(errs, fmt.Errorf("live.interfaces: must be at most %d, got %d", maxInterfaces, len(c.Interfaces)))
	}
	seen := map[string]bool{}
	for i, name := range c.Interfaces {
		if name == "" || seen[name] {
			errs = append(errs, fmt.Errorf("live.interfaces[%d]: must be a name, each once, got %q", i, name))
		}
		seen[name] = true
	}
	return errs
}

// workerCount is how many workers c means here.
func (c *LiveConfig) workerCount() int {
	if c.Workers > 0 {
		return c.Workers
	}
	return int(max(1, min(int64(runtime.GOMAXPROCS(0)), c.RingBytes/workerRingLeast)))
}

// split makes n workers that share the bounds of the one.
func (c *Capture) split(n int) []*worker {
	part := c.cfg
	part.MaxPending = max(1, c.cfg.MaxPending/n)
	part.FragmentBytes = max(minFragmentBytes, c.cfg.FragmentBytes/int64(n))
	part.StreamBytes = max(minStreamBytes, c.cfg.StreamBytes/int64(n))
	workers := make([]*worker, n)
	for i := range workers {
		workers[i] = newWorker(&part, &c.deps, c.watch)
	}
	c.workers.Store(&workers)
	c.live.Store(true)
	return workers
}

// ErrLiveSystem means that interfaces cannot be read on this system.
var ErrLiveSystem = errors.New("interfaces can be read on Linux only")
