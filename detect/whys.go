package detect

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/weirdns/weir/internal/dnsname"
)

// whysEntries bounds the reasons that are kept, about half a KiB each. Names
// with reasons are few, and one that has lost its own gets them made again.
const whysEntries = 1 << 10

// whys keeps the reasons of the latest detections, since a client asks again
// and again for a name that it was refused, and reasons cost more than scores.
// It belongs to one model. A place holds one name, and the newer one wins.
type whys struct {
	seed   maphash.Seed
	places [whysEntries]atomic.Pointer[whyEntry]
}

type whyEntry struct {
	name string
	why  *Why
}

func newWhys() *whys { return &whys{seed: maphash.MakeSeed()} }

// of are the reasons of a name whose score is a detection. nil: the model has
// none, which it then had no score from either.
func (w *whys) of(m *Model, split dnsname.Split) *Why {
	place := &w.places[maphash.Bytes(w.seed, split.Registered)%whysEntries]
	if e := place.Load(); e != nil && e.name == string(split.Registered) {
		return e.why
	}
	e, err := m.Explain(split)
	if err != nil {
		return nil
	}
	why := e.Why()
	place.Store(&whyEntry{name: string(split.Registered), why: why})
	return why
}
