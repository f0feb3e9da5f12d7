// Package replay holds past traffic against a detection: it reads the DNS logs
// of other programs, and of weir itself, into transactions, and adds up what
// verdicts on them would have meant. It judges nothing and reads no clock; the
// caller asks the detector.
package replay

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// ErrFormat means that a file is no log that is known.
var ErrFormat = errors.New("neither transactions of weir nor Zeek's dns.log nor Suricata's EVE")

// maxLine bounds a line; the longest of weir's own has 256 KiB of answers.
const maxLine = 1 << 20

// Stats counts the lines of a log: Lines = Records + Other + Bad.
type Stats struct {
	Lines   uint64 `json:"lines"`
	Records uint64 `json:"records"` // that say something of a query
	Other   uint64 `json:"other"`   // events of another kind, headers, empty lines
	Bad     uint64 `json:"bad"`     // that cannot be read, the over-long ones with them
}

// entry is what a line says of a query.
type entry struct {
	time         time.Time
	client       string // address or prefix, "" if unknown
	server       string
	name         string
	qtype, class uint16
	answered     bool
	rcode        uint16
	answers      []string // rdata: addresses and names count, the rest is left
	latency      time.Duration

	// Of EVE, where query and answer come as two lines.
	half bool
	key  eveKey
}

// format reads lines: ok false says that a line is none of its records, and an
// error that it cannot be read.
type format interface {
	line(b []byte, e *entry) (ok bool, err error)
}

// Read reads a log and hands each query to do, with what was answered in wire
// form, as far as the log has it. What it hands over is good until do returns.
func Read(r io.Reader, do func(*detect.Transaction)) (Stats, error) {
	b := bufio.NewReaderSize(r, maxLine)
	var s Stats
	var f format
	p := pairing{do: do, waiting: map[eveKey]*entry{}}
	for {
		line, err := b.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if len(line) > 0 {
			s.Lines++
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case long:
			s.Bad++
		case len(line) == 0:
			if s.Lines > s.Records+s.Other+s.Bad {
				s.Other++
			}
		default:
			if f == nil {
				if f = detectFormat(line); f == nil {
					return s, ErrFormat
				}
			}
			var e entry
			ok, bad := f.line(line, &e)
			if ok && bad == nil {
				bad = p.take(&e)
			}
			switch {
			case bad != nil:
				s.Bad++
			case ok:
				s.Records++
			default:
				s.Other++
			}
		}
		if errors.Is(err, io.EOF) {
			p.finish()
			if f == nil {
				return s, ErrFormat
			}
			return s, nil
		}
		if err != nil {
			p.finish()
			return s, fmt.Errorf("line %d: %w", s.Lines+1, err)
		}
	}
}

// detectFormat tells a log by its first line.
func detectFormat(line []byte) format {
	switch {
	case bytes.HasPrefix(line, []byte("#separator")):
		return &zeekTSV{}
	case line[0] != '{':
		return nil
	case bytes.Contains(line, []byte(`"event_type"`)):
		return &eve{}
	case bytes.Contains(line, []byte(`"verdict"`)):
		return &own{}
	case bytes.Contains(line, []byte(`"id.orig_h"`)):
		return &zeekJSON{}
	}
	return nil
}

// maxWaiting bounds the queries of EVE that wait for their answers.
const maxWaiting = 1 << 16

// pairing turns entries into transactions.
type pairing struct {
	do      func(*detect.Transaction)
	waiting map[eveKey]*entry
	order   []*entry // of waiting, and of some that were answered
	tx      detect.Transaction
	name    [dnsname.MaxWire]byte
	wire    []byte
}

// take takes an entry; an error says that it cannot be a transaction.
func (p *pairing) take(e *entry) error {
	if !e.half {
		return p.record(e)
	}
	if !e.answered {
		if _, err := dnsname.AppendParse(p.name[:0], e.name); err != nil {
			return err
		}
		for len(p.order) >= maxWaiting {
			p.release(p.order[0])
			p.order = p.order[1:]
		}
		kept := *e
		p.waiting[e.key] = &kept
		p.order = append(p.order, &kept)
		return nil
	}
	if q := p.waiting[e.key]; q != nil {
		delete(p.waiting, e.key)
		q.key = eveKey{} // it is done with
		e.latency = max(0, e.time.Sub(q.time))
		e.time, e.client, e.qtype = q.time, q.client, q.qtype
	}
	return p.record(e)
}

// release records a query that got no answer.
func (p *pairing) release(e *entry) {
	if p.waiting[e.key] == e {
		delete(p.waiting, e.key)
		_ = p.record(e) // its name was read before
	}
}

func (p *pairing) finish() {
	for _, e := range p.order {
		p.release(e)
	}
}

func (p *pairing) record(e *entry) error {
	name, err := dnsname.AppendParse(p.name[:0], e.name)
	if err != nil {
		return err
	}
	t := &p.tx
	*t = detect.Transaction{
		Query:   detect.Query{Time: e.time, Name: name, Type: e.qtype, Class: e.class, Transport: detect.Pcap, Client: address(e.client)},
		Verdict: detect.Verdict{Matches: t.Verdict.Matches[:0]}, Upstream: e.server, Latency: e.latency,
	}
	if e.answered {
		t.Source, t.Rcode, t.Response = detect.FromWire, e.rcode, p.response(e, name)
	}
	p.do(t)
	return nil
}

// address is an address, or the first of a prefix.
func address(s string) netip.Addr {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap()
	}
	if prefix, err := netip.ParsePrefix(s); err == nil {
		return prefix.Addr().Unmap()
	}
	return netip.Addr{}
}

// answerTTL stands for the TTLs, which nothing here depends on.
const answerTTL = 60

// response is the answer in wire form: addresses and names, all of them the
// question's own, as no log says which is whose.
func (p *pairing) response(e *entry, name dnsname.Name) []byte {
	const maxMessage = 64 << 10
	flags := dnswire.FlagQR | dnswire.FlagRA | e.rcode&0xf
	b := dnswire.AppendHeader(p.wire[:0], dnswire.Header{Flags: flags, QD: 1})
	b = dnswire.AppendQuestion(b, name, e.qtype, e.class)
	count := uint16(0)
	for _, s := range e.answers {
		if len(b) > maxMessage-300 {
			break
		}
		if a, err := netip.ParseAddr(s); err == nil {
			b = dnswire.AppendAddress(b, a.Unmap().WithZone(""), e.class, answerTTL)
			count++
			continue
		}
		if e.qtype != dnswire.TypeA && e.qtype != dnswire.TypeAAAA && e.qtype != dnswire.TypeCNAME {
			continue // text, mail servers: no names that the answer leads to
		}
		target, err := dnsname.Parse(s)
		if err != nil {
			continue
		}
		const question = 0xc000 | dnswire.HeaderLen
		b = binary.BigEndian.AppendUint16(b, question)
		b = binary.BigEndian.AppendUint16(b, dnswire.TypeCNAME)
		b = binary.BigEndian.AppendUint16(b, e.class)
		b = binary.BigEndian.AppendUint32(b, answerTTL)
		b = binary.BigEndian.AppendUint16(b, uint16(len(target)))
		b = append(b, target...)
		count++
	}
	dnswire.SetCounts(b, count, 0, 0)
	p.wire = b
	return b
}
