package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows on a terminal how much of some files was read, and of what has
// no size, such as a pipe, how much there was. Elsewhere it shows nothing.
type progress struct {
	out         io.Writer // nil: not a terminal
	now         func() time.Time
	done, total int64 // octets; total 0: nobody knows
	queries     uint64
	began, last time.Time
}

// barEvery is how often it is drawn, and barAfter how long a run has to take.
const (
	barEvery = 200 * time.Millisecond
	barAfter = time.Second
	barWidth = 40
	barPause = 1 << 10 // queries between two looks at the clock
)

func newProgress(out io.Writer, files []string) *progress {
	p := &progress{now: time.Now, total: sizeOf(files)}
	p.began = p.now()
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.out = out
		}
	}
	return p
}

// sizeOf is the size of all files, 0 if one of them has none that is known.
func sizeOf(files []string) (total int64) {
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil || !info.Mode().IsRegular() {
			return 0
		}
		total += info.Size()
	}
	return total
}

// read counts what is read from r.
func (p *progress) read(r io.Reader) io.Reader { return &progressReader{p, r} }

type progressReader struct {
	p *progress
	r io.Reader
}

func (r *progressReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.p.done += int64(n)
	r.p.draw()
	return n, err
}

// query counts a query.
func (p *progress) query() {
	if p.queries++; p.queries%barPause == 0 {
		p.draw()
	}
}

func (p *progress) draw() {
	if p.out == nil {
		return
	}
	now := p.now()
	gone := now.Sub(p.began)
	if gone < barAfter || now.Sub(p.last) < barEvery {
		return
	}
	p.last = now
	if p.total == 0 {
		fmt.Fprintf(p.out, "\r%d queries, %.1f MB read, %v ", p.queries, float64(p.done)/1e6, gone.Round(time.Second))
		return
	}
	part := min(1, float64(p.done)/float64(p.total))
	full := int(part * barWidth)
	left := time.Duration(float64(gone) * (1 - part) / max(part, 1e-9)).Round(time.Second)
	fmt.Fprintf(p.out, "\r[%s%s] %3.0f %%  %v left ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*part, left)
}

// end wipes the bar away.
func (p *progress) end() {
	if p.out != nil && !p.last.IsZero() {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", barWidth+30))
	}
}
