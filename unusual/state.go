package unusual

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/weirdns/weir/internal/atomicfile"
	"github.com/weirdns/weir/pdns/privacy"
)

const (
	// StateFile is its name in the state folder.
	StateFile    = "unusual.gz"
	stateVersion = 1
	// saveEvery is what a crash may cost.
	saveEvery = 5 * time.Minute
	// maxStateLine bounds the lists that are read back, in octets.
	maxStateLine = 512 << 20
)

// state is what of a Tracker survives: a line of JSON, behind it the cells of words
// and, if there are any, of clients, float32 each, little-endian; gzip around all.
//
// Cells of clients are kept only where privacy lets the whole address be kept, or
// where a client is a pseudonym: who has the file could else try addresses.
type state struct {
	Version     int                  `json:"version"`
	Privacy     string               `json:"privacy"`
	Seed        uint64               `json:"seed"`
	HalfLife    time.Duration        `json:"half_life"`
	Epoch       int64                `json:"epoch"`
	Network     tally                `json:"network"`
	Parts       []map[uint16]float64 `json:"parts"`
	WordCells   int                  `json:"word_cells"`
	ClientCells int                  `json:"client_cells"`
	Days        []savedDay           `json:"days"`
}

type savedDay struct {
	Day      string       `json:"day"`
	Queries  uint64       `json:"queries"`
	Finished bool         `json:"finished"`
	Entries  []savedEntry `json:"entries"`
}

type savedEntry struct {
	Client  netip.Addr `json:"client"`
	Domain  []byte     `json:"domain"`
	Name    []byte     `json:"name"`
	Ident   uint64     `json:"ident,omitempty"`
	Word    []byte     `json:"word"`
	Seen    int64      `json:"seen"`
	Score   float64    `json:"score"`
	Reasons []Part     `json:"reasons,omitempty"`
	First   int64      `json:"first"`
	Last    int64      `json:"last"`
	Queries uint64     `json:"queries"`
}

// keepsClients says whether profiles of clients may be on a disk.
func (t *Tracker) keepsClients() bool {
	m := t.guard.Mode()
	return m == privacy.Full || m == privacy.Hash || m == privacy.IPCrypt
}

// Tend writes the state from time to time.
func (t *Tracker) Tend() error {
	t.mu.Lock()
	due := t.dirty && t.now().Sub(t.saved) >= saveEvery
	t.mu.Unlock()
	if !due {
		return nil
	}
	return t.save()
}

// Close writes the state.
func (t *Tracker) Close() error { return t.save() }

func (t *Tracker) save() error {
	if t.dir == "" {
		return nil
	}
	t.mu.Lock()
	head, cells, err := t.snapshot()
	t.saved, t.dirty = t.now(), false
	t.mu.Unlock()
	if err == nil {
		err = atomicfile.Write(filepath.Join(t.dir, StateFile), 0o600, func(w io.Writer) error {
			z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
			if err != nil {
				return err
			}
			_, err = z.Write(head)
			_, cellsErr := z.Write(cells)
			return errors.Join(err, cellsErr, z.Close())
		})
	}
	if err != nil {
		t.failed.Inc()
		return fmt.Errorf("unusual: %w", err)
	}
	return nil
}

// snapshot is the state now; mu is held.
func (t *Tracker) snapshot() (head, cells []byte, err error) {
	p := t.profile
	s := state{
		Version: stateVersion, Privacy: t.guard.Mode().String(), Seed: p.seed, HalfLife: p.halfLife, Epoch: p.epoch,
		Network: p.network, Parts: p.parts[:], WordCells: len(p.words), Days: []savedDay{},
	}
	cells = appendCells(make([]byte, 0, 4*(len(p.words)+len(p.clients))), p.words)
	if t.keepsClients() {
		s.ClientCells = len(p.clients)
		cells = appendCells(cells, p.clients)
	}
	for _, d := range t.days {
		one := savedDay{Day: dayText(d.number), Queries: d.queries, Finished: d.finished, Entries: []savedEntry{}}
		for _, e := range d.entries {
			key, ident := e.word.key(), uint64(0)
			if s.ClientCells > 0 {
				ident = e.ident
			}
			one.Entries = append(one.Entries, savedEntry{
				Client: e.client, Domain: []byte(e.domain), Name: []byte(e.name), Ident: ident, Word: key[:], Seen: e.seen,
				Score: e.score, Reasons: e.reasons, First: e.first, Last: e.last, Queries: e.queries,
			})
		}
		s.Days = append(s.Days, one)
	}
	head, err = json.Marshal(&s)
	return append(head, '\n'), cells, err
}

