package pdns

import (
	"strconv"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// rows takes finished lines. A line is taken whole or not at all.
type rows interface {
	// row takes one line, newline included, and says whether it did; the
	// memory stays the caller's. unix is the time of the line's data.
	row(line []byte, unix int64) bool
	// flush brings all lines taken so far to their file.
	flush() error
}

// entryOverhead is what one observation costs beside its key: the entry, the
// map's slot and the key's header, rounded up.
const entryOverhead = 128

// aggregate sums up observations until they become lines. Its memory may go
// over the bound by what one message adds.
type aggregate struct {
	max      int64
	sensorID string

	index   map[string]int // by type, owner and rdata: a position in entries
	entries []observation  // in the order of their first sight, so that equal input gives equal files
	bytes   int64
	key     []byte // scratch
	line    []byte // scratch
}

// observation is one (rrname, rrtype, rdata) and how often it was seen.
type observation struct {
	key         string // type, two octets; owner in wire form; rdata in presentation form
	first, last int64  // Unix seconds
	count       uint64
}

func newAggregate(maxBytes int64, sensorID string) *aggregate {
	return &aggregate{max: maxBytes, sensorID: sensorID, index: map[string]int{}}
}

// full says that a flush is due before more is added.
func (a *aggregate) full() bool { return a.bytes >= a.max }

func (a *aggregate) empty() bool { return len(a.entries) == 0 }

// add counts every record in the answer section of a transaction that carries
// what the DNS said, up to the first record that is malformed. A record of
// another class than IN has no place in COF, and OPT and its like are no data.
func (a *aggregate) add(t *detect.Transaction) {
	msg := t.Response
	_, walk, err := dnswire.WalkMessage(msg)
	if err != nil {
		return
	}
	now := t.Query.Time.Unix()
	for r := (dnswire.Record{}); walk.Next(&r) && r.Section == dnswire.Answer; {
		if r.Class != dnswire.ClassIN || !isData(r.Type) {
			continue
		}
		a.key = append(a.key[:0], byte(r.Type>>8), byte(r.Type))
		var buf [dnsname.MaxWire]byte
		owner, err := r.Owner(buf[:0], msg)
		if err != nil {
			return
		}
		a.key = append(a.key, owner...)
		if addr := r.Address(msg); addr.IsValid() {
			a.key = addr.AppendTo(a.key)
		} else {
			a.key = append(a.key, r.RdataText(msg)...)
		}
		a.count(now)
	}
}

// isData leaves out the types of questions and of transport: RFC 6895,
// section 3.1, gives them 0, 41 and 128 to 255.
func isData(rtype uint16) bool {
	return rtype != 0 && rtype != dnswire.TypeOPT && (rtype < 128 || rtype > 255)
}

func (a *aggregate) count(now int64) {
	if i, ok := a.index[string(a.key)]; ok {
		o := &a.entries[i]
		o.count++
		o.first, o.last = min(o.first, now), max(o.last, now)
		return
	}
	key := string(a.key)
	a.index[key] = len(a.entries)
	a.entries = append(a.entries, observation{key: key, first: now, last: now, count: 1})
	a.bytes += int64(len(key)) + entryOverhead
}

// flush writes a line for each observation and forgets it. Where a line is not
// taken, it and those behind it stay for the next flush; ok says that none did.
func (a *aggregate) flush(out rows) (ok bool) {
	for i := range a.entries {
		a.line = a.appendLine(a.line[:0], &a.entries[i])
		if !out.row(a.line, a.entries[i].last) {
			a.keep(i)
			return false
		}
	}
	a.keep(len(a.entries))
	return true
}

// keep drops the first n observations.
func (a *aggregate) keep(n int) {
	if n == 0 {
		return
	}
	left := copy(a.entries, a.entries[n:])
	clear(a.entries[left:]) // the keys
	a.entries, a.bytes = a.entries[:left], 0
	clear(a.index)
	for i := range a.entries {
		a.index[a.entries[i].key] = i
		a.bytes += int64(len(a.entries[i].key)) + entryOverhead
	}
}

func (a *aggregate) appendLine(dst []byte, o *observation) []byte {
	rtype := uint16(o.key[0])<<8 | uint16(o.key[1])
	rest := o.key[2:]
	end := 0
	for rest[end] != 0 {
		end += 1 + int(rest[end])
	}
	var buf [dnsname.MaxText + 1]byte
	name := dnsname.Name(rest[:end+1]).AppendText(buf[:0])
	if end > 0 {
		name = append(name, '.')
	}
	dst = append(dst, `{"rrname":`...)
	dst = appendJSON(dst, name)
	dst = append(dst, `,"rrtype":`...)
	dst = appendJSON(dst, dnswire.TypeString(rtype))
	dst = append(dst, `,"rdata":[`...)
	dst = appendJSON(dst, rest[end+1:])
	dst = append(dst, `],"time_first":`...)
	dst = strconv.AppendInt(dst, o.first, 10)
	dst = append(dst, `,"time_last":`...)
	dst = strconv.AppendInt(dst, o.last, 10)
	dst = append(dst, `,"count":`...)
	dst = strconv.AppendUint(dst, o.count, 10)
	if a.sensorID != "" {
		dst = append(dst, `,"sensor_id":`...)
		dst = appendJSON(dst, a.sensorID)
	}
	return append(dst, '}', '\n')
}
