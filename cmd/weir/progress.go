package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress shows on a terminal how much of some files was read. Elsewhere it
// shows nothing.
type progress struct {
	out         io.Writer // nil: not a terminal
	done, total int64
	began, last time.Time
}

// barEvery is how often it is drawn, and barAfter how long a run has to take.
const (
	barEvery = 200 * time.Millisecond
	barAfter = time.Second
	barWidth = 40
)

func newProgress(out io.Writer, files []string) *progress {
	p := &progress{began: time.Now()}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			p.out = out
		}
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			p.total += info.Size()
		}
	}
	return p
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

func (p *progress) draw() {
	now := time.Now()
	if p.out == nil || p.total == 0 || now.Sub(p.began) < barAfter || now.Sub(p.last) < barEvery {
		return
	}
	p.last = now
	part := min(1, float64(p.done)/float64(p.total))
	full := int(part * barWidth)
	left := time.Duration(float64(now.Sub(p.began)) * (1 - part) / max(part, 1e-9)).Round(time.Second)
	fmt.Fprintf(p.out, "\r[%s%s] %3.0f %%  %v left ", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*part, left)
}

// end wipes the bar away.
func (p *progress) end() {
	if p.out != nil && !p.last.IsZero() {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", barWidth+30))
	}
}
