package pdns

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/weirdns/weir/detect"
)

// What the first octet of a context holds.
const (
	contextThere = 1 << iota // nothing follows without it
	contextOwn               // the client is the site's own
)

// appendContext appends c, or that there is none:
//
//	flags uint8
//	client's name octets, place
//	answers uint8, then for each: address, name octets, place
//	reputations uint8, then for each: level int8; service, detail octets
//
// A place is country, city, organisation as octets and the ASN as uint32.
func appendContext(dst []byte, c *detect.Context) []byte {
	if !c.Known() {
		return append(dst, 0)
	}
	flags := byte(contextThere)
	if c.Client.Own {
		flags |= contextOwn
	}
	dst = appendPlace(appendString(append(dst, flags), c.Client.Name), &c.Client.Place)
	answers := c.Answers[:min(len(c.Answers), math.MaxUint8)]
	dst = append(dst, byte(len(answers)))
	for i := range answers {
		a := &answers[i]
		addr := a.Addr.As16()
		if a.Addr.Is4() {
			dst = appendOctets(dst, addr[12:])
		} else {
			dst = appendOctets(dst, addr[:])
		}
		dst = appendPlace(appendString(dst, a.Name), &a.Place)
	}
	reputations := c.Reputations[:min(len(c.Reputations), math.MaxUint8)]
	dst = append(dst, byte(len(reputations)))
	for i := range reputations {
		r := &reputations[i]
		dst = appendString(appendString(append(dst, byte(r.Level)), r.Service), r.Detail)
	}
	return dst
}

func appendPlace(dst []byte, p *detect.Place) []byte {
	dst = appendString(appendString(appendString(dst, p.Country), p.City), p.Org)
	return binary.LittleEndian.AppendUint32(dst, p.ASN)
}

// context reads into c, whose memory it uses again; nil: there was none.
func (r *reader) context(c *detect.Context) *detect.Context {
	flags := r.take(1)
	if flags == nil || flags[0]&contextThere == 0 {
		return nil
	}
	c.Client.Own = flags[0]&contextOwn != 0
	r.text(&c.Client.Name)
	r.place(&c.Client.Place)
	count := r.count()
	c.Answers = c.Answers[:0]
	for i := 0; i < count && !r.bad; i++ {
		if i < cap(c.Answers) {
			c.Answers = c.Answers[:i+1] // with the strings of the record before
		} else {
			c.Answers = append(c.Answers, detect.AnswerContext{})
		}
		a := &c.Answers[i]
		var ok bool
		if a.Addr, ok = netip.AddrFromSlice(r.octets()); !ok {
			r.bad = true
		}
		r.text(&a.Name)
		r.place(&a.Place)
	}
	count = r.count()
	c.Reputations = c.Reputations[:0]
	for i := 0; i < count && !r.bad; i++ {
		if i < cap(c.Reputations) {
			c.Reputations = c.Reputations[:i+1]
		} else {
			c.Reputations = append(c.Reputations, detect.Reputation{})
		}
		one := &c.Reputations[i]
		if level := r.take(1); level != nil {
			one.Level = detect.ReputationLevel(int8(level[0]))
		}
		r.bad = r.bad || !one.Level.Valid()
		r.text(&one.Service)
		r.text(&one.Detail)
	}
	return c
}

func (r *reader) place(p *detect.Place) {
	r.text(&p.Country)
	r.text(&p.City)
	r.text(&p.Org)
	if asn := r.take(4); asn != nil {
		p.ASN = binary.LittleEndian.Uint32(asn)
	}
}
