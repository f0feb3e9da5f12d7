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
