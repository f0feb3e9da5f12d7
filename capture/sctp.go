package capture

import "encoding/binary"

// sctp looks for chunks of data (RFC 9260, section 3.3.1; RFC 8260, section 2.1)
// that are whole messages, each of which counts.
func (d *decoder) sctp(b []byte, a addresses) drop {
	const (
		header, chunk         = 12, 4
		data, dataHeader      = 0, 16
		interleaved, idHeader = 64, 20
		whole                 = 0x03
	)
	if len(b) < header {
		return dropProtocol
	}
	from, to := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if !d.ports[from] && !d.ports[to] {
		return dropProtocol
	}
	message := func(b []byte) drop {
		n := dataHeader
		if b[0] == interleaved {
			n = idHeader
		}
		d.ident ^= binary.BigEndian.Uint32(b[chunk:]) // the number of the chunk
		d.found(b[n:], from, to, a)
		return 0
	}
	var first []byte
	for b = b[header:]; len(b) >= chunk; {
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < chunk {
			break
		}
		part := b[:min(size, len(b))]
		if b[1]&whole == whole && (b[0] == data && len(part) > dataHeader || b[0] == interleaved && len(part) > idHeader) {
			if first == nil {
				first = part
			} else {
				d.later(part, message)
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	if first == nil {
		return dropProtocol
	}
	return message(first)
}
