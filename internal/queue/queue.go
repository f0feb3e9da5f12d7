// Package queue carries records from writers that must never wait to one
// reader that may: the answer path on one side, a disk or a network on the
// other. It is bounded in bytes. A full queue drops the new record and counts
// it, so that written = read + dropped holds exactly, and the reader learns of
// the loss from the counters and nobody else notices.
//
// It refuses to know what a record is: octets in, the same octets out, in
// order.
package queue

import (
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

const (
	// chunkSize is how many octets are handed over at once. Large enough that
	// the writers' lock and the reader's wake-up are shared by hundreds of
	// records, small enough that a few spare chunks cost nothing.
	chunkSize = 64 << 10
	// linger is how long a chunk that is not full waits for company. It bounds
	// both the age of a record that nobody reads yet and the wake-ups of an
	// idle reader: ten a second.
	linger = 100 * time.Millisecond
	// frame is the length in front of each record.
	frame = 4
)

// Queue is safe for any number of writers and one reader. Writers call Put,
// then somebody calls Close; the reader calls Take until io.EOF.
type Queue struct {
	max    int
	sealed chan struct{} // 1: there may be a full chunk, or the end
	first  chan struct{} // 1: the open chunk got its first record

	mu      sync.Mutex // guards all below
	open    []byte
	ready   [][]byte
	spare   [][]byte
	held    int // octets in open, in ready and with the reader
	closed  bool
	put     uint64
	dropped uint64
}

// Stats counts records since the start.
type Stats struct {
	Put     uint64 // accepted
	Dropped uint64 // refused because the queue was full or closed
	Bytes   int    // held now
}

// New makes a queue that holds at most maxBytes octets, framing included, and
// never less than one chunk.
func New(maxBytes int) *Queue {
	return &Queue{
		max:    max(maxBytes, chunkSize),
		sealed: make(chan struct{}, 1),
		first:  make(chan struct{}, 1),
	}
}

// Put copies record into the queue. It returns false, and has counted a drop,
// if there is no room or the queue is closed. It never blocks on the reader.
func (q *Queue) Put(record []byte) bool {
	need := frame + len(record)
	q.mu.Lock()
	if q.closed || q.held+need > q.max {
		q.dropped++
		q.mu.Unlock()
		return false
	}
	if len(q.open)+need > chunkSize && len(q.open) > 0 {
		q.sealLocked()
	}
	if q.open == nil {
		q.open = q.chunkLocked(need)
		signal(q.first)
	}
	q.open = binary.LittleEndian.AppendUint32(q.open, uint32(len(record)))
	q.open = append(q.open, record...)
	q.held += need
	q.put++
	q.mu.Unlock()
	return true
}

// Close lets the reader have what is left and then io.EOF. Later Puts are
// dropped and counted. It may be called more than once.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	signal(q.sealed)
}

// Take waits for records and returns a batch of them, to be walked with Next
// and given back with Release. It returns io.EOF after Close, when nothing is
// left, and ctx's error when that ends first.
func (q *Queue) Take(ctx context.Context) (batch []byte, err error) {
	for lingering := false; ; {
		q.mu.Lock()
		if len(q.ready) == 0 && len(q.open) > 0 && (q.closed || lingering) {
			q.sealLocked()
		}
		if len(q.ready) > 0 {
			batch, q.ready = q.ready[0], q.ready[1:]
			q.mu.Unlock()
			return batch, nil
		}
		closed, waiting := q.closed, len(q.open) > 0
		q.mu.Unlock()
		if closed {
			return nil, io.EOF
		}
		if waiting {
			lingering = q.wait(ctx)
		} else {
			select {
			case <-q.sealed:
			case <-q.first:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// wait gives an open chunk time to fill, and says whether that time is over.
func (q *Queue) wait(ctx context.Context) bool {
	t := time.NewTimer(linger)
	defer t.Stop()
	select {
	case <-q.sealed:
		return false
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Release gives a batch's memory back; nothing may point into it afterwards.
func (q *Queue) Release(batch []byte) {
	q.mu.Lock()
	q.held -= len(batch)
	if cap(batch) <= chunkSize && len(q.spare) < 4 {
		q.spare = append(q.spare, batch[:0])
	}
	q.mu.Unlock()
}

// Next cuts the first record off batch; ok is false at its end.
func Next(batch []byte) (record, rest []byte, ok bool) {
	if len(batch) < frame {
		return nil, nil, false
	}
	n := frame + int(binary.LittleEndian.Uint32(batch))
	return batch[frame:n], batch[n:], true
}

// Stats reads the counters.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{Put: q.put, Dropped: q.dropped, Bytes: q.held}
}

func (q *Queue) sealLocked() {
	q.ready = append(q.ready, q.open)
	q.open = nil
	signal(q.sealed)
}

func (q *Queue) chunkLocked(need int) []byte {
	if n := len(q.spare); n > 0 && need <= chunkSize {
		c := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return c
	}
	return make([]byte, 0, max(chunkSize, need))
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
