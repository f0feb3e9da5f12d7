// Package store is the passive DNS database inside of weir: which records were
// seen, from when to when and how often, found by name, by subtree, by address
// and by any rdata; when each registered domain was first seen; and what was
// detected. It needs no server and no set-up, and lives in one folder.
//
// A Store takes transactions from a queue, never from the answer path, sums them
// up for half a second, and puts the sums on disk in one synced write: a killed
// process loses that much. A Reader answers, from the running Store or from the
// folder of one that has stopped.
//
// It refuses to judge, and to stamp a record with the clock: time comes with the
// data. The clock decides only what has grown old.
package store

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// Deps are what a Store works with.
type Deps struct {
	Log      *zap.Logger
	Registry prometheus.Registerer
	// Suffixes finds registered domains; nil means the list that the module was
	// built with.
	Suffixes *dnsname.Suffixes
	// ClientText writes a client's address as far as it may be kept, "" where
	// it may not. nil means that no client is kept.
	ClientText func(dst []byte, client clientAddr) []byte
}

// Store is an output of a pdns.Recorder: one goroutine calls Consume, Tend and
// Close. Every other method may be called by any goroutine.
type Store struct {
	cfg      Config
	log      *zap.Logger
	suffixes *dnsname.Suffixes
	client   func(dst []byte, client clientAddr) []byte
	clocks   sources
	baseFS   vfs.FS

	fs     *patientFS
	reader atomic.Pointer[Reader] // nil: not open
	db     *pebble.DB             // the same, for writing
	clock  *steadyClock

	pending      map[string]*sum
	pendingBytes int64
	waiting      uint64 // transactions in pending
	scratch      []byte
	batch        []byte // scratch of commits
	noted        time.Time

	mu     sync.Mutex          // held to write: commits and the sweep take turns
	recent map[uint64]struct{} // keys that are on disk, with all that finds them
	fold   folder

	sweep   sweeper
	damaged atomic.Bool // the database met a file that is not as it was written
	over    atomic.Bool // the folder is at its bound: nothing is taken

	counts counts
}

// counts are what the metrics show.
type counts struct {
	recorded, dropped                       atomic.Uint64 // transactions
	records, domains, folded, long, expired atomic.Uint64
	damagedTimes                            atomic.Uint64
	bytes, tables                           atomic.Int64 // of all files, and of those with records
}

// entryOverhead is what a pending sum costs beside its key, rounded up.
const entryOverhead = 192

// maxRecent bounds the keys that are known to be on disk, 8 octets each and the
// map's own.
const maxRecent = 1 << 16

// New checks the configuration and registers the metrics. It touches no disk.
func New(cfg Config, deps Deps) (*Store, error) {
	return newStore(cfg, deps, vfs.Default, systemClocks(), time.Second)
}

func newStore(cfg Config, deps Deps, fs vfs.FS, clocks sources, retry time.Duration) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if cfg.Dir == "" {
		return nil, errors.New("store: dir: must not be empty")
	}
	if deps.Suffixes == nil {
		deps.Suffixes = dnsname.DefaultSuffixes()
	}
	s := &Store{
		cfg: cfg, log: deps.Log, suffixes: deps.Suffixes, client: deps.ClientText, clocks: clocks, baseFS: fs,
		fs:      newPatientFS(fs, deps.Log, retry),
		pending: map[string]*sum{}, recent: map[uint64]struct{}{},
		fold: folder{max: cfg.FoldNames},
	}
	s.fs.above = fs.PathDir(cfg.Dir)
	if !cfg.Clients {
		s.client = nil
	}
	s.sweep.done = make(chan struct{})
	close(s.sweep.done)
	return s, s.register(deps.Registry)
}

// Name is the output's name in metrics.
func (s *Store) Name() string { return "store" }

// Recorded counts the transactions whose sums are on disk.
func (s *Store) Recorded() uint64 { return s.counts.recorded.Load() }

// Dropped counts the transactions that found no room on the disk.
func (s *Store) Dropped() uint64 { return s.counts.dropped.Load() }

// ErrNotOpen is what a lookup gets while the store is not open.
var ErrNotOpen = errors.New("store: not open")

// View calls f with the open store. It is ErrNotOpen before the first Tend, and
// after Close; Close waits for f to return.
func (s *Store) View(f func(*Reader) error) error {
	r := s.reader.Load()
	if r == nil || !r.enter() {
		return ErrNotOpen
	}
	defer r.leave()
	return f(r)
}

// Tend is called twice a second: it brings what was summed up to the disk.
func (s *Store) Tend() error {
	if s.damaged.Load() {
		s.setAside()
	}
	if s.db == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	err := s.commit()
	s.look()
	return err
}

