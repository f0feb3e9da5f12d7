// Package reputation says what others think of a name, on one scale from -1
// (unverified) to 3 (high): lists that are loaded anyway, and services over HTTP
// that are asked about detections alone. It is looked up behind the answer path, for
// records, and nothing is judged by it.
package reputation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/detect"
)

// provider is one service, or several alike.
type provider interface {
	// look appends what is known of the name of t. It never waits for anybody.
	look(t *detect.Transaction, dst []detect.Reputation) []detect.Reputation
}

// Enricher is what another one knows, with reputations. It is safe for any number of
// goroutines.
type Enricher struct {
	next      next
	providers []provider
	services  []*service
}

type next interface {
	Enrich(t *detect.Transaction, client netip.Prefix, into *detect.Context)
}

// New reads the files of a valid configuration and asks nobody before it runs.
func New(cfg Config, other next, reg prometheus.Registerer) (*Enricher, error) {
	e := &Enricher{next: other}
	if len(cfg.Lists) > 0 {
		l := lists{}
		for _, one := range cfg.Lists {
			if !one.Disabled {
				l[one.List] = levels[one.Level]
			}
		}
		e.providers = append(e.providers, l)
	}
	var errs []error
	for i := range cfg.HTTP {
		if cfg.HTTP[i].Disabled {
			continue
		}
		s, err := newService(cfg.HTTP[i], reg)
		if err != nil {
			errs = append(errs, fmt.Errorf("http[%d].%w", i, err))
			continue
		}
		e.providers, e.services = append(e.providers, s), append(e.services, s)
	}
	return e, errors.Join(errs...)
}

// Enrich is next's, and what is known of the name's reputation.
func (e *Enricher) Enrich(t *detect.Transaction, client netip.Prefix, into *detect.Context) {
	e.next.Enrich(t, client, into)
	for _, p := range e.providers {
		into.Reputations = p.look(t, into.Reputations)
	}
}

// Run asks services until ctx ends.
func (e *Enricher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range e.services {
		wg.Go(func() { s.run(ctx) })
	}
	wg.Wait()
	return nil
}

// lists are levels of hits, by list.
type lists map[string]detect.ReputationLevel

func (l lists) look(t *detect.Transaction, dst []detect.Reputation) []detect.Reputation {
	at := len(dst)
next:
	for i := range t.Verdict.Matches {
		m := &t.Verdict.Matches[i]
		level, ok := l[m.List]
		if !ok || m.Kind == detect.MatchClient || m.Effect == detect.EffectPass {
			continue
		}
		for _, r := range dst[at:] {
			if r.Service == m.List {
				continue next // another entry of the same list
			}
		}
		dst = append(dst, detect.Reputation{Service: m.List, Level: level, Detail: m.Info})
	}
	return dst
}
