package capture

import (
	"net/netip"
	"time"

	"github.com/weirdns/weir/detect"
	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of fields and values in dnstap.proto (dnstap/dnstap.pb).
const (
	tapType, tapMessage = 15, 14
	tapIsMessage        = 1

	msgType, msgProtocol             = 1, 3
	msgQueryAddr, msgResponseAddr    = 4, 5
	msgQueryPort, msgResponsePort    = 6, 7
	msgQuerySec, msgQueryNsec        = 8, 9
	msgQuery, msgResponse            = 10, 14
	msgResponseSec, msgResponseNsec  = 12, 13
	tapUDP, tapDNSCryptUDP, tapLastM = 1, 5, 14
)

// tapped is a dnstap Message, its octets those of the frame.
type tapped struct {
	kind, protocol          uint64
	queryAddr, responseAddr []byte
	queryPort, responsePort uint64
	querySec, responseSec   uint64
	queryNsec, responseNsec uint32
	query, response         []byte
}

// read reads a frame, or says why it is nothing for us.
func (m *tapped) read(frame []byte) drop {
	*m = tapped{}
	var inner []byte
	kind := uint64(0)
	ok := fields(frame, func(n protowire.Number, v uint64, b []byte) {
		switch n {
		case tapType:
			kind = v
		case tapMessage:
			inner = b
		}
	})
	switch {
	case !ok:
		return dropTapMalformed
	case kind != tapIsMessage || inner == nil:
		return dropTapOther
	}
	ok = fields(inner, func(n protowire.Number, v uint64, b []byte) {
		switch n {
		case msgType:
			m.kind = v
		case msgProtocol:
			m.protocol = v
		case msgQueryAddr:
			m.queryAddr = b
		case msgResponseAddr:
			m.responseAddr = b
		case msgQueryPort:
			m.queryPort = v
		case msgResponsePort:
			m.responsePort = v
		case msgQuerySec:
			m.querySec = v
		case msgQueryNsec:
			m.queryNsec = uint32(v)
		case msgQuery:
			m.query = b
		case msgResponse:
			m.response = b
		case msgResponseSec:
			m.responseSec = v
		case msgResponseNsec:
			m.responseNsec = uint32(v)
		}
	})
	switch {
	case !ok:
		return dropTapMalformed
	case m.kind == 0 || m.kind > tapLastM:
		return dropTapOther
	}
	return 0
}

// fields walks the fields of a protobuf message: numbers in v, octets in b.
func fields(msg []byte, do func(n protowire.Number, v uint64, b []byte)) (ok bool) {
	for len(msg) > 0 {
		n, kind, size := protowire.ConsumeTag(msg)
		if size < 0 {
			return false
		}
		msg = msg[size:]
		var v uint64
		var b []byte
		switch kind {
		case protowire.VarintType:
			v, size = protowire.ConsumeVarint(msg)
		case protowire.Fixed32Type:
			var w uint32
			w, size = protowire.ConsumeFixed32(msg)
			v = uint64(w)
		case protowire.BytesType:
			b, size = protowire.ConsumeBytes(msg)
		default:
			size = protowire.ConsumeFieldValue(n, kind, msg)
		}
		if size < 0 {
			return false
		}
		do(n, v, b)
		msg = msg[size:]
	}
	return true
}

// datagram is the message as if it had come in a packet. Queries have odd
// types, responses even ones.
func (m *tapped) datagram(last time.Time) (d datagram, why drop) {
	asker, answerer := endpoint(m.queryAddr, m.queryPort), endpoint(m.responseAddr, m.responsePort)
	d = datagram{src: asker, dst: answerer, tcp: m.protocol > tapUDP && m.protocol != tapDNSCryptUDP, via: detect.Dnstap, payload: m.query}
	sec, nsec := m.querySec, m.queryNsec
	if m.kind%2 == 0 {
		d.src, d.dst, d.payload = answerer, asker, m.response
		if m.querySec > 0 {
			d.asked = time.Unix(int64(m.querySec), int64(m.queryNsec)).UTC()
		}
		if m.responseSec > 0 {
			sec, nsec = m.responseSec, m.responseNsec
		}
	}
	d.time = last
	if sec > 0 && sec < 1<<40 {
		d.time = time.Unix(int64(sec), int64(nsec)).UTC()
	}
	if len(d.payload) == 0 {
		return d, dropTapEmpty
	}
	return d, 0
}

func endpoint(addr []byte, port uint64) netip.AddrPort {
	a, _ := netip.AddrFromSlice(addr) // missing: no address
	return netip.AddrPortFrom(a.Unmap(), uint16(port))
}

// tapFrame counts one frame exactly once. A nil frame was too large.
func (w *worker) tapFrame(frame []byte) {
	w.counts.packets.Add(1)
	d, why := w.decodeTap(frame)
	if why != 0 {
		if why != counted {
			w.counts.drop(why)
		}
		return
	}
	w.counts.messages.Add(1)
	w.expire()
	w.handle(&d)
}

func (w *worker) decodeTap(frame []byte) (d datagram, why drop) {
	defer w.rescue(&why)
	if frame == nil {
		return d, dropTapLarge
	}
	if why := w.tap.read(frame); why != 0 {
		return d, why
	}
	if d, why = w.tap.datagram(w.decoder.now); why != 0 {
		return d, why
	}
	w.decoder.now = d.time
	w.counts.seen(d.time)
	if !w.message.read(d.payload) {
		return d, dropDNSShort
	}
	return d, 0
}
