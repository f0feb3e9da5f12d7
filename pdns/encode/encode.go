// Package encode writes transactions in the forms that other tools read: Zeek's
// dns.log, Suricata's EVE, the Elastic Common Schema, OCSF, the table of Apache
// Spot, and CSV. Names and rdata are in presentation form, so whatever they hold,
// a record is one line, and reading it gives the same octets.
//
// What weir does not know (a client's port, the size of a frame) is left out or
// has the value by which the format says so.
package encode

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strings"
	"time"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnsname"
	"github.com/weirdns/weir/internal/dnswire"
)

// Format is a form of records.
type Format uint8

// The formats. Native is that of docs/formats.md and not written here.
const (
	Native Format = iota
	Zeek
	ZeekJSON
	EVE
	ECS
	OCSF
	Spot
	CSV
)

var formatNames = [...]string{Native: "native", Zeek: "zeek", ZeekJSON: "zeek_json", EVE: "eve", ECS: "ecs", OCSF: "ocsf", Spot: "spot", CSV: "csv"}

// String is the word used in the configuration.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("Format(%d)", uint8(f))
}

// MarshalText is String, for the configuration.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the word used in the configuration.
func (f *Format) UnmarshalText(text []byte) error {
	for i, name := range formatNames {
		if string(text) == name {
			*f = Format(i)
			return nil
		}
	}
	return fmt.Errorf("must be %s, got %q", strings.Join(formatNames[:], ", "), text)
}

// Valid says whether f is a format.
func (f Format) Valid() bool { return int(f) < len(formatNames) }

// JSON says whether each line in this format is a JSON object.
func (f Format) JSON() bool {
	switch f {
	case Native, ZeekJSON, EVE, ECS, OCSF:
		return true
	}
	return false
}

// Header is what a file in this format begins with, lines and all.
func (f Format) Header() string {
	switch f {
	case Zeek:
		return zeekHeader
	case Spot:
		return spotHeader
	case CSV:
		return csvHeader
	}
	return ""
}

// Bounds of the records of one line, as in the native format.
const (
	maxRecords     = 256
	maxRecordBytes = 256 << 10
)

// Encoder writes transactions. It is for one goroutine.
type Encoder struct {
	format   Format
	client   func(netip.Addr) netip.Addr
	suffixes *dnsname.Suffixes
}

// New makes an Encoder of a format other than Native. client is as much of an
// address as may be written: another address, or the zero one for none.
func New(format Format, client func(netip.Addr) netip.Addr, suffixes *dnsname.Suffixes) *Encoder {
	if suffixes == nil {
		suffixes = dnsname.DefaultSuffixes()
	}
	return &Encoder{format: format, client: client, suffixes: suffixes}
}

// record is a resource record in presentation form.
type record struct {
	section dnswire.Section
	name    string
	rtype   uint16
	class   uint16
	ttl     uint32
	rdata   string
	addr    bool
}

// bare is rdata as those write it who leave the final dot of names away.
func (r *record) bare() string {
	switch r.rtype {
	case dnswire.TypeCNAME, dnswire.TypeDNAME, dnswire.TypeNS, dnswire.TypePTR:
		if len(r.rdata) > 1 { // not the root
			return strings.TrimSuffix(r.rdata, ".")
		}
	}
	return r.rdata
}

// view is a transaction, read once for all formats.
type view struct {
	*detect.Transaction
	at      time.Time
	client  netip.Addr
	server  netip.AddrPort
	header  dnswire.Header
	has     bool // there is a response
	qname   string
	split   dnsname.Split
	records []record
}

func (e *Encoder) view(t *detect.Transaction) *view {
	v := &view{Transaction: t, at: t.Query.Time.UTC(), client: e.client(t.Query.Client), qname: text(t.Query.Name)}
	if v.at.Year() < 0 || v.at.Year() > 9999 {
		v.at = time.Unix(0, 0).UTC() // no format can write it
	}
	upstream := t.Upstream
	if _, rest, ok := strings.Cut(upstream, "://"); ok {
		upstream = rest
	}
	v.server, _ = netip.ParseAddrPort(upstream) // a name stays out
	if len(t.Query.Name) > 0 {
		v.split = e.suffixes.Split(t.Query.Name)
	}
	header, walk, err := dnswire.WalkMessage(t.Response)
	v.header, v.has = header, len(t.Response) >= dnswire.HeaderLen
	if err != nil {
		return v
	}
	size := 0
	for r := (dnswire.Record{}); len(v.records) < maxRecords && size < maxRecordBytes && walk.Next(&r); {
		if r.Type == dnswire.TypeOPT {
			continue
		}
		owner, err := r.Owner(nil, t.Response)
		if err != nil {
			break
		}
		one := record{r.Section, text(owner), r.Type, r.Class, r.TTL, r.RdataText(t.Response), r.Address(t.Response).IsValid()}
		size += len(one.name) + len(one.rdata)
		v.records = append(v.records, one)
	}
	return v
}

// text is a name in presentation form without its final dot, the root as a dot.
func text(n dnsname.Name) string {
	if n == nil {
		return ""
	}
	return n.String()
}

func (v *view) section(s dnswire.Section) (out []record) {
	for _, r := range v.records {
		if r.section == s {
			out = append(out, r)
		}
	}
	return out
}

func (v *view) flag(f uint16) bool { return v.has && v.header.Flags&f != 0 }

// Flags that only others' formats show.
const (
	flagAA = 0x0400
	flagTC = 0x0200
	flagRD = 0x0100
	flagRA = 0x0080
	flagAD = 0x0020
	flagCD = 0x0010
)

func (v *view) proto() string {
	if v.Query.Transport == detect.TCP {
		return "tcp"
	}
	return "udp" // a capture says no more of it
}

// id is a name for the transaction that is the same for the same transaction.
func (v *view) id() uint64 {
	h := fnv.New64a()
	b, _ := v.Query.Time.MarshalBinary() // fails for no UTC time
	for _, part := range [][]byte{b, v.client.AsSlice(), v.Query.Name, {byte(v.header.ID >> 8), byte(v.header.ID), byte(v.Query.Type >> 8), byte(v.Query.Type)}} {
		_, _ = h.Write(part) // never fails
	}
	return h.Sum64()
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// Append appends t as one line, newline included.
func (e *Encoder) Append(dst []byte, t *detect.Transaction) []byte {
	v := e.view(t)
	var object any
	switch e.format {
	case Zeek:
		return v.appendZeek(dst)
	case Spot:
		return v.appendSpot(dst)
	case CSV:
		return v.appendCSV(dst)
	case ZeekJSON:
		object = v.zeekJSON()
	case EVE:
		object = v.eve()
	case ECS:
		object = v.ecs()
	case OCSF:
		object = v.ocsf()
	}
	line, err := json.Marshal(object)
	if err != nil {
		// Strings and numbers that JSON has: cannot be, and must not be silent.
		line = []byte(`{"error":"weir: a record that cannot be written"}`)
	}
	return append(append(dst, line...), '\n')
}
