package capture

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"time"
)

const (
	pcapHeader         = 24
	pcapRecord         = 16
	pcapRecordModified = 24 // interface, protocol and type more
)

// pcap reads the classic format (draft-ietf-opsawg-pcap), and like tcpdump and
// Wireshark what is not quite that: a record that claims to be longer than the
// packet was, and the two lengths the other way round, as they were before
// version 2.3.
type pcap struct {
	r      *bufio.Reader
	order  binary.ByteOrder
	unit   time.Duration // of the fraction of a second
	link   uint32
	header int // octets in front of a packet
	minor  uint16
}

func newPcap(r *bufio.Reader, order binary.ByteOrder, magic uint32) (*pcap, error) {
	header, err := whole(r, pcapHeader)
	if err != nil {
		return nil, fmt.Errorf("pcap header: %w", err)
	}
	p := &pcap{r: r, order: order, unit: time.Microsecond, header: pcapRecord, minor: order.Uint16(header[6:])}
	switch magic {
	case magicNano:
		p.unit = time.Nanosecond
	case magicModified:
		p.header = pcapRecordModified
	}
	p.link = order.Uint32(header[20:]) & 0x03ffffff // the upper bits tell of frame check sequences
	_, err = r.Discard(pcapHeader)
	return p, err
}

func (p *pcap) next() (packet, error) {
	const mixed = 3 // the minor version in which some wrote one and some the other
	b, err := whole(p.r, p.header)
	if err != nil {
		return packet{}, err
	}
	captured, length := p.order.Uint32(b[8:]), p.order.Uint32(b[12:])
	if p.minor < mixed || p.minor == mixed && captured > length {
		captured = length
	}
	if captured > maxPacket {
		return packet{}, fmt.Errorf("record of %d octets: the file is damaged", captured)
	}
	if b, err = whole(p.r, p.header+int(captured)); err != nil {
		return packet{}, err
	}
	at := time.Unix(int64(p.order.Uint32(b)), int64(p.order.Uint32(b[4:]))*int64(p.unit)).UTC()
	_, err = p.r.Discard(len(b))
	return packet{time: at, link: p.link, data: b[p.header:]}, err
}
