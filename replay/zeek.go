package replay

import (
	"encoding/json"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// zeekRecord is a line of Zeek's dns.log in either form.
type zeekRecord struct {
	TS         json.RawMessage `json:"ts"`
	Client     string          `json:"id.orig_h"`
	Server     string          `json:"id.resp_h"`
	ServerPort int             `json:"id.resp_p"`
	Query      *string         `json:"query"` // "" is the root
	QType      *uint16         `json:"qtype"`
	QClass     *uint16         `json:"qclass"`
	Opcode     *uint16         `json:"opcode"`
	Rcode      *uint16         `json:"rcode"`
	RTT        float64         `json:"rtt"`
	Answers    []string        `json:"answers"`
}

type zeekJSON struct{}

func (zeekJSON) line(b []byte, e *entry) (bool, error) {
	var r zeekRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return false, err
	}
	return r.entry(e)
}

// entry is not ok for what has no question, as some of Zeek's lines, for updates
// and the like, and for what hosts say to their neighbours, which Zeek logs beside
// DNS.
func (r *zeekRecord) entry(e *entry) (bool, error) {
	if r.Query == nil || r.Opcode != nil && *r.Opcode != 0 || neighbours(r.ServerPort) {
		return false, nil
	}
	if r.QType == nil { // Zeek did not see the query, only its answer
		t, ok := typeOf(r.Answers)
		if !ok {
			return false, nil
		}
		r.QType = &t
	}
	at, err := zeekTime(strings.Trim(string(r.TS), `"`))
	if err != nil {
		return false, err
	}
	e.time, e.client, e.server, e.name, e.qtype, e.class = at, r.Client, r.Server, octets(*r.Query), *r.QType, dnswire.ClassIN
	if e.name == "" {
		e.name = "."
	}
	if r.QClass != nil {
		e.class = *r.QClass
	}
	e.latency = time.Duration(r.RTT * float64(time.Second))
	if r.Rcode == nil {
		return true, nil
	}
	e.answered, e.rcode = true, *r.Rcode
	for _, a := range r.Answers {
		if rest, ok := strings.CutPrefix(a, "TXT "); ok {
			if _, text, ok := strings.Cut(rest, " "); ok { // behind its length
				e.answers = append(e.answers, record{rtype: dnswire.TypeTXT, text: octets(text), octets: true})
			}
			continue
		}
		e.answers = append(e.answers, record{text: octets(a)})
	}
	return true, nil
}

// typeOf is the type of an answer that has addresses or texts.
func typeOf(answers []string) (uint16, bool) {
	for _, s := range answers {
		if strings.HasPrefix(s, "TXT ") {
			return dnswire.TypeTXT, true
		}
		if a, err := netip.ParseAddr(s); err == nil {
			if a.Is4() {
				return dnswire.TypeA, true
			}
			return dnswire.TypeAAAA, true
		}
	}
	return 0, false
}

// neighbours says whether a port is that of mDNS, LLMNR or the NetBIOS name
// service: no resolver is asked there.
func neighbours(port int) bool { return port == 5353 || port == 5355 || port == 137 }

// octets makes octets of their escapes, \xHH, in which Zeek and Suricata write
// what is no text.
func octets(s string) string {
	if !strings.Contains(s, `\x`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
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
	get := func(name string) (string, bool) {
		i, ok := z.columns[name]
		if !ok || i >= len(fields) || fields[i] == z.unset {
			return "", false
		}
		if fields[i] == z.empty {
			return "", true
		}
		return fields[i], true
	}
	text := func(name string) string {
		s, _ := get(name)
		return s
	}
	number := func(name string) *uint16 {
		n, err := strconv.ParseUint(text(name), 10, 16)
		if err != nil {
			return nil
		}
		v := uint16(n)
		return &v
	}
	r := zeekRecord{
		TS: json.RawMessage(text("ts")), Client: text("id.orig_h"), Server: text("id.resp_h"),
		QType: number("qtype"), QClass: number("qclass"), Opcode: number("opcode"), Rcode: number("rcode"),
	}
	if query, ok := get("query"); ok {
		r.Query = &query
	}
	if port := number("id.resp_p"); port != nil {
		r.ServerPort = int(*port)
	}
	r.RTT, _ = strconv.ParseFloat(text("rtt"), 64) // missing: 0
	if a := text("answers"); a != "" {
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
