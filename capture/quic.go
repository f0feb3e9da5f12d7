package capture

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Versions of QUIC whose first packets are read, and the salts of their keys,
// which are no secret: RFC 9001, section 5.2, RFC 9369, section 3.3.1, and the
// last draft that was in wide use.
const (
	quicV1      = 1
	quicV2      = 0x6b3343cf
	quicDraft29 = 0xff00001d
)

const (
	saltV1      = "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"
	saltV2      = "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"
	saltDraft29 = "\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99"
)

const (
	quicSample   = 16
	quicKey      = 16
	quicNonce    = 12
	quicMaxID    = 20
	quicMaxFrame = 256 // frames of a packet that are looked at
)

// errQUIC means that a packet is no Initial that can be read.
var errQUIC = errors.New("no initial packet of QUIC")

// initial is an Initial packet (RFC 9000, section 17.2.2) by its parts.
type initial struct {
	salt, prefix string // of the version
	id           []byte // destination connection ID
	header       int    // octets in front of the packet number
	packet       []byte // header, number and payload
}

// readInitial finds the parts of the Initial packet that b begins with.
// otherType says that it is another packet of a known version.
func readInitial(b []byte) (p initial, otherType bool, err error) {
	const fixed, typeShift, typeMask = 7, 4, 3
	if len(b) < fixed {
		return p, false, errQUIC
	}
	kind, want := b[0]>>typeShift&typeMask, byte(0)
	p.prefix = "quic "
	switch binary.BigEndian.Uint32(b[1:]) {
	case quicV1:
		p.salt = saltV1
	case quicV2:
		p.salt, p.prefix, want = saltV2, "quicv2 ", 1
	case quicDraft29:
		p.salt = saltDraft29
	default:
		return p, false, errQUIC
	}
	if kind != want {
		return p, true, errQUIC
	}
	rest := b[5:]
	for i := range 2 { // destination and source
		n := int(rest[0])
		if n > quicMaxID || len(rest) < 1+n+1 {
			return p, false, errQUIC
		}
		if i == 0 {
			p.id = rest[1 : 1+n]
		}
		rest = rest[1+n:]
	}
	token, rest, ok := varint(rest)
	if !ok || token > uint64(len(rest)) {
		return p, false, errQUIC
	}
	length, rest, ok := varint(rest[token:])
	if !ok || length > uint64(len(rest)) || length < quicSample+4 {
		return p, false, errQUIC
	}
	p.header = len(b) - len(rest)
	p.packet = b[:p.header+int(length)]
	return p, false, nil
}

// varint is a number of RFC 9000, section 16, and what follows it.
func varint(b []byte) (v uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	n := 1 << (b[0] >> 6)
	if len(b) < n {
		return 0, nil, false
	}
	v = uint64(b[0] & 0x3f)
	for _, c := range b[1:n] {
		v = v<<8 | uint64(c)
	}
	return v, b[n:], true
}

// open takes the protection off (RFC 9001, section 5) and returns the frames.
// The packet itself stays as it is.
func (p *initial) open() ([]byte, error) {
	secret, err := hkdf.Extract(sha256.New, p.id, []byte(p.salt))
	if err != nil {
		return nil, err
	}
	if secret, err = expandLabel(secret, "client in", sha256.Size); err != nil {
		return nil, err
	}
	var keys [3][]byte
	for i, k := range [3]struct {
		label string
		size  int
	}{{"key", quicKey}, {"iv", quicNonce}, {"hp", quicKey}} {
		if keys[i], err = expandLabel(secret, p.prefix+k.label, k.size); err != nil {
			return nil, err
		}
	}
	hide, err := aes.NewCipher(keys[2])
	if err != nil {
		return nil, err
	}
	var mask [aes.BlockSize]byte
	hide.Encrypt(mask[:], p.packet[p.header+4:p.header+4+quicSample])
	first := p.packet[0] ^ mask[0]&0x0f
	size := int(first&3) + 1 // of the packet number
	aad := append([]byte(nil), p.packet[:p.header+size]...)
	aad[0] = first
	nonce := keys[1]
	for i := range size {
		aad[p.header+i] ^= mask[1+i]
		nonce[quicNonce-size+i] ^= aad[p.header+i]
	}
	block, err := aes.NewCipher(keys[0])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nonce, p.packet[p.header+size:], aad)
}

// expandLabel is HKDF-Expand-Label of TLS (RFC 8446, section 7.1).
func expandLabel(secret []byte, label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(size >> 8), byte(size), byte(len(label))}, label...)
	return hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
}

// cryptoFrames hands on what CRYPTO frames hold (RFC 9000, section 19.6), as far
// as the frames are those of a client's first packets.
func cryptoFrames(b []byte, take func(off int, data []byte)) {
	const padding, ping, ack, ackECN, crypto = 0, 1, 2, 3, 6
	for range quicMaxFrame {
		for len(b) > 0 && b[0] == padding {
			b = b[1:]
		}
		kind, rest, ok := varint(b)
		if !ok {
			return
		}
		switch b = rest; kind {
		case ping:
		case ack, ackECN:
			if b, ok = skipAck(b, kind == ackECN); !ok {
				return
			}
		case crypto:
			off, rest, ok := varint(b)
			if !ok {
				return
			}
			n, rest, ok := varint(rest)
			if !ok || n > uint64(len(rest)) {
				return
			}
			if off < maxHello {
				take(int(off), rest[:n])
			}
			b = rest[n:]
		default:
			return
		}
	}
}

// skipAck passes over an ACK frame (section 19.3).
func skipAck(b []byte, ecn bool) (rest []byte, ok bool) {
	var ranges uint64
	for i := range 4 { // largest, delay, count of ranges, first range
		v, rest, ok := varint(b)
		if !ok {
			return nil, false
		}
		if i == 2 {
			ranges = v
		}
		b = rest
	}
	if ranges > uint64(len(b)) {
		return nil, false
	}
	n := 2 * ranges
	if ecn {
		n += 3
	}
	for range n {
		if _, b, ok = varint(b); !ok {
			return nil, false
		}
	}
	return b, true
}
