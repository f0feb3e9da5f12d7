package blocklist

import (
	"bytes"
	"io"
)

// maxRefusedText bounds the text of a RefusedLine, in octets.
const maxRefusedText = 120

// RefusedLine is a line, or a part of one, that does not become an entry.
type RefusedLine struct {
	Number int // from 1
	Reason Reason
	// Text is the line's beginning, as it is in the source: it may hold anything.
	Text string
}

// Report is what a source would give as a list.
type Report struct {
	Format    Format // as detected, where the configuration says auto
	Lines     int
	Entries   int // names, exceptions among them
	Addresses int
	Patterns  int   // regular expressions
	Passes    int   // of these entries, how many let a name pass
	Memory    int64 // octets
	Rejected  Rejected
}

// localAt is an answer of its own that some line gives a key. That it is one
// address too many shows only when all lines are known.
type localAt struct {
	key   string
	local uint16
}

// refusedLine is the line that is being read.
func (p *parser) refusedLine(reason Reason) RefusedLine {
	line := bytes.TrimSpace(p.text)
	return RefusedLine{p.lines, reason, string(line[:min(len(line), maxRefusedText)])}
}

// keepLocal remembers the line of an answer of its own, for Check.
func (p *parser) keepLocal(key []byte, e *entry) {
	if p.locals != nil && e.own.policy() == LocalData {
		p.locals[localAt{string(key), e.local}] = p.refusedLine(TooManyAddresses)
	}
}

// Check reads a source as a list of that configuration would, with all guards
// but those for weir's own hosts, and calls refused for each line that would
// not become an entry. Its error says why the source would be refused as a
// whole; the report then has what was read until there.
func Check(r io.Reader, c *Config, refused func(RefusedLine)) (*Report, error) {
	d := c.withDefaults()
	text, err := unpack(r, "", d.MaxBytes)
	if err != nil {
		return &Report{Format: d.Format}, err
	}
	p := newParser(&d, nil)
	p.out = newBuilder(workshop{})
	p.onReject = func(reason Reason) { refused(p.refusedLine(reason)) }
	p.locals = make(map[localAt]RefusedLine)
	p.out.onDrop = func(key []byte, local uint16) {
		if l, ok := p.locals[localAt{string(key), local}]; ok {
			refused(l)
		}
	}
	err = p.read(text)
	report := &Report{Format: p.format, Lines: p.lines, Rejected: p.rejected}
	if err != nil {
		return report, err
	}
	data, err := p.data()
	if err != nil {
		return report, err
	}
	report.Entries, report.Addresses, report.Passes = data.set.names, data.set.addrs, data.set.passes
	report.Patterns, report.Memory, report.Rejected = data.set.expressions(), data.set.memory(), data.rejected
	return report, nil
}
