package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// sweeper deletes what has grown old, and the oldest where room is short. It
// goes through all keys in steps, beside the commits.
type sweeper struct {
	done    chan struct{} // closed: none is under way
	cancel  context.CancelFunc
	last    time.Time // when the latest began, by the believed clock
	checked time.Time // when the size was last looked at
}

const (
	sweepEvery = time.Hour
	sizeEvery  = 10 * time.Second
	// sweepStep is how many keys are looked at while commits wait: milliseconds.
	sweepStep = 2000
	// ageBuckets is into how many stretches of time max_age is cut, to find out
	// what has to go to make room.
	ageBuckets = 4096
)

// logBytes is what the log of what was written last takes of the bound: a file
// for each part that is not among the records yet, and those kept to be written
// over. A commit that is larger than a part has a file twice as long.
func logBytes(maxBytes int64) int64 { return 2 * memTables * memTableBytes(maxBytes) }

// Shares of the rest that records may take. What they leave is for files while
// they are written anew, a piece at a time.
const (
	roomAt = 0.65 // from here on room is made,
	roomTo = 0.5  // down to here, so that it is made rarely
	fullAt = 0.9  // and here nothing is taken any more
	pieces = 16   // of the bound: so much is written anew at a time
)

// recordBytes is what records may take at all.
func (s *Store) recordBytes() float64 { return float64(s.cfg.MaxBytes - logBytes(s.cfg.MaxBytes)) }

func (w *sweeper) idle() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// stop ends a sweep that is under way.
func (w *sweeper) stop() {
	if w.cancel != nil {
		w.cancel()
	}
	<-w.done
}

// look starts a sweep when one is due.
func (s *Store) look() {
	now, w := s.clock.now(), &s.sweep
	if now.Sub(w.checked).Abs() >= sizeEvery || s.over.Load() {
		w.checked = now
		s.measure()
	}
	crowded := float64(s.counts.tables.Load()) > roomAt*s.recordBytes()
	if !w.idle() || !crowded && now.Sub(w.last).Abs() < sweepEvery {
		return
	}
	w.last = now
	w.done = make(chan struct{})
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(w.done)
		err := guard(func() error { return s.sweepAll(ctx, now.Add(-s.cfg.MaxAge).Unix(), crowded) })
		if err != nil && ctx.Err() == nil {
			s.log.Warn("deleting old records failed, will try again", zap.Error(err))
		}
	}()
}

// sweepAll deletes what was last seen before horizon, and where it is crowded
// the oldest of the rest.
func (s *Store) sweepAll(ctx context.Context, horizon int64, crowded bool) error {
	ages := map[int64]int64{} // octets by stretch of time
	width := max(int64(s.cfg.MaxAge.Seconds())/ageBuckets, 1)
	if err := s.pass(ctx, horizon, func(last, bytes int64) { ages[last/width] += bytes }); err != nil || !crowded {
		return err
	}
	if horizon = room(ages, width); horizon > 0 {
		if err := s.pass(ctx, horizon, nil); err != nil {
			return err
		}
	}
	err := s.rewrite(ctx)
	s.measure()
	return err
}

// rewrite writes all files anew, since what was deleted takes up room until
// then. It goes piece by piece, and begins none before the files of the one
// before are gone: the old and the new together would break the bound.
func (s *Store) rewrite(ctx context.Context) error {
	low := []byte{0}
	for _, high := range s.cuts(uint64(s.cfg.MaxBytes / pieces)) {
		if bytes.Compare(low, high) >= 0 {
			continue
		}
		if err := s.db.Compact(ctx, low, high, false); err != nil {
			return err
		}
		if err := s.vacated(ctx); err != nil {
			return err
		}
		low = high
	}
	return nil
}

