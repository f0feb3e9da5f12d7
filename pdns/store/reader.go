package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/weirdns/weir/internal/dnsname"
	"go.uber.org/zap"
)

// Reader looks things up. It may be used by any number of goroutines.
type Reader struct {
	db  *pebble.DB
	use sync.RWMutex // read: a lookup is under way
	end bool         // under use
}

func newReader(db *pebble.DB) *Reader { return &Reader{db: db} }

func (r *Reader) enter() bool {
	r.use.RLock()
	if r.end {
		r.use.RUnlock()
		return false
	}
	return true
}

func (r *Reader) leave() { r.use.RUnlock() }

// drain waits for all lookups under way and lets no other begin.
func (r *Reader) drain() {
	r.use.Lock()
	defer r.use.Unlock()
	r.end = true
}

// ErrInUse says that a running weir holds the folder: ask that one.
var ErrInUse = errors.New("store: a running weir holds the folder")

// OpenReader opens the folder of a store that no weir is using, to read. What a
// killed weir left is read as it would be after its next start; no file changes.
func OpenReader(dir string) (*Reader, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	lock, err := vfs.Default.Lock(vfs.Default.PathJoin(dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrInUse, dir, err)
	}
	if err := lock.Close(); err != nil {
		return nil, err
	}
	opts := options(minMaxBytes, minCacheBytes*8, vfs.Default, zap.NewNop())
	defer opts.Cache.Unref()
	opts.ReadOnly = true
	opts.EventListener.DataCorruption = func(pebble.DataCorruptionInfo) {} // the lookup gets the error
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	if err := checkVersion(db); err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return nil, errors.Join(err, db.Close())
	}
	return newReader(db), nil
}

// Close waits for lookups under way. It is for a Reader of OpenReader.
func (r *Reader) Close() error {
	r.drain()
	return r.db.Close()
}

func readClock(db *pebble.DB) (time.Time, bool) {
	v, closer, err := db.Get(noteClock)
	if err != nil {
		return time.Time{}, false
	}
	defer func() { _ = closer.Close() }() // it only gives memory back
	if len(v) != 8 {
		return time.Time{}, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(v)), 0), true
}

// Record is one resource record and what is known of it.
type Record struct {
	Name        dnsname.Name // the owner
	Type        uint16
	Rdata       string       // presentation form; empty if Folded
	Bailiwick   dnsname.Name // nil: not known
	Sections    Sections
	First, Last int64 // Unix seconds
	Count       uint64
	// Folded: it stands for records of many names below Name, which came in such
	// a number that they were only counted.
	Folded bool
}

// Query says which records to find: those of Name, or, if that is nil, those
// with an address in Prefix, or those with this Rdata.
type Query struct {
	Name    dnsname.Name
	Subtree bool         // also those of all names below Name
	Prefix  netip.Prefix // of A and AAAA records
	Rdata   string       // in presentation form, or one name in it, with its final dot
	Types   []uint16     // none: all
	// Since and Until are Unix seconds: seen last not before, and first not
	// after. Until 0 is no bound.
	Since, Until int64
}

// Records finds records, those of a name together, names from the root down. It
// yields an error once, at its end, which ctx's end is too.
func (r *Reader) Records(ctx context.Context, q Query) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var err error
		switch {
		case q.Name != nil:
			err = r.byName(ctx, &q, yield)
		case q.Prefix.IsValid():
			err = r.byAddress(ctx, &q, yield)
		default:
			err = r.byRdata(ctx, &q, yield)
		}
		if err != nil && !errors.Is(err, errStop) {
			yield(Record{}, err)
		}
	}
}

// errStop ends a scan that has all it wants.
var errStop = errors.New("store: enough")

// scan calls f for the keys from low to under high.
func (r *Reader) scan(ctx context.Context, low, high []byte, f func(key []byte, it *pebble.Iterator) error) (err error) {
	it, err := r.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := f(it.Key(), it); err != nil {
			return err
		}
	}
	return it.Error()
}

func (r *Reader) byName(ctx context.Context, q *Query, yield func(Record, error) bool) error {
	low := []byte{kindRecord}
	if q.Subtree {
		low = appendLabels(low, q.Name)
	} else {
		low = appendPath(low, q.Name)
	}
	return r.scan(ctx, low, after(low), func(key []byte, it *pebble.Iterator) error {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		return offer(q, key[1:], value, yield)
	})
}

