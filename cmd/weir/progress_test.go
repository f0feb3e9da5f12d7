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
	p := newProgress(&b, files)
	p.out, p.now, p.began = &b, func() time.Time { return now }, now
	in := p.read(strings.NewReader(strings.Repeat("x", 2000)))
	buf := make([]byte, 1000)
	for range 2 {
		now = now.Add(5 * time.Second)
		if _, err := io.ReadFull(in, buf); err != nil {
			t.Fatal(err)
		}
	}
	for range barPause {
		p.query()
	}
	shown := b.String()
	p.end()
	if !strings.HasSuffix(b.String(), "\r") || strings.Contains(b.String()[len(shown):], "%") {
		t.Errorf("the bar is left: %q", b.String()[len(shown):])
	}
	return shown
}

func TestTheBarShowsHowMuchIsLeft(t *testing.T) {
	dir := t.TempDir()
	one := writeFile(t, filepath.Join(dir, "one"), strings.Repeat("x", 1000))
	two := writeFile(t, filepath.Join(dir, "two"), strings.Repeat("x", 3000))
	if got, want := drawn(t, one, two), "\r[##########..............................]  25 %  15s left \r[####################....................]  50 %  10s left "; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := drawn(t, one, "-"), "\r0 queries, 0.0 MB read, 5s \r0 queries, 0.0 MB read, 10s "; got != want {
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
		if p := newProgress(out, nil); p.out != nil {
			t.Errorf("a bar on %T", out)
		}
	}
}
