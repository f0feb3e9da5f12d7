package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/weirdns/weir/detect"
)

// progress shows on a terminal how much of some files was read, and of what has
// no size, such as a pipe, how much there was. Elsewhere it shows nothing. What
// else is for the terminal is written through it, and finds the line empty.
type progress struct {
	out         io.Writer
	on          bool // there is a terminal, and something is being read
	now         func() time.Time
	done, total int64 // octets; total 0: nobody knows
	queries     uint64
	began, last time.Time

	mu    sync.Mutex // guards out, and what is below
	shown bool       // a bar is on the line
}

// barEvery is how often it is drawn, and barAfter how long a run has to take.
const (
	barEvery = 200 * time.Millisecond
	barAfter = time.Second
	barWidth = 40
	barPause = 1 << 10 // queries between two looks at the clock
)

// The line is wiped to its end and never broken: on a narrow terminal what has no
// room is not seen, and the next bar is drawn over it all the same.
const (
	barFirst = "\x1b[?7l\r"
	barLast  = "\x1b[K\x1b[?7h"
	barWipe  = "\r\x1b[K"
)

func newProgress(out io.Writer) *progress { return &progress{out: out, now: time.Now} }

// begin says what is going to be read.
func (p *progress) begin(stdin io.Reader, paths []string) {
	p.total, p.began = sizeOf(stdin, paths), p.now()
	p.on = isTerminal(p.out) && os.Getenv("TERM") != "dumb"
}

// isTerminal says whether out is one, or a device like it.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// sizeOf is the size of all files, and of those in folders, 0 if one of them has
// none that is known.
func sizeOf(stdin io.Reader, paths []string) (total int64) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if f, ok := stdin.(*os.File); path == "-" && ok {
			info, err = f.Stat()
		}
		switch {
		case err == nil && info.IsDir():
			total += sizeIn(path)
		case err != nil || !info.Mode().IsRegular():
			return 0
		default:
			total += info.Size()
		}
	}
	return total
}

// sizeIn is the size of the files of a folder.
func sizeIn(dir string) (total int64) {
	entries, _ := os.ReadDir(dir) // who reads it says what is wrong
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			total += info.Size()
		}
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

// Record counts a query.
func (p *progress) Record(*detect.Transaction) {
	if p.queries++; p.queries%barPause == 0 {
		p.draw()
	}
}

func (p *progress) draw() {
	if !p.on {
		return
	}
	now := p.now()
	gone := now.Sub(p.began)
	if gone < barAfter || now.Sub(p.last) < barEvery {
		return
	}
	p.last = now
	text := fmt.Sprintf("%d queries, %.1f MB read, %v", p.queries, float64(p.done)/1e6, gone.Round(time.Second))
	if p.total > 0 {
		part := min(1, float64(p.done)/float64(p.total))
		full := int(part * barWidth)
		left := time.Duration(float64(gone) * (1 - part) / max(part, 1e-9)).Round(time.Second)
		text = fmt.Sprintf("[%s%s] %3.0f %%  %v left", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*part, left)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := io.WriteString(p.out, barFirst+text+barLast)
	p.shown, p.on = true, err == nil // without a terminal, without a bar
}

// Write writes beside the bar.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	return p.out.Write(b)
}

// end wipes the bar away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
	p.on = false
}

func (p *progress) wipe() {
	if p.shown {
		_, _ = io.WriteString(p.out, barWipe) // nothing is lost
	}
	p.shown = false
}