// offer yields a record if q wants it. key is without its first octet.
func offer(q *Query, key, value []byte, yield func(Record, error) bool) error {
	k, err := cutRecordKey(key)
	if err != nil {
		return err
	}
	v, err := decodeSum(value)
	if err != nil {
		return err
	}
	if len(q.Types) > 0 && !slices.Contains(q.Types, k.rtype) || v.last < q.Since || q.Until > 0 && v.first > q.Until {
		return nil
	}
	rec := Record{
		Name: k.name, Type: k.rtype, Rdata: string(k.rdata), Sections: v.sections,
		First: v.first, Last: v.last, Count: v.count, Folded: k.zone == zoneFolded,
	}
	rec.Bailiwick, _ = k.bailiwick()
	if !yield(rec, nil) {
		return errStop
	}
	return nil
}

// get offers the record of a key that an index led to. One that is gone since
// is no error.
func (r *Reader) get(q *Query, key []byte, yield func(Record, error) bool) error {
	value, closer, err := r.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }() // it only gives memory back
	return offer(q, key[1:], value, yield)
}

func (r *Reader) byAddress(ctx context.Context, q *Query, yield func(Record, error) bool) error {
	prefix := q.Prefix.Masked()
	low := appendAddress([]byte{kindAddress}, prefix.Addr())
	last := lastAddress(prefix)
	high := after(appendAddress([]byte{kindAddress}, last))
	head := len(low)
	return r.scan(ctx, low, high, func(key []byte, _ *pebble.Iterator) error {
		addr, ok := netip.AddrFromSlice(key[2:head])
		if !ok {
			return errKey
		}
		full := append([]byte{kindRecord}, key[head:]...)
		return r.get(q, addr.AppendTo(full), yield)
	})
}

func lastAddress(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	addr, _ := netip.AddrFromSlice(b) // of a length it came with
	return addr
}

func (r *Reader) byRdata(ctx context.Context, q *Query, yield func(Record, error) bool) error {
	low := appendRdataPrefix(nil, q.Rdata)
	return r.scan(ctx, low, after(low), func(key []byte, it *pebble.Iterator) error {
		rdata, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		k, err := cutRecordKey(key[len(low):])
		if err != nil {
			return err
		}
		if !slices.Contains(terms(k.rtype, string(rdata)), q.Rdata) {
			return nil // another text with this hash
		}
		return r.get(q, appendRecordKey(nil, k.name, k.rtype, k.zone, string(rdata)), yield)
	})
}

// Domain is a registered domain and when it was seen.
type Domain struct {
	Name        dnsname.Name
	First, Last int64 // Unix seconds
	Count       uint64
}

// Domain says when a registered domain was seen; ok is false if it never was.
func (r *Reader) Domain(registered dnsname.Name) (d Domain, ok bool, err error) {
	value, closer, err := r.db.Get(appendPath([]byte{kindDomain}, registered))
	if errors.Is(err, pebble.ErrNotFound) {
		return Domain{}, false, nil
	}
	if err != nil {
		return Domain{}, false, err
	}
	defer func() { _ = closer.Close() }() // it only gives memory back
	v, err := decodeSum(value)
	return Domain{Name: registered, First: v.first, Last: v.last, Count: v.count}, err == nil, err
}

// NewDomains finds the registered domains that were first seen from since to
// until, Unix seconds, in the order of that.
func (r *Reader) NewDomains(ctx context.Context, since, until int64) iter.Seq2[Domain, error] {
	return func(yield func(Domain, error) bool) {
		low := binary.BigEndian.AppendUint64([]byte{kindFirst}, uint64(max(since, 0)))
		high := binary.BigEndian.AppendUint64([]byte{kindFirst}, uint64(min(max(until, 0), math.MaxInt64-1)+1))
		err := r.scan(ctx, low, high, func(key []byte, _ *pebble.Iterator) error {
			name, _, _, err := cutPath(key[9:])
			if err != nil {
				return err
			}
			d, ok, err := r.Domain(name)
			if err == nil && ok && !yield(d, nil) {
				return errStop
			}
			return err
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Domain{}, err)
		}
	}
}

// Detections finds what was detected from since to until, Unix seconds, by hour
// and in an hour by name.
func (r *Reader) Detections(ctx context.Context, since, until int64) iter.Seq2[Detection, error] {
	return func(yield func(Detection, error) bool) {
		hour := func(at int64) []byte {
			return binary.BigEndian.AppendUint32([]byte{kindDetection}, uint32(min(max(at, 0)/hourSeconds, math.MaxUint32)))
		}
		err := r.scan(ctx, hour(since), after(hour(until)), func(key []byte, it *pebble.Iterator) error {
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			d, err := decodeDetection(key, value)
			if err != nil {
				return err
			}
			if d.Last >= since && d.First <= until && !yield(d, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Detection{}, err)
		}
	}
}
