package pdns

import (
	"errors"
	"sync/atomic"

	"github.com/weirdns/weir/detect"
)

// Together makes several outputs one, named name: they share a queue and a
// goroutine, so that a transaction is copied once and read once for all of them.
// It is for those that only count in memory; one that waits for a disk or a
// network would make the others wait.
func Together(name string, outputs ...Output) Output {
	return &together{name: name, outputs: outputs}
}

type together struct {
	name    string
	outputs []Output
	given   atomic.Uint64
}

func (g *together) Name() string { return g.name }

// Wants says whether one of them does.
func (g *together) Wants(t *detect.Transaction) bool {
	for _, o := range g.outputs {
		if o.Wants(t) {
			return true
		}
	}
	return false
}

// Consume gives t to those that want it.
func (g *together) Consume(t *detect.Transaction) {
	g.given.Add(1)
	for _, o := range g.outputs {
		if o.Wants(t) {
			o.Consume(t)
		}
	}
}

func (g *together) Tend() error { return g.each(Output.Tend) }

func (g *together) Stopping() {
	for _, o := range g.outputs {
		o.Stopping()
	}
}

func (g *together) Close() error { return g.each(Output.Close) }

func (g *together) each(do func(Output) error) error {
	errs := make([]error, len(g.outputs))
	for i, o := range g.outputs {
		errs[i] = do(o)
	}
	return errors.Join(errs...)
}

// Recorded counts what was given to them. None of it can be lost there.
func (g *together) Recorded() uint64 { return g.given.Load() }

func (g *together) Dropped() uint64 { return 0 }
