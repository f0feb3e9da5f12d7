package replay

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// eve is Suricata's EVE: versions 1 (a line for each record of an answer) and 2
// of its DNS events, as Suricata 5 to 7 write them, and 3, of Suricata 8 and of
// weir. Alerts that say what was asked for are read too: somebody may log no
// more than those.
type eve struct{}

type eveQuestion struct {
	ID             uint64
	Opcode         int
	RRName, RRType string
}

type eveEvent struct {
	Timestamp string `json:"timestamp"`
	EventType string `json:"event_type"`
	SrcIP     string `json:"src_ip"`
	SrcPort   int    `json:"src_port"`
	DestIP    string `json:"dest_ip"`
	DestPort  int    `json:"dest_port"`
	FlowID    uint64 `json:"flow_id"`
	DNS       struct {
		Version int
		Type    string
		ID      uint64
		Opcode  int
		RRName  *string
		RRType  string
		Rcode   string
		Rdata   json.RawMessage
		Queries []eveQuestion              // version 3
		Query   []eveQuestion              // alerts of version 2
		Answer  json.RawMessage            // the same
		Answers []eveAnswer                //
		Grouped map[string]json.RawMessage // where answers are not written one by one
	}
}

type eveAnswer struct {
	RRType string
	Rdata  json.RawMessage
}

func (eve) line(b []byte, e *entry) (bool, error) {
	var r eveEvent
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	alert := r.EventType == "alert" || r.EventType == "drop"
	if r.EventType != "dns" && !alert || neighbours(r.SrcPort) || neighbours(r.DestPort) {
		return false, nil
	}
	if asked := append(r.DNS.Queries, r.DNS.Query...); len(asked) > 0 {
		r.DNS.RRName, r.DNS.RRType = &asked[0].RRName, asked[0].RRType
		if r.DNS.ID == 0 {
			r.DNS.ID, r.DNS.Opcode = asked[0].ID, asked[0].Opcode
		}
	}
	if alert && r.DNS.RRName == nil || r.DNS.Opcode != 0 {
		return false, nil // of another protocol; no query
	}
	at, err := eveTime(r.Timestamp)
	if err != nil {
		return false, err
	}
	if r.DNS.RRName == nil {
		return false, errField
	}
	e.time, e.name, e.class, e.half, e.alert = at, octets(*r.DNS.RRName), dnswire.ClassIN, true, alert
	if e.name == "" {
		e.name = "."
	}
	e.key = eveKey{r.FlowID, r.DNS.ID, strings.ToLower(e.name)}
	response := r.DNS.Type == "answer" || r.DNS.Type == "response" || len(r.DNS.Answer) > 0
	e.client, e.server = r.ends(response)
	// Version 1 leaves the type out where an answer has no records; the query
	// has it.
	var known bool
	if e.qtype, known = eveNumber(r.DNS.RRType, dnswire.ParseType); !known && (!response || r.DNS.RRType != "") {
		return false, errField
	}
	switch r.DNS.Type {
	case "query", "request", "answer", "response":
	default:
		if !alert {
			return false, errField
		}
	}
	if !response || alert {
		return true, nil // what an alert says of the answer, the event of DNS says better
	}
	e.rcode, e.answered = eveNumber(r.DNS.Rcode, dnswire.ParseRcode)
	if e.one = r.DNS.Version < 2 && len(r.DNS.Queries) == 0 && r.DNS.Answers == nil && r.DNS.Grouped == nil; e.one {
		e.answered = true // a record says so, whatever its code
		e.records(r.DNS.RRType, texts(r.DNS.Rdata), true)
		return true, nil
	}
	// Suricata writes octets, weir, which knows of the server's port alone, what
	// a zone file would have.
	raw := r.SrcPort != 0 && r.DestPort != 0
	for _, a := range r.DNS.Answers {
		e.records(a.RRType, texts(a.Rdata), raw)
	}
	if len(r.DNS.Answers) == 0 {
		for _, kind := range []string{"CNAME", "A", "AAAA", "TXT", "NULL"} {
			e.records(kind, texts(r.DNS.Grouped[kind]), raw)
		}
	}
	return true, nil
}

// ends are the addresses of client and server. The event has the packet's
// direction, but for some versions of Suricata, whose answers have the flow's:
// there the ports tell.
func (r *eveEvent) ends(response bool) (client, server string) {
	if response && (r.SrcPort <= r.DestPort || r.DestPort == 0) {
		return r.DestIP, r.SrcIP
	}
	return r.SrcIP, r.DestIP
}

// records adds records of one type; raw says that texts and NULL are there octet
// for octet.
func (e *entry) records(kind string, all []string, raw bool) {
	t, ok := eveNumber(kind, dnswire.ParseType)
	if !ok {
		return
	}
	for _, s := range all {
		if raw {
			s = octets(s)
		}
		e.answers = append(e.answers, record{rtype: t, text: s, octets: raw && (t == dnswire.TypeTXT || t == typeNULL)})
	}
}

// eveNumber reads a mnemonic, or the number that stands where there is none.
func eveNumber(s string, parse func(string) (uint16, bool)) (uint16, bool) {
	if n, ok := parse(s); ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// texts are the strings in a JSON string or array; other values have none.
func texts(raw json.RawMessage) []string {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}
	}
	var many []string
	_ = json.Unmarshal(raw, &many) // rdata of other types are objects
	return many
}

// eveTime is ISO 8601 with a zone without a colon.
func eveTime(s string) (time.Time, error) {
	for _, form := range []string{"2006-01-02T15:04:05.999999999-0700", time.RFC3339Nano} {
		if at, err := time.Parse(form, s); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, errField
}