// Stopping is called when the end has come: a disk that does not work gets so
// long to recover, and no longer.
func (s *Store) Stopping() { time.AfterFunc(patience, s.fs.giveUp) }

// patience is how long the end may wait for a disk that refuses.
const patience = 2 * time.Second

// Close brings what is left to the disk and closes the store.
func (s *Store) Close() error {
	var err error
	if s.db != nil {
		err = s.commit()
	}
	s.counts.dropped.Add(s.waiting)
	s.waiting = 0
	s.sweep.stop()
	if s.db == nil {
		return err
	}
	s.reader.Swap(nil).drain()
	if err != nil {
		// The database is stuck in a write. Its log is whole: the next start
		// reads it as after a crash.
		return err
	}
	return guard(s.db.Close)
}

// guard runs what may end its goroutine: see dbLog.Fatalf.
func guard(op func() error) error {
	err := errors.New("store: stopped")
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = op()
	}()
	<-done
	return err
}

func (s *Store) open() error {
	if err := s.fs.MkdirAll(s.cfg.Dir, 0o750); err != nil {
		return err
	}
	opts := options(s.cfg.MaxBytes, s.cfg.CacheBytes, s.fs, s.log)
	opts.EventListener.DataCorruption = func(info pebble.DataCorruptionInfo) {
		s.log.Error("the record store has a damaged file", zap.String("file", info.Path), zap.Error(info.Details))
		s.damaged.Store(true)
	}
	defer opts.Cache.Unref()
	db, err := pebble.Open(s.cfg.Dir, opts)
	if err != nil {
		if pebble.IsCorruptionError(err) {
			s.log.Error("the record store is damaged", zap.Error(err))
			s.damaged.Store(true)
		}
		return fmt.Errorf("open %s: %w", s.cfg.Dir, err)
	}
	if err := s.adopt(db); err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// adopt takes a database that has just been opened.
func (s *Store) adopt(db *pebble.DB) error {
	if err := checkVersion(db); errors.Is(err, pebble.ErrNotFound) {
		if err := db.Set(noteVersion, []byte{layoutVersion}, pebble.Sync); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	s.clock = newSteadyClock(s.clocks)
	if last, ok := readClock(db); ok {
		s.clock.resume(last)
	}
	s.db = db
	clear(s.recent)
	s.reader.Store(newReader(db))
	return nil
}

// layoutVersion is that of the keys and values. A store of another version is
// left alone.
const layoutVersion = 1

func checkVersion(db *pebble.DB) error {
	v, closer, err := db.Get(noteVersion)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }() // it only gives memory back
	if len(v) != 1 || v[0] != layoutVersion {
		return fmt.Errorf("store: layout version %d is not known to this weir", v)
	}
	return nil
}

// setAside moves a damaged store out of the way, in place of an earlier one.
func (s *Store) setAside() {
	s.sweep.stop()
	if s.db != nil {
		s.reader.Swap(nil).drain()
		if err := guard(s.db.Close); err != nil {
			s.log.Warn("closing the damaged record store", zap.Error(err))
		}
		s.db = nil
	}
	aside := s.cfg.Dir + ".damaged"
	err := errors.Join(s.baseFS.RemoveAll(aside), s.fs.Rename(s.cfg.Dir, aside))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Error("moving the damaged record store out of the way", zap.Error(err))
		return
	}
	s.counts.damagedTimes.Add(1)
	s.damaged.Store(false)
	s.log.Warn("the damaged record store is put aside, a new one begins", zap.String("folder", aside))
}

// register makes the counters visible. They are read when they are asked for.
func (s *Store) register(reg prometheus.Registerer) error {
	c := &s.counts
	var errs []error
	counter := func(name, help string, read func() uint64) {
		errs = append(errs, reg.Register(prometheus.NewCounterFunc(
			prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(read()) })))
	}
	counter("weir_store_new_records_total", "Records that the store saw for the first time.", c.records.Load)
	counter("weir_store_new_domains_total", "Registered domains that the store saw for the first time.", c.domains.Load)
	counter("weir_store_folded_total", "New records that were counted under their registered domain alone.", c.folded.Load)
	counter("weir_store_refused_total", "Records that were not kept since their rdata is too long.", c.long.Load)
	counter("weir_store_expired_total", "Records that were deleted for their age, or to make room.", c.expired.Load)
	counter("weir_store_damaged_total", "Times that a damaged store was put aside.", c.damagedTimes.Load)
	gauge := func(name, help string, read func() float64) {
		errs = append(errs, reg.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read)))
	}
	gauge("weir_store_bytes", "Size of the store's files.", func() float64 { return float64(c.bytes.Load()) })
	gauge("weir_store_stalled", "1 while the store waits for a disk that refuses.", func() float64 { return float64(min(s.fs.stalled.Load(), 1)) })
	return errors.Join(errs...)
}
