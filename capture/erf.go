package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"math/bits"
	"time"
)

// Record types of ERF (Endace), those with other time stamps and colours
// included.
const (
	erfHDLC, erfEthernet, erfAAL5                               = 1, 2, 4
	erfColorHDLC, erfColorEthernet, erfDSMHDLC, erfDSMEthernet  = 10, 11, 15, 16
	erfColorHashHDLC, erfColorHashEthernet, erfIPv4Rec, erfIPv6 = 19, 20, 22, 23
	erfLast, erfPad                                             = 32, 48
)

// What is in front of a record, where its type and its size are, and the bit of
// the type that says that there are further headers.
const (
	erfHeader   = 16
	erfTypeAt   = 8
	erfSizeAt   = 10
	erfMore     = 0x80
	erfTimeUnit = 32 // bits of the fraction of a second
)

// erfFile reads a file of ERF records, which has no header.
type erfFile struct{ r *bufio.Reader }

// isERF says whether a file begins with a record of ERF and, if there is more,
// with another of a time not a day apart.
func isERF(r *bufio.Reader) bool {
	const day = 24 * 60 * 60
	b, _ := r.Peek(erfHeader)
	if !erfRecord(b) {
		return false
	}
	size, sec := int(binary.BigEndian.Uint16(b[erfSizeAt:])), int64(binary.LittleEndian.Uint32(b[4:]))
	b, _ = r.Peek(size + erfHeader)
	if len(b) < size+erfHeader {
		return len(b) >= size
	}
	b = b[size:]
	apart := int64(binary.LittleEndian.Uint32(b[4:])) - sec
	return erfRecord(b) && apart > -day && apart < day
}

// erfRecord says whether b may be the header of a record.
func erfRecord(b []byte) bool {
	if len(b) < erfHeader {
		return false
	}
	kind := b[erfTypeAt] &^ erfMore
	return kind > 0 && (kind <= erfLast || kind == erfPad) && binary.BigEndian.Uint16(b[erfSizeAt:]) >= erfHeader
}

func (f *erfFile) next() (packet, error) {
	b, err := whole(f.r, erfHeader)
	if err != nil {
		return packet{}, err
	}
	if !erfRecord(b) {
		return packet{}, errors.New("record that is none of ERF: the file is damaged")
	}
	stamp := binary.LittleEndian.Uint64(b)
	nanos, _ := bits.Mul64(stamp<<erfTimeUnit, uint64(time.Second))
	if b, err = whole(f.r, int(binary.BigEndian.Uint16(b[erfSizeAt:]))); err != nil {
		return packet{}, err
	}
	_, err = f.r.Discard(len(b))
	return packet{time: time.Unix(int64(stamp>>erfTimeUnit), int64(nanos)).UTC(), link: linkERF, data: b}, err
}

// erf is Endace's record: a header, further headers of eight octets as long as
// there are more, and a frame.
func (d *decoder) erf(b []byte) drop {
	const extension, pad, cell = 8, 2, 4
	if len(b) < erfHeader {
		return dropLinkShort
	}
	kind := b[erfTypeAt]
	b = b[erfHeader:]
	for next := kind; next&erfMore != 0; b = b[extension:] {
		if len(b) < extension {
			return dropLinkShort
		}
		next = b[0]
	}
	switch kind &^ erfMore {
	case erfEthernet, erfColorEthernet, erfDSMEthernet, erfColorHashEthernet:
		return behind(b, pad, d.ethernet)
	case erfHDLC, erfColorHDLC, erfDSMHDLC, erfColorHashHDLC:
		return d.link(linkCHDLC, b)
	case erfAAL5:
		return behind(b, cell, d.llc)
	case erfIPv4Rec, erfIPv6:
		return d.ip(b)
	}
	return dropNotIP
}
