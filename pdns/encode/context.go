package encode

import (
	"strconv"
	"strings"

	"github.com/weirdns/weir/detect"
)

// geo and as are a place in the words of ECS; nil: not known.
func geo(p *detect.Place) object {
	out := object{}
	if p.Country != "" {
		out["country_iso_code"] = p.Country
	}
	if p.City != "" {
		out["city_name"] = p.City
	}
	return orNil(out)
}

func as(p *detect.Place) object {
	if p.ASN == 0 {
		return nil
	}
	out := object{"number": p.ASN}
	if p.Org != "" {
		out["organization"] = object{"name": p.Org}
	}
	return out
}

func orNil(o object) object {
	if len(o) == 0 {
		return nil
	}
	return o
}

// set puts what is known into o.
func set(o object, key string, value object) {
	if value != nil {
		o[key] = value
	}
}

// context adds what is known beside to an object of weir's own fields.
func (v *view) context(out object) object {
	if !v.Context.Known() {
		return out
	}
	c := v.Context
	client := place(object{}, &c.Client.Place)
	if c.Client.Name != "" {
		client["name"] = c.Client.Name
	}
	if c.Client.Own {
		client["own"] = true
	}
	set(out, "client", orNil(client))
	var answers, reputations []object
	for i := range c.Answers {
		one := place(object{"address": c.Answers[i].Addr.String()}, &c.Answers[i].Place)
		if c.Answers[i].Name != "" {
			one["name"] = c.Answers[i].Name
		}
		answers = append(answers, one)
	}
	if answers != nil {
		out["answers"] = answers
	}
	for _, r := range c.Reputations {
		reputations = append(reputations, object{"service": r.Service, "level": r.Level.String(), "value": r.Level, "detail": r.Detail})
	}
	if reputations != nil {
		out["reputations"] = reputations
	}
	return out
}

// place adds the fields of p to o.
func place(o object, p *detect.Place) object {
	if p.Country != "" {
		o["country"] = p.Country
	}
	if p.City != "" {
		o["city"] = p.City
	}
	if p.ASN != 0 {
		o["asn"] = p.ASN
	}
	if p.Org != "" {
		o["org"] = p.Org
	}
	return o
}

// ecsClient is the client in ECS.
func (v *view) ecsClient() object {
	out := object{"ip": addrText(v.client)}
	if v.Context != nil {
		set(out, "geo", geo(&v.Context.Client.Place))
		set(out, "as", as(&v.Context.Client.Place))
	}
	return out
}

// ocsfEndpoint adds what is known of the client to OCSF's src_endpoint.
func (v *view) ocsfEndpoint(src object) {
	if v.Context == nil {
		return
	}
	c := &v.Context.Client
	if c.Name != "" {
		src["name"] = c.Name
	}
	location := object{}
	if c.Country != "" {
		location["country"] = c.Country
	}
	if c.City != "" {
		location["city"] = c.City
	}
	set(src, "location", orNil(location))
	if c.ASN != 0 {
		src["autonomous_system"] = object{"number": c.ASN, "name": c.Org}
	}
}

// ocsfEnrichments are what is known of the answers and of the name, as OCSF has it.
func (v *view) ocsfEnrichments() (out []object) {
	if v.Context == nil {
		return nil
	}
	for i := range v.Context.Answers {
		a := &v.Context.Answers[i]
		data := place(object{}, &a.Place)
		if a.Name != "" {
			data["name"] = a.Name
		}
		out = append(out, object{"name": "answers.rdata", "value": a.Addr.String(), "type": "location", "data": data})
	}
	for _, r := range v.Context.Reputations {
		out = append(out, object{
			"name": "query.hostname", "value": v.qname, "type": "reputation", "provider": r.Service,
			"data": object{"level": r.Level.String(), "value": r.Level, "detail": r.Detail},
		})
	}
	return out
}

// clientName is what the site calls the client.
func (v *view) clientName() string {
	if v.Context == nil {
		return ""
	}
	return v.Context.Client.Name
}

func (v *view) clientPlace() (country, asn string) {
	if v.Context == nil {
		return "", ""
	}
	return v.Context.Client.Country, asnText(v.Context.Client.ASN)
}

// countries and asns are those of the answers, each once.
func countries(c *detect.Context) []string {
	return answersOf(c, func(a *detect.AnswerContext) string { return a.Country })
}

func asns(c *detect.Context) []string {
	return answersOf(c, func(a *detect.AnswerContext) string { return asnText(a.ASN) })
}

func asnText(n uint32) string {
	if n == 0 {
		return ""
	}
	return "AS" + strconv.FormatUint(uint64(n), 10)
}

func answersOf(c *detect.Context, of func(*detect.AnswerContext) string) (out []string) {
	if c == nil {
		return nil
	}
	seen := map[string]bool{"": true}
	for i := range c.Answers {
		if s := clean(of(&c.Answers[i])); !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}

// reputations are service:LABEL:value of each, as in Spot.
func reputations(c *detect.Context) (out []string) {
	if c == nil {
		return nil
	}
	for _, r := range c.Reputations {
		out = append(out, clean(r.String()))
	}
	return out
}

// reputation joins them as Spot does.
func (v *view) reputation() string { return strings.Join(reputations(v.Context), "::") }
