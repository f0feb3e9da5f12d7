package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// drawn is a bar on files of 1,000 octets and 3,000, of which 2,000 are read in
// ten seconds.
func drawn(t *testing.T, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	now := time.Unix(0, 0)
	p := newProgress(&b)
	p.now = func() time.Time { return now }
	p.begin(strings.NewReader(""), files)
	p.on = true
	in := p.read(strings.NewReader(strings.Repeat("x", 2000)))
	buf := make([]byte, 1000)
	for range 2 {
		now = now.Add(5 * time.Second)
		if _, err := io.ReadFull(in, buf); err != nil {
			t.Fatal(err)
		}
	}
	for range barPause {
		p.Record(nil)
	}
	shown := b.String()
	p.end()
	if left := b.String()[len(shown):]; left != barWipe {
		t.Errorf("the bar is left: %q", left)
	}
	return shown
}

func TestTheBarShowsHowMuchIsLeft(t *testing.T) {
	dir := t.TempDir()
	one := writeFile(t, filepath.Join(dir, "one"), strings.Repeat("x", 1000))
	two := writeFile(t, filepath.Join(dir, "two"), strings.Repeat("x", 3000))
	if got, want := drawn(t, one, two), barFirst+"[##########..............................]  25 %  15s left"+barLast+barFirst+"[####################....................]  50 %  10s left"+barLast; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := drawn(t, one, "-"), barFirst+"0 queries, 0.0 MB read, 5s"+barLast+barFirst+"0 queries, 0.0 MB read, 10s"+barLast; got != want {
		t.Errorf("size unknown: %q, want %q", got, want)
	}
}

func TestTheBarIsForTerminals(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, out := range []io.Writer{f, new(bytes.Buffer)} {
		p := newProgress(out)
		if p.begin(strings.NewReader(""), nil); p.on {
			t.Errorf("a bar on %T", out)
		}
	}
}

// What else is written to the terminal finds the line empty, and the bar comes
// back below it.
func TestTheBarMakesRoomForTheLog(t *testing.T) {
	var b bytes.Buffer
	now := time.Unix(0, 0)
	p := newProgress(&b)
	p.now = func() time.Time { return now }
	p.begin(strings.NewReader(""), []string{"-"})
	p.on = true
	draw := func() string {
		b.Reset()
		now = now.Add(2 * time.Second)
		p.draw()
		return b.String()
	}
	write := func() string {
		b.Reset()
		if _, err := p.Write([]byte("a line\n")); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if got, want := write(), "a line\n"; got != want {
		t.Errorf("%q before there is a bar, want %q", got, want)
	}
	if draw() == "" {
		t.Error("no bar")
	}
	if got, want := write(), barWipe+"a line\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := write(), "a line\n"; got != want {
		t.Errorf("%q where no bar is, want %q", got, want)
	}
	if draw() == "" {
		t.Error("the bar does not come back")
	}
	p.end()
	if got := draw(); got != "" {
		t.Errorf("a bar after the end: %q", got)
	}
}

// Folders have the size of what is read of them, and a file has it too that comes
// as standard input.
func TestTheBarKnowsSizes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "1.pcap"), "12345")
	writeFile(t, filepath.Join(dir, "2.pcap"), "678")
	writeFile(t, filepath.Join(dir, ".hidden"), "not read")
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "1.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	for _, c := range []struct {
		stdin io.Reader
		paths []string
		want  int64
	}{
		{r, []string{dir}, 8}, {r, []string{dir, f.Name()}, 13}, {f, []string{dir, "-"}, 13},
		{r, []string{dir, "-"}, 0}, {r, []string{filepath.Join(dir, "missing")}, 0},
	} {
		if got := sizeOf(c.stdin, c.paths); got != c.want {
			t.Errorf("%q: %d octets, want %d", c.paths, got, c.want)
		}
	}
}
