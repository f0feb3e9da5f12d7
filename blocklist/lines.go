package blocklist

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
)

// Lines are the numbers of those lines of a list's source that have an entry
// about the same name, network or regular expression as a Hit's rule, most at
// most. A compiled list has no line numbers, so this
// reads the source again, a second or so for millions of lines: it is for
// people who ask why. Inline entries are lines from 1. The error says why the
// source cannot tell, among it that it is another by now.
func (l *Lists) Lines(list, rule string, most int) ([]int, error) {
	want, ok := parseRule(rule)
	if !ok {
		return nil, fmt.Errorf("%q is no rule of a list", rule)
	}
	s, err := l.find(list)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	loaded := s.list.SHA256
	l.mu.Unlock()
	var lines []int
	d := s.cfg.withDefaults()
	p := newParser(&d, nil)
	p.onEntry = func(s subject) {
		same := string(s.name) == string(want.name) && s.kind == want.kind && s.net == want.net && s.pattern == want.pattern
		if same && len(lines) < most && (len(lines) == 0 || lines[len(lines)-1] != p.lines) {
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
	if got := hex.EncodeToString(sum.Sum(nil)); got != loaded {
		return nil, errors.New("the source has changed since it was loaded")
	}
	return lines, nil
}

// parseRule is what a Hit's rule is about.
func parseRule(rule string) (subject, bool) {
	rule = strings.TrimPrefix(rule, passMark)
	if text, ok := strings.CutPrefix(rule, "/"); ok {
		if text, ok := strings.CutSuffix(text, "/"); ok {
			return subject{pattern: text}, true
		}
	}
	kind := byte(answerNetwork)
	text, ok := strings.CutPrefix(rule, clientMark)
	if ok {
		kind = clientNetwork
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return subject{kind: kind, net: netip.PrefixFrom(addr, addr.BitLen())}, true
	}
	if net, err := netip.ParsePrefix(text); err == nil {
		return subject{kind: kind, net: net}, true
	}
	name, err := dnsname.Parse(strings.TrimPrefix(rule, starMark))
	return subject{name: name}, err == nil
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
