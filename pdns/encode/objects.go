package encode

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/weirdns/weir/detect"
	"github.com/weirdns/weir/internal/dnswire"
)

type object = map[string]any

// eve is an event of Suricata's EVE, DNS version 3.
func (v *view) eve() any {
	d := object{
		"version": 3, "type": "request", "id": v.header.ID, "queries": []object{{"rrname": v.qname, "rrtype": dnswire.TypeString(v.Query.Type)}},
	}
	if v.has {
		d["type"], d["rcode"], d["opcode"] = "response", dnswire.RcodeString(v.Rcode), v.header.Opcode()
		d["flags"] = strconv.FormatUint(uint64(v.header.Flags), 16)
		d["qr"], d["aa"], d["tc"], d["rd"], d["ra"], d["z"] = true, v.flag(flagAA), v.flag(flagTC), v.flag(flagRD), v.flag(flagRA), v.header.Flags&0x40 != 0
		for name, s := range map[string]dnswire.Section{"answers": dnswire.Answer, "authorities": dnswire.Authority, "additionals": dnswire.Additional} {
			var all []object
			for _, r := range v.section(s) {
				all = append(all, object{"rrname": r.name, "rrtype": dnswire.TypeString(r.rtype), "ttl": r.ttl, "rdata": r.bare()})
			}
			if all != nil {
				d[name] = all
			}
		}
		grouped := map[string][]string{}
		for _, r := range v.section(dnswire.Answer) {
			t := dnswire.TypeString(r.rtype)
			grouped[t] = append(grouped[t], r.bare())
		}
		if len(grouped) > 0 {
			d["grouped"] = grouped
		}
	}
	out := object{
		"timestamp": v.at.Format("2006-01-02T15:04:05.000000-0700"), "event_type": "dns", "flow_id": v.id() >> 1,
		"proto": strings.ToUpper(v.proto()), "dns": d,
	}
	set(out, "weir", orNil(v.context(object{})))
	// The event is the message: who sent it is its source.
	from, to := "src", "dest"
	if v.has {
		from, to = to, from
	}
	if v.client.IsValid() {
		out[from+"_ip"] = addrText(v.client)
	}
	if v.server.IsValid() {
		out[to+"_ip"], out[to+"_port"] = addrText(v.server.Addr()), v.server.Port()
	}
	return out
}

// verdict is what weir thinks, where a format lets a product have fields of its
// own.
func (v *view) verdict() object {
	out := object{
		"origin": v.Verdict.Origin.String(), "action": v.Verdict.Action.String(), "enforced": v.Verdict.Enforced,
		"level": v.Verdict.Level.String(), "source": v.Source.String(),
	}
	if v.Verdict.Unscored == detect.Scored {
		if s := v.Verdict.Score; s >= 0 && s <= 1 { // JSON has no NaN
			out["score"] = s
		}
	} else {
		out["unscored_reason"] = v.Verdict.Unscored.String()
	}
	if len(v.Verdict.Matches) > 0 {
		var lists, rules []string
		for _, m := range v.Verdict.Matches {
			lists, rules = append(lists, m.List), append(rules, m.Rule)
		}
		out["lists"], out["rules"] = lists, rules
	}
	return v.context(out)
}

