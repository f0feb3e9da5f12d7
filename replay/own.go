package replay

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

var errField = errors.New("a field that is needed is missing or malformed")

// question sets what is asked for from its mnemonics.
func (e *entry) question(name, qtype, class string) error {
	var okType, okClass bool
	e.name = name
	e.qtype, okType = dnswire.ParseType(qtype)
	e.class, okClass = dnswire.ParseClass(class)
	if name == "" || !okType || !okClass {
		return errField
	}
	return nil
}

// answer sets the response code. What weir made up is no answer of the DNS.
func (e *entry) answer(rcode, source string) {
	if rcode != "" && source != "policy" && source != "local" {
		e.rcode, e.answered = dnswire.ParseRcode(rcode)
	}
}

// add adds a record of the answer, if it is an answer of the DNS.
func (e *entry) add(rtype, rdata string) {
	if t, ok := dnswire.ParseType(rtype); ok && e.answered {
		e.answers = append(e.answers, record{rtype: t, text: rdata})
	}
}

// own is weir's transaction log (docs/formats.md).
type own struct{}

func (own) line(b []byte, e *entry) (bool, error) {
	var r struct {
		Time          time.Time
		Client, QName *string
		QType, QClass string
		Rcode         *string
		Upstream      *string
		LatencyUS     int64 `json:"latency_us"`
		Source        string
		Answers       []struct{ Type, Rdata string }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	if r.QName == nil {
		return false, nil // a message that could not be read: no name to judge
	}
	if err := e.question(*r.QName, r.QType, r.QClass); err != nil {
		return false, err
	}
	e.time, e.client, e.server = r.Time, value(r.Client), value(r.Upstream)
	e.latency = time.Duration(r.LatencyUS) * time.Microsecond
	e.answer(value(r.Rcode), r.Source)
	for _, a := range r.Answers {
		e.add(a.Type, a.Rdata)
	}
	return true, nil
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// ecs is a document of the Elastic Common Schema, as weir and Packetbeat write
// it.
type ecs struct{}

func (ecs) line(b []byte, e *entry) (bool, error) {
	type end struct{ IP string }
	var r struct {
		Timestamp      time.Time `json:"@timestamp"`
		Client, Source end
		Server         end
		Event          struct{ Duration int64 } // ns
		DNS            *struct {
			Question struct{ Name, Type, Class string }
			Rcode    string `json:"response_code"`
			Answers  []struct{ Type, Data string }
		}
		Weir struct{ Source string }
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	if r.DNS == nil {
		return false, nil
	}
	if err := e.question(r.DNS.Question.Name, r.DNS.Question.Type, orIN(r.DNS.Question.Class)); err != nil {
		return false, err
	}
	e.time, e.client, e.server, e.latency = r.Timestamp, r.Client.IP, r.Server.IP, time.Duration(r.Event.Duration)
	if e.client == "" {
		e.client = r.Source.IP
	}
	e.answer(r.DNS.Rcode, r.Weir.Source)
	for _, a := range r.DNS.Answers {
		e.add(a.Type, a.Data)
	}
	return true, nil
}

func orIN(class string) string {
	if class == "" {
		return "IN"
	}
	return class
}

// ocsf is OCSF's class DNS Activity.
type ocsf struct{}

func (ocsf) line(b []byte, e *entry) (bool, error) {
	var r struct {
		Class   int   `json:"class_uid"`
		Time    int64 // ms
		End     int64 `json:"response_time"`
		Query   struct{ Hostname, Type, Class string }
		Rcode   string
		Answers []struct{ Type, Rdata string }
		Source  struct{ IP string }                    `json:"src_endpoint"`
		Server  struct{ IP string }                    `json:"dst_endpoint"`
		Other   struct{ Weir struct{ Source string } } `json:"unmapped"`
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	if r.Class != ocsfDNS {
		return false, nil
	}
	if err := e.question(r.Query.Hostname, r.Query.Type, orIN(r.Query.Class)); err != nil {
		return false, err
	}
	e.time, e.client, e.server = time.UnixMilli(r.Time).UTC(), r.Source.IP, r.Server.IP
	if r.End > r.Time {
		e.latency = time.UnixMilli(r.End).Sub(time.UnixMilli(r.Time))
	}
	e.answer(r.Rcode, r.Other.Weir.Source)
	for _, a := range r.Answers {
		e.add(a.Type, a.Rdata)
	}
	return true, nil
}

const ocsfDNS = 4003

// table is weir's CSV, or the table dns_scores of Apache Spot. The header names
// the columns.
type table struct {
	spot    bool
	columns []string
}

func (t *table) line(b []byte, e *entry) (bool, error) {
	fields, err := csv.NewReader(strings.NewReader(string(b))).Read()
	if err != nil {
		return false, err
	}
	if t.columns == nil {
		t.columns = fields
		return false, nil
	}
	if slices.Equal(fields, t.columns) {
		return false, nil // files put one behind the other
	}
	get := func(name string) string {
		if i := slices.Index(t.columns, name); i >= 0 && i < len(fields) {
			return fields[i]
		}
		return ""
	}
	if t.spot {
		return t.score(get, e)
	}
	if err := e.question(get("qname"), get("qtype"), get("qclass")); err != nil {
		return false, err
	}
	if e.time, err = time.Parse(time.RFC3339Nano, get("time")); err != nil {
		return false, errField
	}
	us, _ := strconv.ParseInt(get("latency_us"), 10, 64) // missing: 0
	e.client, e.server, e.latency = get("client"), get("upstream"), time.Duration(us)*time.Microsecond
	e.answer(get("rcode"), get("source"))
	for answer := range strings.SplitSeq(get("answers"), " | ") {
		rtype, rdata, _ := strings.Cut(answer, " ")
		e.add(rtype, rdata)
	}
	return true, nil
}

// score reads a line of dns_scores, which has no answers.
func (t *table) score(get func(string) string, e *entry) (bool, error) {
	seconds, err := strconv.ParseInt(get("unix_tstamp"), 10, 64)
	qtype, errType := strconv.ParseUint(get("dns_qry_type"), 10, 16)
	class, errClass := strconv.ParseUint(get("dns_qry_class"), 0, 16)
	if e.name = get("dns_qry_name"); e.name == "" || errors.Join(err, errType, errClass) != nil {
		return false, errField
	}
	e.time, e.client, e.qtype, e.class = time.Unix(seconds, 0).UTC(), get("ip_dst"), uint16(qtype), uint16(class)
	if rcode, err := strconv.ParseUint(get("dns_qry_rcode"), 10, 16); err == nil {
		e.answered, e.rcode = true, uint16(rcode)
	}
	return true, nil
}