// cuts are the keys between which files of about so many octets lie, with the
// end of all keys as the last.
func (s *Store) cuts(each uint64) (keys [][]byte) {
	end := []byte{0xff}
	levels, err := s.db.SSTables()
	if err != nil {
		return [][]byte{end}
	}
	files := slices.Concat(levels...)
	slices.SortFunc(files, func(a, b pebble.SSTableInfo) int {
		return bytes.Compare(a.Largest.UserKey, b.Largest.UserKey)
	})
	var size uint64
	for _, f := range files {
		if size += f.Size; size >= each {
			keys, size = append(keys, f.Largest.UserKey), 0
		}
	}
	return append(keys, end)
}

// vacated waits until files that were replaced are deleted. A reader may hold
// some for longer: they are not waited for beyond a time.
func (s *Store) vacated(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, vacateWait)
	defer stop()
	again := time.NewTicker(vacateEvery)
	defer again.Stop()
	for s.db.Metrics().Table.Local.ObsoleteSize > 0 {
		select {
		case <-again.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			return ctx.Err()
		}
	}
	return nil
}

const (
	vacateEvery = 10 * time.Millisecond
	vacateWait  = 10 * time.Second
)

// measure looks at the sizes.
func (s *Store) measure() {
	m := s.db.Metrics()
	s.counts.tables.Store(int64(m.Table.Local.LiveSize))
	s.counts.bytes.Store(int64(m.DiskSpaceUsage()))
	s.over.Store(float64(s.counts.tables.Load()) > fullAt*s.recordBytes())
}

// room says before when records have to have been seen last to go, so that what
// is left is as small as it ought to be.
func room(ages map[int64]int64, width int64) (horizon int64) {
	var total int64
	oldest, newest := int64(1<<62), int64(0)
	for at, n := range ages {
		total += n
		oldest, newest = min(oldest, at), max(newest, at)
	}
	// The sizes are of keys and values as they are, the files are compressed: a
	// share is what both have in common.
	goal := int64(float64(total) * (1 - roomTo/roomAt))
	var gone int64
	for len(ages) > 0 && gone < goal {
		if _, ok := ages[oldest]; !ok {
			// Not one by one: a record from 1970 may be among them.
			next := newest
			for at := range ages {
				next = min(next, at)
			}
			oldest = next
		}
		gone += ages[oldest]
		delete(ages, oldest)
		oldest++
		horizon = oldest * width
	}
	return horizon
}

// swept are the kinds of keys that have sums of their own.
var swept = []byte{kindRecord, kindDomain, kindDetection, kindClient}

// pass goes through all sums, deletes those last seen before horizon and shows
// the others to seen.
func (s *Store) pass(ctx context.Context, horizon int64, seen func(last, bytes int64)) error {
	for _, kind := range swept {
		next := []byte{kind}
		for next != nil {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if next, err = s.step(next, after([]byte{kind}), horizon, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// step goes through so many keys from low on. It returns where to go on, nil at
// the end. Commits wait, so that none counts on what is deleted.
func (s *Store) step(low, high []byte, horizon int64, seen func(last, bytes int64)) (next []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	batch := s.db.NewBatch()
	defer func() { err = errors.Join(err, batch.Close()) }()
	deleted := uint64(0)
	ok := it.First()
	for n := 0; ok && n < sweepStep; n, ok = n+1, it.Next() {
		key := it.Key()
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		v, err := decodeSum(value)
		if err != nil {
			return nil, err
		}
		if v.last >= horizon {
			if seen != nil {
				seen(v.last, int64(len(key)+len(value)))
			}
			continue
		}
		if err := s.remove(batch, key, v.first); err != nil {
			return nil, err
		}
		deleted++
	}
	if ok {
		next = bytes.Clone(it.Key())
	}
	if err := it.Error(); err != nil || deleted == 0 {
		return next, err
	}
	clear(s.recent)
	s.counts.expired.Add(deleted)
	return next, batch.Commit(pebble.NoSync)
}

// remove deletes a key and what finds it. The first time of a domain may be
// earlier than when its key was made, which is where the index has it.
func (s *Store) remove(batch *pebble.Batch, key []byte, first int64) error {
	if err := batch.Delete(key, nil); err != nil {
		return err
	}
	return finders(key, first, func(k, _ []byte) error { return batch.Delete(k, nil) })
}
