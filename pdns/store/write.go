package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// clientAddr is the address of who asked.
type clientAddr = netip.Addr

// Wants says whether a transaction has anything for the store.
func (s *Store) Wants(t *detect.Transaction) bool {
	return seen(t) || s.client != nil || detected(&t.Verdict)
}

// seen says whether an answer was seen to come from a server. What the cache
// says again is no new observation: a sum counts answers of servers, as passive
// DNS sensors beside resolvers do, and a hit of the cache costs nothing here.
func seen(t *detect.Transaction) bool {
	return (t.Source == detect.FromUpstream || t.Source == detect.FromWire) && t.Answered()
}

func detected(v *detect.Verdict) bool {
	switch v.Origin {
	case detect.OriginBlockList, detect.OriginModel, detect.OriginRebinding, detect.OriginLookalike, detect.OriginBehaviour:
		return v.Action != detect.Pass
	}
	return false
}

// Consume adds t to the sums.
func (s *Store) Consume(t *detect.Transaction) {
	if s.pendingBytes >= s.cfg.MemoryBytes {
		if s.db != nil {
			_ = s.commit() // what it could not do, Tend reports
		}
		if s.pendingBytes >= s.cfg.MemoryBytes {
			s.counts.dropped.Add(1)
			return
		}
	}
	if s.over.Load() {
		s.counts.dropped.Add(1)
		return
	}
	at := max(t.Query.Time.Unix(), 0)
	if seen(t) {
		s.answers(t, at)
	}
	if detected(&t.Verdict) {
		s.detection(t, at)
	}
	if s.client != nil && len(t.Query.Name) > 0 {
		s.asked(t, at)
	}
	s.waiting++
}

func (s *Store) answers(t *detect.Transaction, at int64) {
	long := observe(t, func(owner dnsname.Name, rtype uint16, zone byte, rdata string, in Sections) {
		s.scratch = appendRecordKey(s.scratch[:0], owner, rtype, zone, rdata)
		s.count(sum{first: at, last: at, count: 1, sections: in})
	})
	s.counts.long.Add(uint64(long))
	if t.Rcode != dnswire.RcodeSuccess {
		return // the name does not exist, or nobody knows
	}
	registered := t.Verdict.Registered
	if registered == nil {
		registered = s.suffixes.Split(t.Query.Name).Registered
	}
	if registered != nil {
		s.scratch = appendPath(append(s.scratch[:0], kindDomain), registered)
		s.count(sum{first: at, last: at, count: 1})
	}
}

// registered is what names are folded under: the registered domain, or the name
// itself where it has none.
func (s *Store) registered(n dnsname.Name) dnsname.Name {
	if r := s.suffixes.Split(n).Registered; r != nil {
		return r
	}
	return n
}

func (s *Store) detection(t *detect.Transaction, at int64) {
	v := &t.Verdict
	enforced := byte(0)
	if v.Enforced {
		enforced = 1
	}
	kind := [3]byte{byte(v.Origin), byte(v.Action), enforced}
	s.scratch = appendDetectionKey(s.scratch[:0], at, t.Query.Name, kind)
	s.count(sum{first: at, last: at, count: 1, detail: appendDetail(nil, t)})
}

func (s *Store) asked(t *detect.Transaction, at int64) {
	var buf [64]byte
	client := s.client(buf[:0], t.Query.Client)
	if len(client) == 0 {
		return
	}
	s.scratch = append(append(append(s.scratch[:0], kindClient), client...), 0)
	s.scratch = appendPath(s.scratch, t.Query.Name)
	s.count(sum{first: at, last: at, count: 1})
}

// folded is the key that stands for key where its domain brings too many, and
// what the domain is counted by; nil where there is none.
func (s *Store) folded(key []byte) (fold []byte, zone string, err error) {
	switch key[0] {
	case kindRecord:
		k, err := cutRecordKey(key[1:])
		if err != nil || k.zone == zoneFolded {
			return nil, "", err
		}
		by := s.registered(k.name)
		return appendRecordKey(nil, by, k.rtype, zoneFolded, ""), string(by), nil
	case kindDetection:
		name, _, rest, err := cutPath(key[5:])
		if err != nil {
			return nil, "", err
		}
		by := s.registered(name)
		return append(appendPath(bytes.Clone(key[:5]), by), rest...), string(by), nil
	case kindClient:
		client, path, err := cutClientKey(key)
		if err != nil {
			return nil, "", err
		}
		name, _, _, err := cutPath(path)
		if err != nil {
			return nil, "", err
		}
		by := s.registered(name)
		fold = append(append([]byte{kindClient}, client...), 0)
		return appendPath(fold, by), string(by), nil
	}
	return nil, "", nil
}

