package dnswire

import (
	"encoding/binary"

	"github.com/weirdns/weir/internal/dnsname"
)

// maxPointers is how many compression pointers one name may follow: a name has
// at most 127 labels, and a pointer for each but the last is already absurd.
const maxPointers = 126

// ReadName reads the name at off, following compression, and appends its
// octets to dst in the case in which they were sent. next is the offset behind
// the name where it stands.
func ReadName(dst, msg []byte, off int) (name []byte, next int, err error) {
	start, pointers := len(dst), 0
	limit := off // pointers must go before the place where this run of labels began
	next = -1
	for {
		if off >= len(msg) {
			return nil, 0, ErrName
		}
		c := int(msg[off])
		switch c & 0xc0 {
		case 0x00:
			if off+1+c > len(msg) || len(dst)-start+1+c > dnsname.MaxWire {
				return nil, 0, ErrName
			}
			dst = append(dst, msg[off:off+1+c]...)
			off += 1 + c
			if c == 0 {
				if next < 0 {
					next = off
				}
				return dst, next, nil
			}
		case 0xc0:
			if off+2 > len(msg) {
				return nil, 0, ErrName
			}
			if next < 0 {
				next = off + 2
			}
			target := int(binary.BigEndian.Uint16(msg[off:]) & 0x3fff)
			if pointers++; target >= limit || pointers > maxPointers {
				return nil, 0, ErrPointer
			}
			off, limit = target, target
		default: // 0x40 and 0x80 are reserved (RFC 6891, section 5)
			return nil, 0, ErrName
		}
	}
}

// ReadCanonical is ReadName in lower case: a dnsname.Name in dst's memory.
func ReadCanonical(dst, msg []byte, off int) (dnsname.Name, int, error) {
	start := len(dst)
	name, next, err := ReadName(dst, msg, off)
	if err != nil {
		return nil, 0, err
	}
	name = name[start:]
	Lower(name)
	return name, next, nil
}

// Lower turns the ASCII letters of wire, an uncompressed name, to lower case
// in place. Length octets stand below 'A' and stay what they are.
func Lower(wire []byte) {
	for i, c := range wire {
		if 'A' <= c && c <= 'Z' {
			wire[i] = c + 'a' - 'A'
		}
	}
}

// EqualFold says whether two uncompressed names are the same but for case.
func EqualFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		d := b[i]
		if c == d {
			continue
		}
		if c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z' {
			return false
		}
	}
	return true
}

// skipName finds the end of the name at off without reading it.
func skipName(msg []byte, off int) (next int, err error) {
	for {
		if off >= len(msg) {
			return 0, ErrName
		}
		c := int(msg[off])
		switch c & 0xc0 {
		case 0x00:
			off += 1 + c
			if c == 0 {
				return off, nil
			}
		case 0xc0:
			if off+2 > len(msg) {
				return 0, ErrName
			}
			return off + 2, nil
		default:
			return 0, ErrName
		}
	}
}
