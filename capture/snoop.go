package capture

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"time"
)

// magicSnoop begins a file of Solaris' snoop (RFC 1761).
const magicSnoop = "snoop\x00\x00\x00"

// snoop reads the format of Solaris' snoop.
type snoop struct {
	r    *bufio.Reader
	link uint32
}

func newSnoop(r *bufio.Reader) (*snoop, error) {
	const header, version = 16, 2
	b, err := whole(r, header)
	if err != nil {
		return nil, fmt.Errorf("snoop header: %w", err)
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != version {
		return nil, fmt.Errorf("version %d of snoop, only %d is known", v, version)
	}
	s := &snoop{r: r, link: snoopLink(binary.BigEndian.Uint32(b[12:]))}
	_, err = r.Discard(header)
	return s, err
}

// snoopLink is the link type that a data link of snoop is: those of RFC 1761,
// and more of Solaris' sys/dlpi.h.
func snoopLink(kind uint32) uint32 {
	const (
		ieee8023, tokenRing, ethernet, fddi       = 0, 2, 4, 8
		loopback, fibreChannel, sunATM, infinband = 14, 16, 18, 26
	)
	switch kind {
	case ieee8023, ethernet:
		return linkEthernet
	case tokenRing:
		return linkTokenRing
	case fddi:
		return linkFDDI
	case loopback:
		return linkNull
	case fibreChannel:
		return linkFC
	case sunATM:
		return linkSunATM
	case infinband:
		return linkIPoIB
	}
	return unknownLink
}

func (s *snoop) next() (packet, error) {
	const header = 24
	b, err := whole(s.r, header)
	if err != nil {
		return packet{}, err
	}
	captured, record := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	if captured > maxPacket || record > maxPacket+header || record < captured+header {
		return packet{}, fmt.Errorf("record of %d octets with a packet of %d: the file is damaged", record, captured)
	}
	at := time.Unix(int64(binary.BigEndian.Uint32(b[16:])), int64(binary.BigEndian.Uint32(b[20:]))*int64(time.Microsecond)).UTC()
	if b, err = whole(s.r, int(record)); err != nil {
		return packet{}, err
	}
	_, err = s.r.Discard(len(b))
	return packet{time: at, link: s.link, data: b[header : header+int(captured)]}, err
}