// ecs is a document of the Elastic Common Schema.
func (v *view) ecs() any {
	question := object{"name": v.qname, "type": dnswire.TypeString(v.Query.Type), "class": dnswire.ClassString(v.Query.Class)}
	if v.split.Registered != nil {
		question["registered_domain"] = text(v.split.Registered)
		if sub, ok := strings.CutSuffix(v.qname, "."+text(v.split.Registered)); ok {
			question["subdomain"] = sub
		}
	}
	if v.split.Suffix != nil {
		question["top_level_domain"] = text(v.split.Suffix)
	}
	d := object{"type": "query", "question": question}
	event := object{"kind": "event", "category": []string{"network"}, "type": []string{"protocol"}, "dataset": "weir.dns", "module": "weir"}
	if v.has {
		d["type"], d["id"], d["op_code"] = "answer", strconv.Itoa(int(v.header.ID)), opcodeName(v.header.Opcode())
		d["response_code"] = dnswire.RcodeString(v.Rcode)
		flags := []string{}
		for _, f := range []struct {
			bit  uint16
			name string
		}{{flagAA, "AA"}, {flagTC, "TC"}, {flagRD, "RD"}, {flagRA, "RA"}, {flagAD, "AD"}, {flagCD, "CD"}} {
			if v.flag(f.bit) {
				flags = append(flags, f.name)
			}
		}
		d["header_flags"] = flags
		var answers []object
		var resolved []string
		for _, r := range v.section(dnswire.Answer) {
			answers = append(answers, object{
				"name": r.name, "type": dnswire.TypeString(r.rtype), "class": dnswire.ClassString(r.class), "ttl": r.ttl, "data": r.bare(),
			})
			if r.addr {
				resolved = append(resolved, r.rdata)
			}
		}
		if answers != nil {
			d["answers"] = answers
		}
		if resolved != nil {
			d["resolved_ip"] = resolved
		}
		event["duration"] = v.Latency.Nanoseconds()
	}
	if v.Verdict.Blocks() {
		event["type"] = []string{"protocol", "denied"}
	}
	out := object{
		"@timestamp": v.at.Format("2006-01-02T15:04:05.000000000Z"), "ecs": object{"version": "9.0.0"}, "event": event, "dns": d,
		"network": object{"protocol": "dns", "transport": v.proto(), "type": "ipv" + family(v)}, "weir": v.verdict(),
	}
	if v.client.IsValid() {
		out["source"], out["client"] = object{"ip": addrText(v.client)}, v.ecsClient()
	}
	if v.server.IsValid() {
		out["server"] = object{"ip": addrText(v.server.Addr()), "port": v.server.Port()}
		out["destination"] = out["server"]
	}
	return out
}

func family(v *view) string {
	if a := v.Query.Client.Unmap(); a.Is6() {
		return "6"
	}
	return "4"
}

var opcodes = map[uint8]string{0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

func opcodeName(o uint8) string {
	if s, ok := opcodes[o]; ok {
		return s
	}
	return fmt.Sprintf("OPCODE%d", o)
}

// ocsf is an event of OCSF's class DNS Activity.
func (v *view) ocsf() any {
	activity, name := 1, "Query"
	out := object{}
	if v.has {
		activity, name = 6, "Traffic"
		out["rcode"], out["rcode_id"] = dnswire.RcodeString(v.Rcode), v.Rcode
		out["response_time"] = v.at.Add(v.Latency).UnixMilli()
		var answers []object
		for _, r := range v.section(dnswire.Answer) {
			answers = append(answers, object{
				"rdata": r.rdata, "type": dnswire.TypeString(r.rtype), "class": dnswire.ClassString(r.class), "ttl": r.ttl, "packet_uid": v.header.ID,
			})
		}
		if answers != nil {
			out["answers"] = answers
		}
	}
	query := object{"hostname": v.qname, "type": dnswire.TypeString(v.Query.Type), "class": dnswire.ClassString(v.Query.Class), "packet_uid": v.header.ID}
	severity := map[detect.Level]int{detect.LevelNone: 1, detect.LevelLow: 2, detect.LevelMedium: 3, detect.LevelHigh: 4}[v.Verdict.Level]
	maps.Copy(out, object{
		"class_uid": 4003, "class_name": "DNS Activity", "category_uid": 4, "category_name": "Network Activity",
		"activity_id": activity, "activity_name": name, "type_uid": 400300 + activity, "type_name": "DNS Activity: " + name, "severity_id": severity,
		"time": v.at.UnixMilli(), "query_time": v.at.UnixMilli(), "query": query,
		"metadata":        object{"version": "1.5.0", "product": object{"name": "weir", "vendor_name": "weir"}, "uid": v.uid()},
		"connection_info": object{"protocol_name": v.proto(), "direction_id": 0}, "unmapped": object{"weir": v.verdict()},
	})
	src := object{}
	if v.client.IsValid() {
		src["ip"] = addrText(v.client)
	}
	v.ocsfEndpoint(src)
	out["src_endpoint"] = src
	if enrichments := v.ocsfEnrichments(); enrichments != nil {
		out["enrichments"] = enrichments
	}
	if v.server.IsValid() {
		out["dst_endpoint"] = object{"ip": addrText(v.server.Addr()), "port": v.server.Port()}
	}
	return out
}