// count adds to the sum of the key in scratch.
func (s *Store) count(one sum) {
	if v, ok := s.pending[string(s.scratch)]; ok {
		v.add(&one, true)
		return
	}
	s.pending[string(s.scratch)] = &one
	s.pendingBytes += int64(len(s.scratch)+len(one.detail)) + entryOverhead
}

// seed is for hashes that never leave the process.
var seed = maphash.MakeSeed()

// commit puts all sums on disk, in one write that is all there after a crash or
// not at all. What it could not put there stays for the next time.
func (s *Store) commit() error {
	if len(s.pending) == 0 {
		s.settle()
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.db.NewBatch()
	var fresh []uint64
	var err error
	// In the order of the files, so that a block of them is read once.
	for _, key := range slices.Sorted(maps.Keys(s.pending)) {
		if err = s.put(batch, []byte(key), s.pending[key], &fresh); err != nil {
			break
		}
	}
	if now := s.clock.now(); err == nil && now.Sub(s.noted).Abs() >= time.Minute {
		err = batch.Set(noteClock, binary.BigEndian.AppendUint64(nil, uint64(now.Unix())), nil)
		s.noted = now
	}
	if err == nil {
		err = guard(func() error { return batch.Commit(pebble.Sync) })
	}
	if err != nil {
		return errors.Join(err, batch.Close())
	}
	if err := batch.Close(); err != nil {
		return err
	}
	if len(s.recent)+len(fresh) > maxRecent {
		clear(s.recent)
	}
	for _, h := range fresh[:min(len(fresh), maxRecent)] {
		s.recent[h] = struct{}{}
	}
	clear(s.pending)
	s.pendingBytes = 0
	s.settle()
	return nil
}

func (s *Store) settle() {
	s.counts.recorded.Add(s.waiting)
	s.waiting = 0
}

// put adds one sum to the batch, and where its key is new, what finds it.
func (s *Store) put(batch *pebble.Batch, key []byte, v *sum, fresh *[]uint64) error {
	h := maphash.Bytes(seed, key)
	if _, known := s.recent[h]; known {
		return s.merge(batch, key, v)
	}
	exists, err := has(s.db, key)
	if err != nil {
		return err
	}
	if !exists {
		fold, zone, err := s.folded(key)
		if err != nil {
			return err
		}
		if fold != nil && !bytes.Equal(fold, key) && !s.fold.take(key[0], zone, v.last) {
			s.counts.folded.Add(1)
			if key[0] == kindClient { // its index; writing it again does no harm
				if err := s.index(batch, fold, v.first); err != nil {
					return err
				}
			}
			return s.merge(batch, fold, v)
		}
		if err := s.index(batch, key, v.first); err != nil {
			return err
		}
		switch key[0] {
		case kindRecord:
			s.counts.records.Add(1)
		case kindDomain:
			s.counts.domains.Add(1)
		}
	}
	*fresh = append(*fresh, h)
	return s.merge(batch, key, v)
}

func (s *Store) merge(batch *pebble.Batch, key []byte, v *sum) error {
	s.batch = v.append(s.batch[:0])
	return batch.Merge(key, s.batch, nil)
}

func has(db *pebble.DB, key []byte) (bool, error) {
	_, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}

// index writes what finds a key.
func (s *Store) index(batch *pebble.Batch, key []byte, first int64) error {
	return finders(key, first, func(k, v []byte) error { return batch.Set(k, v, nil) })
}

// finders calls f for each key, with its value, by which a key can be found.
func finders(key []byte, first int64, f func(k, v []byte) error) error {
	switch key[0] {
	case kindRecord:
		k, err := cutRecordKey(key[1:])
		if err != nil || k.zone == zoneFolded {
			return err
		}
		if addr, ok := address(k.rtype, k.rdata); ok {
			return f(appendAddressKey(nil, addr, &k), nil)
		}
		for _, term := range terms(k.rtype, string(k.rdata)) {
			if err := f(appendRdataKey(nil, term, &k), k.rdata); err != nil {
				return err
			}
		}
	case kindDomain:
		return f(append(binary.BigEndian.AppendUint64([]byte{kindFirst}, uint64(first)), key[1:]...), nil)
	case kindClient:
		client, path, err := cutClientKey(key)
		if err != nil {
			return err
		}
		return f(append(append([]byte{kindAsker}, path...), client...), nil)
	}
	return nil
}
