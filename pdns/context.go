package pdns

import (
	"strconv"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/pdns/privacy"
)

// contexts gives transactions what is known beside. It is for one goroutine; nil
// knows nothing.
type contexts struct {
	enricher Enricher
	privacy  *privacy.Guard
	context  detect.Context
}

func newContexts(e Enricher, g *privacy.Guard) *contexts {
	if e == nil {
		return nil
	}
	return &contexts{enricher: e, privacy: g}
}

// add gives t a context, good until the next call.
func (c *contexts) add(t *detect.Transaction) {
	if c == nil {
		return
	}
	c.enricher.Enrich(t, c.privacy.Known(c.privacy.Address(t.Query.Client)), &c.context)
	t.Context = &c.context
}

// appendContextJSON appends c as a JSON object with all its fields, null where
// nothing is known.
func appendContextJSON(dst []byte, c *detect.Context) []byte {
	if !c.Known() {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"client":{"name":`...)
	dst = appendOptional(dst, c.Client.Name)
	dst = append(dst, `,"own":`...)
	dst = strconv.AppendBool(dst, c.Client.Own)
	dst = appendPlaceJSON(dst, &c.Client.Place)
	dst = append(dst, `},"answers":[`...)
	for i := range c.Answers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"address":"`...)
		dst = c.Answers[i].Addr.AppendTo(dst)
		dst = append(dst, `","name":`...)
		dst = appendOptional(dst, c.Answers[i].Name)
		dst = append(appendPlaceJSON(dst, &c.Answers[i].Place), '}')
	}
	dst = append(dst, `],"reputations":[`...)
	for i := range c.Reputations {
		r := &c.Reputations[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"service":`...)
		dst = appendJSON(dst, r.Service)
		dst = append(dst, `,"level":`...)
		dst = appendJSON(dst, r.Level.String())
		dst = append(dst, `,"value":`...)
		dst = strconv.AppendInt(dst, int64(r.Level), 10)
		dst = append(dst, `,"detail":`...)
		dst = append(appendOptional(dst, r.Detail), '}')
	}
	return append(dst, ']', '}')
}

// appendPlaceJSON appends the fields of p, a comma in front.
func appendPlaceJSON(dst []byte, p *detect.Place) []byte {
	dst = append(dst, `,"country":`...)
	dst = appendOptional(dst, p.Country)
	dst = append(dst, `,"city":`...)
	dst = appendOptional(dst, p.City)
	dst = append(dst, `,"asn":`...)
	if p.ASN != 0 {
		dst = strconv.AppendUint(dst, uint64(p.ASN), 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"org":`...)
	return appendOptional(dst, p.Org)
}
