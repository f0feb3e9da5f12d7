package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"

	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// The keys of the store, by their first octet. A path is a name with its labels
// from the root down, so that a name and all below it lie side by side: each
// label with its octets 0 and 1 escaped as 1,1 and 1,2, then a 0; and a last 0
// behind the whole name.
//
//	r path rrtype(2) zone(1) rdata     a record; its sums
//	a family(1) address path rrtype zone       the records with an address; empty
//	v hash(10) path rrtype zone hash(4)        the records with other rdata; the rdata
//	d path                             a registered domain; its sums
//	f first(8) path                    registered domains by when they were first seen; empty
//	e hour(4) path kind(3)             detections of an hour; their sums and detail
//	c client 0 path                    names that a client asked for; their sums
//	k path client                      clients that asked for a name; empty
//	m ...                              the store's own notes
//
// zone is the number of labels of the record's bailiwick, which is always the
// owner or a zone above it.
const (
	kindRecord    = 'r'
	kindAddress   = 'a'
	kindRdata     = 'v'
	kindDomain    = 'd'
	kindFirst     = 'f'
	kindDetection = 'e'
	kindClient    = 'c'
	kindAsker     = 'k'
	kindNote      = 'm'
)

// Values of zone that are no number of labels: a name has 127 at most.
const (
	zoneUnknown = 0xff
	zoneFolded  = 0xfe // the record stands for many below its owner
)

// noteVersion holds the version of this layout.
var noteVersion = []byte{kindNote, 'v'}

// noteClock holds the time when the store was last written to.
var noteClock = []byte{kindNote, 'c'}

var errKey = errors.New("store: a key of another form")

// appendLabels appends the labels of n from the root down, without the end.
func appendLabels(dst []byte, n dnsname.Name) []byte {
	var starts [128]int
	count := 0
	for i := 0; i < len(n) && n[i] != 0 && count < len(starts); i += 1 + int(n[i]) {
		starts[count] = i
		count++
	}
	for count--; count >= 0; count-- {
		at := starts[count]
		for _, c := range n[at+1 : at+1+int(n[at])] {
			if c <= 1 {
				dst = append(dst, 1, c+1)
			} else {
				dst = append(dst, c)
			}
		}
		dst = append(dst, 0)
	}
	return dst
}

// appendPath appends the whole path of n.
func appendPath(dst []byte, n dnsname.Name) []byte { return append(appendLabels(dst, n), 0) }

// cutPath reads a path from the front of b.
func cutPath(b []byte) (name dnsname.Name, path, rest []byte, err error) {
	var labels [128][2]int
	var text [dnsname.MaxWire]byte
	n, used, at := 0, 0, 0
	for {
		if at >= len(b) {
			return nil, nil, nil, errKey
		}
		if b[at] == 0 {
			break
		}
		start := used
		for ; at < len(b) && b[at] != 0; at++ {
			c := b[at]
			if c == 1 {
				if at++; at >= len(b) || b[at] < 1 || b[at] > 2 {
					return nil, nil, nil, errKey
				}
				c = b[at] - 1
			}
			if used == len(text) {
				return nil, nil, nil, errKey
			}
			text[used] = c
			used++
		}
		if n == len(labels) || at >= len(b) || used-start > 63 {
			return nil, nil, nil, errKey
		}
		labels[n] = [2]int{start, used}
		n++
		at++
	}
	if used+n+1 > dnsname.MaxWire {
		return nil, nil, nil, errKey
	}
	name = make(dnsname.Name, 0, used+n+1)
	for i := n - 1; i >= 0; i-- {
		l := text[labels[i][0]:labels[i][1]]
		name = append(append(name, byte(len(l))), l...)
	}
	return append(name, 0), b[:at+1], b[at+1:], nil
}

// recordKey is the key of a record, taken apart.
type recordKey struct {
	name  dnsname.Name
	path  []byte
	rtype uint16
	zone  byte
	rdata []byte
}

func appendRecordKey(dst []byte, owner dnsname.Name, rtype uint16, zone byte, rdata string) []byte {
	dst = appendPath(append(dst, kindRecord), owner)
	dst = append(binary.BigEndian.AppendUint16(dst, rtype), zone)
	return append(dst, rdata...)
}

// cutRecordKey reads what stands behind the first octet of a record's key.
func cutRecordKey(b []byte) (k recordKey, err error) {
	var rest []byte
	if k.name, k.path, rest, err = cutPath(b); err != nil {
		return k, err
	}
	if len(rest) < 3 {
		return k, errKey
	}
	k.rtype, k.zone, k.rdata = binary.BigEndian.Uint16(rest), rest[2], rest[3:]
	return k, nil
}

// bailiwick is the zone of a key's number of labels; ok is false if it has none.
func (k *recordKey) bailiwick() (zone dnsname.Name, ok bool) {
	if k.zone >= zoneFolded {
		return nil, false
	}
	zone = k.name
	for n := zone.Labels(); n > int(k.zone); n-- {
		zone = zone.Parent()
	}
	return zone, true
}

// appendAddressKey is the place of a record among those with its address.
func appendAddressKey(dst []byte, addr netip.Addr, k *recordKey) []byte {
	dst = appendAddress(append(dst, kindAddress), addr)
	dst = append(dst, k.path...)
	return append(binary.BigEndian.AppendUint16(dst, k.rtype), k.zone)
}

func appendAddress(dst []byte, addr netip.Addr) []byte {
	if addr = addr.Unmap(); addr.Is4() {
		b := addr.As4()
		return append(append(dst, 4), b[:]...)
	}
	b := addr.As16()
	return append(append(dst, 6), b[:]...)
}

// hashLen keeps the chance of two rdata under one key negligible, and the
// reader compares anyway.
const hashLen = 10

func appendRdataPrefix(dst []byte, text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return append(append(dst, kindRdata), sum[:hashLen]...)
}

func appendRdataKey(dst []byte, text string, k *recordKey) []byte {
	dst = append(appendRdataPrefix(dst, text), k.path...)
	dst = append(binary.BigEndian.AppendUint16(dst, k.rtype), k.zone)
	sum := sha256.Sum256(k.rdata)
	return append(dst, sum[:4]...)
}

// terms are what a record can be found by apart from its owner: its whole rdata
// and, where that has names among other fields, each of these. Addresses have an
// index of their own.
func terms(rtype uint16, rdata string) []string {
	out := []string{rdata}
	switch rtype {
	case dnswire.TypeSOA, typeMX, typeSRV, typeRP, typeAFSDB, typeNAPTR, typeHTTPS, typeSVCB:
		for _, f := range strings.Fields(rdata) {
			if len(f) > 1 && strings.HasSuffix(f, ".") && f != rdata {
				out = append(out, strings.ToLower(f))
			}
		}
	}
	return out[:min(len(out), 3)]
}

// Types whose rdata has names among other fields.
const (
	typeMX    = 15
	typeRP    = 17
	typeAFSDB = 18
	typeSRV   = 33
	typeNAPTR = 35
	typeSVCB  = 64
	typeHTTPS = 65
)

// address is the address that a record holds, if its type is one of addresses.
func address(rtype uint16, rdata []byte) (netip.Addr, bool) {
	if rtype != dnswire.TypeA && rtype != dnswire.TypeAAAA {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(string(rdata))
	return addr, err == nil
}

// after is the least key that is greater than all that begin with prefix; nil
// where there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
