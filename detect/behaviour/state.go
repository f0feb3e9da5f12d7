package behaviour

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/weirdns/weir/internal/seen"
)

// ErrState is a file that is damaged, or none of ours.
var ErrState = errors.New("bad file of client behaviour")

// The file: the magic, the length of a saved in JSON and that, the domains
// (count and words, of before and today), the SHA-256 of it all.
const (
	stateMagic  = "WEIRBEH1"
	domainsLen  = 2 * (4 + seen.WordsLen)
	maxReturned = maxEntries
)

// saved is the state in JSON. Of clients it has a hash, whose key is beside it:
// who has the file can try addresses, as with privacy.client_address: hash.
type saved struct {
	Key     Key
	Day     int64
	Days    int64
	Peaks   []uint32
	Clients []savedClient
}

type savedClient struct {
	Hash     uint64
	At       int64
	Sum      float64
	Peak     float64
	Active   bool
	Standing Standing
	Since    int64
	Known    sketchState
	Evidence []savedEvidence
}

type sketchState struct {
	Bits []uint64
	Set  uint16
}

type savedEvidence struct {
	Name   string
	At     int64
	Weight float64
	NX     bool
}

// Append appends what is to outlive a restart: the domains that the site knows,
// what it says of thresholds, and the clients with evidence. What a client's
// names share, and flows, begin anew.
func (w *Watcher) Append(dst []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := saved{Key: w.deps.Key, Day: w.day, Days: w.days, Peaks: w.peaks.bins[:]}
	save := func(hash uint64, a *account) {
		c := savedClient{
			Hash: hash, At: a.at, Sum: a.sum, Peak: a.peak, Active: a.active, Standing: a.standing, Since: a.since,
			Known: sketchState{a.known.bits[:], a.known.set},
		}
		for _, e := range a.evidence {
			c.Evidence = append(c.Evidence, savedEvidence{e.name, e.at, e.weight, e.nx})
		}
		s.Clients = append(s.Clients, c)
	}
	w.accounts.each(func(addr netip.Addr, a *account) {
		if a.standing > Clean || len(a.evidence) > 0 {
			octets := addr.As16()
			save(w.hash(octets[:]), a)
		}
	})
	for hash, a := range w.returning {
		save(hash, a)
	}
	head, err := json.Marshal(&s)
	if err != nil {
		return dst, err
	}
	le, start := binary.LittleEndian, len(dst)
	dst = append(dst, stateMagic...)
	dst = le.AppendUint32(dst, uint32(len(head)))
	dst = append(dst, head...)
	if !w.domains.any {
		w.domains.clear()
	}
	for _, d := range []*seen.Names{&w.domains.before, &w.domains.today} {
		dst = d.AppendWords(le.AppendUint32(dst, d.Added()))
	}
	sum := sha256.Sum256(dst[start:])
	return append(dst, sum[:]...), nil
}

// Restore takes what Append gave, all or nothing, into a Watcher that has not
// watched yet.
func (w *Watcher) Restore(data []byte) error {
	if len(data) < len(stateMagic)+4+domainsLen+sha256.Size || !bytes.HasPrefix(data, []byte(stateMagic)) {
		return fmt.Errorf("%w: %d octets", ErrState, len(data))
	}
	body, sum := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return fmt.Errorf("%w: checksum", ErrState)
	}
	le := binary.LittleEndian
	length := uint64(le.Uint32(body[len(stateMagic):]))
	body = body[len(stateMagic)+4:]
	if uint64(len(body)) != length+domainsLen {
		return fmt.Errorf("%w: length", ErrState)
	}
	var s saved
	if err := json.Unmarshal(body[:length], &s); err != nil {
		return fmt.Errorf("%w: %w", ErrState, err)
	}
	var next domains
	next.any = true
	rest := body[length:]
	for _, d := range []*seen.Names{&next.before, &next.today} {
		if err := d.SetWords(le.Uint32(rest), rest[4:4+seen.WordsLen]); err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
		rest = rest[4+seen.WordsLen:]
	}
	var p peaks
	total := uint64(0)
	if len(s.Peaks) != len(p.bins) || len(s.Clients) > maxReturned {
		return fmt.Errorf("%w: counts", ErrState)
	}
	for i, n := range s.Peaks {
		p.bins[i] = n
		total += uint64(n)
	}
	if total > daysFull {
		return fmt.Errorf("%w: counts", ErrState)
	}
	p.total = uint32(total)
	returning := map[uint64]*account{}
	for _, c := range s.Clients {
		a, err := c.account()
		if err != nil {
			return err
		}
		if len(returning) < w.accounts.most {
			returning[c.Hash] = a
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deps.Key, w.day, w.days, w.peaks, w.domains, w.returning = s.Key, s.Day, s.Days, p, next, returning
	return nil
}

func (c *savedClient) account() (*account, error) {
	a := &account{at: c.At, sum: c.Sum, peak: c.Peak, active: c.Active, standing: c.Standing, since: c.Since}
	good := func(f float64) bool { return f >= 0 && f < math.MaxInt32 }
	if c.Standing > Infected || !good(c.Sum) || !good(c.Peak) || len(c.Evidence) > maxEvidence || len(c.Known.Bits) != len(a.known.bits) || c.Known.Set > sketchBits {
		return nil, fmt.Errorf("%w: a client", ErrState)
	}
	copy(a.known.bits[:], c.Known.Bits)
	a.known.set = c.Known.Set
	for _, e := range c.Evidence {
		if !good(e.Weight) {
			return nil, fmt.Errorf("%w: evidence", ErrState)
		}
		a.evidence = append(a.evidence, evidence{e.Name, e.At, e.Weight, e.NX})
	}
	return a, nil
}
