package replay

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

var errField = errors.New("a field that is needed is missing or malformed")

// own is weir's transaction log (docs/formats.md).
type own struct{}

func (own) line(b []byte, e *entry) (bool, error) {
	var r struct {
		Time                 time.Time
		Client               *string
		QName, QType, QClass string
		Rcode                *string
		Upstream             *string
		LatencyUS            int64 `json:"latency_us"`
		Source               string
		Answers              []struct{ Rdata string }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	var okType, okClass bool
	e.qtype, okType = dnswire.ParseType(r.QType)
	e.class, okClass = dnswire.ParseClass(r.QClass)
	if r.QName == "" || !okType || !okClass {
		return false, errField
	}
	e.time, e.name, e.client, e.server = r.Time, r.QName, value(r.Client), value(r.Upstream)
	e.latency = time.Duration(r.LatencyUS) * time.Microsecond
	// What weir made up is no answer of the DNS.
	if r.Rcode != nil && r.Source != "policy" && r.Source != "local" {
		e.rcode, e.answered = dnswire.ParseRcode(*r.Rcode)
		for _, a := range r.Answers {
			e.answers = append(e.answers, a.Rdata)
		}
	}
	return true, nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// zeekRecord is a line of Zeek's dns.log in either form.
type zeekRecord struct {
	TS      json.RawMessage `json:"ts"`
	Client  string          `json:"id.orig_h"`
	Server  string          `json:"id.resp_h"`
	Query   string          `json:"query"`
	QType   *uint16         `json:"qtype"`
	QClass  *uint16         `json:"qclass"`
	Rcode   *uint16         `json:"rcode"`
	RTT     float64         `json:"rtt"`
	Answers []string        `json:"answers"`
}

type zeekJSON struct{}

func (zeekJSON) line(b []byte, e *entry) (bool, error) {
	var r zeekRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	return r.entry(e)
}

// entry is not ok for what has no question, as some of Zeek's lines.
func (r *zeekRecord) entry(e *entry) (bool, error) {
	if r.Query == "" || r.QType == nil {
		return false, nil
	}
	at, err := zeekTime(strings.Trim(string(r.TS), `"`))
	if err != nil {
		return false, err
	}
	e.time, e.client, e.server, e.name, e.qtype, e.class = at, r.Client, r.Server, r.Query, *r.QType, dnswire.ClassIN
	if r.QClass != nil {
		e.class = *r.QClass
	}
	e.latency = time.Duration(r.RTT * float64(time.Second))
	if r.Rcode != nil {
		e.answered, e.rcode, e.answers = true, *r.Rcode, r.Answers
	}
	return true, nil
}

// zeekTime is seconds with a fraction, or ISO 8601.
func zeekTime(s string) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return at, nil
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(seconds) > 1<<40 {
		return time.Time{}, errField
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(math.Round(fraction*1e6))*1000).UTC(), nil
}

// zeekTSV is Zeek's default form, whose header names the columns.
type zeekTSV struct {
	sep, set, unset, empty string
	columns                map[string]int
}

func (z *zeekTSV) line(b []byte, e *entry) (bool, error) {
	s := string(b)
	if strings.HasPrefix(s, "#") {
		return false, z.header(s)
	}
	if z.columns == nil {
		return false, errField
	}
	fields := strings.Split(s, z.sep)
	get := func(name string) string {
		i, ok := z.columns[name]
		if !ok || i >= len(fields) || fields[i] == z.unset || fields[i] == z.empty {
			return ""
		}
		return fields[i]
	}
	number := func(name string) *uint16 {
		n, err := strconv.ParseUint(get(name), 10, 16)
		if err != nil {
			return nil
		}
		v := uint16(n)
		return &v
	}
	r := zeekRecord{
		TS: json.RawMessage(get("ts")), Client: get("id.orig_h"), Server: get("id.resp_h"), Query: get("query"),
		QType: number("qtype"), QClass: number("qclass"), Rcode: number("rcode"),
	}
	r.RTT, _ = strconv.ParseFloat(get("rtt"), 64) // missing: 0
	if a := get("answers"); a != "" {
		r.Answers = strings.Split(a, z.set)
	}
	return r.entry(e)
}

func (z *zeekTSV) header(s string) error {
	if rest, ok := strings.CutPrefix(s, "#separator "); ok {
		sep, err := strconv.Unquote(`"` + rest + `"`)
		if err != nil || sep == "" {
			return errField
		}
		*z = zeekTSV{sep: sep, set: ",", unset: "-", empty: "(empty)"}
		return nil
	}
	if z.sep == "" {
		return errField
	}
	key, rest, _ := strings.Cut(s, z.sep)
	switch key {
	case "#set_separator":
		z.set = rest
	case "#unset_field":
		z.unset = rest
	case "#empty_field":
		z.empty = rest
	case "#fields":
		z.columns = map[string]int{}
		for i, name := range strings.Split(rest, z.sep) {
			z.columns[name] = i
		}
	}
	return nil
}

// eveKey is what a query and its answer have in common in EVE.
type eveKey struct {
	flow, id uint64
	name     string
}

// eve is Suricata's EVE, versions 2 and 3 of its DNS events.
type eve struct{}

func (eve) line(b []byte, e *entry) (bool, error) {
	var r struct {
		Timestamp string `json:"timestamp"`
		EventType string `json:"event_type"`
		SrcIP     string `json:"src_ip"`
		SrcPort   int    `json:"src_port"`
		DestIP    string `json:"dest_ip"`
		DestPort  int    `json:"dest_port"`
		FlowID    uint64 `json:"flow_id"`
		DNS       struct {
			Type    string                            `json:"type"`
			ID      uint64                            `json:"id"`
			RRName  string                            `json:"rrname"`
			RRType  string                            `json:"rrtype"`
			Rcode   string                            `json:"rcode"`
			Queries []struct{ RRName, RRType string } `json:"queries"`
			Answers []struct {
				RRType string          `json:"rrtype"`
				Rdata  json.RawMessage `json:"rdata"`
			} `json:"answers"`
			Grouped map[string]json.RawMessage `json:"grouped"`
		} `json:"dns"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	if r.EventType != "dns" {
		return false, nil
	}
	if len(r.DNS.Queries) > 0 {
		r.DNS.RRName, r.DNS.RRType = r.DNS.Queries[0].RRName, r.DNS.Queries[0].RRType
	}
	at, err := eveTime(r.Timestamp)
	if err != nil {
		return false, err
	}
	var ok bool
	if e.qtype, ok = dnswire.ParseType(r.DNS.RRType); !ok {
		return false, errField
	}
	e.time, e.name, e.class, e.half = at, r.DNS.RRName, dnswire.ClassIN, true
	e.key = eveKey{r.FlowID, r.DNS.ID, strings.ToLower(r.DNS.RRName)}
	e.client, e.server = r.SrcIP, r.DestIP
	switch r.DNS.Type {
	case "query", "request":
		return true, nil
	case "answer", "response":
	default:
		return false, errField
	}
	if r.SrcPort < r.DestPort { // the packet's direction: from the server
		e.client, e.server = r.DestIP, r.SrcIP
	}
	e.rcode, e.answered = dnswire.ParseRcode(r.DNS.Rcode)
	for _, a := range r.DNS.Answers {
		e.answers = append(e.answers, texts(a.Rdata)...)
	}
	if len(r.DNS.Answers) == 0 {
		for _, kind := range []string{"CNAME", "A", "AAAA"} {
			e.answers = append(e.answers, texts(r.DNS.Grouped[kind])...)
		}
	}
	return true, nil
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
