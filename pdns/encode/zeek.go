package encode

import (
	"strconv"
	"strings"
	"time"

	"github.com/weirdns/weir/internal/dnswire"
)

// zeekFields are those of Zeek's dns.log, with their types.
var zeekFields = [][2]string{
	{"ts", "time"}, {"uid", "string"}, {"id.orig_h", "addr"}, {"id.orig_p", "port"}, {"id.resp_h", "addr"}, {"id.resp_p", "port"},
	{"proto", "enum"}, {"trans_id", "count"}, {"rtt", "interval"}, {"query", "string"}, {"qclass", "count"}, {"qclass_name", "string"},
	{"qtype", "count"}, {"qtype_name", "string"}, {"rcode", "count"}, {"rcode_name", "string"}, {"AA", "bool"}, {"TC", "bool"},
	{"RD", "bool"}, {"RA", "bool"}, {"Z", "count"}, {"answers", "vector[string]"}, {"TTLs", "vector[interval]"}, {"rejected", "bool"},
	{"opcode", "count"}, {"opcode_name", "string"},
}

var zeekHeader = func() string {
	var names, types []string
	for _, f := range zeekFields {
		names, types = append(names, f[0]), append(types, f[1])
	}
	return "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n" +
		"#fields\t" + strings.Join(names, "\t") + "\n#types\t" + strings.Join(types, "\t") + "\n"
}()

// zeekText escapes what would end a field or an element, or stand for none.
func zeekText(s string) string {
	switch s {
	case "":
		return "(empty)"
	case "-", "(empty)":
		return `\x` + strconv.FormatUint(uint64(s[0]), 16) + s[1:]
	}
	return zeekEscapes.Replace(s)
}

var zeekEscapes = strings.NewReplacer(`\`, `\x5c`, ",", `\x2c`, "\t", `\x09`, "\n", `\x0a`)

// uid has the form of Zeek's, C and 17 characters, of which 11 say something.
func (v *view) uid() string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	out := []byte("C00000000000000000")
	n := v.id()
	for i := len(out) - 1; n > 0; i-- {
		out[i] = digits[n%62]
		n /= 62
	}
	return string(out)
}

func (v *view) z() uint16 { return v.header.Flags >> 4 & 7 }

func (v *view) appendZeek(dst []byte) []byte {
	orUnset := func(s string, known bool) string {
		if !known {
			return "-"
		}
		return zeekText(s)
	}
	flag := func(f uint16) string {
		if v.flag(f) {
			return "T"
		}
		return "F"
	}
	num := func(n uint16) string { return strconv.Itoa(int(n)) }
	var answers, ttls []string
	for _, r := range v.section(dnswire.Answer) {
		answers = append(answers, zeekText(zeekRdata(r.rdata)))
		ttls = append(ttls, strconv.FormatUint(uint64(r.ttl), 10)+".000000")
	}
	server := v.server.Addr()
	rejected := "F"
	if v.has && v.Rcode == dnswire.RcodeRefused {
		rejected = "T"
	}
	fields := []string{
		strconv.FormatInt(v.at.Unix(), 10) + "." + micros(v.at), v.uid(), orUnset(addrText(v.client), v.client.IsValid()), "0",
		orUnset(addrText(server), server.IsValid()), num(v.server.Port()), v.proto(), num(v.header.ID),
		orUnset(strconv.FormatFloat(v.Latency.Seconds(), 'f', 6, 64), v.has), orUnset(v.qname, v.Query.Name != nil),
		num(v.Query.Class), zeekClass(v.Query.Class), num(v.Query.Type), zeekType(v.Query.Type),
		orUnset(num(v.Rcode), v.has), orUnset(zeekRcode(v.Rcode), v.has),
		flag(flagAA), flag(flagTC), flag(flagRD), flag(flagRA), num(v.z()),
		orUnset("", false), orUnset("", false), rejected,
		num(uint16(v.header.Opcode())), zeekOpcode(v.header.Opcode()),
	}
	if len(answers) > 0 {
		fields[21], fields[22] = strings.Join(answers, ","), strings.Join(ttls, ",")
	}
	return append(append(dst, strings.Join(fields, "\t")...), '\n')
}

// zeekClasses are Zeek's names of classes.
var zeekClasses = map[uint16]string{1: "C_INTERNET", 2: "C_CSNET", 3: "C_CHAOS", 4: "C_HESIOD", 254: "C_NONE", 255: "C_ANY"}

func zeekClass(class uint16) string {
	if s, ok := zeekClasses[class]; ok {
		return s
	}
	return "qclass-" + strconv.Itoa(int(class))
}

// zeekType is Zeek's name of a type: * is any.
func zeekType(qtype uint16) string {
	if qtype == dnswire.TypeANY {
		return "*"
	}
	if s := dnswire.TypeString(qtype); s != "TYPE"+strconv.Itoa(int(qtype)) {
		return s
	}
	return "query-" + strconv.Itoa(int(qtype))
}

func zeekRcode(rcode uint16) string {
	if s := dnswire.RcodeString(rcode); s != "RCODE"+strconv.Itoa(int(rcode)) {
		return s
	}
	return "rcode-" + strconv.Itoa(int(rcode))
}

// zeekRdata has no final dot, unless it is the root.
func zeekRdata(s string) string {
	if s == "." {
		return s
	}
	return strings.TrimSuffix(s, ".")
}

func zeekOpcode(opcode uint8) string {
	if s, ok := opcodes[opcode]; ok {
		return strings.ToLower(s)
	}
	return "opcode-" + strconv.Itoa(int(opcode))
}

func micros(t time.Time) string {
	s := strconv.Itoa(t.Nanosecond() / 1000)
	return strings.Repeat("0", 6-len(s)) + s
}

// zeekJSON is the same as an object; what is not known is left out, as by Zeek.
func (v *view) zeekJSON() any {
	out := map[string]any{
		"ts": float64(v.at.UnixMicro()) / 1e6, "uid": v.uid(), "proto": v.proto(), "trans_id": v.header.ID, "id.orig_p": 0, "id.resp_p": v.server.Port(),
		"qclass": v.Query.Class, "qclass_name": zeekClass(v.Query.Class), "qtype": v.Query.Type, "qtype_name": zeekType(v.Query.Type),
		"AA": v.flag(flagAA), "TC": v.flag(flagTC), "RD": v.flag(flagRD), "RA": v.flag(flagRA), "Z": v.z(),
		"rejected": v.has && v.Rcode == dnswire.RcodeRefused, "opcode": v.header.Opcode(), "opcode_name": zeekOpcode(v.header.Opcode()),
	}
	if v.client.IsValid() {
		out["id.orig_h"] = addrText(v.client)
	}
	if v.server.IsValid() {
		out["id.resp_h"] = addrText(v.server.Addr())
	}
	if v.Query.Name != nil {
		out["query"] = v.qname
	}
	if !v.has {
		return out
	}
	out["rcode"], out["rcode_name"], out["rtt"] = v.Rcode, zeekRcode(v.Rcode), v.Latency.Seconds()
	var answers []string
	var ttls []float64
	for _, r := range v.section(dnswire.Answer) {
		answers, ttls = append(answers, zeekRdata(r.rdata)), append(ttls, float64(r.ttl))
	}
	if len(answers) > 0 {
		out["answers"], out["TTLs"] = answers, ttls
	}
	return out
}
