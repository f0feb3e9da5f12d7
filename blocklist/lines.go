package blocklist

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// Lines are the numbers of those lines of a list's source that have an entry
// for name itself, most at most. A compiled list has no line numbers, so this
// reads the source again, a second or so for millions of lines: it is for
// people who ask why. Inline entries are lines from 1. The error says why the
// source cannot tell, among it that it is another by now.
func (l *Lists) Lines(list string, name dnsname.Name, most int) ([]int, error) {
	s, err := l.find(list)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	want := s.list.SHA256
	l.mu.Unlock()
	var lines []int
	d := s.cfg.withDefaults()
	p := newParser(&d, nil)
	p.onName = func(n dnsname.Name) {
		if string(n) == string(name) && len(lines) < most && (len(lines) == 0 || lines[len(lines)-1] != p.lines) {
			lines = append(lines, p.lines)
		}
	}
	sum := sha256.New()
	source, done, err := s.text(&d)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := p.read(io.TeeReader(source, sum)); err != nil {
		return nil, err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return nil, errors.New("the source has changed since it was loaded")
	}
	return lines, nil
}

// text is the source as it was parsed, or its stored copy.
func (s *source) text(c *Config) (r io.Reader, done func(), err error) {
	switch {
	case c.URL != "":
		if s.path == "" {
			return nil, nil, errors.New("no copy of the source is kept")
		}
		copied, err := openCopy(s.path, c)
		if err != nil {
			return nil, nil, err
		}
		return copied, copied.close, nil
	case c.File != "":
		f, err := os.Open(c.File)
		if err != nil {
			return nil, nil, err
		}
		body, err := unpack(f, "", c.MaxBytes)
		if err != nil {
			_ = f.Close() // only read
			return nil, nil, err
		}
		return body, func() { _ = f.Close() }, nil
	}
	return strings.NewReader(strings.Join(c.Inline, "\n")), func() {}, nil
}
