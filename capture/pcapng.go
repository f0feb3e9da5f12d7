package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng, section 4) that are read.
const (
	ngSection   = magicPcapng
	ngInterface = 1
	ngPacket    = 2 // obsolete, and still about
	ngSimple    = 3
	ngEnhanced  = 6
)

const (
	ngBlockHeader  = 8 // type and length
	ngBlockFrame   = 12
	ngByteOrder    = 0x1a2b3c4d
	ngSectionLeast = 28
	// maxNgBlock is the largest block that is believed, keys and names of others
	// included.
	maxNgBlock = 8 << 20
	// maxNgInterfaces bounds what is kept of a section. Machines with many
	// containers have thousands.
	maxNgInterfaces = 1 << 16
	// unknownLink is no link type: of a packet whose interface was not said.
	unknownLink = math.MaxUint32
)

// Options of interfaces.
const (
	optionEnd        = 0
	optionResolution = 9
	optionOffset     = 14
)

// pcapng reads the newer format: blocks of either byte order by the section, of
// which those with packets are read and others passed over, whatever they are.
type pcapng struct {
	r          *bufio.Reader
	order      binary.ByteOrder
	interfaces []ngSource // of the section
	last       time.Time
}

// ngSource is an interface.
type ngSource struct {
	link   uint32
	snap   uint32 // 0: no limit
	binary bool   // the fraction of a second is one by powers of two
	power  uint8
	offset int64 // seconds
}

func newPcapng(r *bufio.Reader) (*pcapng, error) {
	p := &pcapng{r: r, order: binary.LittleEndian, last: time.Unix(0, 0).UTC()}
	if err := p.section(); err != nil {
		return nil, fmt.Errorf("pcapng header: %w", err)
	}
	return p, nil
}

// section begins a section, whose first octets are the next ones. Its minor
// version changes nothing that is read here.
func (p *pcapng) section() error {
	b, err := whole(p.r, ngBlockFrame)
	if err != nil {
		return err
	}
	p.order = binary.LittleEndian
	if binary.BigEndian.Uint32(b[ngBlockHeader:]) == ngByteOrder {
		p.order = binary.BigEndian
	}
	size := p.order.Uint32(b[4:])
	if p.order.Uint32(b[ngBlockHeader:]) != ngByteOrder || size < ngSectionLeast || size%4 != 0 || size > maxNgBlock {
		return errors.New("section header makes no sense: the file is damaged")
	}
	if b, err = whole(p.r, ngBlockFrame+2); err != nil {
		return err
	}
	if major := p.order.Uint16(b[ngBlockFrame:]); major != 1 {
		return fmt.Errorf("version %d of pcapng, only 1 is known", major)
	}
	p.interfaces = p.interfaces[:0]
	return p.pass(size)
}

// pass goes behind a block.
func (p *pcapng) pass(size uint32) error {
	if _, err := whole(p.r, min(int(size), readBuffer)); err != nil { // or it is cut
		return err
	}
	_, err := p.r.Discard(int(size))
	return err
}

func (p *pcapng) next() (packet, error) {
	for {
		b, err := whole(p.r, ngBlockHeader)
		if err != nil {
			return packet{}, err
		}
		kind, size := p.order.Uint32(b), p.order.Uint32(b[4:])
		if kind == ngSection { // the same in both orders
			if err := p.section(); err != nil {
				return packet{}, err
			}
			continue
		}
		if size < ngBlockFrame || size > maxNgBlock {
			return packet{}, fmt.Errorf("block of %d octets: the file is damaged", size)
		}
		size = (size + 3) &^ 3 // some do not count the padding
		switch kind {
		case ngInterface:
			err = p.source(size)
		case ngPacket, ngSimple, ngEnhanced:
			return p.packet(kind, size)
		default:
			err = p.pass(size)
		}
		if err != nil {
			return packet{}, err
		}
	}
}

// packet reads a block with a packet, of size octets.
func (p *pcapng) packet(kind, size uint32) (packet, error) {
	header := 28
	if kind == ngSimple {
		header = 12
	}
	b, err := whole(p.r, min(int(size), readBuffer)) // the packet is in front of what may be larger
	if err != nil {
		return packet{}, err
	}
	if len(b) < header {
		return packet{}, fmt.Errorf("packet in a block of %d octets: the file is damaged", size)
	}
	source, captured := uint32(0), uint32(0)
	switch kind {
	case ngEnhanced:
		source, captured = p.order.Uint32(b[8:]), p.order.Uint32(b[20:])
	case ngPacket:
		source, captured = uint32(p.order.Uint16(b[8:])), p.order.Uint32(b[20:])
	case ngSimple: // what there is of the packet is all there is room for
		captured = p.order.Uint32(b[8:])
		if len(p.interfaces) > 0 && p.interfaces[0].snap > 0 {
			captured = min(captured, p.interfaces[0].snap)
		}
		captured = min(captured, size-min(size, 16))
	}
	if captured > maxPacket || int64(captured)+int64(header)+4 > int64(size) {
		return packet{}, fmt.Errorf("record of %d octets in a block of %d: the file is damaged", captured, size)
	}
	out := packet{link: unknownLink}
	if int64(source) < int64(len(p.interfaces)) {
		s := &p.interfaces[source]
		out.link = s.link
		if kind != ngSimple { // which has no time: it came after the one before
			p.last = s.moment(uint64(p.order.Uint32(b[12:]))<<32 | uint64(p.order.Uint32(b[16:])))
		}
	}
	out.time = p.last
	out.data = b[header : header+int(captured)]
	if size > readBuffer { // options beyond all measure: then a copy is the least
		out.data = append([]byte(nil), out.data...)
	}
	_, err = p.r.Discard(int(size))
	return out, err
}

// source reads the description of an interface.
func (p *pcapng) source(size uint32) error {
	const header, least, option = 16, 20, 4
	if size < least {
		return fmt.Errorf("interface of %d octets: the file is damaged", size)
	}
	if len(p.interfaces) == maxNgInterfaces {
		return errors.New("more than 65536 interfaces: the file is damaged")
	}
	b, err := whole(p.r, min(int(size), readBuffer))
	if err != nil {
		return err
	}
	s := ngSource{link: uint32(p.order.Uint16(b[8:])), snap: p.order.Uint32(b[12:]), power: 6}
	for o := b[header : len(b)-4]; len(o) >= option; {
		kind, n := p.order.Uint16(o), int(p.order.Uint16(o[2:]))
		if o = o[option:]; kind == optionEnd || n > len(o) {
			break
		}
		switch {
		case kind == optionResolution && n == 1:
			s.binary, s.power = o[0]&0x80 != 0, o[0]&0x7f
		case kind == optionOffset && n == 8:
			s.offset = int64(p.order.Uint64(o))
		}
		o = o[min((n+3)&^3, len(o)):]
	}
	p.interfaces = append(p.interfaces, s)
	_, err = p.r.Discard(int(size))
	return err
}

// moment is the time that an interface's clock says.
func (s *ngSource) moment(v uint64) time.Time {
	const maxBinary, maxDecimal = 63, 19
	per := uint64(1) << min(s.power, maxBinary)
	if !s.binary {
		per = 1
		for range min(s.power, maxDecimal) {
			per *= 10
		}
	}
	high, low := bits.Mul64(v%per, uint64(time.Second))
	nanos, _ := bits.Div64(high, low, per) // the fraction is below per, so it fits
	return time.Unix(int64(v/per)+s.offset, int64(nanos)).UTC()
}