func appendCells(dst []byte, c counters) []byte {
	for _, f := range c {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(f))
	}
	return dst
}

// errPrivacy is that clients were kept in another form.
var errPrivacy = errors.New("written under another privacy.client_address")

// load takes up the state of the last run; nothing of it after an error.
func (t *Tracker) load() error {
	f, err := os.Open(filepath.Join(t.dir, StateFile))
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s: %w", StateFile, err)
	}
	if err := t.restore(z); err != nil {
		return fmt.Errorf("%s: %w", StateFile, err)
	}
	return nil
}

func (t *Tracker) restore(r io.Reader) error {
	in := bufio.NewReader(r)
	head, err := readLine(in)
	if err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal(head, &s); err != nil {
		return err
	}
	switch {
	case s.Version != stateVersion:
		return fmt.Errorf("version %d, want %d", s.Version, stateVersion)
	case s.Privacy != t.guard.Mode().String():
		return errPrivacy
	case len(s.Parts) != parts || s.WordCells < 1 || s.WordCells > maxMemoryBytes || s.ClientCells < 0 || s.ClientCells > maxMemoryBytes:
		return errors.New("damaged")
	}
	p := newProfile(t.cfg.HalfLife, t.cfg.MemoryBytes, s.Seed)
	p.epoch, p.network = s.Epoch, s.Network
	for i, m := range s.Parts {
		if m != nil {
			p.parts[i] = m
		}
	}
	same := s.WordCells == len(p.words) && (s.ClientCells == 0 || s.ClientCells == len(p.clients)) && s.HalfLife == t.cfg.HalfLife
	if err := readCells(in, p.words, s.WordCells); err != nil {
		return err
	}
	if err := readCells(in, p.clients, s.ClientCells); err != nil {
		return err
	}
	// To its end: gzip's checksum is there.
	if n, err := io.Copy(io.Discard, in); err != nil || n > 0 {
		return errors.Join(err, fmt.Errorf("%d octets too many", n))
	}
	if !same {
		// Other settings: what is usual is learned anew, the lists stay.
		p = newProfile(t.cfg.HalfLife, t.cfg.MemoryBytes, s.Seed)
	}
	days, err := restoreDays(s.Days, !same)
	if err != nil {
		return err
	}
	t.profile, t.days = p, days[max(len(days)-t.cfg.Days, 0):]
	return nil
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var out []byte
	for {
		part, err := in.ReadSlice('\n')
		out = append(out, part...)
		if err == nil {
			return bytes.TrimSuffix(out, []byte("\n")), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return nil, err
		}
		if len(out) > maxStateLine {
			return nil, errors.New("too long")
		}
	}
}

// readCells reads n cells into c, or past them where c has another size.
func readCells(in io.Reader, c counters, n int) error {
	var b [4]byte
	for i := range n {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return err
		}
		f := math.Float32frombits(binary.LittleEndian.Uint32(b[:]))
		if !(f >= 0) || math.IsInf(float64(f), 0) {
			return errors.New("damaged")
		}
		if n == len(c) {
			c[i] = f
		}
	}
	return nil
}

// restoreDays makes days of what was saved. finished says that none goes on: its
// scores are of a profile that is gone.
func restoreDays(saved []savedDay, finished bool) (out []*day, err error) {
	for _, one := range saved {
		number, err := ParseDay(one.Day)
		if err != nil || len(out) > 0 && number <= out[len(out)-1].number || len(one.Entries) > 2*maxTop {
			return nil, errors.New("damaged")
		}
		d := newDay(number)
		d.queries, d.finished = one.Queries, one.Finished || finished
		for _, s := range one.Entries {
			w, ok := wordOf(s.Word)
			if !ok || !isName(s.Domain) || !isName(s.Name) || math.IsNaN(s.Score) {
				return nil, errors.New("damaged")
			}
			e := &entry{
				client: s.Client, domain: string(s.Domain), name: string(s.Name), ident: s.Ident, word: w, seen: s.Seen,
				score: s.Score, reasons: s.Reasons, first: s.First, last: s.Last, queries: s.Queries,
			}
			d.entries[at{e.client, e.domain}] = e
		}
		out = append(out, d)
	}
	return out, nil
}
