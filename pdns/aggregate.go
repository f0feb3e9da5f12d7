package pdns

import (
	"net/netip"
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

// aggregate sums up observations until they become lines: each is one (rrname,
// rrtype, rdata). Its memory may go over the bound by what one message adds.
type aggregate struct {
	max      int64
	sensorID string

	sums sums
	key  []byte // scratch
	line []byte // scratch
}

func newAggregate(maxBytes int64, sensorID string) *aggregate {
	return &aggregate{max: min(maxBytes, maxSums), sensorID: sensorID}
}

// full says that a flush is due before more is added.
func (a *aggregate) full() bool { return a.sums.bytes() >= a.max }

func (a *aggregate) empty() bool { return a.sums.count == 0 }

// The key of an observation: its type in two octets, its form, its owner in wire
// form, and its rdata in that form.
const (
	keyHead   = 3
	asText    = 0
	asAddress = 1 // four octets or sixteen
)

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
		addr := r.Address(msg)
		form := byte(asText)
		if addr.IsValid() {
			form = asAddress
		}
		a.key = append(a.key[:0], byte(r.Type>>8), byte(r.Type), form)
		var buf [dnsname.MaxWire]byte
		owner, err := r.Owner(buf[:0], msg)
		if err != nil {
			return
		}
		a.key = append(a.key, owner...)
		if form == asAddress {
			a.key = append(a.key, msg[r.Data:r.End]...)
		} else {
			a.key = append(a.key, r.RdataText(msg)...)
		}
		a.sums.add(a.key, now)
	}
}

// isData leaves out the types of questions and of transport: RFC 6895,
// section 3.1, gives them 0, 41 and 128 to 255.
func isData(rtype uint16) bool {
	return rtype != 0 && rtype != dnswire.TypeOPT && (rtype < 128 || rtype > 255)
}

// flush writes a line for each observation and forgets it. Where a line is not
// taken, it and those behind it stay for the next flush; ok says that none did.
func (a *aggregate) flush(out rows) (ok bool) {
	return a.sums.flush(func(o observation) bool {
		a.line = a.appendLine(a.line[:0], &o)
		return out.row(a.line, o.last)
	})
}

func (a *aggregate) appendLine(dst []byte, o *observation) []byte {
	rtype := uint16(o.key[0])<<8 | uint16(o.key[1])
	rest := o.key[keyHead:]
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
	if rdata := rest[end+1:]; o.key[2] == asAddress {
		addr, _ := netip.AddrFromSlice(rdata)
		dst = append(dst, '"')
		dst = addr.AppendTo(dst)
		dst = append(dst, '"')
	} else {
		dst = appendJSON(dst, rdata)
	}
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
