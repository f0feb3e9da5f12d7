// Package replay holds past traffic against a detection: it reads the DNS logs
// of other programs, and of weir itself, into transactions, and adds up what
// verdicts on them would have meant. It judges nothing and reads no clock; the
// caller asks the detector.
package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weirdns/weir/detect"
)

// ErrFormat means that a file is no log that is known.
var ErrFormat = errors.New("no DNS log that is known: neither transactions of weir in any of their formats (native, zeek, eve, ecs, ocsf, spot, csv) nor Zeek's dns.log nor Suricata's EVE")

// ErrSums means that a file is passive DNS, which does not say who asked when.
var ErrSums = errors.New("passive DNS (COF) is sums of answers and has no queries: transactions are needed")

// ErrEmpty means that a file has nothing in it.
var ErrEmpty = errors.New("the file is empty")

// maxLine bounds a line; the longest of weir's own has 256 KiB of answers.
const maxLine = 1 << 20

// Stats counts the lines of a log: Lines = Records + Other + Bad.
type Stats struct {
	Lines   uint64 `json:"lines"`
	Records uint64 `json:"records"` // that say something of a query
	Other   uint64 `json:"other"`   // events of another kind, headers, empty lines
	Bad     uint64 `json:"bad"`     // that cannot be read, the over-long ones with them
	// Networks counts the queries with a client of which only the network is
	// known, as of logs that truncate addresses.
	Networks uint64 `json:"client_networks"`
}

// Add adds the counts of another log.
func (s *Stats) Add(o Stats) {
	s.Lines += o.Lines
	s.Records += o.Records
	s.Other += o.Other
	s.Bad += o.Bad
	s.Networks += o.Networks
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
	answers      []record
	latency      time.Duration

	// Of EVE, where query and answer come as two lines, and more.
	half  bool
	one   bool // of an answer it has one record
	alert bool // says that there was such a query, beside whatever else does
	key   eveKey
}

// format reads lines: ok false says that a line is none of its records, and an
// error that it cannot be read.
type format interface {
	line(b []byte, e *entry) (ok bool, err error)
}

// Read reads a log and hands each query to do, with what was answered in wire
// form, as far as the log has it. What it hands over is good until do returns.
func Read(r io.Reader, do func(*detect.Transaction)) (s Stats, _ error) {
	b := bufio.NewReaderSize(r, maxLine)
	l := log{pairing: newPairing(do)}
	defer func() {
		l.finish()
		s.Networks = l.networks
	}()
	for {
		line, err := b.ReadSlice('\n')
		long := errors.Is(err, bufio.ErrBufferFull)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = b.ReadSlice('\n')
		}
		if len(line) > 0 {
			l.Lines++
			if unknown := l.line(bytes.TrimRight(line, "\r\n"), long); unknown != nil {
				return l.Stats, unknown
			}
		}
		switch {
		case errors.Is(err, io.EOF) && l.Lines == 0:
			return l.Stats, ErrEmpty
		case errors.Is(err, io.EOF) && l.format == nil:
			return l.Stats, ErrFormat
		case errors.Is(err, io.EOF):
			return l.Stats, nil
		case err != nil:
			return l.Stats, fmt.Errorf("line %d: %w", l.Lines+1, err)
		}
	}
}

// log is one that is being read.
type log struct {
	Stats
	*pairing
	format format // nil: no line yet that has one
}

// line takes one line. An error is that of a log of no known format.
func (l *log) line(line []byte, long bool) (err error) {
	switch {
	case long:
		l.Bad++
		return nil
	case len(line) == 0:
		l.Other++
		return nil
	case l.format == nil:
		if l.format, err = detectFormat(line); err != nil {
			return err
		}
	}
	var e entry
	ok, bad := l.format.line(line, &e)
	if ok && bad == nil {
		bad = l.take(&e)
	}
	switch {
	case bad != nil:
		l.Bad++
	case ok:
		l.Records++
	default:
		l.Other++
	}
	return nil
}

// detectFormat tells a log by its first line.
func detectFormat(line []byte) (format, error) {
	has := func(key string) bool { return bytes.Contains(line, []byte(`"`+key+`"`)) }
	switch {
	case bytes.HasPrefix(line, []byte("#separator")):
		return &zeekTSV{}, nil
	case bytes.HasPrefix(line, []byte("time,client,transport,qname,")):
		return &table{}, nil
	case bytes.HasPrefix(line, []byte("frame_time,unix_tstamp,")):
		return &table{spot: true}, nil
	case line[0] != '{':
	case has("event_type"):
		return eve{}, nil
	case has("class_uid"):
		return ocsf{}, nil
	case has("@timestamp"):
		return ecs{}, nil
	case has("id.orig_h"), has("id.orig_p"):
		return zeekJSON{}, nil
	case has("verdict"):
		return own{}, nil
	case has("rrname") && has("time_first"):
		return nil, ErrSums
	}
	return nil, ErrFormat
}
