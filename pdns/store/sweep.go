package store

import (
	"bytes"
	"context"
	"errors"
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

// Shares of the bound that records may take; the rest is for the log of what was
// written last, and for files while they are written anew.
const (
	roomAt = 0.6  // from here on room is made,
	roomTo = 0.45 // down to here, so that it is made rarely
	fullAt = 0.85 // and here nothing is taken any more
)

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
	crowded := float64(s.counts.tables.Load()) > roomAt*float64(s.cfg.MaxBytes)
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
	// What was deleted takes up room until the files are written anew.
	err := s.db.Compact(ctx, []byte{0}, []byte{0xff}, false)
	s.measure()
	return err
}

// measure looks at the sizes.
func (s *Store) measure() {
	m := s.db.Metrics()
	s.counts.tables.Store(int64(m.Table.Local.LiveSize))
	s.counts.bytes.Store(int64(m.DiskSpaceUsage()))
	s.over.Store(float64(s.counts.tables.Load()) > fullAt*float64(s.cfg.MaxBytes))
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
