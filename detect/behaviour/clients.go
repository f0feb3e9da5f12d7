package behaviour

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Client is what speaks for a client being infected.
type Client struct {
	Addr     netip.Addr // as it asked; invalid: it did not ask since a restart
	Standing Standing
	Since    time.Time // of the data; zero while it is clean
	Sum      float64   // of the evidence, as it counts now
	Evidence []Evidence
}

// Evidence is one name that a client asked for.
type Evidence struct {
	Name     string    `json:"name"`
	Time     time.Time `json:"time"`
	Weight   float64   `json:"weight"`
	NXDOMAIN bool      `json:"nxdomain"` // it does not exist
}

// Infections is how clients stand.
type Infections struct {
	Infected, Suspicious float64 // sums from which a client is that
	OneIn                int     // of client-days reach Infected, if Calibrated
	Calibrated           bool    // the sums are the site's own
	ClientDays           int     // that they rest on
	Clients              []Client
}

// Infections lists the clients with any evidence, those of the most first; the
// others are clean.
func (w *Watcher) Infections() Infections {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := Infections{OneIn: w.cfg.Infected.OneIn, ClientDays: int(w.peaks.total)}
	out.Infected, out.Suspicious = w.thresholds()
	_, out.Calibrated = w.peaks.reachedBy(out.OneIn)
	w.accounts.each(func(addr netip.Addr, a *account) {
		if a.standing > Clean || len(a.evidence) > 0 {
			out.Clients = append(out.Clients, a.client(addr))
		}
	})
	for _, a := range w.returning {
		out.Clients = append(out.Clients, a.client(netip.Addr{}))
	}
	slices.SortFunc(out.Clients, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Standing, a.Standing), cmp.Compare(b.Sum, a.Sum), a.Addr.Compare(b.Addr))
	})
	return out
}

func (a *account) client(addr netip.Addr) Client {
	c := Client{Addr: addr, Standing: a.standing, Sum: a.sum}
	if a.standing > Clean {
		c.Since = time.Unix(a.since, 0).UTC()
	}
	for _, e := range a.evidence {
		c.Evidence = append(c.Evidence, Evidence{e.name, time.Unix(e.at, 0).UTC(), e.weight, e.nx})
	}
	return c
}

// Reset forgets what speaks for a client being infected, and says whether there
// was anything.
func (w *Watcher) Reset(client netip.Addr) bool {
	client = client.Unmap().WithZone("")
	octets := client.As16()
	w.mu.Lock()
	defer w.mu.Unlock()
	hash := w.hash(octets[:])
	_, found := w.returning[hash]
	delete(w.returning, hash)
	if a := w.accounts.get(client); a != nil {
		found = true
		*a = account{}
	}
	return found
}
