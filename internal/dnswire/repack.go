package dnswire

import (
	"errors"

	"github.com/miekg/dns"
)

// maxMessage is the largest message that TCP frames (RFC 1035, section 4.2.2).
const maxMessage = 1<<16 - 1

// ErrRepack means that a record to be kept could not be written again.
var ErrRepack = errors.New("record cannot be repacked")

// Repack writes a message with one question again without the records that
// keep refuses. Names may point back into what is left out, so this is not a
// matter of cutting: every record that stays is unpacked and packed. It
// allocates, and is for the few messages that cannot be cut at their end.
func Repack(msg []byte, keep func(*Record) bool) ([]byte, error) {
	h, err := ReadHeader(msg)
	if err != nil {
		return nil, err
	}
	var q Question
	var name [255]byte
	if h.QD != 1 {
		return nil, ErrFormat
	}
	if err := ReadQuestion(&q, name[:], msg); err != nil {
		return nil, err
	}
	out := make([]byte, maxMessage)
	compression := make(map[string]int)
	off := HeaderLen
	qname, _, err := dns.UnpackDomainName(msg, q.Start)
	if err == nil {
		off, err = dns.PackDomainName(qname, out, off, compression, true)
	}
	if err != nil {
		return nil, errors.Join(ErrRepack, err)
	}
	off += copy(out[off:], msg[q.End-4:q.End])

	var counts [3]uint16
	walk := Walk(msg, h, q.End)
	for r := (Record{}); walk.Next(&r); {
		if !keep(&r) {
			continue
		}
		rr, next, err := dns.UnpackRR(msg, r.Start)
		if err != nil {
			return nil, errors.Join(ErrRepack, err)
		}
		if next != r.End {
			return nil, ErrRepack
		}
		if off, err = dns.PackRR(rr, out, off, compression, true); err != nil {
			return nil, errors.Join(ErrRepack, err)
		}
		counts[r.Section]++
	}
	if err := walk.Err(); err != nil {
		return nil, err
	}
	AppendHeader(out[:0], Header{ID: h.ID, Flags: h.Flags, QD: 1, AN: counts[Answer], NS: counts[Authority], AR: counts[Additional]})
	return out[:off:off], nil
}
