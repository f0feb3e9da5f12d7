package store

import (
	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// maxRdataText is the longest rdata that is kept, in presentation form. Keys
// ought to be short; what is longer is a file in a TXT record, and counted.
const maxRdataText = 4 << 10

// maxZones is how many zones of one message are remembered.
const maxZones = 4

// observe calls see for every record of class IN in all three sections of what
// the DNS said, up to the first that is malformed. A forwarder does not see who
// answered, so the bailiwick is what the message itself shows: the closest zone
// above the record whose SOA or NS stands in the authority section.
func observe(t *detect.Transaction, see func(owner dnsname.Name, rtype uint16, zone byte, rdata string, in Sections)) (refused int) {
	msg := t.Response
	_, walk, err := dnswire.WalkMessage(msg)
	if err != nil {
		return 0
	}
	var zones [maxZones]dnsname.Name
	n := 0
	zoneWalk := walk
	for r := (dnswire.Record{}); n < maxZones && zoneWalk.Next(&r); {
		if r.Section != dnswire.Authority || r.Class != dnswire.ClassIN || r.Type != dnswire.TypeSOA && r.Type != dnswire.TypeNS {
			continue
		}
		owner, err := r.Owner(nil, msg)
		if err != nil {
			break
		}
		zones[n] = owner
		n++
	}
	var buf [dnsname.MaxWire]byte
	for r := (dnswire.Record{}); walk.Next(&r); {
		if r.Class != dnswire.ClassIN || !isData(r.Type) {
			continue
		}
		owner, err := r.Owner(buf[:0], msg)
		if err != nil {
			return refused
		}
		rdata := r.RdataText(msg)
		if len(rdata) > maxRdataText {
			refused++
			continue
		}
		zone, labels := byte(zoneUnknown), -1
		for _, z := range zones[:n] {
			if l := z.Labels(); l > labels && owner.Within(z) {
				zone, labels = byte(l), l
			}
		}
		see(owner, r.Type, zone, rdata, InAnswer<<r.Section)
	}
	return refused
}

// isData leaves out the types of questions and of transport: RFC 6895,
// section 3.1, gives them 0, 41 and 128 to 255.
func isData(rtype uint16) bool {
	return rtype != 0 && rtype != dnswire.TypeOPT && (rtype < 128 || rtype > 255)
}
