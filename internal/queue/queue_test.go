package queue_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/weirdns/weir/internal/queue"
)

// drain reads q to its end and returns the records in order.
func drain(t *testing.T, q *queue.Queue) (got []string) {
	t.Helper()
	for {
		batch, err := q.Take(t.Context())
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		for rec, rest, ok := queue.Next(batch); ok; rec, rest, ok = queue.Next(rest) {
			got = append(got, string(rec))
		}
		q.Release(batch)
	}
}

func TestRecordsComeOutInOrder(t *testing.T) {
	q := queue.New(1 << 20)
	var want []string
	for i := range 20_000 {
		want = append(want, fmt.Sprint("record ", i))
		if !q.Put([]byte(want[i])) {
			t.Fatalf("record %d was dropped from a queue with room", i)
		}
	}
	q.Close()
	got := drain(t, q)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%d records came out, want the %d that went in, in order", len(got), len(want))
	}
	if s := q.Stats(); s.Bytes != 0 || s.Put != 20_000 || s.Dropped != 0 {
		t.Errorf("Stats = %+v, want nothing held, 20000 put, none dropped", s)
	}
}

func TestFullQueueDropsAndCounts(t *testing.T) {
	const bound = 256 << 10
	q := queue.New(bound)
	rec := make([]byte, 1000)
	accepted := 0
	for range 1000 {
		if q.Put(rec) {
			accepted++
		}
		if held := q.Stats().Bytes; held > bound {
			t.Fatalf("queue holds %d octets, bound %d", held, bound)
		}
	}
	q.Close()
	if got := len(drain(t, q)); got != accepted {
		t.Errorf("%d records came out, %d were accepted", got, accepted)
	}
	if s := q.Stats(); s.Put+s.Dropped != 1000 || s.Dropped == 0 {
		t.Errorf("put %d + dropped %d, want 1000 together and some dropped", s.Put, s.Dropped)
	}
	if q.Put(rec) {
		t.Error("a closed queue accepted a record")
	}
}

func TestNothingIsLostBetweenManyWritersAndAReader(t *testing.T) {
	q := queue.New(1 << 20)
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 5_000 {
				q.Put([]byte("0123456789"))
			}
		})
	}
	go func() { writers.Wait(); q.Close() }()
	got := uint64(len(drain(t, q)))
	if s := q.Stats(); got != s.Put || s.Put+s.Dropped != 20_000 {
		t.Errorf("read %d, put %d, dropped %d; want read = put and put + dropped = 20000", got, s.Put, s.Dropped)
	}
}

func TestALoneRecordIsNotKeptWaiting(t *testing.T) {
	q := queue.New(1 << 20)
	q.Put([]byte("one"))
	batch, err := q.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if rec, _, ok := queue.Next(batch); !ok || string(rec) != "one" {
		t.Errorf("Take returned %q, want the one record", rec)
	}
}

func TestTakeEndsWithItsContext(t *testing.T) {
	q := queue.New(1 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Take = %v, want context.Canceled", err)
	}
}

func TestARecordLargerThanAChunkPasses(t *testing.T) {
	q := queue.New(1 << 20)
	q.Put([]byte("small"))
	q.Put(make([]byte, 200<<10))
	q.Close()
	if got := drain(t, q); len(got) != 2 || len(got[1]) != 200<<10 {
		t.Errorf("%d records came out, want 2 with the large one whole", len(got))
	}
}

func TestPutDoesNotAllocateWhileTheReaderKeepsUp(t *testing.T) {
	q := queue.New(1 << 20)
	rec := make([]byte, 300)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			batch, err := q.Take(context.Background())
			if err != nil {
				return
			}
			q.Release(batch)
		}
	}()
	for range 10_000 {
		q.Put(rec)
	}
	if got := testing.AllocsPerRun(10_000, func() { q.Put(rec) }); got > 0 {
		t.Errorf("Put allocates %v times a record, want 0", got)
	}
	q.Close()
	<-done
}

func BenchmarkPut(b *testing.B) {
	q := queue.New(64 << 20)
	rec := make([]byte, 300)
	go func() {
		for {
			batch, err := q.Take(context.Background())
			if err != nil {
				return
			}
			q.Release(batch)
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		q.Put(rec)
	}
	q.Close()
}
