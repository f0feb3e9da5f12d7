package main

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// maxLine bounds a line of input. Four octets of text can stand for one of a
// name, so every name fits.
const maxLine = 64 << 10

// Names of a stream are judged in batches, on all processors.
const (
	batchNames = 512
	batchBytes = 256 << 10
)

// batch is a piece of the input and, once done is closed, what it came to.
type batch struct {
	names []string
	out   []byte
	err   error
	done  chan struct{}
}

// judgeAll judges the names of in, one a line, and writes their lines in the
// same order. What stands before an error is written.
func (c *scoreCmd) judgeAll(d *detection, in io.Reader, out io.Writer) error {
	workers := runtime.GOMAXPROCS(0)
	work, order := make(chan *batch), make(chan *batch, 2*workers)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			s := c.newScorer(d)
			for b := range work {
				b.judge(s)
			}
		})
	}
	var readErr error
	wg.Go(func() {
		defer close(order)
		defer close(work)
		readErr = readBatches(in, func(b *batch) bool {
			// In order first: whatever is worked on is waited for there.
			select {
			case order <- b:
			case <-stop:
				return false
			}
			work <- b
			return true
		})
	})
	var err error
	for b := range order {
		<-b.done
		if err != nil {
			continue // only to let the workers end
		}
		if _, err = out.Write(b.out); err == nil {
			err = b.err
		}
		if err != nil {
			close(stop)
		}
	}
	wg.Wait()
	if err == nil {
		err = readErr
	}
	return err
}

func (b *batch) judge(s *scorer) {
	defer close(b.done)
	s.out.Reset()
	for _, name := range b.names {
		if b.err = s.judge(name); b.err != nil {
			break
		}
	}
	b.out = append([]byte(nil), s.out.Bytes()...)
}

// readBatches cuts in into batches for add, until that returns false.
func readBatches(in io.Reader, add func(*batch) bool) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	b, size, n := &batch{done: make(chan struct{})}, 0, 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		b.names = append(b.names, lines.Text())
		if size += len(lines.Bytes()); len(b.names) == batchNames || size > batchBytes {
			if !add(b) {
				return nil
			}
			b, size = &batch{done: make(chan struct{})}, 0
		}
	}
	if len(b.names) > 0 && !add(b) {
		return nil
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("standard input, line %d: %w", n+1, err)
	}
	return nil
}
